"""The board of who is ready before a meeting, and what each site says of itself."""

from __future__ import annotations

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from confbridge import clock, drivers
from confbridge.database import attempt
from confbridge.domain.readiness import POINTS
from confbridge.doors import say
from confbridge.errors import Conflict, DriverError, Phrase
from confbridge.inputs import parse
from confbridge.inputs.live import LineResult, SignOffDraft
from confbridge.models import Attendee
from confbridge.services import access, linetests, readiness, replies
from confbridge.web.render import after_change, page
from confbridge.web.session import account

pages = Blueprint("readiness", __name__)

NO_LOOP = Phrase("The bridge cannot test the line now. Try again in a minute.")


@pages.get("/conferences/<int:number>/readiness")
def board(number: int) -> str:
    """Show who is ready; the page asks for itself again and again."""
    occurrence = access.conference(account(), number)
    found = readiness.board(occurrence.meeting, occurrence)
    return page(
        "readiness/board.html",
        occurrence=occurrence,
        meeting=occurrence.meeting,
        board=found,
        points=POINTS,
        now=clock.now(),
    )


@pages.post("/join/<link>/sign-off")
def sign_off(link: str) -> ResponseReturnValue:
    """Keep what a site says of itself."""
    given = {name: request.form.get(name, "") for name in (*POINTS, "note")}
    draft = parse(SignOffDraft, given)

    def deed() -> None:
        attendee = replies.by_link(link, to_change=True)
        occurrence = attendee.meeting.occurrence
        readiness.sign_off(attendee, occurrence, draft, by=attendee.endpoint.contact)

    attempt(deed)
    return after_change(go_to=url_for("join.show", link=link) + "#ready")


@pages.post("/join/<link>/line-test")
def begin(link: str) -> ResponseReturnValue:
    """Return where the site can send its pictures and sound, to have them back."""
    attendee = replies.by_link(link)
    try:
        loop = linetests.prepare(attendee.meeting.occurrence, attendee)
        driver = drivers.connect(loop.call.driver, loop.call.settings)
        if not isinstance(driver, drivers.CanLoop):
            raise DriverError("this bridge cannot send back", permanent=True)
        ticket = driver.loop_ticket(loop.room, loop.secret, loop.visitor)
    except Conflict as error:
        return {"text": say(error.phrase)}, 409
    except DriverError:
        return {"text": say(NO_LOOP)}, 409
    return {
        "url": ticket.url,
        "room": ticket.room,
        "pin": ticket.pin,
        "token": ticket.token,
        "bridge": loop.code,
    }


@pages.post("/join/<link>/line-result")
def result(link: str) -> ResponseReturnValue:
    """Keep what the test showed."""
    told = parse(LineResult, request.get_json(silent=True))

    def deed() -> Attendee:
        attendee = replies.by_link(link, to_change=True)
        linetests.keep(attendee, attendee.meeting.occurrence, told)
        return attendee

    attempt(deed)
    return {"ok": True}
