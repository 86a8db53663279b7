"""Handing a mail to a mail server, or to a Maildir where there is none."""

from __future__ import annotations

import hashlib
import smtplib
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, unquote, urlsplit

import dkim

from confbridge import config
from confbridge.config import HOUSE
from confbridge.database import in_transaction
from confbridge.errors import BadConfig, MailError

PATIENCE = 10  # seconds for each answer of the server
FRESH = 5  # seconds for which an idle connection is trusted to be still there
# Reply-To belongs to it: nobody on the way may turn answers elsewhere.
SIGNED = [
    *(b"from", b"to", b"reply-to", b"subject", b"date", b"message-id"),
    *(b"mime-version", b"content-type"),
]


class Courier:
    """Hands mails over, many on one connection; a context manager that ends it."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self._server: smtplib.SMTP | None = None
        self._used = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def deliver(self, message: EmailMessage, *, sign: Signature | None = None) -> None:
        """Hand a mail over; when this returns, the other side has taken charge of it.

        What cannot be delivered later on comes back to the address in Reply-To,
        which tells of which mail it is (VERP).

        Raises MailError.
        """
        assert not in_transaction(), "mail servers are slow: commit before talking to one"
        raw = message.as_bytes()
        if self._address.scheme == "maildir":
            _file(message["Message-ID"], raw, HOUSE / self._address.path)
            return
        sender = (message["Reply-To"] or message["From"]).addresses[0].addr_spec
        recipients = [one.addr_spec for one in message["To"].addresses]
        if sign is not None:
            raw = signed(raw, sign)
        is_kept = self._server is not None
        try:
            self._hand_over(sender, recipients, raw)
        except smtplib.SMTPServerDisconnected as error:
            self.close()
            if not is_kept:
                raise MailError(f"the mail server broke off: {error}", server=True) from error
            # It has only ended a connection that it had waited on for long; once more, afresh.
            # Should it have taken the mail after all, the same Message-ID comes twice.
            self.deliver(message, sign=sign)

    def _hand_over(self, sender: str, recipients: list[str], raw: bytes) -> None:
        try:
            server = self._connected()
        except (OSError, smtplib.SMTPException) as error:
            raise MailError(f"the mail server does not answer: {error}", server=True) from error
        try:
            server.sendmail(sender, recipients, raw)
        except smtplib.SMTPServerDisconnected:
            raise
        except smtplib.SMTPRecipientsRefused as error:
            code, text = next(iter(error.recipients.values()))
            raise MailError(f"{code} {_readable(text)}", permanent=code >= 500) from error
        except smtplib.SMTPSenderRefused as error:
            # Our own sender or sign-in: the trouble of every mail, and not of this one.
            self.close()
            said = f"{error.smtp_code} {_readable(error.smtp_error)}"
            raise MailError(said, server=True) from error
        except smtplib.SMTPResponseException as error:
            code, said = error.smtp_code, _readable(error.smtp_error)
            raise MailError(f"{code} {said}", permanent=code >= 500) from error
        except (OSError, smtplib.SMTPException) as error:
            self.close()
            raise MailError(f"the mail server broke off: {error}", server=True) from error

    def close(self) -> None:
        """End the connection; whether QUIT works no longer matters to any mail."""
        server, self._server = self._server, None
        if server is not None:
            with suppress(OSError, smtplib.SMTPException):
                server.quit()
            server.close()

    def _connected(self) -> smtplib.SMTP:
        """Return the connection; one that the server has ended meanwhile is made anew."""
        idle, self._used = time.monotonic() - self._used, time.monotonic()
        if self._server is not None and idle < FRESH:
            return self._server
        self.close()
        self._server = _connect(self._address)
        return self._server


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What mails are signed with (DKIM, RFC 6376)."""

    domain: str
    selector: str
    key: str = field(repr=False)  # PEM


def signature() -> Signature | None:
    """Return what the settings sign with, None if there is no key."""
    settings = config.in_force()
    if not settings.dkim_key:
        return None
    domain = parseaddr(settings.mail_from)[1].partition("@")[2]
    return Signature(domain=domain, selector=settings.dkim_selector, key=settings.dkim_key)


def signed(raw: bytes, sign: Signature) -> bytes:
    """Return the mail with a DKIM-Signature before it.

    Raises BadConfig if the key cannot be used.
    """
    try:
        header: bytes = dkim.sign(
            raw,
            sign.selector.encode(),
            sign.domain.encode(),
            sign.key.encode(),
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=SIGNED,
        )
    except (dkim.DKIMException, ValueError) as error:
        raise BadConfig(f"CONFBRIDGE_DKIM_KEY: {error}") from error
    return header + raw


def check(url: str) -> str:
    """Return what the mail server, or the folder, says of itself.

    Raises MailError.
    """
    address = urlsplit(url)
    if address.scheme == "maildir":
        _folder(HOUSE / address.path)
        return f"Maildir {address.path}"
    try:
        with _connect(address) as server:
            code, text = server.noop()
    except (OSError, smtplib.SMTPException) as error:
        raise MailError(f"the mail server does not answer: {error}", server=True) from error
    return f"{address.hostname}: {code} {_readable(text)}"


def _connect(address: SplitResult) -> smtplib.SMTP:
    host, port = address.hostname or "", address.port or 0
    context = ssl.create_default_context()
    if address.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=PATIENCE, context=context)
    else:
        server = smtplib.SMTP(host, port, timeout=PATIENCE)
    if address.scheme == "smtp+starttls":
        server.starttls(context=context)
    if address.username:
        server.login(unquote(address.username), unquote(address.password or ""))
    return server


def _readable(text: bytes | str) -> str:
    return text.decode(errors="replace") if isinstance(text, bytes) else text


def _file(message_id: str, raw: bytes, folder: Path) -> None:
    """Put the mail into a Maildir; the same mail again finds itself there already."""
    name = hashlib.sha256(message_id.encode()).hexdigest()[:32] + ".confbridge"
    try:
        _folder(folder)
        if any((folder / "cur").glob(f"{name}*")):
            return
        (folder / "tmp" / name).write_bytes(raw)
        (folder / "tmp" / name).replace(folder / "new" / name)
    except OSError as error:
        raise MailError(f"the mail folder cannot be written: {error}", server=True) from error


def _folder(folder: Path) -> None:
    for part in ("tmp", "new", "cur"):
        (folder / part).mkdir(parents=True, exist_ok=True)
