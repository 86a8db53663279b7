"""iCalendar objects that others send: read with patience, and within limits (RFC 5545, 5546)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from icalendar import Calendar, Component
from icalendar.error import BrokenCalendarProperty

LARGEST = 256 * 1024  # bytes of one object
MOST_LINES = 5000
MOST_COMPONENTS = 200
LONGEST_TEXT = 2000
LONGEST_NAME = 300
MOST_ATTENDEES = 50
READ = {"VEVENT", "VFREEBUSY"}
# A rule of a zone that recurs more often than yearly would take for ever to expand.
WILD_RULE = re.compile(rb"FREQ=(?!YEARLY)[A-Z]+", re.IGNORECASE)
ZONE = re.compile(rb"BEGIN:VTIMEZONE.*?END:VTIMEZONE", re.IGNORECASE | re.DOTALL)
ADDRESS = re.compile(r"[!#-'*+./0-9=?^_`a-z{|}~-]+@[a-z0-9.-]+")
LONGEST_ADDRESS = 254
EARLIEST, LATEST = 1971, 2199
LOWEST, HIGHEST = 0, 2**31 - 1


class Unusable(Exception):
    """What came is no iCalendar object that can be worked on; `args[0]` says why, in a word."""


@dataclass(frozen=True, kw_only=True)
class Who:
    """Somebody named in it, by a mail address in small letters."""

    address: str
    name: str = ""
    partstat: str = ""
    delegated_to: str = ""
    delegated_from: str = ""
    sent_by: str = ""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One component of an object, with all that iTIP asks of it; moments in UTC."""

    method: str  # in capitals; "" if none is named
    kind: str  # VEVENT, VFREEBUSY, …
    uid: str
    sequence: int
    stamped: datetime | None
    recurrence_id: datetime | None
    and_future: bool
    organizer: Who | None
    attendees: tuple[Who, ...]
    starts: datetime | None
    ends: datetime | None
    comment: str
    request_status: str


def parts(raw: bytes, zone: ZoneInfo) -> list[Part]:
    """Return the components of an object, or of several one after another.

    Times without a zone of their own are read in `zone`. What real clients
    leave out or write otherwise is taken as it is meant: METHOD in small
    letters, no PRODID, no ORGANIZER, Windows' names of zones.

    Raises Unusable.
    """
    # What some mail servers make of line ends, and what RFC 5546 section 4.4.5 prints.
    raw = raw.replace(b"\r\r\n", b"\r\n")
    raw = raw.replace(b"RECURRENCE-ID;THISANDFUTURE", b"RECURRENCE-ID;RANGE=THISANDFUTURE")
    if len(raw) > LARGEST:
        raise Unusable("too_large")
    if raw.count(b"\n") > MOST_LINES or raw.upper().count(b"BEGIN:") > MOST_COMPONENTS:
        raise Unusable("too_many_parts")
    if any(WILD_RULE.search(found.group()) for found in ZONE.finditer(raw)):
        raise Unusable("strange_zone")
    try:
        calendars = Calendar.from_ical(raw, multiple=True)
        found = [
            _part(_text(calendar.get("METHOD")).upper(), component, zone)
            for calendar in calendars
            for component in calendar.subcomponents
            if component.name not in {None, "VTIMEZONE"}
        ]
    except Unusable:
        raise
    except Exception as error:
        raise Unusable("not_icalendar") from error
    if not found:
        raise Unusable("nothing_in_it")
    return found


def _part(method: str, component: Component, zone: ZoneInfo) -> Part:
    start, end = _moment(component.get("DTSTART"), zone), _moment(component.get("DTEND"), zone)
    if start and not end and (lasts := _span(component.get("DURATION"))):
        end = start + lasts
    recurrence_id = component.get("RECURRENCE-ID")
    named = _moment(recurrence_id, zone)
    said = recurrence_id is not None or any("RECURRENCE-ID" in str(one) for one in component.errors)
    if said and named is None:  # what is about one occurrence must never count for them all
        raise Unusable("strange_occurrence")
    organizers = list(_people(component.get("ORGANIZER")))
    return Part(
        method=method,
        kind=str(component.name),
        uid=_text(component.get("UID"))[:LONGEST_NAME],
        sequence=_whole(component.get("SEQUENCE")),
        stamped=_moment(component.get("DTSTAMP"), zone),
        recurrence_id=named,
        and_future=_parameter(recurrence_id, "RANGE").upper() == "THISANDFUTURE",
        organizer=organizers[0] if organizers else None,
        attendees=tuple(_people(component.get("ATTENDEE"))),
        starts=start,
        ends=end,
        comment=_comment(component.get("COMMENT")),
        request_status=_text(component.get("REQUEST-STATUS"))[:LONGEST_NAME],
    )


def _people(value: Any) -> Iterator[Who]:
    """Yield who is named, each once: some clients repeat an attendee."""
    seen = set()
    for one in (value if isinstance(value, list) else [value])[:MOST_ATTENDEES]:
        address = _address(one)
        if address and address not in seen:
            seen.add(address)
            yield Who(
                address=address,
                name=_clean(_parameter(one, "CN"))[:LONGEST_NAME],
                partstat=_parameter(one, "PARTSTAT").upper()[:20],
                delegated_to=_address(_parameter(one, "DELEGATED-TO")),
                delegated_from=_address(_parameter(one, "DELEGATED-FROM")),
                sent_by=_address(_parameter(one, "SENT-BY")),
            )


def _address(value: Any) -> str:
    """Return the mail address of a CAL-ADDRESS, also of one without `mailto:`."""
    text = str(value or "").strip().strip('"').lower()
    text = text.removeprefix("mailto:")
    return text if len(text) <= LONGEST_ADDRESS and ADDRESS.fullmatch(text) else ""


def _parameter(value: Any, name: str) -> str:
    found = getattr(value, "params", {}).get(name, "")
    if isinstance(found, list | tuple):
        found = found[0] if found else ""
    return str(found)


def _moment(value: Any, zone: ZoneInfo) -> datetime | None:
    """Return the instant, so that 01:00Z and 08:00 in Saigon are the same (R1)."""
    moment = _dt(value)
    if not isinstance(moment, datetime):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    if not EARLIEST <= moment.year <= LATEST:
        return None
    return moment.astimezone(UTC).replace(microsecond=0)


def _span(value: Any) -> timedelta | None:
    span = _dt(value)
    return span if isinstance(span, timedelta) and timedelta(0) < span < timedelta(days=7) else None


def _dt(value: Any) -> Any:
    """Return what a date says, None of one that is written wrong: the rest may still do."""
    try:
        return getattr(value, "dt", None)
    except BrokenCalendarProperty:
        return None


def _whole(value: Any) -> int:
    try:
        number = int(value or 0)
    except (TypeError, ValueError):
        return 0
    return min(max(number, LOWEST), HIGHEST)


def _text(value: Any) -> str:
    if isinstance(value, list):
        value = value[0] if value else ""
    return _clean(str(value or "")).strip()


def _comment(value: Any) -> str:
    several = value if isinstance(value, list) else [value]
    return "\n".join(_clean(str(one)) for one in several[:10] if one)[:LONGEST_TEXT].strip()


def _clean(text: str) -> str:
    """Return text without what no page or database takes."""
    text = text.replace("\r\n", "\n").encode("utf-8", "replace").decode("utf-8", "replace")
    return "".join(letter for letter in text if letter.isprintable() or letter in "\n\t")
