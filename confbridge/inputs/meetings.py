"""What somebody wants of a meeting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, Field

from confbridge import clock, config
from confbridge.domain.interval import Interval
from confbridge.domain.rsvp import Partstat, Role, Via
from confbridge.errors import Phrase
from confbridge.inputs import Draft
from confbridge.inputs.text import Code, Line, Reason, Text, Title, mistake

MOST_MINUTES = 1440
MOST_ENDPOINTS = 1000
FARTHEST = timedelta(days=3 * 366)
FORM_TIME = "%Y-%m-%dT%H:%M"


def _is_ahead(start: datetime) -> datetime:
    # A minute's grace: a form is filled in at whole minutes, and takes time to send.
    if start < clock.now() - timedelta(minutes=1):
        raise mistake(Phrase("The start is in the past."))
    if start > clock.now() + FARTHEST:
        raise mistake(Phrase("The start is more than three years ahead."))
    # In UTC, where adding minutes means minutes; iCalendar knows no parts of a second.
    return start.astimezone(UTC).replace(microsecond=0)


class Invitee(Draft):
    """An endpoint wanted, what it is to the meeting, and how many ports it takes."""

    code: Code
    role: Role = Role.REQUIRED
    ports: Annotated[int, Field(ge=1, le=20)] = 1


def _each_once(endpoints: Sequence[Invitee]) -> Sequence[Invitee]:
    codes = [one.code for one in endpoints]
    for code in codes:
        if codes.count(code) > 1:
            raise mistake(Phrase("“%(code)s” is named twice.", code=code))
    if sum(one.role is Role.MAIN for one in endpoints) > 1:
        raise mistake(Phrase("There can be only one main site."))
    return endpoints


Start = Annotated[AwareDatetime, AfterValidator(_is_ahead)]
Minutes = Annotated[int, Field(ge=1, le=MOST_MINUTES)]
Margin = Annotated[int, Field(ge=0, le=240)]
Guests = Annotated[int, Field(ge=0, le=500)]
Endpoints = Annotated[
    tuple[Invitee, ...],
    Field(min_length=1, max_length=MOST_ENDPOINTS),
    AfterValidator(_each_once),
]


def _is_ours(timezone: str) -> str:
    if timezone != config.in_force().timezone:
        zone = config.in_force().timezone
        raise mistake(Phrase("Choose one of: %(choices)s.", choices=zone))
    return timezone


class MeetingDraft(Draft):
    """A meeting that somebody wants to book."""

    title: Title
    agenda: Text = ""
    start: Start
    minutes: Minutes
    host: Code | None = None
    chair: Line = ""
    endpoints: Endpoints
    guest_ports: Guests = 0
    lead_minutes: Margin = 15
    tail_minutes: Margin = 15
    timezone: Annotated[str, AfterValidator(_is_ours)] | None = None
    state: Literal["scheduled"] = "scheduled"
    dry_run: bool = False

    @property
    def during(self) -> Interval:
        return Interval(self.start, self.start + timedelta(minutes=self.minutes))


class MeetingChange(Draft):
    """What somebody wants to be different; what is not named stays."""

    title: Title | None = None
    agenda: Text | None = None
    start: Start | None = None
    minutes: Minutes | None = None
    chair: Line | None = None
    endpoints: Endpoints | None = None
    guest_ports: Guests | None = None
    lead_minutes: Margin | None = None
    tail_minutes: Margin | None = None


class Cancellation(Draft):
    """A meeting called off."""

    reason: Reason


class Answer(Draft):
    """What an endpoint says to its invitation."""

    partstat: Partstat
    comment: Text = ""
    delegates: Text = ""
    headcount: Annotated[int, Field(ge=0, le=5000)] | None = None


class RecordedAnswer(Answer):
    """An answer that somebody else enters for an endpoint."""

    endpoint: Code
    via: Via = Via.API


def from_form(form: Mapping[str, str], chosen: Sequence[str], zone: ZoneInfo) -> dict[str, Any]:
    """Return what a booking form says, in the shape of a draft.

    The form has the wall-clock time in `zone`; `chosen` are the codes ticked,
    `main` among them the main site, and `role-CODE` says who is optional.
    """
    draft: dict[str, Any] = {
        name: form.get(name, "")
        for name in ("title", "agenda", "chair", "host", "minutes", "guest_ports")
        if form.get(name, "").strip() or name in {"title", "minutes"}
    }
    draft |= {name: "" for name in ("agenda", "chair") if name in form and name not in draft}
    for margin in ("lead_minutes", "tail_minutes"):
        if form.get(margin, "").strip():
            draft[margin] = form[margin]
    if start := form.get("start", "").strip():
        draft["start"] = _in_zone(start, zone)
    main = form.get("main", "")
    draft["endpoints"] = [
        {"code": code, "role": _role(code, main, form)} for code in dict.fromkeys(chosen)
    ]
    return draft


def _role(code: str, main: str, form: Mapping[str, str]) -> str:
    if code == main:
        return Role.MAIN
    return Role.OPTIONAL if form.get(f"optional-{code}") else Role.REQUIRED


def _in_zone(text: str, zone: ZoneInfo) -> datetime | str:
    try:
        return datetime.strptime(text[:16], FORM_TIME).replace(tzinfo=zone)
    except ValueError:
        return text  # the draft refuses it, together with whatever else is wrong
