"""Bridges are lost, hang, forget, fall silent and are drained, and the meeting goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.conftest import free_port
from tests.stories.conftest import Bridge, wait_for

BACK_WITHIN = 20  # seconds from the loss until two browsers see each other again
RIGHT_WITHIN = 15  # seconds until attendance is right though the events are lost
SITES = ["STC-1", "SYT-1"]
LEAD = 1  # minute


@pytest.mark.timeout(400)
def test_a_meeting_outlives_its_bridges(one_service, tmp_path, visit, photograph):
    bridges = [Bridge(tmp_path, one_service, code) for code in ("cau-a", "cau-b")]
    try:
        one_service.set_up(tmp_path / "janus")
        one_service.start()
        Sitting(one_service, bridges, visit, photograph).go()
    finally:
        for bridge in bridges:
            bridge.stop()


@contextmanager
def nowhere() -> Iterator[str]:
    """A place that takes every event, and forgets it."""

    class Takes(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", free_port()), Takes)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


class Sitting:
    """One meeting of two sites, which its bridges leave one after the other."""

    def __init__(self, service, bridges, visit, photograph):
        self.service, self.visit, self.photograph = service, visit, photograph
        self.bridges = {one.code: one for one in bridges}
        self.people = {}

    def go(self):
        with self.service.api("quantri@ninhthuan.example") as self.api:
            self.both_bridges_are_up()
            self.it_is_booked_with_a_stand_by()
            self.two_join()
            self.a_killed_bridge_is_survived()
            self.the_operator_sees_what_happened()
            self.a_bridge_that_hangs_is_survived()
            self.a_restarted_bridge_has_its_rooms_again()
            self.lost_events_are_found_out()
            self.a_drained_bridge_ends_with_its_last_conference()

    def bridge(self, code):
        return self.api.get(f"/bridges/{code}").json()

    def both_bridges_are_up(self):
        for code in self.bridges:
            wait_for(lambda code=code: self.bridge(code)["state"] == "up")

    def it_is_booked_with_a_stand_by(self):
        soon = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=LEAD)
        given = {
            "title": "Ứng phó bão số 14",
            "start": soon.isoformat(),
            "minutes": 30,
            "lead_minutes": LEAD,
            "standby": True,
            "host": "UBND",
            "endpoints": [{"code": code} for code in SITES],
        }
        answer = self.api.post("/meetings", json=given)
        assert answer.status_code == 201, answer.text
        self.uid = answer.json()["uid"]
        self.number = answer.json()["occurrences"][0]["id"]
        assert {one["role"] for one in self.places()} == {"primary", "standby"}
        wait_for(lambda: self.here().rooms(), 60)

    def places(self):
        meeting = self.api.get(f"/meetings/{self.uid}").json()
        return meeting["occurrences"][0]["bridges"]

    def code(self):
        return next(one["code"] for one in self.places() if one["role"] == "primary")

    def here(self):
        return self.bridges[self.code()]

    def two_join(self):
        meeting = self.api.get(f"/meetings/{self.uid}").json()
        for one in meeting["attendees"]:
            person = self.visit(self.service.url)
            person.page.goto(one["join_url"])
            person.page.wait_for_selector('#join[data-step="check"]')
            person.page.get_by_role("button", name="Kiểm tra camera và micrô").click()
            person.page.get_by_role("button", name="Vào họp").click()
            self.people[one["endpoint"]] = person
        wait_for(self.they_see_each_other)
        wait_for(lambda: self.sessions_open() == 2)  # what is not reported before a kill is lost

    def they_see_each_other(self):
        """Say whether in the last half second pictures of the other have come to each."""
        before = {name: sum(one.frames_decoded().values()) for name, one in self.people.items()}
        time.sleep(0.5)
        return all(
            0 < before[name] < sum(one.frames_decoded().values())
            for name, one in self.people.items()
        )

    def seconds_until_they_meet_again(self, since):
        wait_for(self.they_see_each_other, 60)
        return time.monotonic() - since

    def a_killed_bridge_is_survived(self):
        lost, spare = self.code(), self.place_with("standby")
        since = time.monotonic()
        self.bridges[lost].kill()
        wait_for(lambda: self.code() != lost)
        took = self.seconds_until_they_meet_again(since)
        print(f"from the kill until they saw each other again: {took:.1f} s")
        assert took <= BACK_WITHIN
        assert self.code() == spare
        self.bridges[lost].start()
        wait_for(lambda: self.bridge(lost)["state"] == "up", 60)
        wait_for(lambda: self.sessions_open() == 2)
        attendance = self.attendance()
        gaps = [one for one in attendance["gaps"] if one["why"] == "unreachable"]
        assert [one["bridge"] for one in gaps] == [lost]
        assert gaps[0]["end"] is not None
        for site in attendance["sites"]:
            first, second = site["sessions"]
            assert first["left_source"] == "reconstructed"
            assert second["left"] is None
            assert first["left"] <= second["joined"]

    def place_with(self, role):
        return next(one["code"] for one in self.places() if one["role"] == role)

    def the_operator_sees_what_happened(self):
        self.operator = self.visit(self.service.url)
        email = "vanhanh@ninhthuan.example"
        page = self.operator.sign_in(email, self.service.passwords[email])
        page.goto(f"/conferences/{self.number}")
        page.locator("#conference .tiles .in").first.wait_for()
        self.photograph(page, "conference-after-a-loss")

    def a_bridge_that_hangs_is_survived(self):
        lost = self.code()
        since = time.monotonic()
        self.bridges[lost].hang()
        wait_for(lambda: self.code() != lost)
        took = self.seconds_until_they_meet_again(since)
        print(f"from the hang until they saw each other again: {took:.1f} s")
        assert took <= BACK_WITHIN + 5
        self.bridges[lost].go_on()
        wait_for(lambda: not self.bridges[lost].rooms(), 60)  # its orphan is closed
        assert len(self.here().rooms()) == 1
        assert self.they_see_each_other()

    def a_restarted_bridge_has_its_rooms_again(self):
        code = self.code()
        rooms = self.here().rooms()
        self.here().kill()
        self.here().start()
        wait_for(lambda: self.bridges[code].rooms() == rooms, 60)
        assert self.code() == code  # it was back before it was given up
        wait_for(self.they_see_each_other, 60)

    def lost_events_are_found_out(self):
        with nowhere() as url:
            self.here().report_to(url)
            since = time.monotonic()
            gone = self.people.pop(self.endpoint_of_first())
            gone.page.get_by_role("button", name="Rời họp").click()
            wait_for(lambda: self.sessions_open() == 1, RIGHT_WITHIN)
            wait_for(lambda: self.gaps("events"), 60)
            while time.monotonic() < since + 60:
                time.sleep(1)
        code = self.code()
        self.here().report_to(f"{self.service.url}/hooks/{code}")
        wait_for(lambda: [one for one in self.gaps("events") if one["end"]], 30)

    def endpoint_of_first(self):
        return next(iter(self.people))

    def attendance(self):
        return self.api.get(f"/meetings/{self.uid}/attendance").json()

    def gaps(self, why):
        return [one for one in self.attendance()["gaps"] if one["why"] == why]

    def sessions_open(self):
        sites = self.attendance()["sites"]
        return sum(one["left"] is None for site in sites for one in site["sessions"])

    def a_drained_bridge_ends_with_its_last_conference(self):
        code = self.code()
        answer = self.api.post(f"/bridges/{code}/drain").json()
        assert [one["meeting"] for one in answer["affected"]] == [self.uid]
        assert answer["affected"][0]["why"]
        assert self.bridge(code)["drained_at"] is None
        assert self.here().rooms()
        meeting = self.api.get(f"/meetings/{self.uid}")
        headers = {"If-Match": meeting.headers["ETag"]}
        given = {"reason": "Xong việc"}
        done = self.api.post(f"/meetings/{self.uid}/cancel", json=given, headers=headers)
        assert done.status_code == 200
        wait_for(lambda: self.bridge(code)["drained_at"], 60)
        assert not self.bridges[code].rooms()
