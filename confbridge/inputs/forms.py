"""What a booking form says, in the shape of a draft; the draft then checks it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from confbridge.domain.recurrence import WEEKDAYS
from confbridge.domain.rsvp import Role
from confbridge.inputs.text import EARLIEST, LATEST

FORM_TIME = "%Y-%m-%dT%H:%M"
PLAIN = ("title", "agenda", "chair", "host", "minutes", "guest_ports")
MARGINS = ("lead_minutes", "tail_minutes", "rehearsal_minutes")
CHOICES = ("rank", "network", "max_misses", "leader_reason")


class Form(Protocol):
    """What a browser sends: one value for a name, or several."""

    def get(self, name: str, default: str, /) -> str: ...

    def getlist(self, name: str, /) -> list[str]: ...

    def __contains__(self, name: object, /) -> bool: ...


def meeting(form: Form, chosen: Sequence[str], zone: ZoneInfo) -> dict[str, Any]:
    """Return a meeting: the form has the wall-clock time in `zone`.

    `chosen` are the codes ticked, `main` among them the main site, and
    `optional-CODE` says who is optional.
    """
    draft: dict[str, Any] = {
        name: form.get(name, "")
        for name in PLAIN
        if form.get(name, "").strip() or name in {"title", "minutes"}
    }
    draft |= {name: "" for name in ("agenda", "chair") if name in form and name not in draft}
    for name in (*MARGINS, *CHOICES):
        if form.get(name, "").strip():
            draft[name] = form.get(name, "")
    if "network" in form and "uid" in form:  # of a meeting that is there: it may be cleared
        draft["network"] = form.get("network", "")
    for name in ("standby", "cascade", "gives_back", "secret"):
        if f"has_{name}" in form:  # the form shows the box: unticked means no
            draft[name] = name in form
    if start := form.get("start", "").strip():
        draft["start"] = in_zone(start, zone)
    draft["endpoints"] = invitees(form, chosen)
    if repetition := rule(form, draft.get("start"), zone):
        draft["rrule"] = repetition
        draft["exdates"] = left_out(form, draft.get("start"), zone)
    draft |= displacement(form)
    return draft


def displacement(form: Form) -> dict[str, Any]:
    """Return what shall give way; boxes that are ticked mean nothing to any other button."""
    if form.get("intent", "") != "displace":
        return {}
    reason, numbers = form.get("displace_reason", ""), form.getlist("displace")
    return {"displace": {"reason": reason, "occurrences": numbers}}


def invitees(form: Form, chosen: Sequence[str]) -> list[dict[str, Any]]:
    main = form.get("main", "")
    return [
        {"code": code, "role": _role(code, main, form)}
        for code in dict.fromkeys([*chosen, *([main] if main else [])])
    ]


def rule(form: Form, start: object, zone: ZoneInfo) -> str:
    """Return the RRULE that the form describes, "" if the meeting takes place once.

    What is written out by hand goes first; what makes no sense the draft refuses.
    """
    if written := form.get("rrule", "").strip():
        return written
    every = form.get("repeat", "")
    if not every:
        return ""
    frequency, _, kind = every.partition("-")
    parts = [f"FREQ={frequency}"]
    interval = form.get("interval", "").strip()
    if interval not in {"", "1"}:
        parts.append(f"INTERVAL={interval}")
    local = start.astimezone(zone) if isinstance(start, datetime) else None
    if frequency == "WEEKLY":
        days = form.getlist("byday") or ([WEEKDAYS[local.weekday()]] if local else [])
        parts.append(f"BYDAY={','.join(days)}")
    elif kind == "nth" and local:
        parts.append(f"BYDAY={(local.day + 6) // 7}{WEEKDAYS[local.weekday()]}")
    elif kind == "last" and local:
        parts.append(f"BYDAY=-1{WEEKDAYS[local.weekday()]}")
    until, count = form.get("until", "").strip(), form.get("count", "").strip()
    if until:
        parts.append(f"UNTIL={until.replace('-', '')}")
    elif count:
        parts.append(f"COUNT={count}")
    return ";".join(parts)


def left_out(form: Form, start: object, zone: ZoneInfo) -> list[datetime | str]:
    """Return the dates left out of a series, as moments at its hour."""
    found: list[datetime | str] = []
    for text in form.get("exdates", "").replace(",", " ").split():
        day = _day(text)
        if day is None or not isinstance(start, datetime):
            found.append(text)
        else:
            clock = start.astimezone(zone)
            found.append(day.replace(hour=clock.hour, minute=clock.minute, tzinfo=zone))
    return found


def times(form: Form, chosen: Sequence[str], zone: ZoneInfo) -> dict[str, Any]:
    """Return the question for free times near the day that the form names."""
    start = in_zone(form.get("start", "").strip(), zone)
    since: datetime | str = start
    if isinstance(start, datetime):
        since = start.replace(hour=0, minute=0)
    query: dict[str, Any] = {
        "endpoints": invitees(form, chosen),
        "minutes": form.get("minutes", ""),
        "from": since,
        "to": since + timedelta(days=14) if isinstance(since, datetime) else since,
        "working_hours": "any_hour" not in form,
        "limit": 8,
    }
    for name in ("guest_ports", "at_least", "network", *MARGINS):
        if form.get(name, "").strip():
            query[name] = form.get(name, "")
    for name in ("standby", "cascade"):
        if f"has_{name}" in form:
            query[name] = name in form
    return query


def in_zone(text: str, zone: ZoneInfo) -> datetime | str:
    """Return the moment that a browser's field names, or the text if it names none."""
    try:
        found = datetime.strptime(text[:16], FORM_TIME).replace(tzinfo=zone)
    except ValueError:
        return text  # the draft refuses it, together with whatever else is wrong
    return found if EARLIEST <= found.year <= LATEST else text


def _day(text: str) -> datetime | None:
    for pattern in ("%Y-%m-%d", "%d/%m/%Y"):
        try:
            found = datetime.strptime(text, pattern)  # noqa: DTZ007 - the zone is added above
        except ValueError:
            continue
        return found if EARLIEST <= found.year <= LATEST else None
    return None


def _role(code: str, main: str, form: Form) -> str:
    if code == main:
        return Role.MAIN
    return Role.OPTIONAL if form.get(f"optional-{code}", "") else Role.REQUIRED
