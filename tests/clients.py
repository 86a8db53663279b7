"""Mails as calendars of the makers send them: their shapes, from what is known of each."""

from __future__ import annotations

import base64
import itertools
import quopri
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

US = "hoinghi@ninhthuan.example"
_numbers = itertools.count(1)


def stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What an attendee's calendar says; by default that a known endpoint comes."""

    uid: str
    attendee: str = "e-1@example.org"
    partstat: str = "ACCEPTED"
    method: str = "REPLY"
    sequence: int = 0
    stamped: datetime = datetime(2026, 3, 2, 3, 4, 5, tzinfo=UTC)
    start: datetime | None = None
    end: datetime | None = None
    recurrence_id: str = ""  # with its parameters, as ";TZID=…:2031…" or ":2031…Z"
    parameters: str = ""  # more of ATTENDEE, as ";DELEGATED-TO=…"
    lines: tuple[str, ...] = ()
    organizer: str | None = f"mailto:{US}"

    def calendar(self) -> str:
        found = [
            *("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Test//Test//EN"),
            *(f"METHOD:{self.method}", "BEGIN:VEVENT", f"UID:{self.uid}"),
            *(f"DTSTAMP:{stamp(self.stamped)}", f"SEQUENCE:{self.sequence}"),
        ]
        if self.start:
            end = self.end or self.start + timedelta(hours=1)
            found += [f"DTSTART:{stamp(self.start)}", f"DTEND:{stamp(end)}"]
        if self.recurrence_id:
            found.append(f"RECURRENCE-ID{self.recurrence_id}")
        if self.organizer:
            found.append(f"ORGANIZER:{self.organizer}")
        said = f";PARTSTAT={self.partstat}" if self.partstat else ""
        found.append(f"ATTENDEE{said}{self.parameters}:mailto:{self.attendee}")
        found += [*self.lines, "END:VEVENT", "END:VCALENDAR", ""]
        return "\r\n".join(found)

    def but(self, **given: object) -> Answer:
        return replace(self, **given)  # type: ignore[arg-type]


def envelope(sender: str, *, to: str = US, message_id: str = "", more: str = "") -> str:
    message_id = message_id or f"<{next(_numbers)}@client.example>"
    return (
        f"From: Somebody <{sender}>\r\nTo: {to}\r\nSubject: Re: invitation\r\n"
        f"Message-ID: {message_id}\r\nDate: Tue, 04 Mar 2031 08:00:00 +0700\r\n"
        f"MIME-Version: 1.0\r\n{more}"
    )


def plain(text: str, sender: str, **rest: str) -> bytes:
    head = envelope(sender, **rest) + "Content-Type: text/plain; charset=utf-8\r\n\r\n"
    return (head + text).encode()


def simple(answer: Answer, sender: str = "", **rest: str) -> bytes:
    """The calendar alone, as RFC 6047 has it."""
    head = envelope(sender or answer.attendee, **rest)
    return (
        f"{head}Content-Type: text/calendar; method={answer.method}; charset=UTF-8\r\n\r\n"
        f"{answer.calendar()}"
    ).encode()


def outlook(answer: Answer, sender: str = "", **rest: str) -> bytes:
    """Exchange and Outlook: alternative, base64, no attachment, Windows' name of the zone."""
    text = answer.calendar()
    body = base64.encodebytes(text.encode()).decode().replace("\n", "\r\n")
    return (
        envelope(sender or answer.attendee, **rest)
        + 'Content-Type: multipart/alternative; boundary="_000_X_"\r\n\r\n'
        + "--_000_X_\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nChấp nhận\r\n"
        + "--_000_X_\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Chấp nhận</p>\r\n"
        + f'--_000_X_\r\nContent-Type: text/calendar; charset="utf-8"; method={answer.method}\r\n'
        + f"Content-Transfer-Encoding: base64\r\n\r\n{body}\r\n--_000_X_--\r\n"
    ).encode()


def outlook_com(answer: Answer, sender: str = "", **rest: str) -> bytes:
    """outlook.com leaves ORGANIZER out."""
    return outlook(answer.but(organizer=None), sender, **rest)


def google(answer: Answer, sender: str = "", **rest: str) -> bytes:
    """Google: the calendar quoted-printable in the alternative, and again as a file."""
    text = answer.calendar()
    lines = text.replace("\r\n", "\n").encode()
    quoted = quopri.encodestring(lines).decode().replace("\n", "\r\n")
    attached = base64.encodebytes(text.encode()).decode().replace("\n", "\r\n")
    return (
        envelope(sender or answer.attendee, **rest)
        + 'Content-Type: multipart/mixed; boundary="000m"\r\n\r\n--000m\r\n'
        + 'Content-Type: multipart/alternative; boundary="000a"\r\n\r\n'
        + "--000a\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\nĐã chấp nhận\r\n"
        + "--000a\r\nContent-Type: text/html; charset=UTF-8\r\n\r\n<b>Đã chấp nhận</b>\r\n"
        + f'--000a\r\nContent-Type: text/calendar; charset="UTF-8"; method={answer.method}\r\n'
        + f"Content-Transfer-Encoding: quoted-printable\r\n\r\n{quoted}\r\n--000a--\r\n"
        + '--000m\r\nContent-Type: application/ics; name="invite.ics"\r\n'
        + 'Content-Disposition: attachment; filename="invite.ics"\r\n'
        + f"Content-Transfer-Encoding: base64\r\n\r\n{attached}\r\n--000m--\r\n"
    ).encode()


def open_xchange(answer: Answer, sender: str = "", **rest: str) -> bytes:
    """Open-Xchange: Google's shape, and says that a machine has written it."""
    return google(answer, sender, more="Auto-Submitted: auto-generated\r\n", **rest)


def apple(answer: Answer, sender: str = "", **rest: str) -> bytes:
    """Apple Mail: buried as an attachment, no method in its type, no PRODID, small letters."""
    text = answer.calendar().replace("PRODID:-//Test//Test//EN\r\n", "")
    text = text.replace(f"METHOD:{answer.method}", f"METHOD:{answer.method.lower()}")
    return (
        envelope(sender or answer.attendee, **rest)
        + "Content-Type: multipart/alternative; boundary=Apple-A\r\n\r\n"
        + "--Apple-A\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n \r\n"
        + "--Apple-A\r\nContent-Type: multipart/mixed; boundary=Apple-M\r\n\r\n"
        + "--Apple-M\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<br>\r\n"
        + "--Apple-M\r\nContent-Disposition: attachment; filename=iCal-20310304-080000.ics\r\n"
        + "Content-Type: text/calendar; name=iCal-20310304-080000.ics\r\n\r\n"
        + f"{text}\r\n--Apple-M--\r\n--Apple-A--\r\n"
    ).encode()


def thunderbird(answer: Answer, sender: str = "", **rest: str) -> bytes:
    """Thunderbird: mixed, the calendar first as a part and then as a file of another type."""
    text = answer.calendar()
    return (
        envelope(sender or answer.attendee, **rest)
        + 'Content-Type: multipart/mixed; boundary="TB"\r\n\r\n'
        + '--TB\r\nContent-Type: multipart/alternative; boundary="TB2"\r\n\r\n'
        + "--TB2\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nAccepted\r\n"
        + f"--TB2\r\nContent-Type: text/calendar; method={answer.method}; charset=utf-8\r\n"
        + f"Content-Transfer-Encoding: 8bit\r\n\r\n{text}\r\n--TB2--\r\n"
        + "--TB\r\nContent-Type: application/octet-stream; name=invite.ics\r\n"
        + f"Content-Disposition: attachment; filename=invite.ics\r\n\r\n{text}\r\n--TB--\r\n"
    ).encode()


SHAPES = [simple, outlook, outlook_com, google, open_xchange, apple, thunderbird]


def bounce(
    message_id: str, *, to: str = US, action: str = "failed", status: str = "5.1.1"
) -> bytes:
    """A report of a mail server (RFC 3464), with the head of the mail that it is about."""
    return (
        envelope("mailer-daemon@relay.example", to=to)
        + "Auto-Submitted: auto-replied\r\n"
        + "Content-Type: multipart/report; report-type=delivery-status; boundary=R\r\n\r\n"
        + "--R\r\nContent-Type: text/plain\r\n\r\nThis is the mail system.\r\n"
        + "--R\r\nContent-Type: message/delivery-status\r\n\r\n"
        + "Reporting-MTA: dns; relay.example\r\n\r\n"
        + f"Final-Recipient: rfc822; e-1@example.org\r\nAction: {action}\r\nStatus: {status}\r\n"
        + "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n\r\n"
        + "--R\r\nContent-Type: text/rfc822-headers\r\n\r\n"
        + f"Message-ID: {message_id}\r\nSubject: x\r\n\r\n--R--\r\n"
    ).encode()


def out_of_office(sender: str, *, to: str = US, references: str = "") -> bytes:
    more = f"Auto-Submitted: auto-replied\r\nIn-Reply-To: {references}\r\n"
    return plain("Đồng ý gặp lại sau", sender, to=to, more=more)
