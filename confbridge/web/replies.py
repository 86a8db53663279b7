"""The page on which an endpoint answers: a signed link will do; only POST changes anything."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Response, request, url_for
from flask.typing import ResponseReturnValue

from confbridge import clock
from confbridge.database import attempt, transaction
from confbridge.domain.rsvp import Via
from confbridge.errors import Conflict, Invalid, Phrase
from confbridge.inputs import parse
from confbridge.inputs.meetings import Answer
from confbridge.models import Attendee, Standing
from confbridge.services import invitations, replies
from confbridge.web import filters
from confbridge.web.render import after_change, page

pages = Blueprint("replies", __name__, url_prefix="/reply")

FIELDS = ("partstat", "comment", "delegates", "headcount", "substitute")


@pages.get("/<link>")
def show(link: str) -> str:
    return _page(replies.by_link(link), link, said="said" in request.args)


@pages.post("/<link>")
def answer(link: str) -> ResponseReturnValue:
    given = {name: request.form[name] for name in FIELDS if request.form.get(name, "").strip()}
    number = _occurrence()
    try:
        wanted = parse(Answer, given)

        def deed() -> None:
            attendee = replies.by_link(link, to_change=True)
            replies.check_revision(attendee.meeting, request.form.get("sequence", ""))
            who = f"endpoint {attendee.endpoint.code}"
            seat = replies.seat(attendee, attendee.meeting, number)
            replies.record(seat, wanted, via=Via.LINK, by=who)

        attempt(deed)
    except Invalid as error:
        attendee = replies.by_link(link)
        return _page(attendee, link, given=given, problems=error.problems), 422
    except Conflict as error:
        problems = {"partstat": error.phrase}
        return _page(replies.by_link(link), link, given=given, problems=problems), 409
    return after_change(go_to=url_for(".show", link=link, said="1", occurrence=number))


@pages.post("/<link>/seen")
def seen(link: str) -> ResponseReturnValue:
    """Note that somebody looks at the page; sent by its script, which mail scanners do not run."""
    with transaction():
        replies.seen(link)
    return "", 204


@pages.get("/<link>/invitation.ics")
def calendar(link: str) -> Response:
    """Give the invitation as a calendar has it, as things are now."""
    attendee = replies.by_link(link)
    made = invitations.current(attendee.meeting, attendee)
    headers = {"Content-Disposition": "attachment; filename=invite.ics"}
    return Response(made, mimetype="text/calendar", headers=headers)


def _occurrence() -> int | None:
    """Return the occurrence that the answer is about, None for all of the meeting."""
    number = request.values.get("occurrence", "")
    return int(number) if number.isdecimal() and len(number) < 10 else None


def _page(
    attendee: Attendee,
    link: str,
    *,
    said: bool = False,
    given: Mapping[str, str] | None = None,
    problems: Mapping[str, Phrase] | None = None,
) -> str:
    meeting = attendee.meeting
    ahead = replies.to_answer(attendee, meeting)
    number = _occurrence()
    chosen = next(((one, what) for one, what in ahead if one.id == number), None)
    standing: Standing = chosen[1] if chosen else attendee
    return page(
        "replies/show.html",
        attendee=attendee,
        meeting=meeting,
        link=link,
        said=said,
        standing=standing,
        form=given if given is not None else _form(standing),
        problems=problems or {},
        is_over=not ahead,
        ahead=ahead[:MOST_SHOWN] if meeting.repeats else [],
        occurrence=chosen[0] if chosen else None,
        history=replies.history(attendee, limit=20),
        coming=replies.coming(attendee),
        repeats=filters.repetition(meeting.rrule) if meeting.repeats else "",
        now=clock.now(),
    )


MOST_SHOWN = 60


def _form(standing: Standing) -> dict[str, str]:
    return {
        "partstat": standing.partstat,
        "comment": standing.comment,
        "delegates": standing.delegates,
        "substitute": standing.substitute,
        "headcount": "" if standing.headcount is None else str(standing.headcount),
    }
