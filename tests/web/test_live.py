"""Pages and calls about conferences that are on, or are about to be."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from confbridge import clock
from confbridge.database import db, transaction
from confbridge.models import (
    Allocation,
    BridgeEvents,
    Incident,
    Leg,
    LegSource,
    LineTest,
    Notice,
    RollCall,
    SignOff,
)
from confbridge.services import incidents, links, rooms
from confbridge.services.rooms import Said
from tests import factories
from tests.factories import Statements, sign_in
from tests.web.forms import post


@pytest.fixture
def meeting(cast, clock_at):
    made = factories.meeting(cast.ann, guest_ports=1)
    clock_at(made.occurrence.starts)
    with transaction():
        held = db.session.get(Allocation, made.occurrence.primary.id)
        held.opened_at, held.open_at = clock.now(), None
    return made


def come_in(meeting, attendee, leg="l1"):
    with transaction():
        made = Leg(
            allocation_id=meeting.occurrence.primary.id,
            attendee_id=attendee.id if attendee else None,
            leg=leg,
            name="Ann",
            source=LegSource.EVENT,
            joined=clock.now(),
            seen_at=clock.now(),
        )
        db.session.add(made)
    return made


def rows(model):
    db.session.rollback()
    db.session.expire_all()
    return db.session.scalars(select(model).order_by(model.id)).all()


def join(meeting, place=0):
    return f"/join/{links.for_attendee(meeting.attendees[place].id)}"


def send(client, page, path, **given):
    found = client.get(page).text
    csrf = found.split('data-csrf="')[1].split('"')[0]
    return client.post(f"{page}/{path}", json=given, headers={"X-CSRFToken": csrf})


def test_a_page_tells_of_its_own_leg_and_of_no_other(client, meeting):
    come_in(meeting, meeting.attendees[0], "mine")
    come_in(meeting, meeting.attendees[1], "other")
    for leg in ("mine", "other"):
        send(client, join(meeting), "pulse", leg=leg, picture=True, hand=True, loss=0.1)
    mine, other = rows(Leg)
    assert (mine.picture, mine.hand, mine.loss) == (True, True, 0.1)
    assert (other.picture, other.hand, other.loss) == (None, False, None)


def test_what_has_not_changed_is_not_written_again(client, meeting, clock_at):
    come_in(meeting, meeting.attendees[0], "mine")
    page = join(meeting)
    client.get(page)
    with Statements() as statements:
        for _ in range(3):
            send(client, page, "pulse", leg="mine", picture=True)
    assert sum(one.startswith("UPDATE legs") for one in statements.asked) == 1


def test_a_page_learns_where_its_conference_is_and_what_was_said(client, meeting):
    come_in(meeting, meeting.attendees[0], "mine")
    with transaction():
        db.session.add(Notice(occurrence_id=meeting.occurrence.id, at=clock.now(), text="Chào"))
    told = send(client, join(meeting), "pulse", leg="mine").json
    assert told["room"] == meeting.occurrence.primary.room
    assert (told["open"], told["over"], told["muted"]) == (True, False, False)
    assert [one["text"] for one in told["notices"]] == ["Chào"]
    again = send(client, join(meeting), "pulse", leg="mine", notice=told["notices"][0]["id"]).json
    assert again["notices"] == []


def test_a_link_alone_tells_nothing_of_what_was_said(client, meeting):
    with transaction():
        db.session.add(Notice(occurrence_id=meeting.occurrence.id, at=clock.now(), text="Chào"))
    guest = f"/guest/{links.for_guests(meeting.occurrence.id)}"
    told = send(client, guest, "pulse").json
    assert (told["notices"], told["room"]) == ([], "")
    assert send(client, join(meeting), "pulse").json["notices"] == []


@pytest.mark.parametrize("given", [{"loss": 2}, {"delay": -1}, {"leg": "x" * 101}, {"more": 1}])
def test_a_pulse_that_makes_no_sense_is_refused(client, meeting, given):
    assert send(client, join(meeting), "pulse", **given).status_code == 422


def test_a_site_signs_off_without_scripts_and_may_change_its_mind(client, meeting):
    page = join(meeting)
    fine = dict.fromkeys(("power", "picture", "sound", "line", "account"), "ok")
    assert post(client, f"{page}/sign-off", on=page, **fine).status_code == 303
    post(client, f"{page}/sign-off", on=page, **{**fine, "sound": "bad", "note": "loa rè"})
    (one,) = rows(SignOff)
    assert (one.power, one.sound, one.note) == ("ok", "bad", "loa rè")
    assert "loa rè" in client.get(page).text


def test_the_result_of_a_line_test_is_on_the_board(client, cast, meeting):
    result = {"camera": True, "microphone": True, "loudspeaker": True, "looped": True}
    result |= {"loss": 0.004, "delay": 0.031, "bridge": cast.bridge.code}
    assert send(client, join(meeting), "line-result", **result).status_code == 200
    (one,) = rows(LineTest)
    assert one.bridge_id == cast.bridge.id
    sign_in(client, cast.ann)
    board = client.get(f"/conferences/{meeting.occurrence.id}/readiness").text
    assert "0.4 %" in board
    assert "31 ms" in board


def test_without_a_bridge_that_can_send_back_there_is_no_test(client, cast, meeting):
    with transaction():
        db.session.get(type(cast.bridge), cast.bridge.id).state = "down"
    assert send(client, join(meeting), "line-test").status_code == 409


def test_the_roll_is_called_where_no_bridge_can_tell(client, cast, meeting):
    sign_in(client, cast.ann)
    page = f"/conferences/{meeting.occurrence.id}/attendance"
    site = f"{page}/{meeting.attendees[0].id}"
    refused = post(client, site, on=page, state="absent")
    assert refused.status_code == 422
    assert rows(RollCall) == []
    assert post(client, site, on=page, state="absent", reason="mất điện").status_code == 303
    assert post(client, site, on=page, state="present_in_person", headcount=7).status_code == 303
    (one,) = rows(RollCall)
    assert (one.state, one.headcount, one.by) == ("present_in_person", 7, cast.ann.email)
    report = client.get(
        f"/api/v1/meetings/{meeting.uid}/attendance", headers=factories.token(cast.ann)
    ).json
    assert report["sites"][0]["state"] == "present_in_person"
    assert report["sites"][0]["headcount"] == 7


def test_the_roll_is_not_called_before_the_meeting_begins(client, cast, meeting, clock_at):
    clock_at(meeting.occurrence.starts - timedelta(minutes=1))
    sign_in(client, cast.ann)
    page = f"/conferences/{meeting.occurrence.id}/attendance"
    site = f"{page}/{meeting.attendees[0].id}"
    assert post(client, site, on=page, state="present_in_person").status_code == 409


def test_the_live_page_asks_as_much_for_many_sites_as_for_few(client, cast, meeting):
    sign_in(client, cast.carla)
    page = f"/conferences/{meeting.occurrence.id}"

    def asked():
        client.get(page, headers={"HX-Request": "true"})
        with Statements() as statements:
            assert client.get(page, headers={"HX-Request": "true"}).status_code == 200
        return len(statements.asked)

    few = asked()
    for place in range(8):
        come_in(meeting, meeting.attendees[place % 2], f"leg-{place}")
    assert asked() <= few


def test_every_step_and_answer_is_shown_to_the_operator_without_its_secrets(client, cast, meeting):
    with transaction():
        held = db.session.get(Allocation, meeting.occurrence.primary.id)
        order = rooms.order_for(held)
        rooms.opened(order, Said(answer='> create\n< 200 {"ok": "<b>"}', took=0.5))
    sign_in(client, cast.olga)
    shown = client.get(f"/conferences/{meeting.occurrence.id}").text
    assert "500 ms" in shown
    assert "&lt;b&gt;" in shown
    assert links.room_secret(held.room) not in shown


def test_an_incident_is_taken_by_somebody_and_shown_so(client, cast, meeting):
    with transaction():
        incidents.lost(meeting.occurrence, "b")
    sign_in(client, cast.olga)
    number = rows(Incident)[0].id
    assert post(client, f"/duty/incidents/{number}/take", on="/duty").status_code == 303
    assert cast.olga.email in client.get("/duty").text


def test_a_duty_that_ends_before_it_begins_is_refused(client, cast):
    sign_in(client, cast.carla)
    given = {"email": cast.olga.email, "start": "2031-03-04T08:00", "end": "2031-03-04T07:00"}
    assert post(client, "/duty/roster", on="/duty", **given).status_code == 422
    given["end"] = "2031-03-04T17:00"
    assert post(client, "/duty/roster", on="/duty", **given).status_code == 303


@pytest.fixture
def prosody(cast, meeting):
    secrets = {"app_secret": "a" * 32, "bearer": "of Prosody"}
    settings = {"url": "https://m", "jvb_url": "http://127.0.0.1:1", "app_id": "c"}
    with transaction():
        bridge = db.session.get(type(cast.bridge), cast.bridge.id)
        bridge.driver, bridge.settings, bridge.secrets = "jitsi", settings, secrets
    return {"Authorization": "Bearer of Prosody"}


def test_prosody_is_told_until_when_a_room_may_be_open_and_the_same_each_time(
    client, cast, meeting, prosody, clock_at
):
    held = meeting.occurrence.primary
    asked = {"name": held.room, "start_time": "2026-11-23T08:00:00.000Z", "mail_owner": "a@b"}
    first = client.post(f"/hooks/{cast.bridge.code}/conference", data=asked, headers=prosody)
    assert first.status_code == 200
    assert first.json["name"] == held.room
    lasts = (held.ends - held.starts).total_seconds()
    assert first.json["duration"] == lasts
    clock_at(clock.now() + timedelta(minutes=20))
    place = f"/hooks/{cast.bridge.code}/conference/{first.json['id']}"
    again = client.get(place, headers=prosody).json
    assert (again["start_time"], again["duration"]) == (first.json["start_time"], lasts)
    assert client.delete(place, headers=prosody).status_code == 200


def test_prosody_is_refused_a_room_of_nobody_and_who_is_not_prosody_everything(
    client, cast, meeting, prosody
):
    place = f"/hooks/{cast.bridge.code}/conference"
    refused = client.post(place, data={"name": "any"}, headers=prosody)
    assert refused.status_code == 403
    assert refused.json["message"]
    held = meeting.occurrence.primary
    assert client.post(place, data={"name": held.room}).status_code == 401
    wrong = {"Authorization": "Bearer guess"}
    assert client.post(place, data={"name": held.room}, headers=wrong).status_code == 401


def test_what_prosody_reports_is_kept_with_its_address(client, cast, meeting, prosody):
    body = json.dumps({"room_name": "x"})
    place = f"/hooks/{cast.bridge.code}/events/occupant/joined"
    assert client.post(place, data=body, headers=prosody).status_code == 200
    kept = json.loads(rows(BridgeEvents)[0].body)
    assert (kept["path"], kept["body"]) == ("events/occupant/joined", body)
