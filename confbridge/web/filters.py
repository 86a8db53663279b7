"""What templates write of times and states; they do no arithmetic of their own."""

from __future__ import annotations

from datetime import datetime, timedelta

from flask import Flask
from flask_babel import get_locale

from confbridge import config
from confbridge.domain import wording
from confbridge.doors import say
from confbridge.errors import Phrase
from confbridge.services import refusals
from confbridge.services.refusals import Obstacle

WORDS = {
    "draft": Phrase("Draft"),
    "scheduled": Phrase("Scheduled"),
    "postponed": Phrase("Postponed"),
    "cancelled": Phrase("Cancelled"),
    "over": Phrase("Over"),
    "up": Phrase("Up"),
    "degraded": Phrase("Degraded"),
    "down": Phrase("Down"),
    "NEEDS-ACTION": Phrase("No answer yet"),
    "ACCEPTED": Phrase("Accepted"),
    "DECLINED": Phrase("Declined"),
    "TENTATIVE": Phrase("Tentative"),
    "main": Phrase("Main site"),
    "required": Phrase("Required"),
    "optional": Phrase("Optional"),
    "room": Phrase("Fixed room"),
    "soft": Phrase("Soft client"),
    "DELEGATED": Phrase("Substitute named"),
    "mail": Phrase("by mail"),
    "link": Phrase("by link"),
    "phone": Phrase("by telephone"),
    "api": Phrase("by program"),
    "queued": Phrase("Queued"),
    "sent": Phrase("Sent"),
    "failed": Phrase("Failed"),
    "delivered": Phrase("Delivered"),
    "bounced": Phrase("Came back"),
    "upcoming": Phrase("Reminder before the start"),
    "counter_declined": Phrase("Proposal declined"),
    "silent": Phrase("Note to the head office"),
    "counted": Phrase("counts"),
    "earlier": Phrase("replaced by a later answer"),
    "outdated": Phrase("about an earlier version"),
    "waiting": Phrase("waits for a decision"),
    "accepted": Phrase("accepted"),
    "refused": Phrase("refused"),
    "superseded": Phrase("Replaced by a later mail"),
    "invitation": Phrase("Invitation"),
    "moved": Phrase("New time"),
    "changed": Phrase("Update"),
    "reminder": Phrase("Reminder"),
    "withdrawn": Phrase("Withdrawal"),
    "present_online": Phrase("Present online"),
    "absent": Phrase("Absent"),
    "not_called": Phrase("Not begun"),
    "event": Phrase("reported by the bridge"),
    "poll": Phrase("found by asking the bridge"),
    "unreachable": Phrase("The bridge did not answer."),
    "events": Phrase("The bridge's reports stopped; it was asked every few seconds instead."),
    "admin": Phrase("Administrator"),
    "secretariat": Phrase("Secretariat"),
    "operator": Phrase("Operator"),
    "viewer": Phrase("Viewer"),
    "central": Phrase("Central"),
    "province": Phrase("People's Committee"),
    "party": Phrase("Provincial Party Committee"),
    "district": Phrase("Districts"),
    "department": Phrase("Departments"),
    "emergency": Phrase("Emergency"),
    "primary": Phrase("Bridge"),
    "cascade": Phrase("Linked bridge"),
    "standby": Phrase("Stand-by"),
    "offered": Phrase("Offer of room"),
    "commune": Phrase("Communes"),
}


def language() -> str:
    return str(get_locale() or "vi")


def moment(when: datetime) -> str:
    return wording.moment(when, config.in_force().zone, language())


def day(when: datetime) -> str:
    return wording.day(when, config.in_force().zone, language())


def time_of_day(when: datetime) -> str:
    return f"{when.astimezone(config.in_force().zone):%H:%M}"


def exact(when: datetime) -> str:
    return f"{when.astimezone(config.in_force().zone):%H:%M:%S}"


def short(when: datetime) -> str:
    return f"{when.astimezone(config.in_force().zone):%d/%m %H:%M}"


def field_value(when: datetime) -> str:
    """Return the wall-clock time as a form field of a browser has it."""
    return f"{when.astimezone(config.in_force().zone):%Y-%m-%dT%H:%M}"


def duration(span: timedelta) -> str:
    return wording.duration(span, language())


def repetition(rrule: str) -> str:
    return wording.repetition(rrule, config.in_force().zone, language())


def obstacle(one: Obstacle) -> str:
    """Return what is in the way as a sentence."""
    return say(refusals.said(one, short))


def word(code: str) -> str:
    """Return what people call a state, a kind or a role."""
    return say(WORDS[code]) if code in WORDS else code


def init_app(app: Flask) -> None:
    for one in (
        *(moment, day, time_of_day, exact, short, field_value, duration, word, say),
        *(repetition, obstacle),
    ):
        app.add_template_filter(one)
