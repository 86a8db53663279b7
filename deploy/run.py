"""Runs the demo province on this machine: database, bridges, web and background work.

`make run` has set everything up before. Ends with Ctrl-C, and what it
started ends with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOUSE))

from confbridge.config import from_environment  # noqa: E402
from confbridge.errors import BadConfig  # noqa: E402
from deploy import janus  # noqa: E402

VAR = HOUSE / "var"
SIGN_INS = VAR / "demo-sign-ins.txt"
BRIDGES = ("cau-a", "cau-b")


def main() -> int:
    try:
        settings = from_environment()
    except BadConfig as error:
        print(error, file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    VAR.mkdir(exist_ok=True)
    flask("db", "upgrade")
    servers = start_bridges(settings.port)
    try:
        load_demo()
        tell(settings.base_url, bridges=bool(servers), mail_url=settings.mail_url)
        service = subprocess.Popen([sys.executable, "app.py"], cwd=HOUSE)
        try:
            return service.wait()
        finally:
            service.terminate()
            service.wait()
    except (KeyboardInterrupt, SystemExit):
        return 0
    finally:
        for server in servers:
            server.terminate()
            server.wait()


def start_bridges(port: int) -> list[subprocess.Popen[bytes]]:
    if not janus.is_installed():
        return []
    started = []
    for code in BRIDGES:
        folder = VAR / "janus" / code
        server = janus.prepare(folder, code, f"http://127.0.0.1:{port}/hooks/{code}")
        started.append(janus.start(folder, server))
    return started


def load_demo() -> None:
    known = ["--bridges", str(VAR / "janus")] if (VAR / "janus").is_dir() else []
    made = flask("demo", "load", *known)
    if made:
        SIGN_INS.touch(mode=0o600)
        SIGN_INS.write_text(made)


def tell(base_url: str, *, bridges: bool, mail_url: str) -> None:
    print(f"\nConfBridge: {base_url}\n")
    if SIGN_INS.exists():
        print("Sign in with (mail address, password):")
        print("".join(f"  {line}\n" for line in SIGN_INS.read_text().splitlines()))
    if not bridges:
        print("No bridge runs here: Janus is not installed. Meetings cannot be booked without.")
    if mail_url.startswith("maildir:"):
        print(f"Mail is not sent: it is kept in {mail_url.removeprefix('maildir:')}, and shown")
        print("on the page Outbox.")
    print("Ctrl-C ends it.\n", flush=True)


def flask(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app", *command],
        cwd=HOUSE,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
