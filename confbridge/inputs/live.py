"""What comes in about conferences that are on, or are about to be."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from confbridge.inputs import Draft
from confbridge.inputs.text import Email, Line, Moment, tidy_lines

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=60)]
Words = Annotated[str, Field(max_length=500), AfterValidator(tidy_lines)]
Name = Annotated[str, Field(max_length=100)]
Word = Literal["", "ok", "bad"]


class LineResult(Draft):
    """What a test of a line showed; `loss` is of 1, `delay` in seconds there and back."""

    bridge: Name = ""
    camera: bool = False
    microphone: bool = False
    loudspeaker: bool = False
    looped: bool = False
    loss: Share | None = None
    delay: Seconds | None = None
    detail: Words = ""


class SignOffDraft(Draft):
    """What a site says of itself before a meeting."""

    power: Word = ""
    picture: Word = ""
    sound: Word = ""
    line: Word = ""
    account: Word = ""
    note: Words = ""


class Pulse(Draft):
    """What a join page says of itself every few seconds, and what it has heard of last."""

    leg: Name = ""
    picture: bool | None = None
    sound: bool | None = None
    hand: bool = False
    loss: Share | None = None
    delay: Seconds | None = None
    notice: Annotated[int, Field(ge=0)] = 0


class Command(Draft):
    """What an operator wants of a conference; what is needed depends on the command."""

    leg: Annotated[int, Field(ge=1)] | None = None  # the number of a leg; None: everybody
    keep_out: bool = False
    text: Words = ""
    minutes: Annotated[int, Field(ge=1, le=480)] = 15
    layout: Name = ""
    endpoint: Name = ""
    decision: Words = ""


class RollCallDraft(Draft):
    """What the secretary records of one site."""

    state: Literal["present_online", "present_in_person", "absent", "not_called"]
    reason: Words = ""
    headcount: Annotated[int, Field(ge=0, le=10_000)] | None = None


class Taking(Draft):
    """That somebody looks after an incident."""

    note: Words = ""


class DutyDraft(Draft):
    """When somebody is on duty."""

    email: Email
    start: Moment
    end: Moment
    phone: Line = ""
