"""The page on which an endpoint checks its line and joins, and the same for guests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, g, request
from flask.typing import ResponseReturnValue

from confbridge import drivers
from confbridge.database import attempt
from confbridge.domain.readiness import POINTS
from confbridge.doors import say
from confbridge.drivers import Driver, Visitor
from confbridge.errors import DriverError, Invalid, Phrase
from confbridge.inputs import Draft, parse
from confbridge.inputs.live import Pulse
from confbridge.inputs.text import Title
from confbridge.models import Attendee, Meeting, Occurrence
from confbridge.services import bridges, conferences, pulses, readiness, replies
from confbridge.services.conferences import Door, Entrance
from confbridge.services.pulses import Whose
from confbridge.web import filters
from confbridge.web.render import page
from confbridge.web.session import account_or_none

pages = Blueprint("join", __name__)

SAID = {
    Door.EARLY: Phrase("The room opens at %(time)s."),
    Door.NOT_READY: Phrase("The room is being opened. This takes a moment."),
    Door.TAKEN: Phrase(
        "This site is already in the conference. Leave there first, or wait half a minute if it"
        " has just been cut off."
    ),
    Door.FULL: Phrase("The conference is full. Please tell the contact."),
    Door.OVER: Phrase("The conference is over."),
    Door.CANCELLED: Phrase("The meeting has been cancelled."),
    Door.POSTPONED: Phrase("The meeting has been postponed. A new time will be told by mail."),
    Door.GIVEN_BACK: Phrase(
        "This site has declined, and its place was given back. Answer that you take part, then"
        " join."
    ),
    Door.SECRET: Phrase("This meeting is not held here. Ask the contact."),
    Door.NOT_INVITED: Phrase("This site is not invited to this one meeting of the series."),
    Door.LOCKED: Phrase("The conference is locked. Ask the contact to let you in."),
    Door.PUT_OUT: Phrase("The operator has taken this site out of the conference."),
}


class Guest(Draft):
    """Somebody without an endpoint, who knows the PIN."""

    name: Title
    pin: str


@pages.get("/join/<link>")
def show(link: str) -> str:
    attendee = replies.by_link(link)
    return _page(attendee.meeting, attendee.meeting.occurrence, attendee, link)


@pages.post("/join/<link>/ticket")
def ticket(link: str) -> ResponseReturnValue:
    attendee = replies.by_link(link)
    meeting = attendee.meeting
    entrance = conferences.entrance(meeting, meeting.occurrence, attendee)
    return _answer(entrance, attendee.endpoint.name)


@pages.get("/guest/<link>")
def show_guest(link: str) -> str:
    occurrence = conferences.of_guests(link)
    return _page(occurrence.meeting, occurrence, None, link)


@pages.post("/guest/<link>/ticket")
def guest_ticket(link: str) -> ResponseReturnValue:
    occurrence = conferences.of_guests(link)
    guest = parse(Guest, request.get_json(silent=True))
    entrance = conferences.entrance(occurrence.meeting, occurrence, None)
    if entrance.door is Door.OPEN and guest.pin != entrance.pin:
        raise Invalid(pin=Phrase("This is not the PIN of the conference."))
    return _answer(entrance, guest.name)


@pages.post("/join/<link>/pulse")
def pulse(link: str) -> ResponseReturnValue:
    """Take what the page says of its line, and tell it where its conference is now."""
    return _beat(lambda: pulses.of_attendee(link))


@pages.post("/guest/<link>/pulse")
def guest_pulse(link: str) -> ResponseReturnValue:
    return _beat(lambda: pulses.of_guest(link))


def _beat(whose: Callable[[], Whose]) -> ResponseReturnValue:
    told = parse(Pulse, request.get_json(silent=True))
    who = whose()
    if pulses.is_news(who, told):
        attempt(lambda: pulses.keep(whose(), told))
    beat = pulses.beat(who, told)
    return {
        "room": beat.room,
        "open": beat.is_open,
        "over": beat.is_over,
        "muted": beat.muted,
        "notices": [{"id": one.id, "text": one.text} for one in beat.notices],
    }


@pages.errorhandler(Invalid)
def invalid(error: Invalid) -> ResponseReturnValue:
    said = [say(phrase) for phrase in error.problems.values()]
    return {"door": "refused", "text": " ".join(said)}, 422


def _page(meeting: Meeting, occurrence: Occurrence, attendee: Attendee | None, link: str) -> str:
    g.bridge_origins = bridges.web_socket_origins()
    entrance = conferences.entrance(meeting, occurrence, attendee)
    return page(
        "join/show.html",
        meeting=meeting,
        occurrence=occurrence,
        attendee=attendee,
        link=link,
        entrance=entrance,
        # Whoever has just loaded the page again is told only once he wants to go in.
        text="" if entrance.door is Door.TAKEN else _text(entrance),
        is_known=account_or_none() is not None,
        points=POINTS,
        readiness=readiness.of_site(attendee, occurrence) if attendee else None,
    )


def _text(entrance: Entrance) -> str:
    if entrance.door not in SAID:
        return ""
    return say(Phrase(SAID[entrance.door].text, time=filters.moment(entrance.opens_at)))


def _answer(entrance: Entrance, name: str) -> dict[str, Any]:
    """Return the ticket, or why there is none; never kept by any cache."""
    if entrance.call is None:
        return {"door": entrance.door, "text": _text(entrance)}
    driver = drivers.connect(entrance.call.driver, entrance.call.settings)
    by_page = drivers.terms(entrance.call.driver).by_page
    if by_page and (shut := _shut(driver, entrance)):
        return {"door": shut.door, "text": _text(shut)}
    visitor = Visitor(name=name, token=entrance.token, is_chair=entrance.is_chair)
    given = driver.ticket(entrance.room, entrance.pin, visitor)
    return {
        "door": Door.OPEN,
        "url": given.url,
        "room": given.room,
        "pin": given.pin,
        "token": given.token,
        "name": name,
        "kind": given.kind,
        "place": entrance.room,
        "elsewhere": not by_page,
    }


def _shut(driver: Driver, entrance: Entrance) -> Entrance | None:
    """Return why nobody more can go in, if so: bridges that forward let in any number."""
    try:
        is_full = len(driver.participants(entrance.room)) >= entrance.ports
    except DriverError:
        return Entrance(door=Door.NOT_READY, opens_at=entrance.opens_at)
    return Entrance(door=Door.FULL, opens_at=entrance.opens_at) if is_full else None
