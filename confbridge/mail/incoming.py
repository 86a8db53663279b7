"""A mail that came in: what of it matters to us (RFC 5322, 2045, 3464, 3834, 6047, 8601)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses
from html import unescape

LARGEST = 1024 * 1024  # bytes of a mail that is read at all
MOST_PARTS = 100
MOST_HEADERS = 500
DEEPEST = 12
LONGEST_HEADER = 2000
LONGEST_TEXT = 2000
TOKEN = re.compile(r"\+([0-9a-f]{1,12}-[0-9a-f]{20})@", re.IGNORECASE)
MESSAGE_ID = re.compile(r"<[^<>\s\x00-\x1f\x7f]{3,250}>")
# Not every codec of Python is a charset of mail, and some take for ever.
CHARSETS = re.compile(
    r"utf-?8|utf-?16(le|be)?|(us-)?ascii|iso-?8859-\d+|(windows|cp)-?125\d|koi8-r|big5|gb[\dk]+"
    r"|shift_jis|euc-(jp|kr)|iso-2022-jp"
)
HIDDEN = re.compile(r"<(style|script|head)\b.*?</\1>", re.IGNORECASE | re.DOTALL)
BREAKS = re.compile(r"<(br|/p|/div|/li)\b[^>]{0,200}>", re.IGNORECASE)
TAGS = re.compile(r"<[^<>]{0,2000}>")
AUTOMATIC = ("x-autoreply", "x-autorespond", "x-auto-reply")
AWAY = ("automatic reply", "out of office", "auto:", "trả lời tự động", "vắng mặt", "autoreply")
QUOTES = re.compile(
    r"^(>|-{2,}\s*(original|forwarded)|_{5,}|from:|từ:|on .{5,120} wrote:|vào .{5,120} đã viết:)",
    re.IGNORECASE,
)


class TooMuch(Exception):
    """The mail is larger or deeper than is read at all; `args[0]` says what, in a word."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a mail server says of a mail that it has taken (RFC 3464)."""

    action: str  # failed, delayed, delivered, relayed, expanded
    status: str  # 5.1.1
    said: str


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A mail as far as it matters."""

    message_id: str
    sender: str  # in small letters
    subject: str
    tokens: tuple[str, ...]  # of the addresses of ours it was sent to
    references: tuple[str, ...]
    authentication: str  # what our own server found: "dmarc=pass", "dmarc=fail", … or ""
    is_automatic: bool
    is_away: bool  # an out-of-office
    calendars: tuple[bytes, ...]
    text: str
    report: Report | None


def read(raw: bytes, authserv_id: str = "") -> Arrival:
    """Return what matters of a mail; `authserv_id` is the one whose word is believed.

    Raises TooMuch.
    """
    _check_limits(raw)
    try:
        return _arrival(message_from_bytes(raw), authserv_id)
    except TooMuch:
        raise
    except Exception as error:
        raise TooMuch("not_a_mail") from error


def _arrival(message: Message, authserv_id: str) -> Arrival:
    kept = list(_parts(message))
    report = _report(message, kept)
    references = " ".join(
        (
            _header(message, "In-Reply-To"),
            *(_header(part, "Message-ID") for part in kept[1:] if part.get("Message-ID")),
            _header(message, "References"),
            *(_returned(part) for part in kept if report),
        )
    )
    subject = _decoded(_header(message, "Subject"))
    automatic = _header(message, "Auto-Submitted").lower()
    return Arrival(
        message_id=next(iter(MESSAGE_ID.findall(_header(message, "Message-ID"))), ""),
        sender=_address(_header(message, "From")),
        subject=subject[:300],
        tokens=tuple(dict.fromkeys(_tokens(message))),
        references=tuple(dict.fromkeys(MESSAGE_ID.findall(references))),
        authentication=_authentication(message, authserv_id) if authserv_id else "",
        is_automatic=automatic not in {"", "no"} or any(name in message for name in AUTOMATIC),
        is_away=automatic.startswith("auto-replied")
        or any(name in message for name in AUTOMATIC)
        or subject.lower().startswith(AWAY),
        calendars=tuple(_calendars(kept)),
        text=_words(kept),
        report=report,
    )


def header_of(raw: bytes) -> tuple[str, str, str]:
    """Return Message-ID, sender and subject of a mail that is not read further."""
    try:
        message = message_from_bytes(raw[:65536].partition(b"\r\n\r\n")[0])
        found = next(iter(MESSAGE_ID.findall(_header(message, "Message-ID"))), "")
        subject = _decoded(_header(message, "Subject"))[:300]
        return found, _address(_header(message, "From")), subject
    except Exception:  # noqa: BLE001 (as above)
        return "", "", ""


def _check_limits(raw: bytes) -> None:
    """Look at what would take the parser long before it starts."""
    if len(raw) > LARGEST:
        raise TooMuch("too_large")
    small = raw.lower()
    if small.count(b"multipart/") + small.count(b"message/") > MOST_PARTS:
        raise TooMuch("too_many_parts")
    if small.count(b"boundary=") > MOST_PARTS:
        raise TooMuch("too_many_parts")
    for match in re.finditer(rb'boundary="?([^";\r\n]{1,200})', small):
        if small.count(b"--" + match.group(1)) > 2 * MOST_PARTS:
            raise TooMuch("too_many_parts")


def _parts(message: Message, depth: int = 0) -> Iterator[Message]:
    """Yield a mail and every part in it, in any nesting (R16)."""
    if depth > DEEPEST:
        raise TooMuch("too_deep")
    if len(message) > MOST_HEADERS:
        raise TooMuch("too_many_headers")
    yield message
    if message.is_multipart():
        for part in message.get_payload():
            if isinstance(part, Message):
                yield from _parts(part, depth + 1)


def _calendars(kept: list[Message]) -> Iterator[bytes]:
    """Yield each calendar once, by its type and never by its file's name (R16)."""
    seen = set()
    for part in kept:
        if part.get_content_type() in {"text/calendar", "application/ics"}:
            raw = _bytes(part)
            bare = b"".join(raw.split())
            if raw and bare not in seen:
                seen.add(bare)
                yield raw


def _bytes(part: Message) -> bytes:
    """Return a part's content in UTF-8, whatever it was written in."""
    payload = part.get_payload(decode=True)
    raw = payload if isinstance(payload, bytes) else b""
    charset = str(part.get_content_charset("utf-8"))
    if not CHARSETS.fullmatch(charset):
        charset = "utf-8"
    try:
        return raw.decode(charset).encode()
    except (LookupError, ValueError):
        return raw.decode("utf-8", "replace").encode()


def _words(kept: list[Message]) -> str:
    """Return what somebody wrote, without what they quote."""
    for kind in ("text/plain", "text/html"):
        for part in kept:
            if part.get_content_type() == kind and not part.get_filename():
                text = _bytes(part).decode()[: LONGEST_TEXT * 10]
                if kind == "text/html":
                    text = unescape(TAGS.sub(" ", BREAKS.sub("\n", HIDDEN.sub("", text))))
                if said := _unquoted(text):
                    return said
    return ""


def _unquoted(text: str) -> str:
    lines: list[str] = []
    for line in text[: LONGEST_TEXT * 2].splitlines():
        if QUOTES.match(line.strip()):
            break
        lines.append("".join(one for one in line if one.isprintable()))
    return "\n".join(lines).strip()[:LONGEST_TEXT]


def _report(message: Message, kept: list[Message]) -> Report | None:
    for part in kept:
        if part.get_content_type() == "message/delivery-status":
            groups = part.get_payload() if part.is_multipart() else []
            for group in groups if isinstance(groups, list) else []:
                if isinstance(group, Message) and group.get("Action"):
                    said = _header(group, "Diagnostic-Code").partition(";")[2].strip()
                    return Report(
                        action=_header(group, "Action").lower(),
                        status=_header(group, "Status")[:20],
                        said=" ".join(said.split())[:300],
                    )
    if "mailer-daemon" in _header(message, "From").lower() and len(kept) == 1:
        return Report(action="failed", status="", said=_decoded(_header(message, "Subject"))[:300])
    return None


def _returned(part: Message) -> str:
    """Return the Message-ID of the mail that a report brings back."""
    if part.get_content_type() != "text/rfc822-headers":
        return ""
    head = message_from_bytes(_bytes(part)[:65536])
    return _header(head, "Message-ID")


def _tokens(message: Message) -> Iterator[str]:
    for name in ("Delivered-To", "X-Original-To", "To", "Cc", "Envelope-To"):
        for value in message.get_all(name, [])[:20]:
            yield from (one.lower() for one in TOKEN.findall(str(value)[:LONGEST_HEADER]))


def _authentication(message: Message, authserv_id: str) -> str:
    """Return what our own server found; only its word counts, and only its first (R10)."""
    for value in message.get_all("Authentication-Results", [])[:20]:
        name, _, results = str(value)[:LONGEST_HEADER].partition(";")
        words = name.split()
        if not words or words[0].lower() != authserv_id.lower():
            continue
        found = dict(re.findall(r"\b(dmarc|dkim|spf)=([a-z]+)", results.lower()))
        for method in ("dmarc", "dkim", "spf"):
            if method in found:
                return f"{method}={found[method]}"
    return ""


def _header(message: Message, name: str) -> str:
    text = " ".join(str(message.get(name, ""))[:LONGEST_HEADER].split())
    clean = text.encode("utf-8", "replace").decode("utf-8", "replace")
    return "".join(letter for letter in clean if letter.isprintable())


def _decoded(text: str) -> str:
    try:
        found = str(make_header(decode_header(text)))
    except (MessageError, LookupError, ValueError):
        found = text
    clean = found.encode("utf-8", "replace").decode("utf-8", "replace")
    return "".join(one for one in clean if one.isprintable())


def _address(text: str) -> str:
    found = getaddresses([text])
    address = found[0][1].lower() if found else ""
    return address if "@" in address and address.isascii() and address.isprintable() else ""
