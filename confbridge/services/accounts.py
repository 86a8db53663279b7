"""People who may sign in, and their programs' tokens."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from sqlalchemy import select

from confbridge import clock
from confbridge.database import db
from confbridge.errors import Invalid, NotFound, NotSignedIn, Phrase
from confbridge.models import Account, ApiToken, Organisation
from confbridge.services import audit

MOST_TRIES = 5
LOCKED = timedelta(minutes=15)
SHORTEST_PASSWORD = 14  # without a second factor; TCVN 14423:2026

_hasher = PasswordHasher()
# Compared with when there is no such account, so that the answer takes as long.
_nobody = _hasher.hash(secrets.token_hex())

WRONG = Phrase("The address or the password is wrong.")


def create(
    email: str, password: str, *, role: str, organisation: Organisation, name: str
) -> Account:
    """Add an account.

    Raises Invalid.
    """
    email = email.strip().lower()
    if "@" not in email:
        raise Invalid(email=Phrase("This is not a mail address."))
    if len(password) < SHORTEST_PASSWORD:
        raise Invalid(
            password=Phrase("Use at least %(least)d characters.", least=SHORTEST_PASSWORD)
        )
    if _by_email(email):
        raise Invalid(email=Phrase("There is already an account with this address."))
    account = Account(
        email=email,
        name=name or email,
        role=role,
        organisation=organisation,
        password_hash=_hasher.hash(password),
        session_key=secrets.token_urlsafe(16),
    )
    db.session.add(account)
    db.session.flush()
    audit.record("operator", "account created", f"account {email}", role)
    return account


def is_right(email: str, password: str) -> bool:
    """Say whether the password is right; takes as long where there is no such account."""
    account = _by_email(email.strip().lower())
    return _matches(account.password_hash if account else _nobody, password) and bool(account)


def sign_in(email: str, *, is_right: bool) -> Account | None:
    """Return the account if it may sign in now; None counts as a failed try.

    The caller commits also when it is wrong: the count must survive.
    """
    asked = select(Account).where(Account.email == email.strip().lower())
    account = db.session.scalar(asked.with_for_update(of=Account))
    now = clock.now()
    if account is None or not account.active:
        return None
    if account.locked_until and account.locked_until > now:
        return None
    if is_right:
        account.failed_sign_ins, account.locked_until = 0, None
        audit.record(account.email, "signed in", f"account {account.email}")
        return account
    account.failed_sign_ins += 1
    if account.failed_sign_ins >= MOST_TRIES:
        account.failed_sign_ins, account.locked_until = 0, now + LOCKED
        audit.record("nobody", "locked", f"account {account.email}")
    return None


def by_session(key: str) -> Account | None:
    """Return the account that a signed session names, if it may still sign in."""
    return db.session.scalar(select(Account).where(Account.session_key == key, Account.active))


def speak(account: Account, language: str) -> None:
    """Remember in which language the account wants its pages."""
    account.language = language


def create_token(email: str, *, name: str, days: int) -> str:
    """Return a new token; only its digest is kept.

    Raises NotFound.
    """
    account = _by_email(email.strip().lower())
    if account is None:
        raise NotFound(Phrase("There is no such account."))
    token = secrets.token_urlsafe(32)
    expires = clock.now() + timedelta(days=days)
    db.session.add(ApiToken(account=account, name=name, digest=_digest(token), expires=expires))
    audit.record("operator", "token created", f"account {account.email}", name)
    return token


def by_token(token: str) -> Account:
    """Return the account a program acts for.

    Raises NotSignedIn.
    """
    found = db.session.scalar(select(ApiToken).where(ApiToken.digest == _digest(token)))
    if found is None or found.expires <= clock.now() or not found.account.active:
        raise NotSignedIn(Phrase("The token is unknown or has expired."))
    return found.account


def _by_email(email: str) -> Account | None:
    return db.session.scalar(select(Account).where(Account.email == email))


def _matches(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except VerificationError:
        return False


def _digest(token: str) -> str:
    # The token has 256 random bits: a plain digest cannot be guessed back.
    return hashlib.sha256(token.encode()).hexdigest()
