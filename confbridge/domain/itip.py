"""Invitations as iCalendar objects (RFC 5545, 5546, 7986)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

from icalendar import (
    Calendar,
    Event,
    FreeBusy,
    Timezone,
    vCalAddress,
    vDuration,
    vPeriod,
    vRecur,
    vText,
    vUri,
)

from confbridge.domain.interval import Interval
from confbridge.domain.rsvp import Partstat, Role

# No zone that we use has changed its rules since; an older first date makes
# the generator emit offsets of the last century, by which clients shift meetings.
ZONE_SINCE = date(2020, 1, 1)
DIALLED = ("sip:", "sips:", "tel:", "h323:")  # what is dialled is one of these as a URI
FRESH_FOR = timedelta(hours=1)  # after which a calendar that is subscribed to is read again


class Method(StrEnum):
    """What an iTIP message asks of its reader."""

    REQUEST = "REQUEST"
    CANCEL = "CANCEL"
    REPLY = "REPLY"
    COUNTER = "COUNTER"
    DECLINECOUNTER = "DECLINECOUNTER"
    REFRESH = "REFRESH"
    ADD = "ADD"
    PUBLISH = "PUBLISH"


@dataclass(frozen=True, kw_only=True)
class Invitation:
    """All that one endpoint's copy of a meeting says."""

    method: Method
    uid: str
    sequence: int
    stamped: datetime
    during: Interval
    timezone: str
    summary: str
    description: str
    location: str
    contact: str
    organizer_name: str
    organizer_email: str
    attendee_name: str
    attendee_email: str
    attendee_role: str
    partstat: str
    join_url: str  # "": there is none
    join_label: str
    is_cancelled: bool = False  # the meeting itself, not only this invitation
    is_postponed: bool = False  # it has no time at present
    rrule: str = ""
    exdates: tuple[datetime, ...] = ()
    recurrence_id: datetime | None = None  # of the one occurrence that this is about
    related_to: str = ""  # the UID of the series that this was split off from
    reason: str = ""
    is_secret: bool = False
    delegated_from: str = ""  # whose place the attendee takes
    dial: tuple[str, ...] = ()  # what is dialled; only what is a URI can stand as CONFERENCE
    dial_label: str = ""


def calendar(*invitations: Invitation) -> bytes:
    """Return the iCalendar object, in UTF-8 with CRLF and folded lines.

    Several are one meeting: a series and those of its occurrences that differ (S2).
    """
    made = _empty()
    made.add("METHOD", invitations[0].method)
    made.add_component(_zone(invitations[0].timezone))
    for invitation in invitations:
        made.add_component(_event(invitation))
    return _written(made)


def _empty() -> Calendar:
    made = Calendar()
    made.add("PRODID", "-//ConfBridge//ConfBridge//VI")
    made.add("VERSION", "2.0")
    made.add("CALSCALE", "GREGORIAN")
    return made


def _written(made: Calendar) -> bytes:
    written: bytes = made.to_ical()
    return written


@cache
def _zone(name: str) -> Timezone:
    return Timezone.from_tzid(name, first_date=ZONE_SINCE)


def _event(invitation: Invitation) -> Event:
    zone = ZoneInfo(invitation.timezone)
    event = Event()
    event.add("UID", invitation.uid)
    event.add("SEQUENCE", invitation.sequence)
    event.add("DTSTAMP", invitation.stamped.astimezone(UTC))
    event.add("DTSTART", invitation.during.start.astimezone(zone))
    event.add("DTEND", invitation.during.end.astimezone(zone))
    if invitation.recurrence_id:
        event.add("RECURRENCE-ID", invitation.recurrence_id.astimezone(zone))
    if invitation.related_to:
        event.add("RELATED-TO", invitation.related_to)
    event.add("SUMMARY", invitation.summary)
    event.add("ORGANIZER", _organizer(invitation))
    event.add("ATTENDEE", _attendee(invitation))
    if invitation.is_secret:
        event.add("CLASS", "CONFIDENTIAL")
    if invitation.reason:
        event.add("COMMENT", invitation.reason)
    if invitation.method is not Method.REQUEST:
        # S8: who is only taken off the list gets no STATUS, for the meeting goes on.
        if invitation.is_cancelled:
            event.add("STATUS", "CANCELLED")
        return event
    if invitation.rrule:
        event.add("RRULE", vRecur.from_ical(invitation.rrule))
        if invitation.exdates:
            event.add("EXDATE", [one.astimezone(zone) for one in invitation.exdates])
    event.add("STATUS", "TENTATIVE" if invitation.is_postponed else "CONFIRMED")
    event.add("TRANSP", "TRANSPARENT" if invitation.is_postponed else "OPAQUE")
    # What Outlook shows the time as (MS-OXCICAL): it knows no TRANSP beside it.
    busy = "FREE" if invitation.is_postponed else "BUSY"
    event.add("X-MICROSOFT-CDO-BUSYSTATUS", busy)
    _add_words(event, invitation)
    return event


def _add_words(event: Event, invitation: Invitation) -> None:
    event.add("LOCATION", invitation.location)
    event.add("CONTACT", invitation.contact)
    if invitation.description:
        event.add("DESCRIPTION", invitation.description)
    if invitation.join_url:
        event.add("URL", invitation.join_url)
        conference = vUri(invitation.join_url)
        conference.params["VALUE"] = "URI"
        conference.params["FEATURE"] = ["AUDIO", "VIDEO"]
        conference.params["LABEL"] = invitation.join_label
        event.add("CONFERENCE", conference)
    for one in invitation.dial:
        if one.startswith(DIALLED):
            dialled = vUri(one)
            dialled.params["VALUE"] = "URI"
            dialled.params["FEATURE"] = ["PHONE"]
            dialled.params["LABEL"] = invitation.dial_label
            event.add("CONFERENCE", dialled)


def _organizer(invitation: Invitation) -> vCalAddress:
    organizer = vCalAddress(f"mailto:{invitation.organizer_email}")
    organizer.params["CN"] = vText(invitation.organizer_name)
    return organizer


def _attendee(invitation: Invitation) -> vCalAddress:
    attendee = vCalAddress(f"mailto:{invitation.attendee_email}")
    attendee.params["CN"] = vText(invitation.attendee_name)
    is_optional = invitation.attendee_role == Role.OPTIONAL
    attendee.params["ROLE"] = vText("OPT-PARTICIPANT" if is_optional else "REQ-PARTICIPANT")
    attendee.params["PARTSTAT"] = vText(invitation.partstat)
    if invitation.delegated_from:
        attendee.params["DELEGATED-FROM"] = [f"mailto:{invitation.delegated_from}"]
    if invitation.method is Method.REQUEST:
        asked = invitation.partstat == Partstat.NEEDS_ACTION
        attendee.params["RSVP"] = vText("TRUE" if asked else "FALSE")
    return attendee


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One occurrence in a calendar to subscribe to."""

    uid: str
    sequence: int
    stamped: datetime
    during: Interval
    summary: str
    description: str
    location: str
    organizer_email: str
    is_secret: bool = False


def feed(name: str, entries: Iterable[Entry]) -> bytes:
    """Return a calendar to subscribe to: no METHOD, ORGANIZER and no ATTENDEE (S17, RFC 7986)."""
    made = _empty()
    made.add("NAME", name)
    made.add("X-WR-CALNAME", name)
    made.add("REFRESH-INTERVAL", _duration(FRESH_FOR))
    made.add("X-PUBLISHED-TTL", "PT1H")
    head, _, tail = _written(made).rpartition(b"END:VCALENDAR")
    return b"".join((head, *map(_entry, entries), b"END:VCALENDAR", tail))


def _duration(span: timedelta) -> vDuration:
    made = vDuration(span)
    made.params["VALUE"] = "DURATION"
    return made


@lru_cache(maxsize=20_000)
def _entry(entry: Entry) -> bytes:
    """Return one VEVENT; kept, for of a long calendar few entries change between two readings."""
    event = Event()
    event.add("UID", entry.uid)
    event.add("SEQUENCE", entry.sequence)
    event.add("DTSTAMP", entry.stamped.astimezone(UTC))
    event.add("DTSTART", entry.during.start.astimezone(UTC))
    event.add("DTEND", entry.during.end.astimezone(UTC))
    event.add("SUMMARY", entry.summary)
    event.add("ORGANIZER", vCalAddress(f"mailto:{entry.organizer_email}"))
    event.add("STATUS", "CONFIRMED")
    if entry.is_secret:
        event.add("CLASS", "CONFIDENTIAL")
    if entry.description:
        event.add("DESCRIPTION", entry.description)
    if entry.location:
        event.add("LOCATION", entry.location)
    written: bytes = event.to_ical()
    return written


@dataclass(frozen=True, kw_only=True)
class Busy:
    """When somebody is taken within a time, as VFREEBUSY says it."""

    uid: str
    stamped: datetime
    organizer_email: str
    within: Interval
    taken: Sequence[Interval]
    attendee_email: str = ""  # who was asked about, in a reply
    request_status: str = ""


def free_busy(busy: Busy, *, is_reply: bool) -> bytes:
    """Return a VFREEBUSY: published (RFC 5546 section 3.3.1), or as a REPLY (section 3.3.3)."""
    made = _empty()
    if is_reply:
        made.add("METHOD", Method.REPLY)
    component = FreeBusy()
    component.add("UID", busy.uid)
    component.add("DTSTAMP", busy.stamped.astimezone(UTC))
    component.add("ORGANIZER", vCalAddress(f"mailto:{busy.organizer_email}"))
    if busy.attendee_email:
        component.add("ATTENDEE", vCalAddress(f"mailto:{busy.attendee_email}"))
    component.add("DTSTART", busy.within.start.astimezone(UTC))
    component.add("DTEND", busy.within.end.astimezone(UTC))
    for one in busy.taken:
        period = vPeriod((one.start.astimezone(UTC), one.end.astimezone(UTC)))
        period.params["FBTYPE"] = "BUSY"
        component.add("FREEBUSY", period, encode=False)
    if busy.request_status:
        component.add("REQUEST-STATUS", busy.request_status, encode=False)
    made.add_component(component)
    return _written(made)
