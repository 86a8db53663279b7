"""A letter and its recipient, made into a mail that calendars understand (RFC 6047)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy
from email.utils import format_datetime, parseaddr
from functools import cache, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from babel.support import NullTranslations, Translations
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from confbridge.config import HOUSE
from confbridge.domain import itip, wording
from confbridge.domain.interval import Interval
from confbridge.errors import Phrase

# What each kind of letter is called, and its first sentence.
SUBJECTS = {
    "invitation": Phrase("Invitation: %(title)s"),
    "moved": Phrase("New time: %(title)s"),
    "changed": Phrase("Updated: %(title)s"),
    "reminder": Phrase("Please answer: %(title)s"),
    "withdrawn": Phrase("No longer invited: %(title)s"),
    "cancelled": Phrase("Cancelled: %(title)s"),
    "postponed": Phrase("Postponed: %(title)s"),
    "upcoming": Phrase("Soon: %(title)s"),
    "counter_declined": Phrase("The time stays: %(title)s"),
    "silent": Phrase("No answer yet: %(title)s"),
    "freebusy": Phrase("When %(name)s is free"),
    "offered": Phrase("There is room now: %(title)s"),
}
OPENINGS = {
    "invitation": Phrase("%(host)s invites %(name)s to a video conference."),
    "moved": Phrase(
        "The video conference takes place at another time. Please answer again, %(name)s."
    ),
    "changed": Phrase(
        "The content of the video conference has been updated. The time is the same."
    ),
    "reminder": Phrase("%(host)s still awaits the answer of %(name)s."),
    "withdrawn": Phrase("%(name)s is no longer on the list of sites of this video conference."),
    "cancelled": Phrase("The video conference has been cancelled."),
    "postponed": Phrase(
        "The video conference has been postponed. A new time will be told; the number stays."
    ),
    "upcoming": Phrase("This is to remind %(name)s of the video conference."),
    "counter_declined": Phrase(
        "The time that %(name)s proposed cannot be taken. The meeting stays when it is."
    ),
    "freebusy": Phrase(
        "The times at which %(name)s is taken are in the calendar part of this mail."
    ),
    "silent": Phrase(
        "%(site)s, whose part in it is required, has not answered its invitation. Please see to it."
    ),
    "offered": Phrase(
        "What you were waiting for could be held now. It is held for you for a while: open the"
        " meeting and confirm."
    ),
}
METHODS = {
    "withdrawn": itip.Method.CANCEL,
    "cancelled": itip.Method.CANCEL,
    "counter_declined": itip.Method.DECLINECOUNTER,
}
PLAIN = {
    "upcoming",
    "silent",
    "offered",
    "freebusy",
}  # words only: nothing that a calendar should do
ATTENDING = {"main", "required", "optional"}  # the roles of who is asked; others are only told


@dataclass(frozen=True, kw_only=True)
class Copy:
    """One recipient's copy of a letter: everything that its mail says."""

    kind: str
    message_id: str
    sender: str
    recipient: str
    name: str
    role: str
    partstat: str
    language: str
    uid: str
    sequence: int
    stamped: datetime
    during: Interval
    timezone: str
    title: str
    agenda: str
    chair: str
    host: str
    number: str
    contact: str
    lead_minutes: int
    reason: str
    join_url: str
    reply_url: str
    original: datetime | None = None  # the occurrence that this is about, by its RECURRENCE-ID
    rrule: str = ""
    exdates: tuple[datetime, ...] = ()
    related_to: str = ""
    offers: tuple[datetime, ...] = ()  # new times that were found
    until: datetime | None = None  # how long they stand
    reply_to: str = ""  # an address of this mail's own, by which what comes back is known
    is_secret: bool = False
    delegated_from: str = ""
    body: str = ""  # a calendar part that is ready
    site: str = ""  # of which endpoint it tells, where that is not the recipient
    dial: tuple[str, ...] = ()  # what is dialled instead of joining by the page

    @property
    def is_for_endpoint(self) -> bool:
        """Say whether it asks an endpoint; others are only told."""
        return self.role in ATTENDING

    @property
    def has_calendar(self) -> bool:
        return self.is_for_endpoint and self.kind not in PLAIN

    @property
    def has_links(self) -> bool:
        """Say whether there is anything to answer or join; nothing leads into a state secret."""
        gone = {"withdrawn", "cancelled", "postponed", "counter_declined"}
        return self.is_for_endpoint and self.kind not in gone and not self.is_secret


class _Remembering(EmailPolicy):
    """SMTP's policy, which remembers headers: most are the same in every mail of a letter.

    To encode and fold them anew was half of the time that a mail takes.
    """

    def header_store_parse(self, name: str, value: Any) -> tuple[str, Any]:
        if type(value) is str:
            return _stored(name, value)
        return super().header_store_parse(name, value)

    def fold_binary(self, name: str, value: str) -> bytes:
        return _folded(name, str(value))


@lru_cache(maxsize=256)
def _stored(name: str, value: str) -> tuple[str, Any]:
    return SMTP.header_store_parse(name, value)


@lru_cache(maxsize=256)
def _folded(name: str, value: str) -> bytes:
    return SMTP.fold_binary(name, SMTP.header_factory(name, value))


POLICY = _Remembering(linesep="\r\n")


def mail(copy: Copy) -> EmailMessage:
    """Return mixed{alternative{plain, html, calendar}, invite.ics}; the same each time."""
    words = _words(copy.language)
    view = {"copy": copy, "opening": _say(words, OPENINGS[copy.kind], copy), **_times(copy)}
    environment = _environment(copy.language)

    message = EmailMessage(policy=POLICY)
    sender, recipient = parseaddr(copy.sender), copy.recipient.partition("@")
    message["From"] = Address(sender[0], addr_spec=sender[1])
    message["To"] = Address(copy.name, recipient[0], recipient[2])
    message["Subject"] = _say(words, SUBJECTS[copy.kind], copy)
    message["Date"] = format_datetime(copy.stamped)
    message["Message-ID"] = copy.message_id
    if copy.reply_to:
        message["Reply-To"] = Address(sender[0], addr_spec=copy.reply_to)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(environment.get_template("mail/letter.txt").render(view), cte="base64")
    html = environment.get_template("mail/letter.html").render(view)
    message.add_alternative(html, subtype="html", cte="base64")
    if copy.body:
        _add_ready(message, copy)
    if not copy.has_calendar:
        return message
    event = calendar(copy)
    message.add_alternative(
        event.decode(),
        subtype="calendar",
        cte="base64",
        params={"method": _method(copy), "component": "VEVENT"},
    )
    message.add_attachment(event, maintype="application", subtype="ics", filename="invite.ics")
    return message


def _add_ready(message: EmailMessage, copy: Copy) -> None:
    params = {"method": itip.Method.REPLY, "component": "VFREEBUSY"}
    message.add_alternative(copy.body, subtype="calendar", cte="base64", params=params)


def calendar(*copies: Copy) -> bytes:
    """Return the iCalendar object of a recipient's copy; several are one meeting (S2)."""
    return itip.calendar(*(_invitation(copy, _words(copy.language)) for copy in copies))


def _invitation(copy: Copy, words: NullTranslations) -> itip.Invitation:
    organizer = parseaddr(copy.sender)
    description = [copy.agenda]
    if copy.has_links:
        description.append(words.gettext("Join: %(url)s") % {"url": copy.join_url})
        description.append(words.gettext("Answer: %(url)s") % {"url": copy.reply_url})
        description += [words.gettext("Or dial: %(text)s") % {"text": one} for one in copy.dial]
    return itip.Invitation(
        method=_method(copy),
        uid=copy.uid,
        sequence=copy.sequence,
        stamped=copy.stamped,
        during=copy.during,
        timezone=copy.timezone,
        summary=copy.title,
        description="\n\n".join(part for part in description if part),
        location=copy.name,
        contact=copy.contact,
        organizer_name=organizer[0],
        organizer_email=organizer[1],
        attendee_name=copy.name,
        attendee_email=copy.recipient,
        attendee_role=copy.role,
        partstat=copy.partstat,
        join_url=copy.join_url if copy.has_links else "",
        join_label=words.gettext("Join the video conference"),
        is_cancelled=copy.kind == "cancelled",
        is_postponed=copy.kind == "postponed",
        rrule=copy.rrule,
        exdates=copy.exdates,
        recurrence_id=copy.original,
        related_to=copy.related_to,
        reason=copy.reason,
        is_secret=copy.is_secret,
        dial=copy.dial if copy.has_links else (),
        dial_label=words.gettext("Dial in"),
        delegated_from=copy.delegated_from,
    )


def _method(copy: Copy) -> itip.Method:
    return METHODS.get(copy.kind, itip.Method.REQUEST)


def _times(copy: Copy) -> dict[str, object]:
    zone = ZoneInfo(copy.timezone)

    def said(moment: datetime) -> str:
        return wording.moment(moment, zone, copy.language)

    return {
        "starts": said(copy.during.start),
        "lasts": wording.duration(copy.during.lasts, copy.language),
        "repeats": wording.repetition(copy.rrule, zone, copy.language) if copy.rrule else "",
        "instead_of": said(copy.original) if copy.original else "",
        "new_times": [said(one) for one in copy.offers],
        "until": said(copy.until) if copy.until else "",
    }


def _say(words: NullTranslations, phrase: Phrase, copy: Copy) -> str:
    said = words.gettext(phrase.text) % {
        "title": copy.title,
        "host": copy.host,
        "name": copy.name,
        "site": copy.site,
    }
    return " ".join(said.split())


@cache
def _words(language: str) -> NullTranslations:
    return Translations.load(str(HOUSE / "confbridge" / "translations"), [language])


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HOUSE / "templates"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.install_gettext_translations(_words(language), newstyle=True)  # type: ignore[attr-defined]
    return environment
