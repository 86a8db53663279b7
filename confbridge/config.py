"""Settings: read once from the environment, then frozen. Listed in docs/settings.md."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from email.utils import parseaddr
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from confbridge.errors import BadConfig

HOUSE = Path(__file__).resolve().parent.parent
PREFIX = "CONFBRIDGE_"
MAIL_SCHEMES = {"maildir", "smtp", "smtps", "smtp+starttls"}
SHORTEST_KEY = 32
# Settings that are numbers, and the most that makes sense.
MAILBOX_SCHEMES = {"imap", "imaps", "maildir"}
MOST_MINUTES = 43200  # thirty days
TEXTS = (
    *("mail_url", "mail_from", "timezone", "working_hours", "mailbox_url", "dkim_key"),
    *("dkim_selector", "authserv_id", "remind_minutes"),
)
NUMBERS = {
    "notice_days": 60,
    "hold_minutes": 1440,
    "offer_minutes": 1440,
    "displace_minutes": 10080,
    "freeze_minutes": 1440,
    "chase_days": 60,
    "lost_seconds": 600,
    "dwell_seconds": 3600,
    "replace_minutes": 1440,
}
LEAST = {"lost_seconds": 2}  # sooner no probe could be sure


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything an operator can set; the fields are named as the variables are."""

    database_url: str
    secret_key: str
    base_url: str
    host: str = "127.0.0.1"
    port: int = 8000
    mail_url: str = "maildir:var/mail"
    mail_from: str = "ConfBridge <confbridge@localhost>"
    timezone: str = "Asia/Ho_Chi_Minh"
    working_hours: str = "07:00-11:30 13:30-17:00"
    notice_days: int = 3
    hold_minutes: int = 30
    offer_minutes: int = 60
    displace_minutes: int = 30
    mailbox_url: str = ""
    dkim_key: str = field(default="", repr=False)
    dkim_selector: str = "confbridge"
    authserv_id: str = ""
    freeze_minutes: int = 15
    remind_minutes: str = "1440 60"
    chase_days: int = 3
    lost_seconds: int = 10
    dwell_seconds: int = 30
    replace_minutes: int = 30

    def __post_init__(self) -> None:
        if len(self.secret_key) < SHORTEST_KEY:
            raise BadConfig(f"CONFBRIDGE_SECRET_KEY is shorter than {SHORTEST_KEY} characters")
        if not self.database_url.startswith(("sqlite:///", "postgresql+psycopg://")):
            raise BadConfig("CONFBRIDGE_DATABASE_URL must be sqlite:///… or postgresql+psycopg://…")
        if urlsplit(self.base_url).scheme not in {"http", "https"}:
            raise BadConfig("CONFBRIDGE_BASE_URL must begin with http:// or https://")
        if urlsplit(self.mail_url).scheme not in MAIL_SCHEMES:
            raise BadConfig(f"CONFBRIDGE_MAIL_URL must begin with one of {sorted(MAIL_SCHEMES)}")
        if "@" not in parseaddr(self.mail_from)[1]:
            raise BadConfig("CONFBRIDGE_MAIL_FROM is not a mail address")
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise BadConfig(f"CONFBRIDGE_TIMEZONE: no zone {self.timezone!r}") from error
        if self.mailbox_url and urlsplit(self.mailbox_url).scheme not in MAILBOX_SCHEMES:
            raise BadConfig("CONFBRIDGE_MAILBOX_URL must be imap://…, imaps://… or maildir:PATH")
        if self.dkim_key and "PRIVATE KEY" not in self.dkim_key:
            raise BadConfig("CONFBRIDGE_DKIM_KEY is no private key in PEM")
        minutes = self.remind_minutes.split()
        if not all(one.isdecimal() and 0 < int(one) <= MOST_MINUTES for one in minutes):
            raise BadConfig(f"CONFBRIDGE_REMIND_MINUTES must be numbers up to {MOST_MINUTES}")
        for name, most in NUMBERS.items():
            least = LEAST.get(name, 0)
            if not least <= getattr(self, name) <= most:
                raise BadConfig(f"{PREFIX}{name.upper()} must be from {least} to {most}")
        if not self.hours or any(start >= end for start, end in pairwise(_flat(self.hours))):
            raise BadConfig("CONFBRIDGE_WORKING_HOURS must be like 07:00-11:30 13:30-17:00")

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def hours(self) -> list[tuple[time, time]]:
        """The stretches of a working day, in order; raises BadConfig."""
        try:
            return [
                (time.fromisoformat(start), time.fromisoformat(end))
                for start, _, end in (part.partition("-") for part in self.working_hours.split())
            ]
        except ValueError as error:
            raise BadConfig(f"CONFBRIDGE_WORKING_HOURS: {error}") from error

    @property
    def is_https(self) -> bool:
        return self.base_url.startswith("https://")


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings; whatever is not set gets its default.

    Raises BadConfig.
    """
    host = _read(environment, "HOST") or "127.0.0.1"
    port = _port(_read(environment, "PORT") or "8000")
    given: dict[str, Any] = {
        name: value for name in TEXTS if (value := _read(environment, name.upper()))
    }
    given |= {
        name: _number(value, name)
        for name in NUMBERS
        if (value := _read(environment, name.upper()))
    }
    return Settings(
        database_url=_absolute(_read(environment, "DATABASE_URL") or "sqlite:///var/confbridge.db"),
        secret_key=_read(environment, "SECRET_KEY") or _kept_key(HOUSE / "var" / "secret_key"),
        base_url=(_read(environment, "BASE_URL") or f"http://{host}:{port}").rstrip("/"),
        host=host,
        port=port,
        **given,
    )


def _read(environment: Mapping[str, str], name: str) -> str:
    """Return NAME, or what stands in the file that NAME_FILE names (for secrets)."""
    if path := environment.get(f"{PREFIX}{name}_FILE"):
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise BadConfig(f"{PREFIX}{name}_FILE: {error}") from error
    return environment.get(f"{PREFIX}{name}", "").strip()


def _number(text: str, name: str) -> int:
    if not (text.isdecimal() and len(text) < 6):
        raise BadConfig(f"{PREFIX}{name.upper()} is not a whole number")
    return int(text)


def _flat(hours: list[tuple[time, time]]) -> list[time]:
    return [moment for stretch in hours for moment in stretch]


def _port(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) < 65536):
        raise BadConfig("CONFBRIDGE_PORT is not a port number")
    return int(text)


def _absolute(url: str) -> str:
    """Let a relative SQLite path begin at the house, wherever the command was given."""
    scheme, _, path = url.partition("sqlite:///")
    if scheme or not path or path.startswith(("/", ":")):
        return url
    (HOUSE / path).parent.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{HOUSE / path}"


def _kept_key(path: Path) -> str:
    """Return the key made on the first run; two processes starting at once agree on one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{secrets.token_hex(4)}")
    fresh.touch(mode=0o600)
    fresh.write_text(secrets.token_urlsafe(48), encoding="utf-8")
    try:
        path.hardlink_to(fresh)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    return path.read_text(encoding="utf-8").strip()


_in_force: list[Settings] = []


def put_in_force(settings: Settings) -> None:
    """Make these the settings of the process; `create_app` does, once."""
    _in_force[:] = [settings]


def in_force() -> Settings:
    """Return the settings of the process."""
    return _in_force[0]
