"""What somebody wants of an endpoint or a bridge."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from confbridge.domain.directory import EndpointKind
from confbridge.errors import Phrase
from confbridge.inputs import Draft
from confbridge.inputs.text import Code, Email, Line, Title, mistake

Networks = Annotated[tuple[Code, ...], Field(min_length=1, max_length=20)]
Seats = Annotated[int, Field(ge=0, le=10_000)]
Ports = Annotated[int, Field(ge=0, le=100_000)]


def _known(state: str) -> str:
    if state not in {"active", "retired"}:
        raise mistake(Phrase("Choose one of: %(choices)s.", choices="active, retired"))
    return state


class EndpointDraft(Draft):
    """A new endpoint."""

    code: Code
    name: Title
    organisation: Code
    kind: EndpointKind
    seats: Seats = 0
    address: Line = ""
    networks: Networks
    email: Email
    contact: Line = ""
    phone: Line = ""


class EndpointChange(Draft):
    """What shall be different about an endpoint."""

    name: Title | None = None
    organisation: Code | None = None
    kind: EndpointKind | None = None
    seats: Seats | None = None
    address: Line | None = None
    networks: Networks | None = None
    email: Email | None = None
    contact: Line | None = None
    phone: Line | None = None
    state: Annotated[str, AfterValidator(_known)] | None = None


class BridgeDraft(Draft):
    """A new bridge; `settings` and `secrets` are checked against what its driver declares."""

    code: Code
    name: Title
    driver: Code
    ports: Ports
    networks: Networks
    settings: dict[str, Line] = Field(default_factory=dict)
    secrets: dict[str, Line] = Field(default_factory=dict)


class BridgeChange(Draft):
    """What shall be different about a bridge."""

    name: Title | None = None
    ports: Ports | None = None
    networks: Networks | None = None
    settings: dict[str, Line] | None = None
    secrets: dict[str, Line] | None = None
