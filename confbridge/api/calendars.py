"""Calendars to subscribe to; their address is the secret, and no token is asked for."""

from __future__ import annotations

import gzip

from flask import Blueprint, Response, request

from confbridge.services import feeds

resource = Blueprint("calendars", __name__, url_prefix="/calendars")

FRESH_FOR = 300  # seconds


@resource.get("/<token>.ics")
def show(token: str) -> Response:
    """Give the calendar; 304 while it is what the reader has."""
    ready = feeds.calendar(feeds.by_link(token))
    is_packed = request.accept_encodings["gzip"] > 0
    answer = Response(ready.packed if is_packed else gzip.decompress(ready.packed))
    if is_packed:
        answer.headers["Content-Encoding"] = "gzip"
    answer.set_etag(ready.etag, weak=True)
    _calendar(answer).make_conditional(request)
    return answer


@resource.get("/<token>.ifb")
def free_busy(token: str) -> Response:
    """Give when the endpoint is taken, and nothing of why."""
    return _calendar(Response(feeds.free_busy(feeds.by_link(token))))


def _calendar(answer: Response) -> Response:
    answer.headers["Content-Type"] = "text/calendar; charset=utf-8"
    answer.headers["Cache-Control"] = f"private, max-age={FRESH_FOR}"
    answer.headers["Vary"] = "Accept-Encoding"
    return answer
