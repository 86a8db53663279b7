"""Lists in pages, and what a request says about them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from flask import request

from confbridge.api.shapes import Shape
from confbridge.errors import Invalid, Phrase

MOST = 200
EARLIEST, LATEST = 1970, 2200
Item = TypeVar("Item")


def limit() -> int:
    """Return how many items are wanted at most.

    Raises Invalid.
    """
    text = request.args.get("limit", "50")
    if not (text.isdecimal() and 1 <= int(text) <= MOST):
        raise Invalid(limit=Phrase("This must be from 1 to %(most)s.", most=MOST))
    return int(text)


def cursor() -> str:
    """Return the place after which to go on, or "" for the beginning.

    Raises Invalid.
    """
    try:
        text = request.args.get("cursor", "").encode()
        return base64.b64decode(text, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise Invalid(cursor=Phrase("This is no cursor of ours.")) from error


def number_in(text: str) -> int:
    """Return the id that a cursor holds, 0 for the beginning.

    Raises Invalid.
    """
    if text and not text.isdecimal():
        raise Invalid(cursor=Phrase("This is no cursor of ours."))
    return int(text or 0)


def paged(
    found: Sequence[Item], shape: Callable[[Item], Shape], place: Callable[[Item], str], most: int
) -> Shape:
    """Return a page of `most`; `found` has one more if there is another page."""
    items = found[:most]
    following = place(items[-1]) if len(found) > most else None
    encoded = base64.urlsafe_b64encode(following.encode()).decode() if following else None
    return {"items": [shape(one) for one in items], "next": encoded}


def moment(name: str) -> datetime | None:
    """Return the time a query parameter names, None if it is not given.

    Raises Invalid.
    """
    text = request.args.get(name, "")
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError as error:
        raise Invalid(
            **{name: Phrase("This is not a date and time such as 2026-11-23T08:00:00+07:00.")}
        ) from error
    if not EARLIEST <= found.year <= LATEST:
        raise Invalid(**{name: Phrase("Choose a year from 1970 to 2200.")})
    if found.tzinfo is None:
        raise Invalid(**{name: Phrase("The time has no zone. Add its offset, such as +07:00.")})
    return found
