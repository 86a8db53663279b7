"""The HTTP client of all drivers: never waits long, never leaks what it sent."""

from __future__ import annotations

import atexit
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx

from confbridge.errors import DriverError

PATIENCE = httpx.Timeout(3.0, connect=1.0)


@cache
def _client() -> httpx.Client:
    """Return the client of the process, which keeps its connections."""
    client = httpx.Client(timeout=PATIENCE, trust_env=False)
    atexit.register(client.close)
    return client


def post_json(url: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON object that the bridge answers.

    Raises DriverError.
    """
    try:
        answer = _client().post(url, json=body)
        answer.raise_for_status()
        found = answer.json()
    except httpx.HTTPStatusError as error:
        raise DriverError(f"the bridge answers {error.response.status_code}") from error
    except httpx.HTTPError as error:
        raise DriverError(f"the bridge does not answer: {type(error).__name__}") from error
    except (ValueError, httpx.InvalidURL) as error:
        raise DriverError("the bridge does not answer in JSON") from error
    if not isinstance(found, dict):
        raise DriverError("the bridge does not answer with an object")
    return found
