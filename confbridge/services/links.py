"""Secrets that are derived and never kept: signed links, PINs, access tokens."""

from __future__ import annotations

import hashlib
import hmac
from functools import cache

from itsdangerous import BadSignature, URLSafeSerializer

from confbridge import config
from confbridge.errors import NotFound, Phrase

LONGEST_NUMBER = 12


def for_attendee(attendee_id: int) -> str:
    """Return the part of a link by which an endpoint answers and joins."""
    return _signer("attendee").dumps(attendee_id)


def attendee_of(link: str) -> int:
    """Return the attendee's id; raises NotFound if the link was not made here."""
    return _opened("attendee", link)


def for_guests(occurrence_id: int) -> str:
    """Return the part of a link by which guests join, who must know the PIN as well."""
    return _signer("guests").dumps(occurrence_id)


def guests_of(link: str) -> int:
    """Return the occurrence's id; raises NotFound if the link was not made here."""
    return _opened("guests", link)


def for_mail(mail_id: int) -> str:
    """Return what stands after the + of a mail's reply address; only its recipient knows it.

    Small letters and digits alone: mail servers may change the case.
    """
    return f"{mail_id:x}-{_derived(f'mail {mail_id}')[:20]}"


def mail_of(token: str) -> int | None:
    """Return the id of the mail that this stands in; None if it was not made here."""
    number, _, _ = token.lower().partition("-")
    if not number or len(number) > LONGEST_NUMBER or set(number) - set("0123456789abcdef"):
        return None
    found = int(number, 16)
    return found if hmac.compare_digest(for_mail(found), token.lower()) else None


def for_feed(feed_id: int) -> str:
    """Return the secret part of a calendar's address."""
    return _signer("feed").dumps(feed_id)


def feed_of(link: str) -> int:
    """Return the feed's id; raises NotFound if the address was not made here."""
    return _opened("feed", link)


def feed_url(feed_id: int) -> str:
    return f"{config.in_force().base_url}/api/v1/calendars/{for_feed(feed_id)}.ics"


def join_url(attendee_id: int) -> str:
    return f"{config.in_force().base_url}/join/{for_attendee(attendee_id)}"


def reply_url(attendee_id: int) -> str:
    return f"{config.in_force().base_url}/reply/{for_attendee(attendee_id)}"


def meeting_url(uid: str) -> str:
    return f"{config.in_force().base_url}/meetings/{uid}"


def guest_url(occurrence_id: int) -> str:
    return f"{config.in_force().base_url}/guest/{for_guests(occurrence_id)}"


def pin(occurrence_id: int) -> str:
    """Return the six digits that open the conference; the same wherever it is held."""
    return f"{int(_derived(f'pin {occurrence_id}'), 16) % 1_000_000:06d}"


def dial_number(meeting_id: int) -> str:
    """Return what is dialled for a meeting; the same wherever and whenever it is held."""
    return f"{meeting_id:06d}"


def room_secret(room: str) -> str:
    """Return the secret by which only we may change the room on its bridge."""
    return _derived(f"room {room}")


def access_token(room: str, attendee_id: int | None) -> str:
    """Return what a bridge lets one endpoint in by; None is for the guests, who share one."""
    return _derived(f"access {room} {attendee_id or 'guests'}")


def _derived(purpose: str) -> str:
    key = config.in_force().secret_key.encode()
    return hmac.new(key, purpose.encode(), hashlib.sha256).hexdigest()[:40]


def _signer(purpose: str) -> URLSafeSerializer:
    return _signer_with(config.in_force().secret_key, purpose)


@cache
def _signer_with(key: str, purpose: str) -> URLSafeSerializer:
    return URLSafeSerializer(
        key,
        salt=f"confbridge link {purpose}",
        signer_kwargs={"digest_method": hashlib.sha256},
    )


def _opened(purpose: str, link: str) -> int:
    try:
        number = _signer(purpose).loads(link)
    except BadSignature as error:
        raise NotFound(Phrase("This link is not valid. Was it copied whole?")) from error
    return int(number)
