"""The service is killed at the worst moment, and nothing is lost or done twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from tests import clients
from tests.stories.conftest import Bridge, wait_for

CODES = ["UBND-1", "PRTC-1", "BA-1", "NS-1", "NH-1", "NP-1", "TB-1", "TN-1"]


def book(api, **given):
    start = datetime.now(UTC) + timedelta(minutes=5)
    body = {
        "title": "Họp phòng chống bão",
        "start": start.isoformat(),
        "minutes": 30,
        "endpoints": [{"code": code} for code in CODES],
    }
    answer = api.post("/meetings", json=body | given)
    assert answer.status_code == 201, answer.text
    return answer.json()


@contextmanager
def running(service, tmp_path, **settings: str) -> Iterator[Bridge]:
    bridge = Bridge(tmp_path, service)
    try:
        service.set_up(tmp_path / "janus")
        service.start()
        with service.api("quantri@ninhthuan.example") as api:
            wait_for(lambda: api.get("/bridges/cau-a").json()["state"] == "up")
            if settings:
                answer = api.patch("/bridges/cau-a", json={"settings": settings})
                assert answer.status_code == 200
        yield bridge
    finally:
        bridge.stop()


@pytest.mark.timeout(300)
def test_killed_while_sending_every_invitation_goes_out_once(one_service, tmp_path, post_office):
    service = one_service
    post_office.slow = 1.0
    with running(service, tmp_path):
        with service.api("thuky@ninhthuan.example") as api:
            book(api)
        wait_for(lambda: post_office.begun >= 3)
        service.kill()
        begun = post_office.begun
        assert begun < len(CODES)
        post_office.slow = 0.0
        service.start()
        wait_for(lambda: recipients(post_office) == set(CODES), 200)
    for code in CODES:
        mails = post_office.of(f"{code.lower()}@ninhthuan.example")
        assert len({mail["Message-ID"] for mail in mails}) == 1
        assert len({str(mail.get_body(("plain",)).get_content()) for mail in mails}) == 1
    # Only the one that was on its way when the service died may have come twice.
    assert len(post_office.mails) <= len(CODES) + 1


def recipients(post_office):
    found = {mail["To"].addresses[0].addr_spec for mail in post_office.mails}
    return {address.partition("@")[0].upper() for address in found}


@pytest.mark.timeout(300)
def test_killed_before_anything_was_sent_everything_is_sent(one_service, tmp_path, post_office):
    service = one_service
    post_office.close()
    with running(service, tmp_path):
        with service.api("thuky@ninhthuan.example") as api:
            book(api)
        service.kill()
        post_office.open()
        service.start()
        wait_for(lambda: recipients(post_office) == set(CODES), 200)
    assert len(post_office.mails) == len(CODES)


class Gate:
    """Stands before a bridge, and can hold back the answer that a room is open."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.is_shut = True
        self.held = threading.Event()
        gate = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = httpx.post(gate.target, content=body, trust_env=False)
                request = json.loads(body).get("request", {})
                opens = request.get("request") == "create" and request["room"].startswith("cb-")
                if opens and gate.is_shut:
                    gate.held.set()  # the room is open, and nobody will ever be told
                    self.close_connection = True
                    threading.Event().wait(2)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/admin"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.mark.timeout(300)
def test_killed_between_opening_the_room_and_recording_it_one_room_is_open(one_service, tmp_path):
    service = one_service
    with running(service, tmp_path) as bridge:
        gate = Gate(f"http://127.0.0.1:{bridge.server.admin_port}/admin")
        try:
            with service.api("quantri@ninhthuan.example") as api:
                api.patch("/bridges/cau-a", json={"settings": {"admin_url": gate.url}})
            with service.api("thuky@ninhthuan.example") as api:
                made = book(api)
            assert gate.held.wait(20)
            service.kill()
            (room,) = bridge.rooms()
            gate.is_shut = False
            service.start()
            with service.api("vanhanh@ninhthuan.example") as api:
                found = f"/meetings/{made['uid']}/attendance"
                assert api.get(found).status_code == 200
            page = httpx.get(made["attendees"][0]["join_url"], trust_env=False).text
            assert 'data-part="check"' in page
            wait_for(lambda: is_open(service, made), 90)
            assert bridge.rooms() == [room]
        finally:
            gate.close()


def is_open(service, made):
    """Ask as a join page does."""
    address = made["attendees"][0]["join_url"]
    with httpx.Client(trust_env=False) as client:
        csrf = client.get(address).text.partition('data-csrf="')[2].partition('"')[0]
        answer = client.post(f"{address}/ticket", headers={"X-CSRFToken": csrf})
        return answer.json()["door"] == "open"


COMMUNES = [f"XA-{number}" for number in range(1, 171)]


def of_endpoint(mail):
    return mail["To"].addresses[0].addr_spec


@pytest.mark.timeout(420)
def test_killed_while_sending_and_while_reading_nothing_of_170_endpoints_is_lost(
    one_service, mailbox, tmp_path, post_office
):
    service = one_service
    with running(service, tmp_path):
        with service.api("quantri@ninhthuan.example") as api:
            api.patch("/bridges/cau-a", json={"ports": 400})
            for code in COMMUNES:
                address = f"{code.lower()}@ninhthuan.example"
                given = {"name": f"Xã {code}", "kind": "soft", "email": address}
                given |= {"code": code, "organisation": "STTTT", "networks": ["tslcd"]}
                assert api.post("/endpoints", json=given).status_code == 201
        post_office.slow = 0.05
        with service.api("thuky@ninhthuan.example") as api:
            start = (datetime.now(UTC) + timedelta(days=2)).isoformat()
            made = book(api, start=start, endpoints=[{"code": code} for code in COMMUNES])
        wait_for(lambda: post_office.begun >= 45)
        service.kill()
        assert post_office.begun < len(COMMUNES)
        post_office.slow = 0.0
        service.start()
        wanted = {f"{code.lower()}@ninhthuan.example" for code in COMMUNES}
        wait_for(lambda: {of_endpoint(mail) for mail in post_office.mails} == wanted, 150)
        assert len({mail["Message-ID"] for mail in post_office.mails}) == len(COMMUNES)
        assert len(post_office.mails) <= len(COMMUNES) + 1  # but for the one on its way

        service.kill()
        stamped = datetime.now(UTC)
        answers = [
            clients.Answer(uid=made["uid"], attendee=address, stamped=stamped)
            for address in sorted(wanted)
        ]
        changed = [
            one.but(partstat="DECLINED", stamped=stamped + timedelta(seconds=5))
            for one in answers[:30]
        ]
        for place, one in enumerate([*changed[:15], *answers, *changed[15:]]):
            shape = clients.SHAPES[place % len(clients.SHAPES)]
            mailbox.take(shape(one), clients.US)
        service.start()
        wait_for(lambda: mailbox.count("UNSEEN") < 200, every=0.05)
        service.kill()
        assert mailbox.count("UNSEEN") > 0
        service.start()
        wait_for(lambda: mailbox.count("UNSEEN") == 0, 150)
        with service.api("thuky@ninhthuan.example") as api:
            found = api.get(f"/meetings/{made['uid']}").json()["attendees"]
        said = [one["partstat"] for one in sorted(found, key=lambda one: one["endpoint"].lower())]
        assert said.count("DECLINED") == 30
        assert said.count("ACCEPTED") == 140
        assert mailbox.count() == 200
        assert mailbox.count(folder="Quarantine") == 0
