"""What operators do to a conference, on a bridge that does as the test says."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from confbridge import clock, doors, drivers
from confbridge.database import db, transaction
from confbridge.drivers.janus import JanusDriver
from confbridge.errors import Conflict, DriverError, Invalid, NotAllowed, NotFound
from confbridge.inputs.live import Command, DutyDraft
from confbridge.jobs.conferences import open_one, watch_one
from confbridge.models import (
    Allocation,
    AuditEntry,
    Exclusion,
    Incident,
    Leg,
    LegSource,
    Meeting,
    Occurrence,
    Reservation,
)
from confbridge.services import access, control, incidents, links
from confbridge.services.extension import CannotExtend
from tests import factories


class Obedient(JanusDriver):
    """Does all that it is told, or nothing, and keeps a list of it."""

    def __init__(self) -> None:
        self.done: list[tuple[object, ...]] = []
        self.specs = []
        self.is_away = False

    def _do(self, *what: object) -> None:
        if self.is_away:
            raise DriverError("the bridge does not answer")
        self.done.append(what)

    def open_room(self, spec):
        self._do("open")
        self.specs.append(spec)

    def mute(self, _room, _secret, legs, *, muted):
        self._do("mute", list(legs), muted)

    def disconnect(self, _room, _secret, leg):
        self._do("disconnect", leg)

    def record(self, _room, _secret, *, recording):
        self._do("record", recording)


@pytest.fixture
def bridge(monkeypatch):
    made = Obedient()
    monkeypatch.setattr(drivers, "connect", lambda *_: made)
    return made


@pytest.fixture
def meeting(cast, bridge, clock_at):
    made = factories.meeting(
        cast.ann, endpoints=[{"code": "E-1", "role": "main"}, {"code": "E-2"}], guest_ports=1
    )
    clock_at(made.occurrence.starts + timedelta(minutes=1))
    with transaction():
        held = db.session.get(Allocation, made.occurrence.primary.id)
        held.opened_at, held.open_at = clock.now(), None
        for place, one in enumerate([*made.attendees, None]):
            db.session.add(
                Leg(
                    allocation_id=held.id,
                    attendee_id=one.id if one else None,
                    leg=f"leg-{place}",
                    name=f"Site {place}",
                    source=LegSource.EVENT,
                    joined=clock.now(),
                    seen_at=clock.now(),
                )
            )
    return made


def give(meeting, name, who, **given):
    return doors.command(meeting.occurrence.id, name, Command(**given), by=who)


def rows(model):
    db.session.rollback()
    db.session.expire_all()
    return db.session.scalars(select(model).order_by(model.id)).all()


def said(deed):
    return [one.detail for one in rows(AuditEntry) if one.deed == f"conference {deed}"]


def test_all_but_the_main_site_are_muted_with_one_command(cast, meeting, bridge):
    assert give(meeting, "mute", cast.ann) is None
    assert bridge.done == [("mute", ["leg-1", "leg-2"], True)]
    assert [one.muted for one in rows(Leg)] == [False, True, True]
    assert said("mute") == ["Site 1, Site 2: done"]
    give(meeting, "unmute", cast.ann, leg=rows(Leg)[1].id)
    assert [one.muted for one in rows(Leg)] == [False, False, True]


def test_what_the_bridge_does_not_do_is_told_and_audited_and_not_shown_as_done(
    cast, meeting, bridge
):
    bridge.is_away = True
    error = give(meeting, "mute", cast.ann)
    assert "does not answer" in str(error)
    assert not any(one.muted for one in rows(Leg))
    assert said("mute") == ["Site 1, Site 2: failed: the bridge does not answer"]


def test_who_is_put_out_is_first_let_in_no_more(cast, meeting, bridge):
    give(meeting, "disconnect", cast.ann, leg=rows(Leg)[1].id, keep_out=True)
    assert bridge.done == [("open",), ("disconnect", "leg-1")]
    room = meeting.occurrence.primary.room
    out = links.access_token(room, meeting.attendees[1].id)
    assert out not in bridge.specs[0].tokens
    assert links.access_token(room, meeting.attendees[0].id) in bridge.specs[0].tokens
    assert [one.attendee_id for one in rows(Exclusion)] == [meeting.attendees[1].id]
    give(meeting, "readmit", cast.ann, endpoint="E-2")
    assert rows(Exclusion) == []
    assert out in bridge.specs[-1].tokens


def test_a_bridge_that_did_not_hear_of_it_is_told_as_soon_as_it_answers(app, cast, meeting, bridge):
    bridge.is_away = True
    give(meeting, "disconnect", cast.ann, leg=rows(Leg)[1].id, keep_out=True)
    bridge.is_away = False
    assert open_one()
    out = links.access_token(meeting.occurrence.primary.room, meeting.attendees[1].id)
    assert out not in bridge.specs[-1].tokens


def test_into_a_locked_conference_come_only_those_who_have_been_in_it(cast, bridge, meeting):
    with transaction():
        db.session.delete(rows_now(Leg)[1])
    give(meeting, "lock", cast.ann)
    room = meeting.occurrence.primary.room
    known = {links.access_token(room, one) for one in (meeting.attendees[0].id, None)}
    assert bridge.specs[0].tokens == known
    give(meeting, "unlock", cast.ann)
    assert links.access_token(room, meeting.attendees[1].id) in bridge.specs[-1].tokens


def rows_now(model):
    return db.session.scalars(select(model).order_by(model.id)).all()


def test_nothing_is_recorded_without_the_decision_of_the_chair(cast, meeting, bridge):
    with pytest.raises(Conflict, match="chair"):
        give(meeting, "record", cast.ann)
    with pytest.raises(Invalid):
        give(meeting, "decide_recording", cast.ann)
    give(meeting, "decide_recording", cast.ann, decision="Chủ tịch, 8 giờ 05")
    give(meeting, "record", cast.ann)
    assert ("record", True) in bridge.done
    assert rows(Occurrence)[0].recording
    with transaction():
        db.session.get(Allocation, meeting.occurrence.primary.id).open_at = clock.now()
    open_one()
    assert bridge.done[-2:] == [("open",), ("record", True)]  # wherever it is opened again
    give(meeting, "stop_recording", cast.ann)
    assert not rows(Occurrence)[0].recording


def test_a_message_to_all_needs_words(cast, meeting):
    with pytest.raises(Invalid):
        give(meeting, "message", cast.ann)
    give(meeting, "message", cast.ann, text="Xin chào")
    assert said("message") == ["Xin chào: done"]


@pytest.mark.parametrize("name", ["layout", "dial", "explode"])
def test_what_the_driver_cannot_do_cannot_be_wanted(cast, meeting, name):
    with pytest.raises((Conflict, NotFound)):
        give(meeting, name, cast.ann, endpoint="E-1")
    assert name not in control.offered(meeting.occurrence)


def test_only_operators_and_the_hosts_secretariat_run_a_conference(cast, meeting):
    with pytest.raises(NotFound):
        give(meeting, "mute", cast.dan)
    with pytest.raises(NotAllowed):
        give(meeting, "mute", cast.bob)


def test_an_extension_holds_the_endpoints_longer_and_says_what_is_possible(cast, meeting):
    ends = meeting.occurrence.ends
    other = factories.meeting(
        cast.ann, ["E-2"], start=(ends + timedelta(minutes=40)).isoformat(), minutes=30
    )
    with pytest.raises(CannotExtend) as refusal:
        doors.extend(meeting.occurrence.id, 60, by=cast.ann)
    assert refusal.value.minutes == 40
    assert [one.at for one in refusal.value.in_the_way] == [other.occurrence.starts]
    assert rows(Occurrence)[0].ends == ends
    doors.extend(meeting.occurrence.id, 40, by=cast.ann)
    assert rows(Occurrence)[0].ends == ends + timedelta(minutes=40)
    held = [one for one in rows(Reservation) if one.occurrence_id == meeting.occurrence.id]
    assert {one.ends for one in held} == {ends + timedelta(minutes=40)}
    assert rows(Allocation)[0].is_open


def test_ending_frees_what_it_holds_at_once(cast, meeting):
    doors.end(meeting.occurrence.id, by=cast.ann)
    occurrence = rows(Occurrence)[0]
    assert occurrence.ends == clock.now()
    assert rows(Allocation)[0].close_at == clock.now()
    again = factories.meeting(cast.ann, start=clock.now().isoformat(), lead_minutes=0)
    assert again.occurrence.primary is not None


def test_what_has_not_begun_is_cancelled_and_not_ended(cast, meeting, clock_at):
    clock_at(meeting.occurrence.starts - timedelta(minutes=5))
    with pytest.raises(Conflict, match="Cancel"):
        doors.end(meeting.occurrence.id, by=cast.ann)


def watch():
    with transaction():
        rows_now(Occurrence)[0].watch_at = clock.now()
    watch_one()
    return sorted(one.kind for one in rows(Incident) if one.ended is None)


def test_what_is_wrong_is_listed_until_it_is_right_again(cast, meeting, clock_at):
    start = meeting.occurrence.starts
    assert watch() == []
    with transaction():
        first, second, _ = rows_now(Leg)
        first.left = start + timedelta(minutes=5)
        second.loss, second.told_at = 0.3, start + timedelta(minutes=7)
    clock_at(start + timedelta(minutes=7))
    assert watch() == ["dropped", "quality"]
    (dropped, _) = rows(Incident)
    with transaction():
        incidents.take(access.incident(cast.carla, dropped.id), "đã gọi", by=cast.carla)
    with transaction():
        first, second, _ = rows_now(Leg)
        first.left, second.loss = None, 0.0
    assert watch() == []
    clock_at(meeting.occurrence.ends)
    with transaction():
        rows_now(Meeting)[0].state = "over"
    watch()
    assert rows(Occurrence)[0].watch_at is None


def test_only_who_runs_bridges_sees_what_is_wrong_and_who_is_on_duty_is_named(cast, meeting):
    with pytest.raises(NotAllowed):
        incidents.listed(cast.ann)
    draft = DutyDraft(
        email=cast.carla.email,
        start=clock.now() - timedelta(hours=1),
        end=clock.now() + timedelta(hours=1),
        phone="0259 1",
    )
    with transaction():
        duty = incidents.put_on_duty(draft, by=cast.carla)
    (one,) = incidents.on_duty(clock.now())
    assert (one.account.name, one.account.phone) == (cast.carla.name, "0259 1")
    with transaction():
        incidents.take_off_duty(access.duty(cast.carla, duty.id), by=cast.carla)
    assert incidents.on_duty(clock.now()) == []
    with pytest.raises(NotAllowed):
        access.duty(cast.ann, duty.id)


def test_what_its_bridge_cannot_be_told_is_not_ended_from_here(cast, meeting):
    with transaction():
        db.session.get(Allocation, meeting.occurrence.primary.id).bridge.driver = "jitsi"
    ends = meeting.occurrence.ends
    with pytest.raises(Conflict):
        doors.end(meeting.occurrence.id, by=cast.ann)
    with pytest.raises(Conflict):
        doors.extend(meeting.occurrence.id, 15, by=cast.ann)
    assert rows(Occurrence)[0].ends == ends
