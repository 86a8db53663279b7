"""Series, drafts, displacement, availability, drain and rules through the API."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests import factories
from tests.factories import body
from tests.services.scheduling import morning

URL = "/api/v1/meetings"
WEEK = timedelta(weeks=1)


@pytest.fixture
def ann(client, cast):
    return factories.token(cast.ann)


@pytest.fixture
def carla(client, cast):
    return factories.token(cast.carla)


@pytest.fixture
def party(app, cast):
    committee = factories.organisation("TU", cast.home, level="party")
    return factories.token(factories.account("Phuong", committee))


def post(client, path, who, expected=201, **given):
    answer = client.post(path, json=given, headers=who)
    assert answer.status_code == expected, answer.json
    return answer.json


def booked(client, who, codes=None, **rest):
    return post(client, URL, who, **body(codes, **{"start": morning().isoformat()} | rest))


def weekly(client, who, codes=None, **rest):
    return booked(client, who, codes, **{"rrule": "FREQ=WEEKLY;COUNT=3"} | rest)


def test_a_series_goes_in_and_comes_out(client, ann):
    made = weekly(client, ann, exdates=[(morning() + WEEK).isoformat()])
    assert made["rrule"] == "FREQ=WEEKLY;COUNT=3"
    assert len(made["occurrences"]) == 2
    assert len(made["exdates"]) == 1
    assert made["misses"] == []
    assert client.get(f"{URL}/{made['uid']}", headers=ann).json == made


def test_a_list_has_a_series_once_from_its_first_meeting_that_matches(client, ann):
    made = weekly(client, ann)
    since = (morning() + timedelta(days=1)).isoformat()
    answer = client.get(URL, query_string={"from": since, "limit": 1}, headers=ann).json
    assert [one["uid"] for one in answer["items"]] == [made["uid"]]
    assert answer["next"] is None


def test_misses_are_named(client, ann):
    booked(client, ann, ["E-1"], start=(morning() + WEEK).isoformat())
    refused = post(
        client, URL, ann, 409, **body(start=morning().isoformat(), rrule="FREQ=WEEKLY;COUNT=3")
    )
    assert [one["kind"] for one in refused["clashes"]] == ["endpoint"]
    made = weekly(client, ann, max_misses=1)
    assert made["misses"] == [made["exdates"][0]]


@pytest.mark.parametrize("rule", ["FREQ=HOURLY;COUNT=3", "FREQ=DAILY", "X" * 501])
def test_a_rule_that_is_not_offered_is_a_problem_of_its_field(client, ann, rule):
    answer = post(client, URL, ann, 422, **body(rrule=rule))
    assert set(answer["problems"]) == {"rrule"}


def test_one_occurrence_is_changed_and_cancelled(client, ann):
    made = weekly(client, ann)
    first, second, _ = made["occurrences"]
    there = (morning() + timedelta(hours=5)).isoformat()
    address = f"{URL}/{made['uid']}/occurrences/{first['id']}"
    stale = client.patch(address, json={"start": there}, headers=ann | {"If-Match": '"9"'})
    assert stale.status_code == 412
    changed = client.patch(address, json={"start": there, "minutes": 30}, headers=ann).json
    assert changed["occurrences"][0]["original"] == first["start"]
    assert changed["occurrences"][0]["start"] != first["start"]
    address = f"{URL}/{made['uid']}/occurrences/{second['id']}/cancel"
    done = post(client, address, ann, 200, reason="Bão")
    assert [one["state"] for one in done["occurrences"]] == ["scheduled", "cancelled", "scheduled"]
    unknown = client.patch(f"{URL}/{made['uid']}/occurrences/99999", json={}, headers=ann)
    assert unknown.status_code == 404


def test_this_and_all_that_follow_answers_with_the_new_series(client, ann):
    made = weekly(client, ann)
    second = made["occurrences"][1]
    there = (morning() + WEEK + timedelta(hours=2)).isoformat()
    address = f"{URL}/{made['uid']}/occurrences/{second['id']}"
    new = client.patch(address, json={"start": there, "following": True}, headers=ann).json
    assert new["uid"] != made["uid"]
    assert len(new["occurrences"]) == 2
    old = client.get(f"{URL}/{made['uid']}", headers=ann).json
    assert len(old["occurrences"]) == 1


def test_a_draft_is_held_confirmed_and_numbered(client, ann):
    made = booked(client, ann, state="draft", hold_minutes=45)
    assert made["occurrences"][0]["held_until"]
    let_go = post(client, f"{URL}/{made['uid']}/hold", ann, 200, minutes=0)
    assert let_go["occurrences"][0]["held_until"] is None
    waiting = post(client, f"{URL}/{made['uid']}/wait", ann, 200)
    assert waiting["waiting_since"]
    done = client.patch(f"{URL}/{made['uid']}", json={"state": "scheduled"}, headers=ann).json
    assert (done["state"], done["waiting_since"]) == ("scheduled", None)
    assert done["number"].startswith("1/")


def test_a_postponed_meeting_keeps_its_number_and_gets_offers(client, ann):
    made = booked(client, ann)
    late = post(client, f"{URL}/{made['uid']}/postpone", ann, 200, reason="Lũ")
    assert (late["state"], late["number"], late["reason"]) == ("postponed", made["number"], "Lũ")
    assert len(late["offers"]) == 3
    address = f"{URL}/{made['uid']}"
    back = client.patch(address, json={"start": late["offers"][0]["start"]}, headers=ann).json
    assert back["state"] == "scheduled"
    assert "offers" not in back


def test_displacing_wants_a_second_confirmation_with_a_reason(client, ann, party):
    lower = booked(client, ann, ["E-1"])
    given = body(["E-1"], start=morning().isoformat())
    refused = post(client, URL, party, 409, **given)
    (named,) = refused["displaceable"]
    assert named["occurrence"] == lower["occurrences"][0]["id"]
    assert refused["clashes"][0]["with"] == [None]  # who it is, the other need not know
    without = {"occurrences": [named["occurrence"]]}
    assert post(client, URL, party, 422, **given, displace=without)["problems"]
    post(client, URL, party, 201, **given, displace=without | {"reason": "Bão số 5"})
    assert client.get(f"{URL}/{lower['uid']}", headers=ann).json["state"] == "postponed"


def test_a_clash_says_in_both_languages_what_by_how_much_and_with_whom(client, ann):
    made = booked(client, ann, ["E-1"], guest_ports=8)
    given = body(["E-1", "E-2"], start=morning().isoformat())
    for language, word in (("vi", "thiếu 1 cổng"), ("en", "1 ports short")):
        headers = ann | {"Accept-Language": language}
        answer = client.post(URL, json=given, headers=headers).json
        endpoint, ports = answer["clashes"]
        assert (endpoint["kind"], endpoint["with"], endpoint["minutes"]) == (
            "endpoint",
            [made["uid"]],
            60,
        )
        assert (ports["kind"], ports["short_by"]) == ("ports", 1)
        assert word in ports["said"]
        assert answer["alternatives"]


def test_a_chair_elsewhere_needs_a_reason(client, ann):
    booked(client, ann, ["E-1"], chair="Chủ tịch")
    given = body(["E-2"], start=morning().isoformat(), chair="Chủ tịch")
    refused = post(client, URL, ann, 409, **given)
    assert [(one["kind"], one["soft"]) for one in refused["clashes"]] == [("leader", True)]
    assert post(client, URL, ann, 201, **given, leader_reason="Ủy quyền")


def test_what_looks_like_a_duplicate_is_warned_of(client, ann):
    first = booked(client, ann, ["E-1"])
    second = booked(client, ann, ["E-2"])
    found = [one["meeting"] for one in second["warnings"] if one["kind"] == "duplicate"]
    assert found == [first["uid"]]


def availability(client, who, expected=200, **given):
    start = morning(hour=0)
    usual = {
        "endpoints": [{"code": "E-1"}, {"code": "E-2", "role": "optional"}],
        "minutes": 60,
        "from": start.isoformat(),
        "to": (start + timedelta(days=2)).isoformat(),
    }
    return post(client, "/api/v1/availability", who, expected, **usual | given)


def test_free_times_are_suggested_and_hold(client, ann, cast):
    booked(client, ann, ["E-2"])
    answer = availability(client, ann, working_hours=True, limit=5)
    assert answer["reason"] is None
    assert len(answer["suggestions"]) == 5
    first = answer["suggestions"][0]
    assert set(first) == {"start", "end", "score", "missing", "bridges"}
    assert first["bridges"] == [{"code": cast.bridge.code, "ports": 2}]
    assert booked(client, ann, ["E-1", "E-2"], start=first["start"])


def test_no_free_time_says_why_in_machine_and_human_words(client, ann):
    answer = availability(client, ann, guest_ports=100)
    assert (answer["suggestions"], answer["reason"]) == ([], "no_ports")
    assert answer["said"]


@pytest.mark.parametrize(
    "given",
    [
        {"to": morning(days=400).isoformat()},
        {"to": morning(days=1).isoformat()},
        {"endpoints": []},
        {"endpoints": [{"code": "NOWHERE"}]},
        {"limit": 51},
        {"minutes": 0},
        {"at_least": -1},
    ],
)
def test_a_question_that_makes_no_sense_is_refused(client, ann, given):
    assert availability(client, ann, 422, **given)["problems"]


def test_a_bridge_is_drained_and_taken_back(client, ann, carla, cast):
    other = factories.bridge(ports=12)
    made = booked(client, ann)
    there = made["occurrences"][0]["bridges"][0]["code"]
    answer = post(client, f"/api/v1/bridges/{there}/drain", carla, 200)
    assert answer["draining"]
    (moved,) = answer["affected"]
    assert (moved["meeting"], moved["moved"]) == (made["uid"], True)
    assert moved["moved_to"] in {other.code, cast.bridge.code} - {there}
    assert not post(client, f"/api/v1/bridges/{there}/undrain", carla, 200)["draining"]
    assert client.post(f"/api/v1/bridges/{there}/drain", headers=ann).status_code == 403


def test_maintenance_is_shown_set_seen_and_taken_off(client, ann, carla, cast):
    path = f"/api/v1/bridges/{cast.bridge.code}/maintenance"
    start, end = morning(hour=7), morning(hour=12)
    given = {"start": start.isoformat(), "end": end.isoformat(), "reason": "Thay nguồn"}
    assert post(client, path, carla, 200, **given, dry_run=True)["affected"] == []
    assert client.get(path, headers=carla).json["items"] == []
    post(client, path, carla, 200, **given, ports_left=4)
    (planned,) = client.get(path, headers=carla).json["items"]
    assert (planned["ports_left"], planned["reason"]) == (4, "Thay nguồn")
    timeline = client.get(
        f"/api/v1/bridges/{cast.bridge.code}/timeline",
        query_string={"from": start.isoformat(), "to": end.isoformat(), "step_minutes": 300},
        headers=carla,
    ).json
    assert timeline["steps"] == [{"start": timeline["steps"][0]["start"], "promised": 0, "free": 4}]
    made = booked(client, ann, guest_ports=2)
    refused = post(client, path, carla, 409, **given)
    assert refused["detail"]
    assert made["state"] == "scheduled"
    assert client.delete(f"{path}/{planned['id']}", headers=ann).status_code == 403
    assert client.delete(f"{path}/{planned['id']}", headers=carla).status_code == 204


def test_maintenance_that_cannot_be_had_says_what_stays(client, ann, carla, cast):
    made = booked(client, ann)
    path = f"/api/v1/bridges/{cast.bridge.code}/maintenance"
    given = {"start": morning(hour=7).isoformat(), "end": morning(hour=12).isoformat()}
    refused = post(client, path, carla, 409, **given, reason="…")
    (stays,) = refused["affected"]
    assert (stays["meeting"], stays["moved"]) == (made["uid"], False)
    assert stays["why"]


def test_bridges_say_what_their_loss_would_break(client, ann, carla, cast):
    factories.bridge(ports=1)
    made = booked(client, ann, start=morning(days=2).isoformat())
    items = client.get("/api/v1/bridges", headers=carla).json["items"]
    losses = {one["code"]: [each["meeting"] for each in one["loss"]] for one in items}
    assert losses[cast.bridge.code] == [made["uid"]]


def test_pools_ranks_and_days_are_decided_by_the_administrator_alone(client, ann, carla):
    pool = {"code": "du-phong", "name": "Dự phòng", "survives_loss": True}
    assert client.post("/api/v1/pools", json=pool, headers=ann).status_code == 403
    assert post(client, "/api/v1/pools", carla, **pool)["survives_loss"]
    changed = client.patch("/api/v1/pools/du-phong", json={"survives_loss": False}, headers=carla)
    assert not changed.json["survives_loss"]
    assert len(client.get("/api/v1/pools", headers=carla).json["items"]) == 2
    assert client.get("/api/v1/pools", headers=ann).status_code == 403

    ranks = {"weights": {"district": 55}}
    assert client.put("/api/v1/ranks", json=ranks, headers=ann).status_code == 403
    assert client.put("/api/v1/ranks", json=ranks, headers=carla).json["weights"]["district"] == 55
    assert client.get("/api/v1/ranks", headers=ann).json["weights"]["district"] == 55

    day = {"day": "2027-01-02", "worked": True, "basis": "CV 12"}
    assert client.post("/api/v1/workdays", json=day, headers=ann).status_code == 403
    post(client, "/api/v1/workdays", carla, 200, **day)
    assert client.get("/api/v1/workdays", headers=ann).json["items"] == [day]
    assert client.delete("/api/v1/workdays/2027-01-02", headers=carla).status_code == 204
    assert client.delete("/api/v1/workdays/nonsense", headers=carla).status_code == 404


def test_an_endpoint_is_taken_out_of_use(client, ann, carla):
    start, end = morning(hour=7), morning(hour=12)
    given = {"start": start.isoformat(), "end": end.isoformat(), "reason": "Sửa"}
    path = "/api/v1/endpoints/E-1/maintenance"
    assert client.post(path, json=given, headers=ann).status_code == 403
    assert len(post(client, path, carla, 200, **given)["maintenance"]) == 1
    refused = post(client, URL, ann, 409, **body(["E-1"], start=morning().isoformat()))
    (clash,) = refused["clashes"]
    assert (clash["kind"], clash["instead"]) == ("maintenance", ["E-2", "E-3", "E-4"])
    busy = client.get(
        "/api/v1/endpoints/E-1/freebusy",
        query_string={"from": start.isoformat(), "to": end.isoformat()},
        headers=ann,
    ).json["busy"]
    assert [one["meeting"] for one in busy] == [None]


def test_a_stranger_changes_nothing_of_it(client, ann, cast):
    dan = factories.token(cast.dan)
    made = weekly(client, ann)
    one = made["occurrences"][0]["id"]
    for path, given in (
        ("hold", {"minutes": 0}),
        ("wait", {}),
        ("postpone", {"reason": "x"}),
        (f"occurrences/{one}/cancel", {"reason": "x"}),
    ):
        assert (
            client.post(f"{URL}/{made['uid']}/{path}", json=given, headers=dan).status_code == 404
        )
    answer = client.patch(f"{URL}/{made['uid']}/occurrences/{one}", json={}, headers=dan)
    assert answer.status_code == 404
    bob = factories.token(cast.bob)
    answer = client.patch(f"{URL}/{made['uid']}/occurrences/{one}", json={}, headers=bob)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"start": "9999-12-31T23:59:00+00:00"},
        {"start": "0001-01-01T00:00:00+14:00"},
        {"rrule": "FREQ=DAILY;COUNT=2", "exdates": ["0001-01-01T00:00:00+00:00"]},
        {"displace": {"reason": "x", "occurrences": [2**40]}},
        {"displace": {"reason": "x", "occurrences": []}},
        {"displace": {"reason": "x", "occurrences": list(range(1, 1002))}},
    ],
)
def test_what_no_database_could_hold_is_a_problem_of_its_field(client, ann, wrong):
    answer = client.post(URL, json=body(**{"start": morning().isoformat()} | wrong), headers=ann)
    assert answer.status_code == 422
    assert answer.json["problems"]


@pytest.mark.parametrize(
    "path",
    [
        f"{URL}?cursor=2026-01-01_1",
        f"{URL}?cursor=9999-12-31T23:59:59_1",
        f"{URL}/nowhere/occurrences/{10**20}",
        f"/api/v1/bridges/nowhere/maintenance/{10**20}",
    ],
)
def test_addresses_that_name_nothing_are_no_fault_of_ours(client, ann, path):
    for method in (client.get, client.patch, client.delete):
        assert method(path, headers=ann, json={}).status_code < 500
