"""Answers of endpoints to their invitations: one state machine, whatever way they come."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import joinedload

from confbridge import clock, config
from confbridge.database import db
from confbridge.domain import lifecycle, rsvp
from confbridge.domain.lifecycle import MeetingState
from confbridge.domain.rsvp import Order, Partstat, Role, Verdict, Via
from confbridge.errors import Conflict, Invalid, NotFound, Phrase
from confbridge.inputs.meetings import Answer
from confbridge.models import (
    Attendee,
    Meeting,
    Occurrence,
    OccurrenceAnswer,
    Reply,
    ReplyKind,
    ReplyState,
    Reservation,
    Standing,
    SubstituteState,
    TaskKind,
    Why,
)
from confbridge.services import allocation, audit, demands, holds, links, tasks
from confbridge.services.allocation import Claim

STATES = {Verdict.EARLIER: ReplyState.EARLIER, Verdict.OUTDATED: ReplyState.OUTDATED}


@dataclass(frozen=True)
class Seat:
    """Whose answer it is, and to what: to one occurrence, or to all of the meeting."""

    meeting: Meeting
    attendee: Attendee
    occurrence: Occurrence | None = None

    @property
    def about(self) -> Occurrence | None:
        """The occurrence that is meant, None for the whole; a single meeting has no parts."""
        return self.occurrence if self.meeting.repeats else None


@dataclass(frozen=True, kw_only=True)
class Said:
    """An answer as it came, with its evidence."""

    answer: Answer
    via: Via
    person: str
    sequence: int
    stamped: datetime
    key: str
    depth: int = 0
    message_id: str = ""
    authentication: str = ""
    request_status: str = ""
    substitute_email: str = ""

    @property
    def order(self) -> Order:
        return Order(self.sequence, self.depth, self.stamped, self.key)


def by_link(link: str, *, to_change: bool = False) -> Attendee:
    """Return the attendee to whom the signed link was sent, with the meeting.

    Raises NotFound.
    """
    attendee_id = links.attendee_of(link)
    if to_change:
        # The meeting first, as every change of it does: an answer and a move cannot cross.
        meeting = select(Meeting.id).join(Attendee, Attendee.meeting_id == Meeting.id)
        meeting = meeting.where(Attendee.id == attendee_id)
        db.session.execute(meeting.with_for_update(of=Meeting))
    asked = (
        select(Attendee)
        .where(Attendee.id == attendee_id, Attendee.invited)
        .options(joinedload(Attendee.meeting))
    )
    found = db.session.scalar(asked)
    if found is None:
        raise NotFound(Phrase("This endpoint is no longer invited to the meeting."))
    return found


def seen(link: str) -> None:
    """Note that somebody has opened the endpoint's page.

    Raises NotFound.
    """
    attendee = by_link(link)
    attendee.seen_at = attendee.seen_at or clock.now()


def of_endpoint(meeting: Meeting, code: str) -> Attendee:
    """Return the attendee that an endpoint is to the meeting.

    Raises Invalid.
    """
    for attendee in meeting.attendees:
        if attendee.endpoint.code == code:
            return attendee
    raise Invalid(endpoint=Phrase("“%(code)s” is not invited to this meeting.", code=code))


def seat(attendee: Attendee, meeting: Meeting, number: int | None = None) -> Seat:
    """Return whose answer is meant and to what: to the occurrence with that id, None for all.

    Raises NotFound if there is none of it that this endpoint is invited to.
    """
    if number is None:
        return Seat(meeting, attendee)
    for one in meeting.occurrences:
        if one.id == number and attendee.endpoint_id in demands.members([one])[one.id]:
            return Seat(meeting, attendee, one)
    raise NotFound(Phrase("There is no such occurrence."))


def to_answer(attendee: Attendee, meeting: Meeting) -> list[tuple[Occurrence, Standing]]:
    """Return the occurrences ahead that an endpoint is invited to, and what it says to each."""
    now = clock.now()
    ahead = [
        one for one in meeting.occurrences if one.state == MeetingState.SCHEDULED and one.ends > now
    ]
    members = demands.members(ahead)
    asked = select(OccurrenceAnswer).where(OccurrenceAnswer.attendee_id == attendee.id)
    apart = {one.occurrence_id: one for one in db.session.scalars(asked)}
    return [
        (one, apart.get(one.id, attendee))
        for one in ahead
        if attendee.endpoint_id in members[one.id]
    ]


def coming(attendee: Attendee, *, limit: int = 20) -> Sequence[tuple[Occurrence, Meeting]]:
    """Return what else an endpoint is invited to, in order of time."""
    asked = (
        select(Occurrence, Meeting)
        .join(Meeting, Meeting.id == Occurrence.meeting_id)
        .join(Reservation, Reservation.occurrence_id == Occurrence.id)
        .where(Reservation.endpoint_id == attendee.endpoint_id, Reservation.wanted)
        .where(Reservation.ends > clock.now(), Occurrence.state == MeetingState.SCHEDULED)
        .where(Meeting.id != attendee.meeting_id)
        .order_by(Occurrence.starts, Occurrence.id)
        .limit(limit)
    )
    return [(one, meeting) for one, meeting in db.session.execute(asked)]


def check_revision(meeting: Meeting, sequence: str) -> None:
    """Raise Conflict if the answer was meant for an earlier time of the meeting (R3)."""
    if sequence != str(meeting.sequence):
        raise Conflict(
            Phrase("The meeting has been changed since you opened this page. Look, then answer.")
        )


def record(seat: Seat, answer: Answer, *, via: Via, by: str) -> None:
    """Keep what the endpoint says by link, telephone or program; the last word counts.

    Raises Invalid, Conflict, Clash.
    """
    check_open(seat)
    if answer.partstat is Partstat.DECLINED and not answer.comment:
        raise Invalid(comment=Phrase("Say why you cannot come."))
    if answer.partstat is Partstat.NEEDS_ACTION:
        raise Invalid(partstat=Phrase("Choose an answer."))
    if answer.partstat is Partstat.DELEGATED and not answer.substitute:
        raise Invalid(substitute=Phrase("Say who comes instead."))
    standing = current(seat)
    stamped = clock.now()
    if standing.said_stamp:  # the last word, whatever the clock of a calendar says
        stamped = max(stamped, standing.said_stamp + timedelta(microseconds=1))
    said = Said(
        answer=answer,
        via=via,
        person=by,
        # Not the meeting's: that may be of a change which did not concern this endpoint, whose
        # calendar therefore answers with a lower one later on.
        sequence=max(standing.asked, standing.said_sequence),
        depth=len(standing.substitutes),
        stamped=stamped,
        key=uuid.uuid4().hex,
    )
    count(seat, said)


def check_open(seat: Seat) -> None:
    """Raise Conflict unless the meeting, or the occurrence, can still be answered to."""
    meeting, one = seat.meeting, seat.about or seat.meeting.occurrence
    if meeting.state != MeetingState.SCHEDULED:
        raise Conflict(lifecycle.REFUSALS[MeetingState(meeting.state)])
    if one.state != MeetingState.SCHEDULED:
        raise Conflict(lifecycle.REFUSALS[MeetingState(one.state)])
    if one.ends <= clock.now():
        raise Conflict(Phrase("The meeting is over."))


def count(seat: Seat, said: Said) -> Reply:
    """Keep an answer, and let it count if none counts more; the same one twice is one.

    Raises Clash if its place was given away meanwhile.
    """
    known = db.session.scalar(select(Reply).where(Reply.key == said.key))
    if known is not None and known.state != ReplyState.WAITING:
        return known
    verdict = _judged(seat, said)
    if verdict is not Verdict.COUNTS:
        row = known or evidence(seat, said, STATES[verdict])
        row.state, row.why = STATES[verdict], ""
        return row
    _outrun(seat)
    row = known or evidence(seat, said, ReplyState.COUNTED)
    row.state = ReplyState.COUNTED
    standing = standing_of(seat)
    _write(standing, said, late=is_late(seat))
    row.late = standing.late
    if standing.substitute_state == SubstituteState.WAITING:
        row.state, row.why = ReplyState.WAITING, Why.SUBSTITUTE
    db.session.flush()
    _settle_slots(seat, standing)
    _settle_tasks(seat, standing)
    audit.record(
        said.person,
        "answered",
        f"meeting {seat.meeting.uid}",
        f"{seat.attendee.endpoint.code} {standing.partstat} {said.via}",
    )
    return row


def _judged(seat: Seat, said: Said) -> Verdict:
    """Say what an answer is worth; who has handed over to a substitute has no say meanwhile."""
    standing = current(seat)
    own = standing is not seat.attendee or seat.about is None
    verdict = rsvp.judged(said.order, standing.order if own else None, asked=standing.asked)
    if verdict is Verdict.COUNTS and said.depth < len(standing.substitutes):
        return Verdict.EARLIER
    return verdict


def would_take(seat: Seat, said: Said) -> bool:
    """Say whether an answer would need time and ports again that were given back."""
    if demands.gives_back(seat.meeting, seat.attendee, said.answer.partstat):
        return False
    numbers = demands.holding(seat.meeting, seat.attendee, live=False)
    return any(one.id in numbers for one in _meant(seat))


def said_of(row: Reply) -> Said:
    """Return a reply that was kept, to be counted after all."""
    answer = Answer.model_construct(
        partstat=Partstat(row.partstat),
        comment=row.comment,
        delegates=row.delegates,
        headcount=row.headcount,
        substitute=row.substitute,
    )
    return Said(
        answer=answer,
        via=Via(row.via),
        person=row.person,
        sequence=row.sequence,
        depth=row.depth,
        stamped=min(row.stamped, clock.now()),  # a clock that was wrong is so no more
        key=row.key,
        substitute_email=row.substitute_email,
    )


def evidence(seat: Seat, said: Said, state: ReplyState, why: Why | None = None) -> Reply:
    """Write a reply down as it came."""
    row = _row(seat.meeting, said)
    row.attendee_id, row.late = seat.attendee.id, is_late(seat)
    row.occurrence_id = seat.about.id if seat.about else None
    row.state, row.why = state, why or ""
    db.session.flush()
    return row


def evidence_of_stranger(meeting: Meeting, occurrence: Occurrence | None, said: Said) -> Reply:
    """Write down the reply of somebody who was not invited; it waits for a decision (R9)."""
    row = _row(meeting, said)
    row.occurrence_id = occurrence.id if occurrence and meeting.repeats else None
    row.state, row.why = ReplyState.WAITING, Why.STRANGER
    db.session.flush()
    return row


def _row(meeting: Meeting, said: Said) -> Reply:
    answer = said.answer
    row = Reply(
        meeting_id=meeting.id,
        kind=ReplyKind.DELEGATION if answer.substitute else ReplyKind.ANSWER,
        partstat=answer.partstat,
        comment=answer.comment,
        delegates=answer.delegates,
        headcount=answer.headcount,
        substitute=answer.substitute,
        substitute_email=said.substitute_email,
        sequence=said.sequence,
        depth=said.depth,
        stamped=said.stamped,
        key=said.key,
        via=said.via,
        person=said.person,
        message_id=said.message_id,
        authentication=said.authentication,
        request_status=said.request_status,
        at=clock.now(),
    )
    db.session.add(row)
    return row


def standing_of(seat: Seat) -> Standing:
    """Return what counts for this seat, to be changed: one occurrence gets its own."""
    found = current(seat)
    if seat.about is not None and found is seat.attendee:
        found = OccurrenceAnswer(attendee_id=seat.attendee.id, occurrence_id=seat.about.id)
        found.open_answer(seat.attendee.asked)
        found.chain = seat.attendee.chain
        db.session.add(found)
        db.session.flush()
    return found


def current(seat: Seat) -> Standing:
    """Return what counts for this seat, that to the series while nothing else was said to one."""
    if seat.about is None:
        return seat.attendee
    found = db.session.scalar(
        select(OccurrenceAnswer).where(
            OccurrenceAnswer.occurrence_id == seat.about.id,
            OccurrenceAnswer.attendee_id == seat.attendee.id,
        )
    )
    return seat.attendee if found is None else found


def standings(meeting: Meeting, occurrence: Occurrence) -> dict[int, Standing]:
    """Return what counts for one occurrence, by the attendee's id."""
    found: dict[int, Standing] = {one.id: one for one in meeting.attendees}
    if meeting.repeats:
        asked = select(OccurrenceAnswer).where(OccurrenceAnswer.occurrence_id == occurrence.id)
        apart = {one.attendee_id: one for one in db.session.scalars(asked)}
        found |= {number: one for number, one in apart.items() if number in found}
    return found


def said_apart(meeting: Meeting) -> dict[int, list[tuple[Attendee, OccurrenceAnswer]]]:
    """Return who answered otherwise to an occurrence than to the series, by its id."""
    known = {one.id: one for one in meeting.attendees}
    asked = select(OccurrenceAnswer).where(
        OccurrenceAnswer.occurrence_id.in_([one.id for one in meeting.occurrences])
    )
    found: dict[int, list[tuple[Attendee, OccurrenceAnswer]]] = {}
    for one in db.session.scalars(asked.order_by(OccurrenceAnswer.id)) if meeting.repeats else ():
        if one.attendee_id in known:
            found.setdefault(one.occurrence_id, []).append((known[one.attendee_id], one))
    return found


def history(attendee: Attendee, *, limit: int = 50) -> Sequence[Reply]:
    """Return what an endpoint has answered, the latest first."""
    asked = select(Reply).where(Reply.attendee_id == attendee.id)
    asked = asked.options(joinedload(Reply.occurrence))
    return db.session.scalars(asked.order_by(Reply.at.desc(), Reply.id.desc()).limit(limit)).all()


def said_in_time(meeting: Meeting, occurrence: Occurrence) -> dict[int, Reply]:
    """Return the last answer of each endpoint before the list was closed, by the attendee's id."""
    about = occurrence.id if meeting.repeats else None
    asked = select(Reply).where(
        Reply.meeting_id == meeting.id,
        Reply.late.is_(False),
        Reply.state.in_([ReplyState.COUNTED, ReplyState.EARLIER, ReplyState.ACCEPTED]),
        Reply.occurrence_id.is_(None) | (Reply.occurrence_id == about),
        Reply.kind != ReplyKind.COUNTER,
    )
    standing = standings(meeting, occurrence)
    found: dict[int, Reply] = {}
    order = Reply.sequence, Reply.depth, Reply.stamped, Reply.key
    for row in db.session.scalars(asked.order_by(Reply.occurrence_id.is_not(None), *order)):
        who = standing.get(row.attendee_id or 0)
        if who is not None and row.sequence >= who.asked:
            found[row.attendee_id or 0] = row
    return found


def is_late(seat: Seat) -> bool:
    """Say whether the list of who comes is frozen already."""
    one = seat.about or seat.meeting.occurrence
    return clock.now() >= one.starts - timedelta(minutes=config.in_force().freeze_minutes)


def _write(standing: Standing, said: Said, *, late: bool) -> None:
    answer = said.answer
    comes = answer.partstat is not Partstat.DECLINED
    standing.partstat, standing.comment = answer.partstat, answer.comment
    if said.via != Via.MAIL or not comes:  # a calendar cannot say who comes: what was said stays
        standing.delegates = answer.delegates if comes else ""
        standing.headcount = answer.headcount if comes else None
    standing.via, standing.person, standing.answered_at = said.via, said.person, clock.now()
    standing.late = late
    standing.said_sequence, standing.said_depth = said.sequence, said.depth
    standing.said_stamp, standing.said_key = said.stamped, said.key
    if said.depth and not answer.substitute and answer.partstat is not Partstat.DELEGATED:
        return  # who stands in stays who it is
    standing.substitute = answer.substitute if comes else ""
    if standing.substitute:
        standing.partstat, standing.substitute_state = Partstat.DELEGATED, SubstituteState.WAITING
    else:
        standing.substitute_state = ""


def _outrun(seat: Seat) -> None:
    """Let what counted until now, and a substitute named with it, be of the past."""
    past = update(Reply).where(
        Reply.attendee_id == seat.attendee.id,
        Reply.occurrence_id == (seat.about.id if seat.about else None),
        (Reply.state == ReplyState.COUNTED)
        | ((Reply.state == ReplyState.WAITING) & (Reply.why == Why.SUBSTITUTE)),
    )
    db.session.execute(past.values(state=ReplyState.EARLIER, why=""))


def _settle_tasks(seat: Seat, standing: Standing) -> None:
    attendee = seat.attendee
    tasks.settle(attendee, [TaskKind.SILENT], occurrence=seat.about)
    if seat.about is None and seat.meeting.repeats:
        for one in _meant(seat):
            tasks.settle(attendee, [TaskKind.SILENT], occurrence=one)
    if standing.partstat == Partstat.DECLINED and attendee.role != Role.OPTIONAL:
        tasks.add(attendee, TaskKind.DECLINED, standing.comment, occurrence=seat.about)
    else:
        tasks.settle(attendee, [TaskKind.DECLINED], occurrence=seat.about)


def _settle_slots(seat: Seat, standing: Standing) -> None:
    """Give back what a soft client holds that has declined, or take it again if it comes after all.

    Raises Clash if it is taken meanwhile.
    """
    meeting, attendee = seat.meeting, seat.attendee
    gives_back = demands.gives_back(meeting, attendee, standing.partstat)
    numbers = demands.holding(meeting, attendee, live=gives_back)
    some = [one for one in _meant(seat) if one.id in numbers]
    if not some:
        return
    needs = demands.needs_now(meeting, some)
    if gives_back:
        allocation.give_back(some, attendee.endpoint_id)
        for one, need in zip(some, needs, strict=True):
            allocation.shrink(one, need)
        holds.room_was_made()
    else:
        allocation.shift([Claim(one, need) for one, need in zip(some, needs, strict=True)])
    for one in some:
        allocation.refresh(one)


def _meant(seat: Seat) -> list[Occurrence]:
    """Return the occurrences ahead to which this seat's answer is the answer."""
    now = clock.now()
    ahead = [
        one
        for one in seat.meeting.occurrences
        if one.state == MeetingState.SCHEDULED and one.ends > now
    ]
    if seat.about is not None:
        return [one for one in ahead if one.id == seat.about.id]
    apart = demands.said_apart(seat.meeting, ahead)
    return [one for one in ahead if seat.attendee.id not in apart[one.id]]
