"""Reminders before a meeting, and what is done about who stays silent.

What was given is written down in the transaction that queues the mail, so that a
crash can neither lose a reminder nor give it twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select, update

from confbridge import clock, config
from confbridge.database import db
from confbridge.domain import chasing
from confbridge.domain.chasing import Deed, Plan, Step
from confbridge.domain.lifecycle import MeetingState
from confbridge.domain.rsvp import Partstat
from confbridge.domain.workdays import Workdays
from confbridge.inputs.directory import Reminders
from confbridge.models import (
    Account,
    Attendee,
    Letter,
    LetterKind,
    Mail,
    Meeting,
    Occurrence,
    Organisation,
    Reminder,
    Role,
    Standing,
    TaskKind,
)
from confbridge.services import access, audit, demands, invitations, outbox, replies, rules, tasks
from confbridge.services.outbox import Person, Telling

TOLD = (LetterKind.INVITATION, LetterKind.MOVED)


@dataclass(frozen=True)
class _Round:
    """All that is needed to decide about one occurrence."""

    meeting: Meeting
    one: Occurrence
    workdays: Workdays
    standings: Mapping[int, Standing]
    organisations: Mapping[int, Organisation]
    given: Mapping[int, Mapping[str, datetime]]  # by attendee, by step: the start it was about
    told: Mapping[int, datetime]

    def plan(self, attendee: Attendee) -> list[Step]:
        home = self.organisations[attendee.endpoint.organisation_id]
        return chasing.steps(plan_of(home), self.one.starts, self.workdays)


def plan_of(home: Organisation) -> Plan:
    """Return when an organisation's endpoints are reminded: as it says, or the settings."""
    settings = config.in_force()
    minutes = settings.remind_minutes if home.remind_minutes is None else home.remind_minutes
    days = settings.chase_days if home.chase_days is None else home.chase_days
    return Plan(tuple(map(int, minutes.split())), days)


def chase_one() -> bool:
    """Remind whom it is time to, of one occurrence; say whether one was looked at."""
    now = clock.now()
    due = select(Occurrence.id, Occurrence.meeting_id).where(Occurrence.remind_at <= now)
    found = db.session.execute(due.order_by(Occurrence.remind_at, Occurrence.id).limit(1)).first()
    if found is None:
        return False
    locked = select(Meeting).where(Meeting.id == found.meeting_id)
    meeting = db.session.scalar(locked.with_for_update(of=Meeting))
    one = db.session.get_one(Occurrence, found.id, populate_existing=True)
    if meeting is None or one.remind_at is None or one.remind_at > now:
        return True  # somebody else has just looked after it
    if one.state != MeetingState.SCHEDULED or one.starts <= now:
        one.remind_at = _end_secret(meeting, one, now)
        return True
    scene = _scene(meeting, one)
    members = demands.members([one])[one.id]
    some = [each for each in meeting.attendees if each.endpoint_id in members]
    _give(scene, some, now)
    moments = [chasing.next_due(scene.plan(each), now) for each in some]
    one.remind_at = min((each for each in moments if each), default=one.ends)
    return True


def _end_secret(meeting: Meeting, one: Occurrence, now: datetime) -> datetime | None:
    """Let what is held on no bridge be over with its time: no room that closes will say so."""
    if not meeting.secret or one.state != MeetingState.SCHEDULED:
        return None
    if one.ends > now:
        return one.ends
    ahead = [each for each in meeting.occurrences if each.state == MeetingState.SCHEDULED]
    one.state = MeetingState.OVER
    if ahead == [one]:
        meeting.state = MeetingState.OVER
        meeting.version += 1
    return None


def change(home: Organisation, wanted: Reminders, *, by: Account) -> None:
    """Give an organisation its own times of reminding, and its head office."""
    minutes = wanted.remind_minutes
    home.remind_minutes = None if minutes is None else " ".join(map(str, sorted(minutes)[::-1]))
    home.chase_days = wanted.chase_days
    home.office_name, home.office_email = wanted.office_name, wanted.office_email
    now = clock.now()
    again = update(Occurrence).where(
        Occurrence.state == MeetingState.SCHEDULED, Occurrence.starts > now
    )
    db.session.execute(again.values(remind_at=now))
    audit.record(by.email, "reminders changed", f"organisation {home.code}")
    db.session.flush()


def organisation(account: Account, code: str) -> Organisation:
    """Return the organisation whose reminders `account` may change.

    Raises NotAllowed, Invalid.
    """
    access.check_role(account, Role.ADMIN)
    return access.organisation(code)


def _scene(meeting: Meeting, one: Occurrence) -> _Round:
    homes = {each.endpoint.organisation_id for each in meeting.attendees}
    asked = select(Organisation).where(Organisation.id.in_(homes))
    given: dict[int, dict[str, datetime]] = defaultdict(dict)
    reminders = select(Reminder).where(Reminder.occurrence_id == one.id)
    for row in db.session.scalars(reminders):
        given[row.attendee_id][row.step] = row.starts
    told = (
        select(Mail.attendee_id, func.max(Letter.stamped))
        .join(Letter, Letter.id == Mail.letter_id)
        .where(Letter.meeting_id == meeting.id, Letter.kind.in_(TOLD))
        .where((Letter.occurrence_id == one.id) | Letter.occurrence_id.is_(None))
        .group_by(Mail.attendee_id)
    )
    return _Round(
        meeting=meeting,
        one=one,
        workdays=rules.workdays(),
        standings=replies.standings(meeting, one),
        organisations={each.id: each for each in db.session.scalars(asked)},
        given=given,
        told={number: at for number, at in db.session.execute(told) if number is not None},
    )


def _give(scene: _Round, some: Sequence[Attendee], now: datetime) -> None:
    """Queue what is due: of several at once only the last for each, for it says it all."""
    asked: list[Attendee] = []
    reminded: list[Attendee] = []
    for attendee in some:
        standing = scene.standings[attendee.id]
        steps = chasing.due_now(
            scene.plan(attendee),
            now=now,
            starts=scene.one.starts,
            told=scene.told.get(attendee.id),
            given=scene.given.get(attendee.id, {}),
        )
        deeds = [chasing.deed_of(step, standing.partstat, attendee.role) for step in steps]
        if Deed.ESCALATE in deeds:
            _escalate(scene, attendee)
        if Deed.ASK in deeds:
            asked.append(attendee)
        elif Deed.REMIND in deeds:
            reminded.append(attendee)
        _write_down(scene.one, attendee, steps)
    _tell(scene, LetterKind.REMINDER, asked)
    _tell(scene, LetterKind.UPCOMING, reminded)


def _write_down(one: Occurrence, attendee: Attendee, steps: Sequence[Step]) -> None:
    if not steps:
        return
    names = [step.name for step in steps]
    db.session.execute(
        delete(Reminder).where(
            Reminder.occurrence_id == one.id,
            Reminder.attendee_id == attendee.id,
            Reminder.step.in_(names),
        )
    )
    db.session.add_all(
        Reminder(occurrence_id=one.id, attendee_id=attendee.id, step=name, starts=one.starts)
        for name in names
    )


def _tell(scene: _Round, kind: LetterKind, some: Sequence[Attendee]) -> None:
    if not some:
        return
    meeting = scene.meeting
    telling = Telling(
        meeting=meeting,
        kind=kind,
        contact=invitations.contact_of(meeting.organizer),
        occurrence=scene.one if meeting.repeats else None,
        partstat=Partstat.NEEDS_ACTION if kind == LetterKind.REMINDER else "",
    )
    outbox.add(telling, some)


def _escalate(scene: _Round, attendee: Attendee) -> None:
    """Tell the head office, and the secretariat, that a required endpoint is silent."""
    meeting, endpoint = scene.meeting, attendee.endpoint
    about = scene.one if meeting.repeats else None
    tasks.add(attendee, TaskKind.SILENT, "", occurrence=about)
    home = scene.organisations[endpoint.organisation_id]
    if not home.office_email:
        return
    telling = Telling(
        meeting=meeting,
        kind=LetterKind.SILENT,
        contact=invitations.contact_of(meeting.organizer),
        occurrence=about,
        site=endpoint.name,
    )
    name = home.office_name or home.name
    person = Person(email=home.office_email, name=name, role="office", language=endpoint.language)
    outbox.add(telling, [], people=[person])
