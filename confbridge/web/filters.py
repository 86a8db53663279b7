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
    "unverified": Phrase("Sender not verified"),
    "stranger": Phrase("Not invited"),
    "text": Phrase("In words"),
    "counter": Phrase("Other time proposed"),
    "substitute": Phrase("Substitute"),
    "taken": Phrase("Place taken"),
    "agreed": Phrase("agreed"),
    "freebusy": Phrase("Free and busy times"),
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
    "present_in_person": Phrase("Present in person"),
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
    "reconstructed": Phrase("reconstructed"),
    "ready": Phrase("Ready"),
    "not_ready": Phrase("Not ready"),
    "unknown": Phrase("No word yet"),
    "power": Phrase("Power"),
    "picture": Phrase("Picture"),
    "sound": Phrase("Sound"),
    "line": Phrase("Line"),
    "account": Phrase("Account"),
    "ok": Phrase("fine"),
    "bad": Phrase("not right"),
}
INCIDENTS = {
    "missing": Phrase("Has not come"),
    "dropped": Phrase("Dropped, and is not back"),
    "quality": Phrase("Bad line"),
    "not_open": Phrase("The room is not open"),
    "lost": Phrase("Its bridge is lost, and no other has the ports"),
    "bridge": Phrase("Bridge in trouble"),
}
WARNINGS = {
    "certificate": Phrase("Its certificate expires soon."),
    "clock": Phrase("Its clock is not right: events are dated wrongly."),
    "capacity": Phrase("It says that it has fewer ports than are declared."),
}
STEPS = {
    "open": Phrase("Open"),
    "close": Phrase("Close"),
    "gone": Phrase("Forgotten by the bridge"),
    "detached": Phrase("Detached, as its bridge was lost"),
    "moved": Phrase("Moved away"),
    "placed": Phrase("Placed here"),
    "left": Phrase("Left"),
    "back": Phrase("Back here"),
    "not moved": Phrase("Not moved"),
}


FILTERS = {
    "": Phrase("All"),
    "silent": Phrase("No answer yet"),
    "declined": Phrase("Declined"),
    "bounced": Phrase("Not delivered"),
    "waiting": Phrase("To decide"),
}
TASKS = {
    "declined": Phrase("A required site does not come"),
    "bounced": Phrase("The invitation came back"),
    "silent": Phrase("A required site is silent"),
}
OUTCOMES = {
    "effect": Phrase("Has had its effect"),
    "queue": Phrase("Waits for a decision"),
    "quarantine": Phrase("Laid aside"),
    "refused": Phrase("Not read"),
    "ignored": Phrase("Passed over"),
    "repeated": Phrase("Had come before"),
}
REASONS = {
    "counted": Phrase("It counts."),
    "earlier": Phrase("A later answer had come already."),
    "outdated": Phrase("It was about an earlier version; the one in force was sent again."),
    "substitute": Phrase("A substitute is named."),
    "counter": Phrase("Another time is proposed."),
    "words": Phrase("An answer in words."),
    "unverified": Phrase("Its sender is not who was invited."),
    "wrong_clock": Phrase("It is dated in the future: the sender's clock is wrong."),
    "stranger": Phrase("From somebody who was not invited."),
    "taken": Phrase("Its place has been given to others meanwhile."),
    "delegate_declined": Phrase("The substitute does not come; the site was asked again."),
    "refreshed": Phrase("The invitation was sent again, as asked."),
    "free_busy_told": Phrase("It was told when the site is free."),
    "failed": Phrase("A mail of ours could not be delivered."),
    "delayed": Phrase("A mail of ours is delayed."),
    "delivered": Phrase("A mail of ours has arrived."),
    "away": Phrase("An out-of-office notice."),
    "same_message": Phrase("The same mail had come before."),
    "same_answer": Phrase("The same answer had come before."),
    "our_own": Phrase("A mail of our own."),
    "claims_to_organize": Phrase("It claims to be from the organizer, who is us."),
    "no_such_occurrence": Phrase("The series has no meeting at that time."),
    "not_open": Phrase("The meeting cannot be answered to any more."),
    "no_answer": Phrase("It holds no answer."),
    "same_time": Phrase("It proposes the time as it is."),
    "unknown_uid": Phrase("There is no such meeting here."),
    "no_uid": Phrase("It does not say which meeting it is about."),
    "no_stamp": Phrase("It does not say when it was written."),
    "no_method": Phrase("It does not say what it wants."),
    "unknown_version": Phrase("It is about a version that was never sent."),
    "whose_answer": Phrase("It cannot be told whose answer it is."),
    "delegation_in_circles": Phrase("It is delegated to somebody who is invited already."),
    "no_time_proposed": Phrase("It proposes another time without saying which."),
    "no_time_asked": Phrase("It does not say about which time it asks."),
    "refresh_of_whom": Phrase("Somebody who is not on the list asks for the invitation."),
    "report_of_what": Phrase("A mail server reports on a mail that is not ours."),
    "about_what": Phrase("It does not say which invitation it answers."),
    "unknown_sender": Phrase("Its sender is not known here."),
    "no_words": Phrase("It is empty."),
    "other_component": Phrase("It is neither about a meeting nor about free time."),
    "not_icalendar": Phrase("Its calendar part cannot be read."),
    "nothing_in_it": Phrase("Its calendar part is empty."),
    "strange_occurrence": Phrase("It does not say plainly which meeting of the series is meant."),
    "strange_zone": Phrase("Its time zone cannot be worked out."),
    "too_large": Phrase("It is too large."),
    "too_many_parts": Phrase("It has too many parts."),
    "too_many_headers": Phrase("It has too many headers."),
    "too_deep": Phrase("Its parts are nested too deep."),
    "not_a_mail": Phrase("It is not a mail that can be read."),
    "our_fault": Phrase("We failed on it; it has been noted."),
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


def filter_name(code: str) -> str:
    return say(FILTERS[code])


def task(code: str) -> str:
    return say(TASKS[code])


def outcome(code: str) -> str:
    return say(OUTCOMES[code])


def reason(code: str) -> str:
    """Return why a mail ended as it did, as a sentence."""
    return say(REASONS[code]) if code in REASONS else code


def incident(code: str) -> str:
    return say(INCIDENTS[code])


def warning(code: str) -> str:
    return say(WARNINGS[code])


def step(code: str) -> str:
    """Return what was done to a room."""
    return say(STEPS[code]) if code in STEPS else code


def share(value: float) -> str:
    """Return a part of one in percent."""
    return f"{value * 100:.1f} %" if value < 0.1 else f"{value * 100:.0f} %"


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


PROOFS = {
    "sender": Phrase("sent from the address invited"),
    "token": Phrase("carries the mark of its own invitation"),
    "sent-by": Phrase("sent by another who receives for the site"),
}


def proof(text: str) -> str:
    """Return what is known of a sender, as it was kept, in words."""
    first, _, rest = text.partition(", ")
    if first.startswith("sent by "):
        said = say(Phrase("sent from %(address)s", address=first.removeprefix("sent by ")))
    else:
        said = say(PROOFS[first]) if first in PROOFS else first
    return ", ".join(part for part in (said, rest) if part)


def init_app(app: Flask) -> None:
    for one in (
        *(moment, day, time_of_day, exact, short, field_value, duration, word, say),
        *(repetition, obstacle, filter_name, task, outcome, reason, proof),
        *(incident, warning, step, share, milliseconds),
    ):
        app.add_template_filter(one)
