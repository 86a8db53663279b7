"""The HTTP client of all drivers: never waits long, never leaks what it sent."""

from __future__ import annotations

import atexit
import json
import re
import socket
import ssl
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx
from cryptography import x509

from confbridge import clock
from confbridge.domain.health import Patience
from confbridge.errors import DriverError

USUAL = Patience()
# What makers call their secrets in what they answer, in JSON and in XML.
SECRET_FIELDS = re.compile(
    r"""("(?:token|pin|secret|password|guest_pin)"\s*:\s*"|<(?:\w*PW|\w*[Pp]assword|passcode)>)"""
    r"""[^"<]*"""
)
HIDDEN = "•••"
LONGEST_ANSWER = 4000  # characters kept of one conversation
MOST_CONNECTIONS = 500  # each SIP caller holds one


@dataclass
class Conversation:
    """What was asked of a bridge and what it answered, in full but for its secrets."""

    lines: list[str] = field(default_factory=list)
    clock_off: float | None = None  # seconds by which its clock is ahead, as far as it says
    started: float = field(default_factory=time.monotonic)

    @property
    def took(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.started

    def text(self, secrets: Collection[str] = ()) -> str:
        """Return all that was said, with every secret hidden."""
        said = SECRET_FIELDS.sub(rf"\1{HIDDEN}", "\n".join(self.lines))
        for secret in sorted((one for one in secrets if one), key=len, reverse=True):
            said = said.replace(secret, HIDDEN)
            said = said.replace(json.dumps(secret)[1:-1], HIDDEN)
        return said if len(said) <= LONGEST_ANSWER else f"{said[:LONGEST_ANSWER]} …"


_listening: ContextVar[Conversation | None] = ContextVar("listening", default=None)


@contextmanager
def listening() -> Iterator[Conversation]:
    """Keep what is said to bridges, and what they answer, while the block runs."""
    conversation = Conversation()
    token = _listening.set(conversation)
    try:
        yield conversation
    finally:
        _listening.reset(token)


@cache
def _client() -> httpx.Client:
    """Return the client of the process, which keeps its connections."""
    limits = httpx.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=20)
    client = httpx.Client(trust_env=False, limits=limits)
    atexit.register(client.close)
    return client


def ask(
    method: str,
    url: str,
    *,
    patience: Patience = USUAL,
    saying: str = "",
    is_kept: bool = True,
    **given: Any,
) -> httpx.Response:
    """Return what the bridge answers, whatever its status; `given` goes to httpx as it is.

    `saying` names the question in what is kept of the conversation: addresses and bodies may
    hold secrets, and are not kept. Nor is the answer unless `is_kept`.

    Raises DriverError if it does not answer.
    """
    timeout = httpx.Timeout(patience.answer, connect=patience.connect)
    conversation = _listening.get()
    named = saying or method
    try:
        answer = _client().request(method, url, timeout=timeout, **given)
    except httpx.HTTPError as error:
        said = f"the bridge does not answer: {type(error).__name__}"
        if conversation is not None:
            conversation.lines.append(f"> {named}\n< {said}")
        raise DriverError(said) from error
    except (httpx.InvalidURL, ValueError) as error:
        raise DriverError("the bridge's address cannot be used", permanent=True) from error
    if conversation is not None:
        text = answer.text.strip() if is_kept else "…"
        conversation.lines.append(f"> {named}\n< {answer.status_code} {text}")
        conversation.clock_off = _clock_off(answer)
    return answer


def post_json(
    url: str,
    body: Mapping[str, Any],
    *,
    patience: Patience = USUAL,
    saying: str = "",
    is_kept: bool = True,
) -> dict[str, Any]:
    """Return the JSON object that the bridge answers.

    Raises DriverError.
    """
    answer = ask("POST", url, json=body, patience=patience, saying=saying, is_kept=is_kept)
    if not answer.is_success:
        raise DriverError(f"the bridge answers {answer.status_code}")
    return as_object(answer)


def as_object(answer: httpx.Response) -> dict[str, Any]:
    """Return the JSON object in an answer.

    Raises DriverError.
    """
    try:
        found = answer.json()
    except ValueError as error:
        raise DriverError("the bridge does not answer in JSON") from error
    if not isinstance(found, dict):
        raise DriverError("the bridge does not answer with an object")
    return found


def certificate_until(url: str, patience: Patience = USUAL) -> datetime | None:
    """Return until when the certificate behind an https or wss address is valid; None if plain.

    Whether we trust it is another question, and asked elsewhere.

    Raises DriverError.
    """
    try:
        address = urlsplit(url)
    except ValueError:
        return None
    if address.scheme not in {"https", "wss"} or not address.hostname:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        place = (address.hostname, address.port or 443)
        with (
            socket.create_connection(place, patience.connect) as plain,
            context.wrap_socket(plain, server_hostname=address.hostname) as line,
        ):
            shown = line.getpeercert(binary_form=True) or b""
        return x509.load_der_x509_certificate(shown).not_valid_after_utc
    except (OSError, ValueError) as error:
        raise DriverError(f"no certificate is shown: {type(error).__name__}") from error


def _clock_off(answer: httpx.Response) -> float | None:
    """Return by how much the bridge's clock is ahead (RFC 9110, 6.6.1: to the second)."""
    try:
        said = parsedate_to_datetime(answer.headers.get("Date", ""))
    except ValueError:
        return None
    if said.tzinfo is None:
        return None
    off = (said - clock.now()).total_seconds() + 0.5  # the second it names has half gone by
    return off if abs(off) > 1 else 0.0
