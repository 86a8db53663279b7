"""The whole service as users meet it: processes, a real bridge, mail server, browser."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from deploy import janus
from tests.conftest import HOUSE, KEY, Postgres, free_port, kill, open_folder
from tests.dovecot import Dovecot
from tests.post_office import PostOffice

Found = TypeVar("Found")

FLAGS = [
    "--no-sandbox",
    "--use-fake-device-for-media-stream=fps=15",
    "--use-fake-ui-for-media-stream",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--metrics-recording-only",
    "--disable-gpu",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
    "--allow-loopback-in-peer-connection",
    "--disable-features=OptimizationHints,MediaRouter,Translate",
]
NO_OTHER_HOST = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


def wait_for(what: Callable[[], Found], seconds: float = 30, every: float = 0.2) -> Found:
    """Ask again and again until the answer is true, and return it."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(every)
    return found


class Service:
    """ConfBridge with the demo province: in one process on SQLite, or in many on PostgreSQL."""

    def __init__(self, folder: Path, database_url: str, mail_url: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.is_one = database_url.startswith("sqlite")
        self.environment = {
            **os.environ,
            "CONFBRIDGE_DATABASE_URL": database_url,
            "CONFBRIDGE_SECRET_KEY": KEY,
            "CONFBRIDGE_PORT": str(self.port),
            "CONFBRIDGE_MAIL_URL": mail_url,
            "CONFBRIDGE_MAIL_FROM": "Hội nghị truyền hình <hoinghi@ninhthuan.example>",
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        self.passwords: dict[str, str] = {}

    def set_up(self, bridges: Path) -> None:
        self.flask("db", "upgrade")
        printed = self.flask("demo", "load", "--bridges", str(bridges))
        self.passwords = dict(line.split("\t") for line in printed.splitlines())

    def start(self) -> None:
        if self.is_one:
            self._run(sys.executable, "app.py")
        else:
            gunicorn = [sys.executable, "-m", "gunicorn", "-w", "2", "--threads", "4"]
            self._run(*gunicorn, "-b", f"127.0.0.1:{self.port}", "app:app")
            for _ in range(2):
                self._run(sys.executable, "-m", "flask", "--app", "app", "worker")
        wait_for(self.is_healthy)

    def kill(self) -> None:
        """End all of it at once, with no chance to tidy up."""
        for process in self.processes:
            for child in subprocess.run(
                ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False
            ).stdout.split():
                os.kill(int(child), 9)
            kill(process)
        self.processes.clear()

    def is_healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def flask(self, *command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "flask", "--app", "app", *command],
            cwd=HOUSE,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    @contextmanager
    def api(self, email: str) -> Iterator[httpx.Client]:
        token = self.flask("token", "create", email).strip()
        headers = {"Authorization": f"Bearer {token}"}
        address = f"{self.url}/api/v1"
        with httpx.Client(base_url=address, headers=headers, trust_env=False) as client:
            yield client

    def _run(self, *command: str) -> None:
        with (self.folder / "service.log").open("ab") as log:
            self.processes.append(
                subprocess.Popen(command, cwd=HOUSE, env=self.environment, stdout=log, stderr=log)
            )


class Bridge:
    """A real Janus, made for one story, that reports to its service."""

    def __init__(self, folder: Path, service: Service, code: str = "cau-a") -> None:
        self.code = code
        self.folder = folder / "janus" / code
        self.server = janus.prepare(self.folder, code, f"{service.url}/hooks/{code}")
        self.process = janus.start(self.folder, self.server)

    def kill(self) -> None:
        """End it at once, so that it can tell nobody."""
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        """Start it again, where it was."""
        self.process = janus.start(self.folder, self.server)

    def hang(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def report_to(self, url: str) -> None:
        """Let its events go elsewhere."""
        request = {"request": "tweak", "backend": url}
        self.admin("query_eventhandler", handler="janus.eventhandler.sampleevh", request=request)

    def admin(self, question: str, **body: Any) -> Any:
        asked = {"janus": question, "transaction": "story", **body}
        asked["admin_secret"] = self.server.admin_secret
        url = f"http://127.0.0.1:{self.server.admin_port}/admin"
        return httpx.post(url, json=asked, trust_env=False).json()

    def ask(self, **request: Any) -> Any:
        """Return what the room plugin answers, asked past the service."""
        wanted = {"admin_key": self.server.admin_key, **request}
        plugin = "janus.plugin.videoroom"
        return self.admin("message_plugin", plugin=plugin, request=wanted)["response"]

    def rooms(self) -> list[str]:
        rooms = [one["room"] for one in self.ask(request="list")["list"]]
        return [room for room in rooms if room.startswith("cb-")]

    def stop(self) -> None:
        self.go_on()
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def one_service(
    tmp_path: Path, sqlite_template: Path, post_office: PostOffice
) -> Iterator[Service]:
    service = Service(tmp_path, f"sqlite:///{tmp_path / 'story.db'}", post_office.url)
    yield service
    service.kill()
    print((tmp_path / "service.log").read_text()[-4000:])


@pytest.fixture
def mailbox(post_office: PostOffice, one_service: Service) -> Iterator[Dovecot]:
    """A real mailbox to which the post office brings what is sent to the service."""
    with open_folder() as folder:
        server = Dovecot(folder)
        server.start()
        post_office.pass_on[server.user] = server.take
        one_service.environment["CONFBRIDGE_MAILBOX_URL"] = server.url
        yield server
        server.stop()


@pytest.fixture(params=["one process, SQLite", "many processes, PostgreSQL"])
def service(
    request: pytest.FixtureRequest, tmp_path: Path, post_office: PostOffice
) -> Iterator[Service]:
    url = f"sqlite:///{tmp_path / 'story.db'}"
    if "PostgreSQL" in request.param:
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.create(f"story_{free_port()}")
    service = Service(tmp_path, url, post_office.url)
    yield service
    service.kill()
    print((tmp_path / "service.log").read_text()[-4000:])


@pytest.fixture(scope="session")
def driven() -> Iterator[Playwright]:
    """What drives browsers; there can be one of it in a process."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(driven: Playwright) -> Iterator[Browser]:
    made = driven.chromium.launch(
        executable_path="/usr/bin/chromium", headless=True, args=[*FLAGS, NO_OTHER_HOST]
    )
    yield made
    made.close()


class Visitor:
    """Somebody with a browser of their own, whose console must stay quiet."""

    def __init__(self, browser: Browser, url: str, *, width: int = 1200) -> None:
        self.context = browser.new_context(
            base_url=url, viewport={"width": width, "height": 860}, locale="vi-VN"
        )
        self.context.add_init_script(WATCH_CONNECTIONS)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(httpx.URL(request.url).host))

    def sign_in(self, email: str, password: str) -> Page:
        self.page.goto("/sign-in")
        self.page.fill("#email", email)
        self.page.fill("#password", password)
        self.page.get_by_role("button", name="Đăng nhập").click()
        self.page.wait_for_url("**/meetings")
        return self.page

    def frames_decoded(self) -> dict[str, int]:
        """Return how many pictures of each incoming video have been decoded."""
        found: dict[str, int] = self.page.evaluate(COUNT_FRAMES)
        return found

    def leave(self) -> None:
        self.context.close()

    def _heard(self, message: Any) -> None:
        # A refused form is a 4xx, which the browser mentions; that is no mistake of the page.
        if message.type == "error" and "status of 4" not in message.text:
            self.complaints.append(message.text)


WATCH_CONNECTIONS = """
window.connections = [];
window.RTCPeerConnection = class extends window.RTCPeerConnection {
  constructor(...given) { super(...given); window.connections.push(this); }
};
"""
COUNT_FRAMES = """
async () => {
  const found = {};
  for (const connection of window.connections) {
    if (connection.connectionState === "closed") continue;
    for (const one of (await connection.getStats()).values()) {
      if (one.type === "inbound-rtp" && one.kind === "video") found[one.id] = one.framesDecoded;
    }
  }
  return found;
}
"""


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visitor]]:
    visitors: list[Visitor] = []

    def make(url: str, **given: Any) -> Visitor:
        visitors.append(Visitor(browser, url, **given))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.leave()


@pytest.fixture
def photograph(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Page, str], None]:
    """Take a picture of a page: into docs/screens with --screenshots, else only to see it work."""
    wanted = request.config.getoption("--screenshots")
    folder = HOUSE / "docs" / "screens" if wanted else tmp_path
    folder.mkdir(parents=True, exist_ok=True)

    def take(page: Page, name: str) -> None:
        # As tall as the page, so that what sticks to the window's edge stands at its end.
        size = page.viewport_size or {"width": 1200, "height": 860}
        height = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": size["width"], "height": max(height, 500)})
        page.screenshot(path=folder / f"{name}.png")
        page.set_viewport_size(size)

    return take
