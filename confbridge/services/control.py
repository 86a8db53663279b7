"""What operators do to a conference that is on.

Each command is prepared in a transaction, done on the bridge outside any, and written down with
its outcome in another. What shall last (who is put out, a lock, a recording) is kept first: the
room is brought to it again wherever it is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select, update

from confbridge import clock, drivers
from confbridge.database import db
from confbridge.drivers import Driver
from confbridge.errors import Conflict, DriverError, Invalid, NotFound, Phrase
from confbridge.inputs.live import Command
from confbridge.models import (
    Account,
    Allocation,
    Attendee,
    DialOut,
    Exclusion,
    Leg,
    Notice,
    Occurrence,
)
from confbridge.services import audit, rooms
from confbridge.services.rooms import RoomOrder

# What each command needs its driver to be able to; "": nothing but our own.
NEEDS = {
    "mute": "mute",
    "unmute": "mute",
    "disconnect": "disconnect",
    "readmit": "",
    "lock": "lock",
    "unlock": "lock",
    "message": "",
    "layout": "layout",
    "dial": "dial_out",
    "record": "record",
    "stop_recording": "record",
    "decide_recording": "",
}


@dataclass(frozen=True, kw_only=True)
class Deed:
    """A command that has been allowed, to be done on a bridge without a database."""

    name: str
    occurrence_id: int
    order: RoomOrder
    steps: Sequence[Callable[[Any], None]] = ()
    legs: Sequence[int] = ()  # the numbers of those it is about
    detail: str = ""


@dataclass
class _Plan:
    steps: list[Callable[[Any], None]] = field(default_factory=list)
    legs: list[Leg] = field(default_factory=list)
    detail: str = ""


def offered(occurrence: Occurrence) -> frozenset[str]:
    """Return the commands that can be given now: what the bridge of the conference can do."""
    primary = occurrence.primary
    if primary is None or not primary.is_open:
        return frozenset()
    powers = drivers.powers(primary.bridge.driver)
    can_tell = "message" in powers or drivers.terms(primary.bridge.driver).by_page
    found = {name for name, need in NEEDS.items() if not need or need in powers}
    return frozenset(found if can_tell else found - {"message"})


def prepare(occurrence: Occurrence, name: str, wanted: Command, *, by: Account) -> Deed:
    """Allow a command, and keep what of it shall last.

    Raises NotFound, Conflict, Invalid.
    """
    if name not in NEEDS:
        raise NotFound(Phrase("There is no such command."))
    if name not in offered(occurrence):
        raise Conflict(Phrase("The room is not open, or its bridge cannot do this."))
    primary = occurrence.primary
    assert primary is not None
    plan = PLANS[name](occurrence, primary, wanted, by)
    db.session.flush()
    return Deed(
        name=name,
        occurrence_id=occurrence.id,
        order=rooms.order_for(primary),
        steps=plan.steps,
        legs=[one.id for one in plan.legs],
        detail=plan.detail,
    )


def carry_out(deed: Deed) -> DriverError | None:
    """Do it on the bridge; return what failed."""
    if not deed.steps:
        return None
    try:
        with drivers.sensible():
            driver = drivers.connect(deed.order.call.driver, deed.order.call.settings)
            for step in deed.steps:
                step((driver, deed.order.spec))
    except DriverError as error:
        return error
    return None


def written_down(deed: Deed, error: DriverError | None, *, by: Account) -> None:
    """Keep what became of it: for the record, and in what is shown of each leg."""
    occurrence = db.session.get_one(Occurrence, deed.occurrence_id)
    meeting_uid = rooms.meeting_of(occurrence).uid
    outcome = "failed: " + str(error) if error else "done"
    said = f"{deed.detail}: {outcome}" if deed.detail else outcome
    audit.record(by.email, f"conference {deed.name}", f"meeting {meeting_uid}", said)
    if error is not None:
        return
    if deed.name in {"mute", "unmute"}:
        some = update(Leg).where(Leg.id.in_(deed.legs))
        db.session.execute(some.values(muted=deed.name == "mute"))
    if deed.name in {"record", "stop_recording"}:
        occurrence.recording = deed.name == "record"


def legs_in(occurrence: Occurrence) -> Sequence[Leg]:
    """Return the legs that are in now, in the order in which they came."""
    asked = (
        select(Leg)
        .join(Allocation, Allocation.id == Leg.allocation_id)
        .where(Allocation.occurrence_id == occurrence.id, Allocation.live, Leg.left.is_(None))
        .order_by(Leg.joined, Leg.id)
    )
    return db.session.scalars(asked).all()


def put_out(occurrence: Occurrence) -> Sequence[Attendee]:
    """Return who was put out and may not come back."""
    asked = (
        select(Attendee)
        .join(Exclusion, Exclusion.attendee_id == Attendee.id)
        .where(Exclusion.occurrence_id == occurrence.id)
        .order_by(Exclusion.id)
    )
    return db.session.scalars(asked).all()


def notices(occurrence: Occurrence, *, limit: int = 20) -> Sequence[Notice]:
    """Return what was said to everybody, the last first."""
    asked = select(Notice).where(Notice.occurrence_id == occurrence.id)
    return db.session.scalars(asked.order_by(Notice.id.desc()).limit(limit)).all()


def dialled(occurrence: Occurrence) -> Sequence[DialOut]:
    """Return who is called, and what became of that."""
    asked = select(DialOut).where(DialOut.occurrence_id == occurrence.id)
    return db.session.scalars(asked.order_by(DialOut.id)).all()


def _meant(occurrence: Occurrence, wanted: Command) -> list[Leg]:
    """Return the leg that is meant; all of them but the main site's if none is named."""
    some = legs_in(occurrence)
    if wanted.leg is not None:
        found = [one for one in some if one.id == wanted.leg]
        if not found:
            raise NotFound(Phrase("This site is not in the conference any more."))
        return found
    asked = select(Attendee.id).where(
        Attendee.meeting_id == occurrence.meeting_id, Attendee.role == "main"
    )
    chairs = set(db.session.scalars(asked))
    return [one for one in some if one.attendee_id is None or one.attendee_id not in chairs]


def _said(legs: Sequence[Leg]) -> str:
    return ", ".join(one.name or "?" for one in legs[:5]) + (" …" if len(legs) > 5 else "")


def _mute(occurrence: Occurrence, _room: Allocation, wanted: Command, _by: Account) -> _Plan:
    return _muting(occurrence, wanted, muted=True)


def _unmute(occurrence: Occurrence, _room: Allocation, wanted: Command, _by: Account) -> _Plan:
    return _muting(occurrence, wanted, muted=False)


def _muting(occurrence: Occurrence, wanted: Command, *, muted: bool) -> _Plan:
    legs = _meant(occurrence, wanted)
    names = [one.leg for one in legs]

    def step(at: tuple[Any, Any]) -> None:
        at[0].mute(at[1].name, at[1].secret, names, muted=muted)

    return _Plan([step], legs, _said(legs))


def _disconnect(occurrence: Occurrence, room: Allocation, wanted: Command, by: Account) -> _Plan:
    if wanted.leg is None:
        raise Invalid(leg=Phrase("Say which site."))
    legs = _meant(occurrence, wanted)
    steps: list[Callable[[Any], None]] = []
    for one in legs:
        if wanted.keep_out and one.attendee_id is not None:
            _keep_out(occurrence, one.attendee_id, by)
    if wanted.keep_out:
        room.open_at = clock.now()  # should the bridge not answer now, it is told when it does
        # First let it in no more, then put it out: else it is back at once
        steps.append(_brought_up_to_date)
    steps += [_ending(one.leg) for one in legs]
    detail = _said(legs) + (", kept out" if wanted.keep_out else "")
    return _Plan(steps, legs, detail)


def _ending(leg: str) -> Callable[[Any], None]:
    return lambda at: at[0].disconnect(at[1].name, at[1].secret, leg)


def _brought_up_to_date(at: tuple[Driver, Any]) -> None:
    at[0].open_room(at[1])


def _keep_out(occurrence: Occurrence, attendee_id: int, by: Account) -> None:
    known = select(Exclusion.id).where(
        Exclusion.occurrence_id == occurrence.id, Exclusion.attendee_id == attendee_id
    )
    if db.session.scalar(known) is None:
        db.session.add(
            Exclusion(
                occurrence_id=occurrence.id, attendee_id=attendee_id, at=clock.now(), by=by.email
            )
        )
    again = update(DialOut).where(
        DialOut.occurrence_id == occurrence.id, DialOut.attendee_id == attendee_id
    )
    db.session.execute(again.values(due=None))


def _readmit(occurrence: Occurrence, room: Allocation, wanted: Command, _by: Account) -> _Plan:
    for one in put_out(occurrence):
        if one.endpoint.code == wanted.endpoint:
            row = select(Exclusion).where(
                Exclusion.occurrence_id == occurrence.id, Exclusion.attendee_id == one.id
            )
            db.session.delete(db.session.scalars(row).one())
            room.open_at = clock.now()
            return _Plan([_brought_up_to_date], [], one.endpoint.code)
    raise NotFound(Phrase("This site was not put out."))


def _lock(occurrence: Occurrence, room: Allocation, _wanted: Command, _by: Account) -> _Plan:
    return _locking(occurrence, room, locked=True)


def _unlock(occurrence: Occurrence, room: Allocation, _wanted: Command, _by: Account) -> _Plan:
    return _locking(occurrence, room, locked=False)


def _locking(occurrence: Occurrence, room: Allocation, *, locked: bool) -> _Plan:
    occurrence.locked = locked
    room.open_at = clock.now()  # should the bridge not answer now, it is told as soon as it does

    def lock(at: tuple[Any, Any]) -> None:
        at[0].lock(at[1].name, locked=locked)

    return _Plan([_brought_up_to_date, lock])


def _message(occurrence: Occurrence, room: Allocation, wanted: Command, by: Account) -> _Plan:
    if not wanted.text:
        raise Invalid(text=Phrase("This must not be empty."))
    notice = Notice(occurrence_id=occurrence.id, at=clock.now(), by=by.email, text=wanted.text)
    db.session.add(notice)
    if "message" not in drivers.powers(room.bridge.driver):
        return _Plan(detail=wanted.text)  # the pages fetch it themselves

    def tell(at: tuple[Any, Any]) -> None:
        at[0].message(at[1].name, wanted.text)

    return _Plan([tell], detail=wanted.text)


def _layout(_occurrence: Occurrence, room: Allocation, wanted: Command, _by: Account) -> _Plan:
    if wanted.layout not in drivers.layouts(room.bridge.driver):
        raise Invalid(layout=Phrase("There is no such layout."))

    def arrange(at: tuple[Any, Any]) -> None:
        at[0].layout(at[1].name, wanted.layout)

    return _Plan([arrange], detail=wanted.layout)


def _dial(occurrence: Occurrence, _room: Allocation, wanted: Command, by: Account) -> _Plan:
    asked = select(Attendee).where(Attendee.meeting_id == occurrence.meeting_id, Attendee.invited)
    one = next(
        (each for each in db.session.scalars(asked) if each.endpoint.code == wanted.endpoint), None
    )
    if one is None:
        raise NotFound(Phrase("This site is not invited."))
    if not one.endpoint.address:
        raise Conflict(Phrase("The directory has no address to call this site at."))
    if rooms.is_put_out(occurrence, one):
        raise Conflict(Phrase("This site was put out. Let it in again first."))
    known = db.session.scalars(
        select(DialOut).where(DialOut.occurrence_id == occurrence.id, DialOut.attendee_id == one.id)
    ).first()
    now = clock.now()
    if known is None:
        known = DialOut(occurrence_id=occurrence.id, attendee_id=one.id, at=now)
        db.session.add(known)
    known.due, known.by, known.tries, known.trouble = now, by.email, 0, ""
    return _Plan(detail=one.endpoint.code)


def _record(occurrence: Occurrence, _room: Allocation, _wanted: Command, _by: Account) -> _Plan:
    if not occurrence.recording_decision:
        raise Conflict(Phrase("Recording is the chair's decision. Note it first."))
    return _Plan([lambda at: at[0].record(at[1].name, at[1].secret, recording=True)])


def _stop_recording(
    _occurrence: Occurrence, _room: Allocation, _wanted: Command, _by: Account
) -> _Plan:
    return _Plan([lambda at: at[0].record(at[1].name, at[1].secret, recording=False)])


def _decide_recording(
    occurrence: Occurrence, _room: Allocation, wanted: Command, _by: Account
) -> _Plan:
    if not wanted.decision:
        raise Invalid(decision=Phrase("Say who decided, and when."))
    occurrence.recording_decision = wanted.decision
    return _Plan(detail=wanted.decision)


PLANS: dict[str, Callable[[Occurrence, Allocation, Command, Account], _Plan]] = {
    "mute": _mute,
    "unmute": _unmute,
    "disconnect": _disconnect,
    "readmit": _readmit,
    "lock": _lock,
    "unlock": _unlock,
    "message": _message,
    "layout": _layout,
    "dial": _dial,
    "record": _record,
    "stop_recording": _stop_recording,
    "decide_recording": _decide_recording,
}
