"""Who is invited and what they say: answers by telephone, reminders, decisions, who comes."""

from __future__ import annotations

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from confbridge import clock, doors
from confbridge.database import attempt, transaction
from confbridge.domain.rsvp import Via
from confbridge.doors import Refused
from confbridge.errors import Conflict, Invalid
from confbridge.inputs import parse
from confbridge.inputs.meetings import Decision, RecordedAnswer
from confbridge.models import Reply, Standing, SubstituteState
from confbridge.services import access, attendees, meetings, replies
from confbridge.services.attendees import Row
from confbridge.web.meetings import shown
from confbridge.web.render import after_change, page
from confbridge.web.session import account

pages = Blueprint("attendees", __name__, url_prefix="/meetings/<uid>")


@pages.get("/attendees")
def delegates(uid: str) -> str:
    """Show who comes, as it is laid before the chair: one line an endpoint, late ones apart."""
    me = account()
    meeting = access.meeting(me, uid)
    number = request.args.get("occurrence", 0, type=int)
    one = meetings.occurrence_of(meeting, number) if number else meeting.occurrence
    grid = attendees.grid(meeting, one, may_change=access.may_change(me, meeting))
    closed = replies.said_in_time(meeting, one)
    coming = []
    for row in grid.rows:
        answer = closed.get(row.attendee.id) if row.said.late else row.said
        if answer is not None and _comes(row, answer):
            coming.append((row, answer))
    return page(
        "attendees/delegates.html",
        meeting=meeting,
        occurrence=one,
        coming=coming,
        late=[row for row in grid.rows if row.said.late],
        people=sum(answer.headcount or 0 for _, answer in coming),
        grid=grid,
        is_closed=replies.is_late(replies.Seat(meeting, meeting.attendees[0], one)),
        now=clock.now(),
    )


def _comes(row: Row, answer: Reply | Standing) -> bool:
    """Say whether an answer that was given in time says so; a substitute once agreed to."""
    if answer.substitute and row.said.substitute_state != SubstituteState.AGREED:
        return False
    return answer.partstat in {"ACCEPTED", "TENTATIVE"}


@pages.get("/attendees/<code>")
def show(uid: str, code: str) -> str:
    """Show everything an endpoint has answered, as evidence."""
    me = account()
    meeting = access.meeting(me, uid)
    access.check_may_change(me, meeting)
    attendee = replies.of_endpoint(meeting, code)
    return page(
        "attendees/show.html",
        meeting=meeting,
        attendee=attendee,
        history=replies.history(attendee, limit=200),
    )


@pages.post("/replies")
def record(uid: str) -> ResponseReturnValue:
    """Enter what an endpoint said by telephone."""
    me = account()
    access.check_may_change(me, access.meeting(me, uid))
    given = {key: value for key, value in request.form.items() if value and key != "csrf_token"}
    try:
        answer = parse(RecordedAnswer, {**given, "via": Via.PHONE})

        def deed() -> None:
            meeting = access.meeting(me, uid, to_change=True)
            attendee = replies.of_endpoint(meeting, answer.endpoint)
            seat = replies.seat(attendee, meeting, answer.occurrence)
            replies.record(seat, answer, via=Via.PHONE, by=me.email)

        attempt(deed)
    except Invalid as error:
        return shown(me, uid, problems=error.problems), 422
    except Conflict as error:
        return shown(me, uid, problems={"partstat": error.phrase}), 409
    return _back(uid)


@pages.post("/remind")
def remind(uid: str) -> ResponseReturnValue:
    """Ask who is silent again: all of them, or one."""
    me = account()
    code = request.form.get("endpoint", "")
    with transaction():
        meeting = access.meeting(me, uid, to_change=True)
        only = replies.of_endpoint(meeting, code) if code else None
        attendees.remind(meeting, only, by=me)
    return _back(uid)


@pages.post("/resend")
def resend(uid: str) -> ResponseReturnValue:
    """Send one endpoint its invitation again."""
    me = account()
    with transaction():
        meeting = access.meeting(me, uid, to_change=True)
        attendee = replies.of_endpoint(meeting, request.form.get("endpoint", ""))
        attendees.send_again(meeting, attendee, by=me)
    return _back(uid)


@pages.post("/decide/<int:number>")
def decide(uid: str, number: int) -> ResponseReturnValue:
    """Accept or refuse what somebody sent."""
    me = account()
    names = ("accept", "partstat", "endpoint", "reason", "tell")
    given = {name: request.form[name] for name in names if request.form.get(name)}
    try:
        doors.decide(uid, number, parse(Decision, given), by=me)
    except Invalid as error:
        return shown(me, uid, problems=error.problems), 422
    except Refused as error:
        return shown(me, uid, refused=error), 409
    except Conflict as error:
        return shown(me, uid, problems={"reply": error.phrase}), 409
    return _back(uid)


def _back(uid: str) -> ResponseReturnValue:
    """Go on where the form was: at the list of what is to be done, or at the meeting's grid."""
    if request.form.get("from") == "inbox":
        return after_change(go_to=url_for("inbox.index"))
    occurrence, show = request.form.get("occurrence") or None, request.form.get("show") or None
    here = url_for("meetings.show", uid=uid, occurrence=occurrence, show=show)
    return after_change(go_to=f"{here}#grid")
