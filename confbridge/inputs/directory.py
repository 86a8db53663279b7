"""What somebody wants of an endpoint or a bridge."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from confbridge.domain.capacity import Quality
from confbridge.domain.directory import EndpointKind
from confbridge.domain.rank import Rank
from confbridge.errors import Phrase
from confbridge.inputs import Draft
from confbridge.inputs.text import Code, Day, Email, Line, Moment, Reason, Title, mistake

Networks = Annotated[tuple[Code, ...], Field(min_length=1, max_length=20)]
Seats = Annotated[int, Field(ge=0, le=10_000)]
Ports = Annotated[int, Field(ge=0, le=100_000)]


def _known(state: str) -> str:
    if state not in {"active", "retired"}:
        raise mistake(Phrase("Choose one of: %(choices)s.", choices="active, retired"))
    return state


Percent = Annotated[int, Field(ge=0, le=99)]
Pace = Annotated[int, Field(ge=1, le=10_000)]
InFlight = Annotated[int, Field(ge=1, le=100)]
Kinds = Annotated[tuple[EndpointKind, ...], Field(min_length=1, max_length=2)]


# Others who receive for an endpoint; any of them may answer.
Recipients = Annotated[tuple[Email, ...], Field(max_length=20)]
Language = Literal["vi", "en"]


class EndpointDraft(Draft):
    """A new endpoint."""

    code: Code
    name: Title
    organisation: Code
    kind: EndpointKind
    quality: Quality = Quality.HD
    seats: Seats = 0
    address: Line = ""
    networks: Networks
    email: Email
    contact: Line = ""
    phone: Line = ""
    recipients: Recipients = ()
    language: Language = "vi"


class EndpointChange(Draft):
    """What shall be different about an endpoint."""

    name: Title | None = None
    organisation: Code | None = None
    kind: EndpointKind | None = None
    quality: Quality | None = None
    seats: Seats | None = None
    address: Line | None = None
    networks: Networks | None = None
    email: Email | None = None
    contact: Line | None = None
    phone: Line | None = None
    recipients: Recipients | None = None
    language: Language | None = None
    state: Annotated[str, AfterValidator(_known)] | None = None


class BridgeDraft(Draft):
    """A new bridge; `settings` and `secrets` are checked against what its driver declares."""

    code: Code
    name: Title
    driver: Code
    ports: Ports
    networks: Networks
    kinds: Kinds = (EndpointKind.ROOM, EndpointKind.SOFT)
    pool: Code | None = None
    failure_domain: Line = ""
    head_room: Percent = 0
    rooms_per_minute: Pace = 30
    in_flight: InFlight = 4
    settings: dict[str, Line] = Field(default_factory=dict)
    secrets: dict[str, Line] = Field(default_factory=dict)


class BridgeChange(Draft):
    """What shall be different about a bridge."""

    name: Title | None = None
    ports: Ports | None = None
    networks: Networks | None = None
    kinds: Kinds | None = None
    pool: Code | None = None
    failure_domain: Line | None = None
    head_room: Percent | None = None
    rooms_per_minute: Pace | None = None
    in_flight: InFlight | None = None
    settings: dict[str, Line] | None = None
    secrets: dict[str, Line] | None = None


LONGEST_MAINTENANCE = timedelta(days=366)


class Maintenance(Draft):
    """A time in which an endpoint cannot be used, or a bridge has fewer ports."""

    start: Moment
    end: Moment
    reason: Reason
    ports_left: Ports = 0
    dry_run: bool = False

    @model_validator(mode="after")
    def _checked(self) -> Maintenance:
        if not self.start < self.end <= self.start + LONGEST_MAINTENANCE:
            raise mistake(Phrase("The end must be after the beginning, within a year."))
        return self


class Weights(Draft):
    """Ranks and their weights; a higher one goes first."""

    weights: dict[Rank, Annotated[int, Field(ge=1, le=1000)]]


Before = Annotated[int, Field(ge=1, le=43200)]  # minutes


class DecidedDay(Draft):
    """A day that is worked, or off, by decision; `basis` is the document."""

    day: Day
    worked: bool
    basis: Line = ""


class PoolDraft(Draft):
    """Bridges that stand in for each other."""

    code: Code
    name: Title
    survives_loss: bool = False


class PoolChange(Draft):
    """What shall be different about a pool."""

    name: Title | None = None
    survives_loss: bool | None = None


class Reminders(Draft):
    """When an organisation's endpoints are reminded, and whom to tell of silence."""

    remind_minutes: Annotated[tuple[Before, ...], Field(max_length=5)] | None = None
    chase_days: Annotated[int, Field(ge=0, le=60)] | None = None
    office_name: Line = ""
    office_email: Email | Literal[""] = ""
