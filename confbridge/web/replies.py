"""The page on which an endpoint answers: a signed link will do; only POST changes anything."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from confbridge import clock
from confbridge.database import attempt
from confbridge.domain.rsvp import Via
from confbridge.errors import Conflict, Invalid, Phrase
from confbridge.inputs import parse
from confbridge.inputs.meetings import Answer
from confbridge.models import Attendee
from confbridge.services import replies
from confbridge.web import filters
from confbridge.web.render import after_change, page

pages = Blueprint("replies", __name__, url_prefix="/reply")


@pages.get("/<link>")
def show(link: str) -> str:
    return _page(replies.by_link(link), link, said="said" in request.args)


@pages.post("/<link>")
def answer(link: str) -> ResponseReturnValue:
    names = ("partstat", "comment", "delegates", "headcount")
    given = {name: request.form[name] for name in names if request.form.get(name, "").strip()}
    try:
        wanted = parse(Answer, given)

        def deed() -> None:
            attendee = replies.by_link(link, to_change=True)
            replies.check_revision(attendee.meeting, request.form.get("sequence", ""))
            who = f"endpoint {attendee.endpoint.code}"
            replies.record(attendee.meeting, attendee, wanted, via=Via.LINK, by=who)

        attempt(deed)
    except Invalid as error:
        attendee = replies.by_link(link)
        return _page(attendee, link, given=given, problems=error.problems), 422
    except Conflict as error:
        return _page(replies.by_link(link), link, problems={"partstat": error.phrase}), 409
    return after_change(go_to=url_for(".show", link=link, said="1"))


def _page(
    attendee: Attendee,
    link: str,
    *,
    said: bool = False,
    given: Mapping[str, str] | None = None,
    problems: Mapping[str, Phrase] | None = None,
) -> str:
    meeting = attendee.meeting
    return page(
        "replies/show.html",
        attendee=attendee,
        meeting=meeting,
        link=link,
        said=said,
        form=given
        or {
            "partstat": attendee.partstat,
            "comment": attendee.comment,
            "delegates": attendee.delegates,
            "headcount": "" if attendee.headcount is None else str(attendee.headcount),
        },
        problems=problems or {},
        is_over=meeting.occurrence.ends <= clock.now(),
        repeats=filters.repetition(meeting.rrule) if meeting.repeats else "",
    )
