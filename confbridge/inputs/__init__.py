"""Untrusted text in, frozen drafts out, or Invalid with what is wrong at which field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from confbridge.errors import Invalid, Phrase


class Draft(BaseModel):
    """Base of all that comes from outside: frozen, and nothing unknown slips in."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


Kind = TypeVar("Kind", bound=Draft)

# pydantic's own words for a mistake -> ours. The values in brackets are pydantic's.
SAID = {
    "missing": Phrase("This is missing."),
    "extra_forbidden": Phrase("There is no such field."),
    "string_too_short": Phrase("This must not be empty."),
    "too_short": Phrase("Choose at least one."),
    "bool_parsing": Phrase("Say true or false."),
    "int_parsing": Phrase("This must be a whole number."),
    "int_type": Phrase("This must be a whole number."),
    "int_from_float": Phrase("This must be a whole number."),
    "string_type": Phrase("This must be text."),
    "timezone_aware": Phrase("The time has no zone. Add its offset, such as +07:00."),
}


def parse(kind: type[Kind], given: object) -> Kind:
    """Return the draft that `given` describes.

    Raises Invalid.
    """
    if not isinstance(given, Mapping):
        raise Invalid(body=Phrase("Send one JSON object."))
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        problems: dict[str, Phrase] = {}
        for mistake in error.errors(include_url=False, include_input=False):
            field = ".".join(str(part) for part in mistake["loc"]) or "body"
            problems.setdefault(field, _said(mistake["type"], mistake.get("ctx", {})))
        raise Invalid(**problems) from error


def _said(mistake: str, context: dict[str, Any]) -> Phrase:  # noqa: PLR0911
    if isinstance(phrase := context.get("phrase"), Phrase):
        return phrase
    if mistake in SAID:
        return SAID[mistake]
    match mistake:
        case "string_too_long":
            return Phrase("Use at most %(most)s characters.", most=context["max_length"])
        case "too_long":
            return Phrase("Name at most %(most)s.", most=context["max_length"])
        case "less_than_equal":
            return Phrase("This must be at most %(most)s.", most=context["le"])
        case "greater_than_equal":
            return Phrase("This must be at least %(least)s.", least=context["ge"])
        case "enum" | "literal_error":
            return Phrase("Choose one of: %(choices)s.", choices=context["expected"])
        case _ if mistake.startswith(("datetime", "date")):
            return Phrase(
                "This is not a date and time. Choose one, or write it as 2026-11-23T08:00:00+07:00."
            )
        case _:
            return Phrase("This makes no sense here.")
