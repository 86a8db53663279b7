"""Meetings as JSON."""

from __future__ import annotations

from datetime import datetime

from flask import Blueprint, Response, g, jsonify, request

from confbridge import doors
from confbridge.api import changes, paging, shapes
from confbridge.api.shapes import Shape
from confbridge.database import attempt
from confbridge.domain.lifecycle import ENDED, MeetingState
from confbridge.domain.rsvp import Via
from confbridge.errors import Clash, Invalid, NotFound, Phrase
from confbridge.inputs import parse
from confbridge.inputs.meetings import (
    Cancellation,
    Decision,
    Hold,
    MeetingChange,
    MeetingDraft,
    OccurrenceChange,
    Postponement,
    RecordedAnswer,
)
from confbridge.models import Attendee, Meeting, Occurrence
from confbridge.services import (
    access,
    agenda,
    attendance,
    decisions,
    displacement,
    holds,
    leaders,
    meetings,
    outbox,
    rehearsals,
    replies,
    rules,
)
from confbridge.services.agenda import Wanted

resource = Blueprint("meetings", __name__, url_prefix="/meetings")


@resource.get("")
def index() -> Shape:
    most = paging.limit()
    wanted = Wanted(
        start=paging.moment("from"),
        end=paging.moment("to"),
        endpoint=request.args.get("endpoint", ""),
        organisation=request.args.get("organisation", ""),
        state=request.args.get("state", ""),
        text=request.args.get("q", ""),
    )
    found = agenda.listed(g.account, wanted, limit=most + 1, after=_place(paging.cursor()))
    deliveries = outbox.deliveries([one for one, _ in found])
    return paging.paged(
        found,
        lambda pair: shapes.meeting(pair[0], deliveries, with_links=False),
        lambda pair: f"{pair[1].isoformat()} {pair[0].id}",
        most,
    )


@resource.post("")
def create() -> Response:
    draft = parse(MeetingDraft, changes.body())
    try:
        if draft.dry_run:
            return _dry_run(draft)
        return changes.once(lambda: doors.booked(draft, by=g.account), _shape)
    except Clash as clash:
        raise doors.refused(draft, by=g.account) from clash


@resource.get("/<uid>")
def show(uid: str) -> Response:
    return changes.with_etag(_shape(access.meeting(g.account, uid)))


@resource.patch("/<uid>")
def change(uid: str) -> Response:
    wanted = parse(MeetingChange, changes.body())
    return changes.with_etag(
        _shape(doors.change(uid, wanted, by=g.account, version=changes.version()))
    )


@resource.post("/<uid>/cancel")
def cancel(uid: str) -> Response:
    wanted = parse(Cancellation, changes.body())
    version = changes.version()

    def deed() -> Meeting:
        meeting = access.meeting(g.account, uid, to_change=True, version=version)
        meetings.cancel(meeting, wanted.reason, by=g.account)
        rehearsals.follow(meeting, by=g.account)
        return meeting

    return changes.with_etag(_shape(attempt(deed)))


@resource.post("/<uid>/postpone")
def postpone(uid: str) -> Response:
    """Give the meeting's time back; it keeps its number and gets new times offered."""
    wanted = parse(Postponement, changes.body())
    version = changes.version()

    def deed() -> Meeting:
        meeting = access.meeting(g.account, uid, to_change=True, version=version)
        meetings.postpone(meeting, wanted.reason, by=g.account)
        rehearsals.follow(meeting, by=g.account)
        return meeting

    return changes.with_etag(_shape(attempt(deed)))


@resource.post("/<uid>/hold")
def hold(uid: str) -> Response:
    """Let a draft hold its slots for a while; nought minutes give them back."""
    wanted = parse(Hold, changes.body())
    version = changes.version()
    meeting = doors.hold(uid, wanted.minutes, by=g.account, version=version)
    return changes.with_etag(_shape(meeting))


@resource.post("/<uid>/wait")
def wait(uid: str) -> Response:
    """Put a draft, or what was postponed, on the waiting list for its time."""
    version = changes.version()

    def deed() -> Meeting:
        meeting = access.meeting(g.account, uid, to_change=True, version=version)
        holds.wait(meeting, by=g.account)
        return meeting

    return changes.with_etag(_shape(attempt(deed)))


@resource.patch("/<uid>/occurrences/<int:number>")
def change_occurrence(uid: str, number: int) -> Response:
    """Change one occurrence, or with `following` it and all after it: then that is a new series."""
    wanted = parse(OccurrenceChange, changes.body())
    version = changes.version()
    meeting = doors.change_occurrence(uid, number, wanted, by=g.account, version=version)
    return changes.with_etag(_shape(meeting))


@resource.post("/<uid>/occurrences/<int:number>/cancel")
def cancel_occurrence(uid: str, number: int) -> Response:
    """Call one occurrence off, or with `following` it and all after it."""
    wanted = parse(Cancellation, changes.body())
    version = changes.version()

    def deed() -> Meeting:
        meeting = access.meeting(g.account, uid, to_change=True, version=version)
        one = meetings.occurrence_of(meeting, number)
        meetings.cancel_occurrence(
            meeting, one, wanted.reason, following=wanted.following, by=g.account
        )
        rehearsals.follow(meeting, by=g.account)
        return meeting

    return changes.with_etag(_shape(attempt(deed)))


@resource.post("/<uid>/replies")
def reply(uid: str) -> Shape:
    answer = parse(RecordedAnswer, changes.body())
    if answer.via not in {Via.PHONE, Via.API}:
        raise Invalid(via=Phrase("Choose one of: %(choices)s.", choices="phone, api"))

    def deed() -> tuple[Meeting, Attendee]:
        meeting = access.meeting(g.account, uid, to_change=True)
        attendee = replies.of_endpoint(meeting, answer.endpoint)
        seat = replies.seat(attendee, meeting, answer.occurrence)
        replies.record(seat, answer, via=answer.via, by=g.account.email)
        return meeting, attendee

    meeting, attendee = attempt(deed)
    return shapes.attendee(attendee, outbox.deliveries([meeting]).get(attendee.id), with_link=True)


@resource.get("/<uid>/waiting")
def waiting(uid: str) -> Shape:
    """Return what waits for a decision: proposals, substitutes, strangers, unverified answers."""
    meeting = access.meeting(g.account, uid)
    access.check_may_change(g.account, meeting)
    return {"items": [shapes.waiting(one) for one in decisions.of_meeting(meeting)], "next": None}


@resource.post("/<uid>/waiting/<int:number>")
def decide(uid: str, number: int) -> Response:
    """Accept or refuse what waits."""
    wanted = parse(Decision, changes.body())
    return changes.with_etag(_shape(doors.decide(uid, number, wanted, by=g.account)))


@resource.get("/<uid>/attendance")
def report(uid: str) -> Shape:
    meeting = access.meeting(g.account, uid)
    occurrence = access.conference(g.account, _occurrence(meeting).id)
    return shapes.attendance(attendance.of(occurrence.meeting, occurrence))


def _dry_run(draft: MeetingDraft) -> Response:
    """Book, look at it, and take it back: the answer is what booking would give."""
    return jsonify(doors.trial(lambda: _shape(doors.booked(draft, by=g.account))))


def _warnings(meeting: Meeting) -> list[Shape]:
    """Return what is no refusal and should still be looked at, while the meeting is ahead."""
    if meeting.state in ENDED:
        return []
    found: list[Shape] = [
        {"kind": "duplicate", "meeting": one.uid, "title": one.title}
        for one in leaders.duplicates(
            meeting.title,
            meeting.host_id,
            meeting.occurrence.during,
            reader=g.account,
            but=meeting.id,
        )
    ]
    days = rules.is_short_notice(meeting.starts)
    if days is not None:
        found.append({"kind": "short_notice", "working_days": days})
    return found


def _shape(meeting: Meeting) -> Shape:
    may_change = access.may_change(g.account, meeting)
    shape = shapes.meeting(meeting, outbox.deliveries([meeting]), with_links=may_change)
    if meeting.repeats:
        _add_said_apart(shape, meeting)
    shape["warnings"] = _warnings(meeting) if may_change else []
    if meeting.state == MeetingState.POSTPONED:
        shape["offers"] = [
            shapes.interval(one) for one in displacement.offers_of(meeting.occurrence)
        ]
    return shape


def _add_said_apart(shape: Shape, meeting: Meeting) -> None:
    """Say at each occurrence who answered otherwise than to the series."""
    apart = replies.said_apart(meeting)
    for one in shape["occurrences"]:
        one["answers"] = [
            {"endpoint": who.endpoint.code, **shapes.said(said)}
            for who, said in apart.get(one["id"], [])
        ]


def _occurrence(meeting: Meeting) -> Occurrence:
    wanted = request.args.get("occurrence", "")
    if not wanted:
        return meeting.occurrence
    for one in meeting.occurrences:
        if str(one.id) == wanted:
            return one
    raise NotFound(Phrase("There is no such occurrence."))


def _aware(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("naive")
    return moment


def _place(cursor: str) -> tuple[datetime, int] | None:
    try:
        when, number = cursor.split(" ") if cursor else ("", "0")
        return (_aware(when), int(number)) if when else None
    except ValueError as error:
        raise Invalid(cursor=Phrase("This is no cursor of ours.")) from error
