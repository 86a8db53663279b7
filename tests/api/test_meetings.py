"""The API as its contract says it: what goes in, what comes out, what is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from confbridge.models import Mail, Meeting
from tests import factories
from tests.conftest import Client
from tests.factories import Statements, body, scalar, token
from tests.services.test_races import at_once

URL = "/api/v1/meetings"


@pytest.fixture
def ann(cast):
    return token(cast.ann)


def booked(client, headers, codes=None, **given):
    answer = client.post(URL, json=body(codes, **given), headers=headers)
    assert answer.status_code == 201, answer.json
    return answer.json


def counted(model):
    return scalar(select(func.count()).select_from(model))


def test_a_booked_meeting_comes_back_whole(client, cast, ann):
    given = body(chair="Chủ tịch", agenda="1. Báo cáo", guest_ports=1)
    answer = client.post(URL, json=given, headers=ann)
    assert answer.status_code == 201
    assert answer.headers["ETag"] == '"1"'
    made = answer.json
    assert made["start"].endswith("Z")
    assert made["endpoints"] == [
        {"code": "E-1", "role": "required", "ports": 1, "quality": "hd"},
        {"code": "E-2", "role": "required", "ports": 1, "quality": "hd"},
    ]
    assert (made["state"], made["sequence"], made["host"]) == ("scheduled", 0, "HOME")
    (occurrence,) = made["occurrences"]
    assert occurrence["bridges"] == [{"code": cast.bridge.code, "ports": 3, "role": "primary"}]
    attendee = made["attendees"][0]
    assert (attendee["partstat"], attendee["delivery"]) == ("NEEDS-ACTION", "queued")
    assert attendee["join_url"].startswith("http://127.0.0.1:8000/join/")
    assert client.get(f"{URL}/{made['uid']}", headers=ann).json == made


def test_a_clash_answers_409_with_clashes_and_alternatives_that_are_accepted(client, ann):
    first = booked(client, ann, ["E-1"])
    answer = client.post(URL, json=body(["E-1", "E-2"]), headers=ann)
    assert answer.status_code == 409
    assert answer.content_type == "application/problem+json"
    (clash,) = answer.json["clashes"]
    assert (clash["kind"], clash["subject"], clash["with"]) == ("endpoint", "E-1", [first["uid"]])
    assert (clash["start"], clash["end"]) == (
        first["occurrences"][0]["start"],
        first["occurrences"][0]["end"],
    )
    alternatives = answer.json["alternatives"]
    assert len(alternatives) >= 3
    assert booked(client, ann, ["E-1", "E-2"], start=alternatives[0]["start"])


def test_ports_that_are_short_are_counted_with_their_minute(client, cast, ann):
    answer = client.post(URL, json=body(["E-1"], guest_ports=12), headers=ann)
    (clash,) = answer.json["clashes"]
    assert (clash["kind"], clash["subject"], clash["short_by"]) == ("ports", cast.bridge.code, 3)
    assert clash["peak_at"]
    assert answer.json["alternatives"] == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("start", "2031-03-04T08:00:00"),
        ("start", "2020-01-01T08:00:00Z"),
        ("minutes", 0),
        ("minutes", 1500),
        ("endpoints", []),
        ("title", "x" * 10_000),
        ("title", "a\x00b"),
        ("agenda", "<img src=x>"),
        ("chair", "\x1b[31m"),
    ],
)
def test_bad_input_is_refused_at_its_field_and_leaves_nothing(client, ann, field, value):
    answer = client.post(URL, json=body(**{field: value}), headers=ann)
    assert answer.status_code == 422
    assert set(answer.json["problems"]) == {field}
    assert counted(Meeting) == counted(Mail) == 0


def test_an_unknown_endpoint_is_named(client, ann):
    answer = client.post(URL, json=body(["E-1", "NOWHERE"]), headers=ann)
    assert set(answer.json["problems"]) == {"endpoints.1.code"}
    assert "NOWHERE" in answer.json["problems"]["endpoints.1.code"]


def test_problems_are_told_in_the_language_asked_for(client, ann):
    for language, text in (("vi", "Hãy chọn ít nhất"), ("en", "Choose at least")):
        headers = ann | {"Accept-Language": language}
        answer = client.post(URL, json=body(endpoints=[]), headers=headers)
        assert text in answer.json["problems"]["endpoints"]


@pytest.mark.parametrize("data", ["", "{", "[]", "null", '"text"'])
def test_a_body_that_is_no_object_is_refused(client, ann, data):
    headers = ann | {"Content-Type": "application/json"}
    assert client.post(URL, data=data, headers=headers).status_code == 422


def test_a_dry_run_answers_the_same_and_keeps_nothing(client, ann):
    answer = client.post(URL, json=body(dry_run=True), headers=ann)
    assert answer.status_code == 200
    assert len(answer.json["attendees"]) == 2
    assert counted(Meeting) == counted(Mail) == 0
    booked(client, ann)
    assert client.post(URL, json=body(dry_run=True), headers=ann).status_code == 409


def test_the_same_key_and_body_answer_the_same_once(client, ann):
    headers = ann | {"Idempotency-Key": "k-1"}
    given = body()
    first = client.post(URL, json=given, headers=headers)
    again = client.post(URL, json=given, headers=headers)
    assert (again.status_code, again.json) == (201, first.json)
    assert counted(Meeting) == 1
    other = client.post(URL, json=given | {"title": "Another"}, headers=headers)
    assert other.status_code == 422
    assert set(other.json["problems"]) == {"Idempotency-Key"}


def test_two_at_once_with_one_key_book_once(app, cast, ann):
    headers = ann | {"Idempotency-Key": "k-3"}
    given = body()
    app.test_client_class = Client

    def send():
        return app.test_client().post(URL, json=given, headers=headers)

    answers = at_once(app, [send] * 4)
    assert [one.status_code for one in answers] == [201] * 4
    assert len({one.json["uid"] for one in answers}) == 1
    assert counted(Meeting) == 1


def test_a_meeting_may_be_held_in_another_zone_but_not_in_one_that_is_none(client, ann):
    assert booked(client, ann, timezone="Europe/Berlin")["timezone"] == "Europe/Berlin"
    answer = client.post(URL, json=body(["E-3"], timezone="Mars/Olympus"), headers=ann)
    assert set(answer.json["problems"]) == {"timezone"}


def test_a_refused_request_may_be_sent_again_with_its_key(client, ann):
    headers = ann | {"Idempotency-Key": "k-2"}
    given = body(["E-1"])
    first = booked(client, ann, ["E-1"])
    assert client.post(URL, json=given, headers=headers).status_code == 409
    client.post(f"{URL}/{first['uid']}/cancel", json={"reason": "Bão"}, headers=ann)
    assert client.post(URL, json=given, headers=headers).status_code == 201


def test_a_change_needs_the_newest_version_if_it_names_one(client, ann):
    made = booked(client, ann)
    address = f"{URL}/{made['uid']}"
    changed = client.patch(address, json={"title": "Khác"}, headers=ann | {"If-Match": '"1"'})
    assert (changed.status_code, changed.json["version"]) == (200, 2)
    assert changed.headers["ETag"] == '"2"'
    for stale in ('"1"', "1"):
        answer = client.patch(address, json={"title": "X"}, headers=ann | {"If-Match": stale})
        assert answer.status_code == 412
    assert client.get(address, headers=ann).json["title"] == "Khác"


def test_a_move_that_clashes_is_refused_and_changes_nothing(client, ann):
    made = booked(client, ann, ["E-1"])
    there = booked(client, ann, ["E-1"], start=factories.soon(30).isoformat())
    address = f"{URL}/{made['uid']}"
    answer = client.patch(address, json={"start": there["start"], "title": "X"}, headers=ann)
    assert answer.status_code == 409
    assert [one["with"] for one in answer.json["clashes"]] == [[there["uid"]]]
    assert client.get(address, headers=ann).json == made
    offered = answer.json["alternatives"][0]["start"]
    assert client.patch(address, json={"start": offered}, headers=ann).status_code == 200


def test_a_cancelled_meeting_stays_and_frees_its_time(client, ann):
    made = booked(client, ann)
    answer = client.post(f"{URL}/{made['uid']}/cancel", json={"reason": "Bão"}, headers=ann)
    assert (answer.status_code, answer.json["state"]) == (200, "cancelled")
    again = client.post(f"{URL}/{made['uid']}/cancel", json={"reason": "Bão"}, headers=ann)
    assert again.status_code == 409
    assert booked(client, ann)


def test_an_answer_by_telephone_is_kept(client, ann):
    made = booked(client, ann)
    given = {"endpoint": "E-1", "partstat": "ACCEPTED", "headcount": 7, "via": "phone"}
    answer = client.post(f"{URL}/{made['uid']}/replies", json=given, headers=ann)
    assert answer.status_code == 200
    assert (answer.json["partstat"], answer.json["headcount"]) == ("ACCEPTED", 7)
    assert answer.json["via"] == "phone"
    nobody = client.post(
        f"{URL}/{made['uid']}/replies", json=given | {"endpoint": "E-4"}, headers=ann
    )
    assert set(nobody.json["problems"]) == {"endpoint"}


def test_lists_come_in_pages(client, ann):
    for hour in range(5):
        booked(client, ann, ["E-1"], start=factories.soon(24 + hour).isoformat())
    seen, cursor = [], ""
    while cursor is not None:
        found = client.get(f"{URL}?limit=2&cursor={cursor}", headers=ann).json
        seen += [one["number"].partition("/")[0] for one in found["items"]]
        cursor = found["next"]
    assert seen == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=truc+tuyen", 2),
        ("q=khac", 0),
        ("endpoint=E-2", 1),
        ("organisation=HOME", 2),
        ("organisation=OTHER", 0),
        ("state=scheduled", 2),
        ("state=cancelled", 0),
    ],
)
def test_lists_can_be_narrowed(client, ann, query, found):
    booked(client, ann, ["E-1"])
    booked(client, ann, ["E-2"])
    assert len(client.get(f"{URL}?{query}", headers=ann).json["items"]) == found


def test_lists_can_be_narrowed_in_time(client, ann):
    made = booked(client, ann)
    end = made["occurrences"][0]["end"]
    assert client.get(URL, query_string={"from": end}, headers=ann).json["items"] == []
    assert client.get(URL, query_string={"to": end}, headers=ann).json["items"]
    assert client.get(URL, query_string={"from": "nonsense"}, headers=ann).status_code == 422


def test_the_number_of_questions_does_not_grow_with_the_endpoints(client, cast, ann):
    def asked(codes, start):
        with Statements() as statements:
            booked(client, ann, codes, start=start.isoformat())
        return len(statements.asked)

    few = asked(["E-1"], factories.soon(24))
    assert asked(cast.codes, factories.soon(48)) == few <= 27
    for number in range(20):
        factories.bridge(ports=20 + number)
    assert asked(["E-1"], factories.soon(72)) == few


@pytest.mark.parametrize(
    ("who", "statuses"),
    [
        ("ann", (200, 200, 200, 200)),
        ("bob", (200, 403, 403, 403)),
        ("carla", (200, 200, 200, 200)),
        ("dan", (404, 404, 404, 404)),
        ("olga", (200, 200, 403, 403)),
    ],
)
def test_who_may_do_what(client, cast, ann, who, statuses):
    made = booked(client, ann)
    headers = token(getattr(cast, who))
    address = f"{URL}/{made['uid']}"
    answer = {"endpoint": "E-1", "partstat": "ACCEPTED"}
    answers = [
        client.get(address, headers=headers),
        client.get(f"{address}/attendance", headers=headers),
        client.patch(address, json={"title": "Khác"}, headers=headers),
        client.post(f"{address}/replies", json=answer, headers=headers),
    ]
    assert tuple(one.status_code for one in answers) == statuses
    if statuses[2] != 200 and statuses[0] == 200:
        shown = client.get(address, headers=headers).json
        assert all("join_url" not in one for one in shown["attendees"])
    listed = client.get(URL, headers=headers).json["items"]
    assert bool(listed) == (statuses[0] == 200)


def test_a_busy_endpoint_is_known_but_not_why_to_who_may_not_know(client, cast, ann):
    made = booked(client, ann, ["E-1"])
    for who, uid in ((cast.ann, made["uid"]), (cast.dan, None)):
        address = "/api/v1/endpoints/E-1/freebusy"
        found = client.get(address, headers=token(who)).json["busy"]
        assert [one["meeting"] for one in found] == [uid]


def test_attendance_before_the_meeting_says_that_it_has_not_begun(client, ann):
    made = booked(client, ann)
    found = client.get(f"{URL}/{made['uid']}/attendance", headers=ann).json
    assert {site["state"] for site in found["sites"]} == {"not_called"}
    assert (found["uninvited"], found["gaps"]) == ([], [])


def test_a_start_within_the_last_minute_is_taken(client, ann):
    just_now = factories.soon(0) + timedelta(days=1)
    assert booked(client, ann, start=just_now.isoformat())
