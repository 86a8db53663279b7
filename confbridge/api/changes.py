"""What every changing request may carry: If-Match, Idempotency-Key, and a JSON body."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Response, current_app, g, request

from confbridge.api.shapes import Shape
from confbridge.database import attempt
from confbridge.errors import Invalid, Phrase
from confbridge.services import answers

Made = TypeVar("Made")

LONGEST_KEY = 200
CREATED = 201


def body() -> Any:
    """Return the JSON sent, or None if it is none."""
    return request.get_json(silent=True)


def version() -> int | None:
    """Return the version that If-Match names; None if any will do.

    Raises Invalid.
    """
    text = request.headers.get("If-Match", "").strip().removeprefix("W/").strip('"')
    if text in {"", "*"}:
        return None
    if not text.isdecimal():
        raise Invalid(**{"If-Match": Phrase("This must be a whole number.")})
    return int(text)


def with_etag(shape: Shape, *, status: int = 200) -> Response:
    answer = _json(_text(shape), status)
    answer.set_etag(str(shape["version"]))
    return answer


def once(make: Callable[[], Made], shape: Callable[[Made], Shape]) -> Response:
    """Answer 201 with the shape of what `make` makes in a transaction; the same to the same key.

    With a key the answer is kept in that transaction; without, it is drawn up
    after it, when nobody waits for the locks any more.

    Raises Invalid if the key came before with another body.
    """
    key = request.headers.get("Idempotency-Key", "").strip()
    if not key:
        return _created(_text(shape(attempt(make))))
    if len(key) > LONGEST_KEY:
        raise Invalid(
            **{"Idempotency-Key": Phrase("Use at most %(most)s characters.", most=LONGEST_KEY)}
        )
    fingerprint = hashlib.sha256(request.path.encode() + b"\n" + request.get_data()).hexdigest()

    def deed() -> Response:
        kept = answers.claim(g.account, key, fingerprint)
        if kept.fingerprint != fingerprint:
            raise Invalid(
                **{"Idempotency-Key": Phrase("This key came before with another request.")}
            )
        if not kept.body:
            kept.status, kept.body = CREATED, _text(shape(make()))
        return _created(kept.body, kept.status)

    return attempt(deed)


def _text(shape: Shape) -> str:
    return json.dumps(shape, ensure_ascii=False)


def _created(text: str, status: int = CREATED) -> Response:
    answer = _json(text, status)
    version_made = json.loads(text).get("version")
    if version_made:
        answer.set_etag(str(version_made))
    return answer


def _json(text: str, status: int) -> Response:
    return current_app.response_class(text, status=status, mimetype="application/json")
