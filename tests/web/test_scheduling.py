"""Pages of series, drafts, displacement, bridges and rules: who sees and does what."""

from __future__ import annotations

from datetime import timedelta

import pytest

from confbridge.models import BridgeBlock, DecidedDay, Meeting, Reservation
from tests import factories
from tests.factories import Statements, sign_in
from tests.services.scheduling import monday_series, morning, occurrence, seen
from tests.web.forms import NEW, counted, filled, send, start, token_in


@pytest.fixture
def ann(client, cast):
    return sign_in(client, cast.ann)


@pytest.fixture
def series(cast) -> Meeting:
    return monday_series(cast.ann)


@pytest.mark.parametrize(
    ("given", "rrule"),
    [
        ({"repeat": "DAILY", "count": "3"}, "FREQ=DAILY;COUNT=3"),
        (
            {"repeat": "WEEKLY", "byday": ["MO", "WE"], "count": "4"},
            "FREQ=WEEKLY;COUNT=4;BYDAY=MO,WE",
        ),
        ({"repeat": "WEEKLY", "count": "2"}, "FREQ=WEEKLY;COUNT=2;BYDAY=MO"),
        ({"repeat": "MONTHLY", "interval": "2", "count": "2"}, "FREQ=MONTHLY;INTERVAL=2;COUNT=2"),
        ({"repeat": "YEARLY", "count": "2"}, "FREQ=YEARLY;COUNT=2"),
        ({"rrule": "FREQ=DAILY;COUNT=2", "repeat": "WEEKLY"}, "FREQ=DAILY;COUNT=2"),
    ],
)
def test_a_series_is_booked_by_its_form(ann, cast, given, rrule):
    answer = send(ann, NEW, **filled(**given))
    assert answer.status_code == 303, answer.text
    assert seen(answer.location.rpartition("/")[2], cast.ann).rrule == rrule


def test_the_same_weekday_of_each_month_is_taken_from_the_start(ann, cast):
    answer = send(ann, NEW, **filled(repeat="MONTHLY-nth", count="2"))
    nth = (morning().day + 6) // 7
    rule = seen(answer.location.rpartition("/")[2], cast.ann).rrule
    assert rule == f"FREQ=MONTHLY;COUNT=2;BYDAY={nth}MO"


def test_dates_left_out_and_until_are_days(ann, cast):
    week = morning() + timedelta(weeks=1)
    until = morning() + timedelta(weeks=2)
    given = {"repeat": "WEEKLY", "until": f"{until:%Y-%m-%d}", "exdates": f"{week:%d/%m/%Y}"}
    answer = send(ann, NEW, **filled(**given))
    made = seen(answer.location.rpartition("/")[2], cast.ann)
    assert [one.starts for one in made.occurrences] == [morning(), until]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"repeat": "DAILY"}, "rrule"),
        ({"rrule": "FREQ=HOURLY;COUNT=2"}, "rrule"),
        ({"repeat": "DAILY", "count": "3", "exdates": "gestern"}, "exdates"),
        ({"rank": "emperor"}, "rank"),
    ],
)
def test_a_mistake_is_marked_at_its_field_and_nothing_is_booked(ann, given, field):
    answer = send(ann, NEW, **filled(**given))
    assert answer.status_code == 422
    assert f'id="problem-{field}"' in answer.text
    assert counted(Meeting) == 0


def test_free_times_are_shown_for_the_form_as_it_stands(ann, cast):
    factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    given = {**filled(), "csrf_token": token_in(ann.get(NEW))}
    answer = ann.post("/meetings/times", data=given, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert "<html" not in answer.text
    assert "Điểm cầu E-1" in answer.text
    assert answer.text.count("data-use=") == 8


def test_without_scripts_a_time_is_taken_into_the_form_by_its_button(ann):
    page = send(ann, NEW, **filled(intent="times"))
    assert page.status_code == 200
    assert page.text.count("data-use=") == 8
    later = start(morning(hour=14))
    page = send(ann, NEW, **filled(use=later))
    assert f'value="{later}"' in page.text
    assert counted(Meeting) == 0


def test_an_empty_form_asks_for_endpoints_and_breaks_nothing(ann):
    given = {"csrf_token": token_in(ann.get(NEW))}
    answer = ann.post("/meetings/times", data=given, headers={"HX-Request": "true"})
    assert answer.status_code == 200


def test_a_draft_is_kept_held_confirmed(ann, cast):
    answer = send(ann, NEW, **filled(intent="draft"))
    address = answer.location
    uid = address.rpartition("/")[2]
    assert counted(Reservation) == 2
    version = str(seen(uid, cast.ann).version)
    answer = send(ann, f"{address}/hold", on=address, minutes="0", version=version)
    assert answer.status_code == 303
    assert seen(uid, cast.ann).occurrence.hold_until is None
    answer = send(ann, f"{address}/wait", on=address)
    assert seen(uid, cast.ann).waiting_since
    assert "Giao ban" in ann.get("/meetings/waiting").text
    send(ann, f"{address}/wait", on=address, stop="1")
    assert seen(uid, cast.ann).waiting_since is None
    assert send(ann, f"{address}/confirm", on=address).status_code == 303
    assert seen(uid, cast.ann).state == "scheduled"


def test_a_draft_that_clashes_meanwhile_says_why(ann, cast):
    answer = send(ann, NEW, **filled(intent="wait"))
    factories.meeting(cast.ann, ["E-1"], start=morning().isoformat(), title="Đến trước")
    answer = send(ann, f"{answer.location}/confirm", on=answer.location)
    assert answer.status_code == 409
    assert "Đến trước" in answer.text


def test_a_refused_booking_can_wait(ann, cast):
    factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    page = send(ann, NEW, **filled())
    assert 'name="intent" value="wait"' in page.text
    answer = send(ann, NEW, **filled(intent="wait"))
    assert answer.status_code == 303
    assert seen(answer.location.rpartition("/")[2], cast.ann).waiting_since


def test_without_the_optional_one_it_is_booked_by_one_click(ann, cast):
    factories.meeting(cast.ann, ["E-2"], start=morning().isoformat())
    given = filled(**{"optional-E-2": "1"})
    page = send(ann, NEW, **given)
    assert 'name="without" value="E-2"' in page.text
    assert send(ann, NEW, **given, without="E-2").status_code == 303


def test_a_postponed_meeting_offers_new_times_to_click(ann, cast):
    made = factories.meeting(cast.ann, start=morning().isoformat())
    address = f"/meetings/{made.uid}"
    assert send(ann, f"{address}/postpone", on=address, reason="").status_code == 422
    assert send(ann, f"{address}/postpone", on=address, reason="Lũ").status_code == 303
    page = ann.get(address).text
    assert page.count('name="start"') == 3
    later = start(morning(hour=14))
    assert send(ann, f"{address}/confirm", on=address, start=later).status_code == 303
    assert seen(made.uid, cast.ann).state == "scheduled"


def test_one_of_a_series_is_moved_and_called_off_by_its_page(ann, cast, series):
    second = series.occurrences[1].id
    address = f"/meetings/{series.uid}/occurrences/{second}"
    there = start(series.occurrences[1].starts + timedelta(hours=6))
    given = {"start": there, "minutes": "60", "endpoint": ["E-1", "E-2"], "scope": "one"}
    assert send(ann, address, on=address, **given).status_code == 303
    assert start(occurrence(second).starts) == there
    third = f"/meetings/{series.uid}/occurrences/{series.occurrences[2].id}"
    assert send(ann, f"{third}/cancel", on=third, reason="").status_code == 422
    assert send(ann, f"{third}/cancel", on=third, reason="Lễ").status_code == 303
    assert seen(series.uid, cast.ann).occurrences[2].state == "cancelled"


def test_this_and_all_that_follow_leads_to_the_new_series(ann, cast, series):
    address = f"/meetings/{series.uid}/occurrences/{series.occurrences[2].id}"
    there = start(series.occurrences[2].starts + timedelta(hours=6))
    given = {"start": there, "minutes": "60", "endpoint": ["E-1", "E-2"], "scope": "following"}
    answer = send(ann, address, on=address, **given)
    new = seen(answer.location.rpartition("/")[2], cast.ann)
    assert new.related_id == series.id
    assert {one.role for one in new.attendees} == {"required"}


def test_an_occurrence_that_clashes_shows_why(ann, cast, series):
    factories.meeting(cast.ann, ["E-1"], start=morning(hour=14).isoformat(), title="Đến trước")
    address = f"/meetings/{series.uid}/occurrences/{series.occurrences[0].id}"
    given = {"start": start(morning(hour=14)), "minutes": "60", "endpoint": ["E-1", "E-2"]}
    answer = send(ann, address, on=address, **given)
    assert answer.status_code == 409
    assert "Đến trước" in answer.text


@pytest.mark.parametrize(
    ("who", "status"), [("ann", 200), ("bob", 403), ("carla", 200), ("dan", 404), ("olga", 403)]
)
def test_who_may_change_one_of_a_series(client, cast, series, who, status):
    sign_in(client, getattr(cast, who))
    path = f"/meetings/{series.uid}/occurrences/{series.occurrences[0].id}"
    assert client.get(path).status_code == status


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("/meetings/waiting", (200, 403, 200, 200, 403)),
        ("/rules", (403, 403, 200, 403, 403)),
        ("/bridges/{bridge}", (403, 403, 200, 403, 200)),
    ],
)
def test_who_sees_which_page(client, cast, path, statuses):
    for who, status in zip(("ann", "bob", "carla", "dan", "olga"), statuses, strict=True):
        sign_in(client, getattr(cast, who))
        assert client.get(path.format(bridge=cast.bridge.code)).status_code == status, who


@pytest.mark.parametrize("who", ["ann", "bob", "dan", "olga"])
@pytest.mark.parametrize("deed", ["drain", "undrain", "maintenance"])
def test_only_an_administrator_takes_a_bridge_out_of_service(client, cast, who, deed):
    sign_in(client, getattr(cast, who))
    given = {"start": start(), "end": start(morning(hour=9)), "reason": "x", "intent": "set"}
    answer = send(client, f"/bridges/{cast.bridge.code}/{deed}", on="/meetings", **given)
    assert answer.status_code == 403
    assert counted(BridgeBlock) == 0


def test_maintenance_is_shown_before_it_is_set(client, cast):
    factories.bridge(ports=20)
    made = factories.meeting(cast.ann, start=morning().isoformat(), title="Phải chuyển")
    code = made.occurrence.primary.bridge.code
    sign_in(client, cast.carla)
    page = f"/bridges/{code}"
    given = {"start": start(), "end": start(morning(hour=12)), "reason": "Thay nguồn"}
    shown = send(client, f"{page}/maintenance", on=page, **given, intent="preview")
    assert "Phải chuyển" in shown.text
    assert counted(BridgeBlock) == 0
    assert send(client, f"{page}/maintenance", on=page, **given, intent="set").status_code == 303
    assert counted(BridgeBlock) == 1
    assert "Thay nguồn" in client.get(page).text
    wrong = given | {"end": given["start"]}
    assert send(client, f"{page}/maintenance", on=page, **wrong, intent="set").status_code == 422


def test_draining_says_what_it_could_not_move(client, cast):
    made = factories.meeting(cast.ann, start=morning().isoformat(), title="Ở lại")
    sign_in(client, cast.carla)
    page = f"/bridges/{cast.bridge.code}"
    answer = send(client, f"{page}/drain", on=page)
    assert "Ở lại" in answer.text
    assert made.title in answer.text
    assert send(client, f"{page}/undrain", on=page).status_code == 303


def test_a_bridge_is_seen_on_any_day(client, cast):
    sign_in(client, cast.olga)
    assert client.get(f"/bridges?day={morning():%Y-%m-%d}").status_code == 200
    assert client.get("/bridges?day=tomorrow").status_code == 422


def test_the_rules_are_decided_by_their_page(client, cast):
    sign_in(client, cast.carla)
    given = {"day": "2027-01-02", "worked": "1", "basis": "CV 12"}
    assert send(client, "/rules/days", on="/rules", **given).status_code == 303
    assert counted(DecidedDay) == 1
    assert send(client, "/rules/days", on="/rules", day="never").status_code == 422
    assert send(client, "/rules/days/2027-01-02/forget", on="/rules").status_code == 303
    assert counted(DecidedDay) == 0
    assert send(client, "/rules/ranks", on="/rules", district="45").status_code == 303
    assert send(client, "/rules/ranks", on="/rules", district="900").status_code == 422
    assert send(client, "/rules/pools/chung", on="/rules", survives_loss="1").status_code == 303
    assert "checked" in client.get("/rules").text


def test_an_endpoint_is_taken_out_of_use_by_its_page(client, cast):
    sign_in(client, cast.carla)
    page = "/endpoints/E-1"
    given = {"start": start(), "end": start(morning(hour=12)), "reason": "Sửa"}
    assert send(client, f"{page}/maintenance", on=page, **given).status_code == 303
    assert send(client, f"{page}/maintenance", on=page, **given).status_code == 409
    assert send(client, f"{page}/maintenance", on=page).status_code == 422
    answer = send(client, f"{page}/maintenance/end", on=page, start=given["start"])
    assert answer.status_code == 303
    assert counted(Reservation) == 0


def test_pages_ask_no_more_for_a_long_series_than_for_a_short_one(ann, cast):
    def asked(count: int) -> int:
        codes = ["E-1"] if count > 3 else ["E-2"]
        rule = f"FREQ=WEEKLY;COUNT={count}"
        made = factories.meeting(cast.ann, codes, start=morning().isoformat(), rrule=rule)
        with Statements() as some:
            assert ann.get(f"/meetings/{made.uid}").status_code == 200
            assert ann.get("/meetings").status_code == 200
        return len(some.asked)

    assert asked(2) == asked(30) <= 40


def test_what_was_postponed_stays_so_when_only_its_words_are_changed(ann, cast):
    made = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    address = f"/meetings/{made.uid}"
    send(ann, f"{address}/postpone", on=address, reason="Chủ trì ốm")
    offered = ann.get(address).text
    assert f'value="{start()}"' not in offered  # the time it has just left is no new time
    edit = f"{address}/edit"
    version = str(seen(made.uid, cast.ann).version)
    given = filled(endpoint=["E-1"], agenda="Mục 1", version=version, uid=made.uid)
    assert send(ann, edit, on=edit, **given).status_code == 303
    found = seen(made.uid, cast.ann)
    assert (found.state, found.agenda) == ("postponed", "Mục 1")


def test_a_refused_series_offers_another_hour_and_to_miss_what_clashes(ann, cast):
    factories.meeting(
        cast.ann, ["E-1"], start=(morning() + timedelta(weeks=1)).isoformat(), minutes=60
    )
    given = filled(repeat="WEEKLY", count="3")
    page = send(ann, NEW, **given).text
    hours = [part.partition('"')[0] for part in page.split('name="take" value="')[1:]]
    assert len(hours) == 3
    assert 'name="max_misses" value="1"' in page
    answer = send(ann, NEW, **given, take=hours[0])
    assert answer.status_code == 303
    made = seen(answer.location.rpartition("/")[2], cast.ann)
    assert len(made.occurrences) == 3
    assert {start(one.starts)[11:] for one in made.occurrences} == {hours[0][11:]}


def test_the_panel_of_free_times_looks_at_every_date_of_a_series(ann, cast):
    given = filled(repeat="WEEKLY", count="3")
    assert "3" in notice(send(ann, "/meetings/times", on=NEW, **given).text, "good")
    factories.meeting(
        cast.ann, ["E-1"], start=(morning() + timedelta(weeks=1)).isoformat(), title="Trùng"
    )
    assert "Trùng" in notice(send(ann, "/meetings/times", on=NEW, **given).text, "warn")


def notice(page: str, kind: str) -> str:
    return page.partition(f'class="notice {kind}"')[2].partition("</p>")[0]


def test_the_dates_that_clash_are_left_out_by_one_click(ann, cast):
    factories.meeting(cast.ann, ["E-1"], start=(morning() + timedelta(weeks=1)).isoformat())
    answer = send(ann, NEW, **filled(repeat="WEEKLY", count="3", max_misses="1"))
    assert answer.status_code == 303
    made = seen(answer.location.rpartition("/")[2], cast.ann)
    assert [start(one.starts) for one in made.exdates] == [start(morning() + timedelta(weeks=1))]


@pytest.mark.parametrize("end", ["", "{start}", "9999-12-31T23:59", "0001-01-01T00:00"])
def test_maintenance_that_ends_before_it_begins_says_so(client, cast, end):
    sign_in(client, cast.carla)
    for page in (f"/bridges/{cast.bridge.code}", "/endpoints/E-1"):
        given = {"start": start(), "end": end.format(start=start()), "reason": "x"}
        for intent in ("preview", "set"):
            answer = send(client, f"{page}/maintenance", on=page, **given, intent=intent)
            assert answer.status_code == 422
            assert 'class="problem"' in answer.text


@pytest.mark.parametrize(
    "path",
    [
        f"/outbox/{10**20}",
        f"/conferences/{10**20}",
        "/meetings?after=2026-01-01_1",
        "/meetings?after=9999-12-31T23:59_1",
        "/meetings/day/9999-12-31",
    ],
)
def test_numbers_and_days_that_no_calendar_has_are_no_fault_of_ours(client, cast, path):
    sign_in(client, cast.carla)
    assert client.get(path).status_code in {200, 404, 422}


@pytest.mark.parametrize(
    "wrong",
    [
        {"start": "9999-12-31T23:59"},
        {"start": "0001-01-01T00:00"},
        {"use": "9999-12-31T23:59"},
        {"displace": "9" * 20, "displace_reason": "x", "intent": "displace"},
        {"exdates": "01/01/9999", "repeat": "DAILY", "count": "2"},
    ],
)
def test_a_form_out_of_all_bounds_is_refused_whole(ann, wrong):
    answer = send(ann, NEW, **filled(**wrong))
    assert answer.status_code in {200, 409, 422}
    assert send(ann, "/meetings/times", on=NEW, **filled(**wrong)).status_code == 200
    assert counted(Meeting) == 0


def test_a_stale_page_leads_back_to_its_meeting(ann, cast):
    made = factories.meeting(cast.ann, ["E-1"], start=morning().isoformat())
    address = f"/meetings/{made.uid}"
    for version, status in (("9", 412), ("9" * 5000, 412)):
        given = {"reason": "Lũ", "version": version}
        answer = send(ann, f"{address}/cancel", on=address, **given)
        assert answer.status_code == status
        assert f'href="{address}"' in answer.text
