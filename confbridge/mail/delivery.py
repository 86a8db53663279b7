"""Handing a mail to a mail server, or to a Maildir where there is none."""

from __future__ import annotations

import hashlib
import smtplib
import ssl
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from confbridge.config import HOUSE
from confbridge.database import in_transaction
from confbridge.errors import MailError

PATIENCE = 10  # seconds for each answer of the server


def deliver(message: EmailMessage, url: str) -> None:
    """Hand the mail over; when this returns, the other side has taken charge of it.

    Raises MailError.
    """
    assert not in_transaction(), "mail servers are slow: commit before talking to one"
    address = urlsplit(url)
    if address.scheme == "maildir":
        _file(message, HOUSE / address.path)
        return
    try:
        server = _connect(address)
    except (OSError, smtplib.SMTPException) as error:
        raise MailError(f"the mail server does not answer: {error}", server=True) from error
    try:
        server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        raise MailError(f"{code} {_readable(text)}", permanent=code >= 500) from error
    except smtplib.SMTPSenderRefused as error:
        # Our own sender or sign-in: the trouble of every mail, and not of this one.
        raise MailError(f"{error.smtp_code} {_readable(error.smtp_error)}", server=True) from error
    except smtplib.SMTPResponseException as error:
        raise MailError(
            f"{error.smtp_code} {_readable(error.smtp_error)}", permanent=error.smtp_code >= 500
        ) from error
    except (OSError, smtplib.SMTPException) as error:
        raise MailError(f"the mail server broke off: {error}", server=True) from error
    finally:
        # Whether QUIT works no longer matters to the mail.
        with suppress(OSError, smtplib.SMTPException):
            server.quit()
        server.close()


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


def _file(message: EmailMessage, folder: Path) -> None:
    """Put the mail into a Maildir; the same mail again finds itself there already."""
    name = hashlib.sha256(message["Message-ID"].encode()).hexdigest()[:32] + ".confbridge"
    try:
        _folder(folder)
        if any((folder / "cur").glob(f"{name}*")):
            return
        (folder / "tmp" / name).write_bytes(message.as_bytes())
        (folder / "tmp" / name).replace(folder / "new" / name)
    except OSError as error:
        raise MailError(f"the mail folder cannot be written: {error}", server=True) from error


def _folder(folder: Path) -> None:
    for part in ("tmp", "new", "cur"):
        (folder / part).mkdir(parents=True, exist_ok=True)
