"""Meetings as JSON."""

from __future__ import annotations

from datetime import datetime

from flask import Blueprint, Response, g, jsonify, request

from confbridge import doors
from confbridge.api import changes, paging, shapes
from confbridge.api.shapes import Shape
from confbridge.database import transaction
from confbridge.domain.rsvp import Via
from confbridge.errors import Clash, Invalid, NotFound, Phrase
from confbridge.inputs import parse
from confbridge.inputs.meetings import Cancellation, MeetingChange, MeetingDraft, RecordedAnswer
from confbridge.models import Meeting, Occurrence
from confbridge.services import access, attendance, meetings, outbox, replies
from confbridge.services.meetings import Wanted

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
    found = meetings.listed(g.account, wanted, limit=most + 1, after=_place(paging.cursor()))
    deliveries = outbox.deliveries(found)
    return paging.paged(
        found,
        lambda one: shapes.meeting(one, deliveries, with_links=False),
        lambda one: f"{one.occurrence.starts.isoformat()} {one.id}",
        most,
    )


@resource.post("")
def create() -> Response:
    draft = parse(MeetingDraft, changes.body())
    try:
        if draft.dry_run:
            return _dry_run(draft)
        return changes.once(lambda: _shape(meetings.book(draft, by=g.account)))
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
    with transaction():
        meeting = access.meeting(g.account, uid, to_change=True, version=changes.version())
        meetings.cancel(meeting, wanted.reason, by=g.account)
    return changes.with_etag(_shape(meeting))


@resource.post("/<uid>/replies")
def reply(uid: str) -> Shape:
    answer = parse(RecordedAnswer, changes.body())
    if answer.via is Via.LINK:
        raise Invalid(via=Phrase("Choose one of: %(choices)s.", choices="phone, api"))
    with transaction():
        meeting = access.meeting(g.account, uid, to_change=True)
        attendee = replies.of_endpoint(meeting, answer.endpoint)
        replies.record(meeting, attendee, answer, via=answer.via, by=g.account.email)
    return shapes.attendee(attendee, outbox.deliveries([meeting]).get(attendee.id), with_link=True)


@resource.get("/<uid>/attendance")
def report(uid: str) -> Shape:
    meeting = access.meeting(g.account, uid)
    occurrence = access.conference(g.account, _occurrence(meeting).id)
    return shapes.attendance(attendance.of(occurrence.meeting, occurrence))


def _dry_run(draft: MeetingDraft) -> Response:
    """Book, look at it, and take it back: the answer is what booking would give."""

    class TakeBack(Exception):
        pass

    found: list[Shape] = []
    try:
        with transaction():
            found.append(_shape(meetings.book(draft, by=g.account)))
            raise TakeBack
    except TakeBack:
        return jsonify(found[0])


def _shape(meeting: Meeting) -> Shape:
    may_change = access.may_change(g.account, meeting)
    return shapes.meeting(meeting, outbox.deliveries([meeting]), with_links=may_change)


def _occurrence(meeting: Meeting) -> Occurrence:
    wanted = request.args.get("occurrence", "")
    if not wanted:
        return meeting.occurrence
    for one in meeting.occurrences:
        if str(one.id) == wanted:
            return one
    raise NotFound(Phrase("There is no such occurrence."))


def _place(cursor: str) -> tuple[datetime, int] | None:
    try:
        when, number = cursor.split(" ") if cursor else ("", "0")
        return (datetime.fromisoformat(when), int(number)) if when else None
    except ValueError as error:
        raise Invalid(cursor=Phrase("This is no cursor of ours.")) from error
