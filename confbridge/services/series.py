"""Meetings that repeat: one occurrence, this and all that follow, or all of them anew."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import delete, update

from confbridge import clock
from confbridge.database import db
from confbridge.domain import lifecycle, recurrence
from confbridge.domain.interval import Interval
from confbridge.domain.lifecycle import MeetingState
from confbridge.domain.recurrence import Every, Rule, Weekday
from confbridge.domain.rsvp import Partstat
from confbridge.errors import Conflict, Invalid, Phrase
from confbridge.inputs.meetings import Invitee, MeetingChange, OccurrenceChange, series_of
from confbridge.models import (
    Account,
    Attendee,
    Exdate,
    LetterKind,
    Meeting,
    Occurrence,
    Offer,
)
from confbridge.services import (
    allocation,
    audit,
    demands,
    displacement,
    holds,
    invitations,
    leaders,
    register,
)
from confbridge.services.allocation import Claim
from confbridge.services.demands import Need
from confbridge.services.displacement import Displaced

CHANGEABLE = {MeetingState.SCHEDULED, MeetingState.POSTPONED}


def change_one(meeting: Meeting, one: Occurrence, wanted: OccurrenceChange, *, by: Account) -> None:
    """Give one occurrence another time or other endpoints; the rest of the series stays.

    Raises Invalid, Conflict, Clash.
    """
    check_one_changeable(one)
    was_at, is_back = one.during, one.state == MeetingState.POSTPONED
    need, added, removed = _wanted_of_one(meeting, one, wanted)
    during = need.during
    displaced: Sequence[Displaced] = []
    if wanted.displace:
        displaced = displacement.make_way(wanted.displace, [need], meeting.rank, by=by)
    if is_back or during != was_at:
        leaders.check(meeting.chair, [during], (wanted.leader_reason, [one.id]), by=by)
    one.starts, one.ends = during.start, during.end
    allocation.strike([one], {each.endpoint_id for each in removed})
    allocation.shift([Claim(one, need)])
    allocation.refresh(one)
    put_on(meeting, one)
    meeting.version += 1
    _tell_of_one(meeting, one, (added, removed), is_moved=is_back or during != was_at, by=by)
    audit.record(by.email, "occurrence changed", f"meeting {meeting.uid}", f"{one.original:%F %R}")
    displacement.tell_displaced(displaced, meeting, by=by)
    holds.room_was_made()
    db.session.flush()


def need_of_one(meeting: Meeting, one: Occurrence, wanted: OccurrenceChange) -> Need:
    """Return what a change of one occurrence wants to hold; only where it is taken back.

    Raises Invalid.
    """
    return _wanted_of_one(meeting, one, wanted)[0]


def _wanted_of_one(
    meeting: Meeting, one: Occurrence, wanted: OccurrenceChange
) -> tuple[Need, list[Attendee], list[Attendee]]:
    start = wanted.start or one.starts
    lasts = timedelta(minutes=wanted.minutes) if wanted.minutes else one.during.lasts
    during = Interval(start, start + lasts)
    if during.end <= clock.now():
        raise Invalid(minutes=Phrase("The meeting would be over already."))
    members = demands.members([one])[one.id]
    added, removed = _list_of_one(meeting, members, wanted.endpoints)
    present = (members | {each.endpoint_id for each in added}) - {
        each.endpoint_id for each in removed
    }
    said = demands.said_apart(meeting, [one])[one.id]
    if during != one.during or one.state == MeetingState.POSTPONED:
        # Everybody is asked anew, also who has declined the series.
        said = dict.fromkeys([each.id for each in meeting.attendees], Partstat.NEEDS_ACTION)
    need = demands.need_of(meeting, during, demands.sites_of(meeting, present, said))
    return need, added, removed


def cancel_one(meeting: Meeting, one: Occurrence, reason: str, *, by: Account) -> None:
    """Call one occurrence off; the rest of the series stays.

    Raises Conflict.
    """
    check_one_changeable(one)
    members = demands.members([one])[one.id]
    allocation.release([one])
    one.state, one.reason = MeetingState.CANCELLED, reason
    meeting.version += 1
    told = [each for each in meeting.attendees if each.endpoint_id in members]
    invitations.call_off_one(meeting, one, told, by=by)
    _settle(meeting, reason)
    audit.record(by.email, "occurrence cancelled", f"meeting {meeting.uid}", reason)
    db.session.flush()
    holds.offer_back([one])
    holds.room_was_made()
    db.session.flush()


def cancel_following(meeting: Meeting, one: Occurrence, reason: str, *, by: Account) -> None:
    """End the series before this occurrence.

    Raises Conflict.
    """
    check_one_changeable(one)
    dropped = _from_here(meeting, one)
    allocation.release(dropped)
    for each in dropped:
        each.state, each.reason = MeetingState.CANCELLED, reason
    _cut(meeting, one)
    meeting.version += 1
    invitations.tell_singles(meeting, LetterKind.CANCELLED, dropped, by=by)
    invitations.shorten(meeting, meeting.attendees, by=by, reason=reason)
    _settle(meeting, reason)
    audit.record(by.email, "series ended", f"meeting {meeting.uid}", reason)
    db.session.flush()
    holds.offer_back(dropped)
    holds.room_was_made()
    db.session.flush()


def split(meeting: Meeting, one: Occurrence, *, by: Account) -> Meeting:
    """Let a new series begin with this occurrence, and the old one end before it (S12).

    The new one is a draft that holds what these held; nobody is told yet.

    Raises Conflict.
    """
    check_one_changeable(one)
    moving = _from_here(meeting, one)
    rule = recurrence.parsed(meeting.rrule, ZoneInfo(meeting.timezone))
    if rule.count is not None:
        left = sum(start >= one.original for start in _starts(meeting))
        rule = replace(rule, count=left)
    following = _copy(meeting, one, rule)
    db.session.add(following)
    db.session.flush()
    for attendee in meeting.attendees:
        db.session.add(_same_attendee(attendee, following))
    following.exdates = _exdates_from(meeting, one)
    numbers = [each.id for each in moving]
    _cut(meeting, one)
    db.session.flush()
    for each in moving:
        if each.state == MeetingState.SCHEDULED:  # what is postponed stays so
            each.state = MeetingState.DRAFT
    db.session.flush()
    moved = update(Occurrence).where(Occurrence.id.in_(numbers))
    db.session.execute(moved.values(meeting_id=following.id, remind_at=clock.now()))
    # They were given to the old series; of the new one everybody is asked anew.
    invitations.forget_answers(moving)
    db.session.expire(meeting, ["occurrences"])
    db.session.expire(following, ["occurrences", "attendees"])
    _settle(meeting, "")
    meeting.version += 1
    audit.record(by.email, "series split", f"meeting {meeting.uid}", following.uid)
    return following


def tell_of_split(meeting: Meeting, following: Meeting, *, by: Account) -> None:
    """Tell all that the old series ends; who came to single meetings of it is told of each."""
    meeting.sequence += 1
    singles = {each.endpoint_id for each in meeting.attendees if not each.everywhere}
    if singles:
        members = demands.members(following.occurrences)
        for one in following.occurrences:
            some = [
                each
                for each in meeting.attendees
                if not each.everywhere and each.endpoint_id in members[one.id]
            ]
            invitations.withdraw_single(meeting, one, some, by=by)
    invitations.shorten(meeting, meeting.attendees, by=by)


def _exdates_from(meeting: Meeting, one: Occurrence) -> list[Exdate]:
    """Return the dates left out from this one on, also those that were called off by themselves."""
    missed = {each.starts: each.missed for each in meeting.exdates if each.starts >= one.original}
    called_off = {
        each.original: False
        for each in meeting.occurrences
        if each.original >= one.original and each.state in lifecycle.ENDED
    }
    return [Exdate(starts=at, missed=why) for at, why in sorted((called_off | missed).items())]


def is_first(meeting: Meeting, one: Occurrence) -> bool:
    """Say whether nothing of the series lies before this occurrence."""
    return all(each.original >= one.original for each in meeting.occurrences)


def is_retimed(meeting: Meeting, wanted: MeetingChange) -> bool:
    """Say whether the change gives the meeting another time, rule, or other dates left out."""
    rrule = meeting.rrule if wanted.rrule is None else wanted.rrule
    now = {each.starts for each in meeting.exdates}
    exdates = now if wanted.exdates is None else set(wanted.exdates)
    same = _base(meeting, wanted) == meeting.during and exdates == now
    return not same or _canonical(rrule, meeting) != meeting.rrule


def retime(meeting: Meeting, wanted: MeetingChange) -> list[Occurrence]:
    """Put every occurrence where the wanted rule has it; return those that are new.

    The nth stays the nth if the rule is the same, else what falls on the same
    day stays. One that was moved alone keeps its time. What the rule no
    longer names is called off.

    Raises Invalid, Conflict.
    """
    now = clock.now()
    first = _base(meeting, wanted)
    if first.end <= now:
        raise Invalid(minutes=Phrase("The meeting would be over already."))
    if meeting.repeats and any(
        one.starts <= now for one in meeting.occurrences if one.state != MeetingState.CANCELLED
    ):
        raise Conflict(
            Phrase("Some of the series has taken place. Change one, or it and all that follow.")
        )
    rrule = _wanted_rule(meeting, wanted, first)
    zone = ZoneInfo(meeting.timezone)
    new = series_of(first, zone, rrule, ()).starts() if rrule else [first.start]
    old = _starts(meeting)
    mapping = _matched(old, new, zone)
    exdates = _exdates(meeting, wanted, mapping, new)
    dropped, covered = _moved(meeting, mapping, {*new}, {*exdates}, first.lasts)
    meeting.starts, meeting.ends, meeting.rrule = first.start, first.end, rrule
    meeting.exdates = [Exdate(starts=one, missed=missed) for one, missed in exdates.items()]
    allocation.release(dropped)
    for one in dropped:
        one.state = MeetingState.CANCELLED
    return _fresh(meeting, [one for one in new if one not in covered], first.lasts)


def _moved(
    meeting: Meeting,
    mapping: Mapping[datetime, datetime],
    new: set[datetime],
    left_out: set[datetime],
    lasts: timedelta,
) -> tuple[list[Occurrence], set[datetime]]:
    """Put each occurrence where it belongs; return who is dropped, and the starts dealt with."""
    covered = set(left_out)
    dropped = []
    for one in meeting.occurrences:
        target = mapping.get(one.original)
        was_called_off = one.state == MeetingState.CANCELLED and one.reason
        if was_called_off or one.state == MeetingState.OVER:
            one.original = target or one.original
            covered.add(one.original)
        elif one.state == MeetingState.CANCELLED:  # the rule had dropped it; perhaps not any more
            target = target or (one.original if one.original in new else None)
            if target is not None and target not in covered:
                one.state, one.original = meeting.state, target
                one.starts, one.ends = target, target + lasts
                covered.add(target)
        elif target is None or target in left_out:
            dropped.append(one)
        else:
            if not one.is_moved:
                one.starts, one.ends = target, target + lasts
            one.original = target
            covered.add(target)
    return dropped, covered


def put_on(meeting: Meeting, one: Occurrence) -> None:
    """Let an occurrence, and with it the meeting, be scheduled again."""
    one.state, one.reason = MeetingState.SCHEDULED, ""
    one.hold_until, one.displaced_by_id = None, None
    db.session.execute(delete(Offer).where(Offer.occurrence_id == one.id))
    if meeting.state == MeetingState.POSTPONED:
        meeting.state, meeting.reason = MeetingState.SCHEDULED, ""
        meeting.waiting_since = meeting.check_at = None


def check_one_changeable(one: Occurrence) -> None:
    """Raise Conflict unless the occurrence is ahead, or on."""
    lifecycle.check_changeable(MeetingState(one.state))
    if one.state not in CHANGEABLE:
        raise Conflict(lifecycle.REFUSALS[MeetingState(one.state)])
    if one.ends <= clock.now() and one.state == MeetingState.SCHEDULED:
        raise Conflict(lifecycle.REFUSALS[MeetingState.OVER])


def _base(meeting: Meeting, wanted: MeetingChange) -> Interval:
    start = wanted.start or meeting.starts
    lasts = timedelta(minutes=wanted.minutes) if wanted.minutes else meeting.during.lasts
    return Interval(start, start + lasts)


def _canonical(rrule: str, meeting: Meeting) -> str:
    return str(recurrence.parsed(rrule, ZoneInfo(meeting.timezone))) if rrule else ""


def _wanted_rule(meeting: Meeting, wanted: MeetingChange, first: Interval) -> str:
    """Return the rule as it shall be; one that is not named follows its start to another day."""
    if wanted.rrule is not None:
        return _canonical(wanted.rrule, meeting)
    if not meeting.repeats:
        return ""
    zone = ZoneInfo(meeting.timezone)
    rule = recurrence.parsed(meeting.rrule, zone)
    return str(shifted(rule, meeting.starts.astimezone(zone), first.start.astimezone(zone)))


def shifted(rule: Rule, was: datetime, now: datetime) -> Rule:
    """Return the rule for a series whose first meeting goes from one wall-clock time to another."""
    days = (now.date() - was.date()).days
    if rule.until is not None:
        rule = replace(rule, until=rule.until + (now - was))
    if not days:
        return rule
    if rule.every is Every.WEEK and rule.weekdays:
        moved = {(one.day + days) % 7 for one in rule.weekdays}
        return replace(rule, weekdays=tuple(map(Weekday, sorted(moved))))
    if len(rule.month_days) == 1 and rule.month_days[0] > 0:
        return replace(rule, month_days=(now.day,))
    if len(rule.weekdays) == 1 and rule.weekdays[0].nth:
        nth = -1 if rule.weekdays[0].nth < 0 else (now.day + 6) // 7
        return replace(rule, weekdays=(Weekday(now.weekday(), nth),))
    return rule


def _starts(meeting: Meeting) -> list[datetime]:
    if not meeting.repeats:
        return [meeting.starts]
    zone = ZoneInfo(meeting.timezone)
    return series_of(meeting.during, zone, meeting.rrule, ()).starts()


def _matched(
    old: Sequence[datetime], new: Sequence[datetime], zone: ZoneInfo
) -> dict[datetime, datetime]:
    """Return which old start becomes which new one."""
    if len(old) == len(new):
        return dict(zip(old, new, strict=True))
    by_day = {one.astimezone(zone).date(): one for one in new}
    days = [(one, by_day.get(one.astimezone(zone).date())) for one in old]
    return {one: there for one, there in days if there is not None}


def _exdates(
    meeting: Meeting,
    wanted: MeetingChange,
    mapping: Mapping[datetime, datetime],
    new: Collection[datetime],
) -> dict[datetime, bool]:
    """Return the dates left out, and which of them were missed by a clash."""
    if wanted.exdates is not None:
        return dict.fromkeys(sorted(set(wanted.exdates) & set(new)), False)
    return {mapping[one.starts]: one.missed for one in meeting.exdates if one.starts in mapping}


def _fresh(meeting: Meeting, starts: Sequence[datetime], lasts: timedelta) -> list[Occurrence]:
    made = [
        register.occurrence(
            Interval(start, start + lasts), meeting.state, leaders.key(meeting.chair)
        )
        for start in starts
    ]
    meeting.occurrences.extend(made)
    db.session.flush()
    return made


def _from_here(meeting: Meeting, one: Occurrence) -> list[Occurrence]:
    """Return this occurrence and all after it that have not ended."""
    return [
        each
        for each in meeting.occurrences
        if each.original >= one.original and each.state not in lifecycle.ENDED
    ]


def _cut(meeting: Meeting, one: Occurrence) -> None:
    """Let the rule of the series end before this occurrence."""
    rule = recurrence.parsed(meeting.rrule, ZoneInfo(meeting.timezone))
    meeting.rrule = str(recurrence.cut(rule, one.original))
    meeting.exdates = [each for each in meeting.exdates if each.starts < one.original]


def _settle(meeting: Meeting, reason: str) -> None:
    """Let the meeting end with the last of its occurrences."""
    states = {one.state for one in meeting.occurrences}
    if states <= lifecycle.ENDED:
        over = MeetingState.OVER in states
        meeting.state = MeetingState.OVER if over else MeetingState.CANCELLED
        meeting.reason = meeting.reason or reason


def _copy(meeting: Meeting, one: Occurrence, rule: Rule) -> Meeting:
    same = (
        *("rank", "title", "agenda", "chair", "timezone", "host_id", "organizer_id"),
        *("guest_ports", "lead_minutes", "tail_minutes", "network", "only_bridge", "standby"),
        *("may_cascade", "gives_back", "leader_reason", "search", "secret"),
    )
    return Meeting(
        uid=str(uuid.uuid4()),
        number=f"{register.PROVISIONAL}{uuid.uuid4().hex[:8]}",
        stamped=clock.now().replace(microsecond=0) - timedelta(seconds=1),
        state=MeetingState.DRAFT,
        starts=one.original,
        ends=one.original + meeting.during.lasts,
        rrule=str(rule),
        related_id=meeting.id,
        **{name: getattr(meeting, name) for name in same},
    )


def _same_attendee(attendee: Attendee, following: Meeting) -> Attendee:
    return Attendee(
        meeting_id=following.id,
        endpoint_id=attendee.endpoint_id,
        role=attendee.role,
        ports=attendee.ports,
        quality=attendee.quality,
        everywhere=attendee.everywhere,
    )


def _list_of_one(
    meeting: Meeting, members: Collection[int], invitees: Sequence[Invitee] | None
) -> tuple[list[Attendee], list[Attendee]]:
    """Return who comes to this occurrence that did not, and who no longer does."""
    if invitees is None:
        return [], []
    endpoints = register.endpoints_named(invitees, meeting.attendees)
    known = {each.endpoint_id: each for each in meeting.attendees}
    added = []
    for invitee in invitees:
        endpoint = endpoints[invitee.code]
        if endpoint.id in members:
            continue
        attendee = known.get(endpoint.id)
        if attendee is None:
            attendee = register.invited_again(meeting, invitee, endpoint)
            attendee.everywhere = False
        added.append(attendee)
    staying = {one.id for one in endpoints.values()}
    removed = [
        each
        for each in meeting.attendees
        if each.endpoint_id in members and each.endpoint_id not in staying
    ]
    db.session.flush()
    db.session.expire(meeting, ["attendees"])
    return added, removed


def _tell_of_one(
    meeting: Meeting,
    one: Occurrence,
    changed: tuple[Sequence[Attendee], Sequence[Attendee]],
    *,
    is_moved: bool,
    by: Account,
) -> None:
    added, removed = changed
    if removed:
        invitations.withdraw(meeting, removed, by=by, occurrence=one)
    members = demands.members([one])[one.id]
    new = {each.id for each in added}
    stayed = [
        each for each in meeting.attendees if each.endpoint_id in members and each.id not in new
    ]
    if is_moved:
        invitations.ask_anew(meeting, stayed, by=by, occurrence=one)
    if added:
        invitations.invite(meeting, added, by=by, occurrence=one)
