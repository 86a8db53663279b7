"""Text that people type: what we take, and what we refuse."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field
from pydantic_core import PydanticCustomError

from confbridge.errors import Phrase

MARKUP = re.compile(r"<[a-zA-Z/!?]")
# Marks that turn the direction of what follows, and the byte order mark.
HIDING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
EARLIEST, LATEST = 1971, 2199  # a day less on each side, for the zones
CODE = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


def mistake(phrase: Phrase) -> PydanticCustomError:
    """Return an error for a validator to raise, that says `phrase`."""
    return PydanticCustomError("confbridge", "{phrase}", {"phrase": phrase})


def _tidy(text: str, *, allowed: str) -> str:
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    for letter in text:
        # Cc: control; Cs: half a character.
        if letter not in allowed and (
            unicodedata.category(letter) in {"Cc", "Cs"} or letter in HIDING
        ):
            raise mistake(
                Phrase("Remove the control character U+%(code)s.", code=f"{ord(letter):04X}")
            )
    if MARKUP.search(text):
        raise mistake(Phrase("Write plain text without HTML."))
    return text


def _possible(moment: datetime) -> datetime:
    """Refuse years in which no calendar of ours counts; give the rest in UTC, in whole seconds."""
    if not EARLIEST <= moment.year <= LATEST:
        raise mistake(Phrase("Choose a year from 1970 to 2200."))
    return moment.astimezone(UTC).replace(microsecond=0)


def _one_line(text: str) -> str:
    return _tidy(text, allowed="")


def tidy_lines(text: str) -> str:
    """Return text of several lines as it is kept; refuse what would hide something."""
    return _tidy(text, allowed="\n\t")


def _code(text: str) -> str:
    if not re.fullmatch(CODE, text):
        raise mistake(Phrase("Use letters, digits, dots and hyphens."))
    return text


def _email(text: str) -> str:
    if not re.fullmatch(r"[^@\s<>,;:\"()\[\]\\]+@[A-Za-z0-9.-]+", text) or not text.isascii():
        raise mistake(Phrase("This is not a mail address."))
    return text


def _possible_day(day: date) -> date:
    if not EARLIEST <= day.year <= LATEST:
        raise mistake(Phrase("Choose a year from 1970 to 2200."))
    return day


Day = Annotated[date, AfterValidator(_possible_day)]
Moment = Annotated[AwareDatetime, AfterValidator(_possible)]
Title = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_one_line)]
Line = Annotated[str, Field(max_length=300), AfterValidator(_one_line)]
Text = Annotated[str, Field(max_length=5000), AfterValidator(tidy_lines)]
Reason = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(tidy_lines)]
Code = Annotated[str, Field(min_length=1, max_length=40), AfterValidator(_code)]
Email = Annotated[str, Field(min_length=3, max_length=254), AfterValidator(_email)]
