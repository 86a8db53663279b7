"""What somebody wants of a meeting."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from confbridge import clock, config
from confbridge.domain import wording
from confbridge.domain.capacity import Quality
from confbridge.domain.interval import Interval
from confbridge.domain.rank import Rank
from confbridge.domain.recurrence import MOST_OCCURRENCES, Series, parsed
from confbridge.domain.rsvp import Partstat, Role, Via
from confbridge.errors import Invalid, Phrase
from confbridge.inputs import Draft
from confbridge.inputs.text import Code, Line, Moment, Reason, Text, Title, mistake

MOST_MINUTES = 1440
MOST_ENDPOINTS = 1000
SECRET = Phrase(
    "Nothing of a state secret may be typed in here. Leave this empty: all are told “busy”."
)
FARTHEST = timedelta(days=3 * 366)
LONGEST_SEARCH = timedelta(weeks=8)


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
    quality: Quality | None = None  # of each leg; None: as the endpoint usually has


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


def _is_zone(timezone: str) -> str:
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise mistake(Phrase("There is no time zone “%(zone)s”.", zone=timezone)) from error
    return timezone


Zone = Annotated[str, Field(min_length=1, max_length=60), AfterValidator(_is_zone)]
Exdates = Annotated[tuple[Moment, ...], Field(max_length=MOST_OCCURRENCES)]
Number = Annotated[int, Field(ge=1, le=2**31 - 1)]
Network = Literal["tslcd", "internet"]


class Displacement(Draft):
    """Lower meetings that shall give way, named one by one, and why."""

    reason: Reason
    occurrences: Annotated[tuple[Number, ...], Field(min_length=1, max_length=1000)]


MOST_REHEARSED = 60  # minutes: it begins an hour before the meeting


class MeetingDraft(Draft):
    """A meeting that somebody wants to book.

    Of a state secret nothing is taken in but who is busy when: words, guests and links
    have no place here (NĐ 26/2020/NĐ-CP).
    """

    secret: bool = False
    title: Title = Field(default=None, validate_default=True)  # needed unless it is `secret`
    agenda: Text = ""
    start: Start
    minutes: Minutes
    host: Code | None = None
    chair: Line = ""
    endpoints: Endpoints
    guest_ports: Guests = 0
    lead_minutes: Margin = 15
    tail_minutes: Margin = 15
    rehearsal_minutes: Annotated[int, Field(ge=0, le=MOST_REHEARSED)] = 0
    timezone: Zone | None = None
    rrule: Annotated[str, Field(max_length=500)] | None = None
    exdates: Exdates = ()
    max_misses: Annotated[int, Field(ge=0, le=MOST_OCCURRENCES)] = 0
    rank: Rank | None = None
    network: Network | None = None
    bridge: Code | None = None
    standby: bool = False
    cascade: bool = True
    gives_back: bool = True
    leader_reason: Line = ""
    displace: Displacement | None = None
    state: Literal["draft", "scheduled"] = "scheduled"
    hold_minutes: Annotated[int, Field(ge=0, le=MOST_MINUTES)] | None = None
    wait: bool = False
    dry_run: bool = False

    @field_validator("title", mode="before")
    @classmethod
    def _titled(cls, title: object, info: ValidationInfo) -> object:
        if info.data.get("secret"):
            if title not in {None, "", wording.SECRET_TITLE}:
                raise mistake(SECRET)
            return wording.SECRET_TITLE
        if title is None:
            raise mistake(Phrase("This is missing."))
        return title

    @field_validator("agenda", "chair", "guest_ports", "leader_reason", "rehearsal_minutes")
    @classmethod
    def _untold(cls, given: object, info: ValidationInfo) -> object:
        if info.data.get("secret") and given:
            raise mistake(SECRET)
        return given

    @property
    def is_draft(self) -> bool:
        """Say whether nobody is to be told yet; who waits for room is a draft too."""
        return self.state == "draft" or self.wait

    @property
    def during(self) -> Interval:
        return Interval(self.start, self.start + timedelta(minutes=self.minutes))

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone or config.in_force().timezone)

    @property
    def series(self) -> Series | None:
        """The series that is wanted, None for a meeting that takes place once; raises Invalid."""
        if not self.rrule:
            return None
        return series_of(self.during, self.zone, self.rrule, self.exdates)

    def times(self) -> list[Interval]:
        """Return when the meeting takes place, in order.

        Raises Invalid.
        """
        if self.series is None:
            return [self.during]
        found = self.series.occurrences()
        if not found:
            raise Invalid(exdates=Phrase("No date is left of the series."))
        return found


def series_of(first: Interval, zone: ZoneInfo, rrule: str, exdates: Sequence[datetime]) -> Series:
    """Return a series that begins with `first`, seen in `zone`.

    Raises Invalid.
    """
    return Series(
        first=first.start.astimezone(zone).replace(tzinfo=None),
        zone=zone,
        lasts=first.lasts,
        rule=parsed(rrule, zone),
        skipped=frozenset(exdates),
    )


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
    rehearsal_minutes: Annotated[int, Field(ge=0, le=MOST_REHEARSED)] | None = None
    rrule: Annotated[str, Field(max_length=500)] | None = None
    exdates: Exdates | None = None
    rank: Rank | None = None
    network: Network | Literal[""] | None = None  # "": any that reaches everyone
    bridge: Code | Literal[""] | None = None  # "": any that will do
    standby: bool | None = None
    cascade: bool | None = None
    gives_back: bool | None = None
    leader_reason: Line | None = None
    displace: Displacement | None = None
    state: Literal["scheduled"] | None = None

    @property
    def is_to_start(self) -> bool:
        return self.state == "scheduled"


class OccurrenceChange(Draft):
    """What shall be different about one occurrence, or about it and all that follow."""

    start: Start | None = None
    minutes: Minutes | None = None
    endpoints: Endpoints | None = None
    following: bool = False
    leader_reason: Line = ""
    displace: Displacement | None = None


class Cancellation(Draft):
    """A meeting called off, or one occurrence, or it and all that follow."""

    reason: Reason
    following: bool = False


class Postponement(Draft):
    """A meeting that gives its time back and waits for a new one."""

    reason: Reason


class Hold(Draft):
    """A draft's wish to hold its slots for a while; nought gives them back."""

    minutes: Annotated[int, Field(ge=0, le=MOST_MINUTES)] | None = None


class AvailabilityQuery(Draft):
    """A question for times at which everybody could meet."""

    endpoints: Annotated[
        tuple[Invitee, ...], Field(min_length=1, max_length=300), AfterValidator(_each_once)
    ]
    minutes: Minutes
    from_: Annotated[Moment, Field(alias="from")]
    to: Moment
    guest_ports: Guests = 0
    working_hours: bool = False
    at_least: Annotated[int, Field(ge=0, le=300)] = 0
    notice_days: Annotated[int, Field(ge=0, le=60)] = 0
    limit: Annotated[int, Field(ge=1, le=50)] = 10
    lead_minutes: Margin = 15
    tail_minutes: Margin = 15
    network: Network | None = None
    standby: bool = False
    cascade: bool = True

    @model_validator(mode="after")
    def _checked(self) -> AvailabilityQuery:
        if self.to <= self.from_ or self.to - self.from_ > LONGEST_SEARCH:
            raise mistake(Phrase("Search at most eight weeks, “from” before “to”."))
        if self.to > clock.now() + FARTHEST:
            raise mistake(Phrase("The start is more than three years ahead."))
        return self


class Answer(Draft):
    """What an endpoint says to its invitation."""

    partstat: Partstat
    comment: Text = ""
    delegates: Text = ""
    headcount: Annotated[int, Field(ge=0, le=5000)] | None = None
    substitute: Line = ""  # who stands in, once the chair's side has agreed


class RecordedAnswer(Answer):
    """An answer that somebody else enters for an endpoint."""

    endpoint: Code
    via: Via = Via.API
    occurrence: Number | None = None  # None: of a series all


class Decision(Draft):
    """What the secretary decides about a reply that waits for it."""

    accept: bool
    partstat: Literal["ACCEPTED", "DECLINED", "TENTATIVE"] | None = None  # of an answer in words
    endpoint: Line = ""  # as whose answer a stranger's is taken
    reason: Line = ""  # told to who had proposed another time
    tell: bool = False  # a stranger that he is not invited
