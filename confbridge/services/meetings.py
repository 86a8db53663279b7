"""The life of a meeting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from confbridge import clock
from confbridge.database import db
from confbridge.domain import lifecycle
from confbridge.domain.lifecycle import MeetingState
from confbridge.domain.placement import Plan
from confbridge.domain.rsvp import Role
from confbridge.domain.search import folded
from confbridge.errors import Clash, Conflict, Invalid, NotFound, Phrase
from confbridge.inputs.meetings import (
    SECRET,
    Invitee,
    MeetingChange,
    MeetingDraft,
    OccurrenceChange,
)
from confbridge.models import (
    Account,
    Attendee,
    Meeting,
    Occurrence,
)
from confbridge.services import (
    access,
    allocation,
    audit,
    demands,
    difference,
    displacement,
    holds,
    invitations,
    leaders,
    register,
    rules,
    series,
)
from confbridge.services.allocation import Claim
from confbridge.services.demands import Need
from confbridge.services.difference import Changed, Shape
from confbridge.services.displacement import Displaced
from confbridge.services.refusals import Wanted
from confbridge.services.register import Entry

WORDS = ("title", "agenda", "chair", "guest_ports", "lead_minutes", "tail_minutes")
TERMS = ("standby", "gives_back", "rehearsal_minutes")
UNASKED = "-"  # a reason where none is asked for


def book(draft: MeetingDraft, *, by: Account) -> Meeting:
    """Take endpoints and ports, number the meeting, and queue its invitations.

    A draft is told to nobody; it holds its slots for a while, if it shall. Of
    a series as many dates may be missed as the draft says.

    Raises Invalid, NotAllowed, Conflict, Clash.
    """
    host = access.host(by, draft.host or by.organisation.code)
    rank = rules.rank_for(host, draft.rank)
    endpoints = register.endpoints_named(draft.endpoints)
    needs = [demands.need_of_draft(draft, endpoints, during) for during in draft.times()]
    if draft.displace and draft.is_draft:
        raise Invalid(displace=Phrase("A draft displaces nobody; book the meeting itself."))
    displaced = displacement.make_way(draft.displace, needs, rank, by=by) if draft.displace else []
    if not draft.is_draft:
        times = [need.during for need in needs]
        leaders.check(draft.chair, times, (draft.leader_reason, ()), by=by)
    plans = _plans(draft, needs)
    met = [(need, where) for need, where in zip(needs, plans, strict=True) if where]
    kept = {need.during for need, _ in met} if any(plans) else {need.during for need in needs}
    entry = Entry(
        draft=draft,
        host=host,
        rank=rank,
        number=register.number_for(draft),
        times=[(need.during, need.during in kept) for need in needs],
    )
    meeting = register.enter(entry, by)
    register.write_attendees(meeting, draft.endpoints, endpoints)
    claims = [
        Claim(one, need, is_new=True)
        for one, (need, _) in zip(meeting.occurrences, met, strict=False)
    ]
    allocation.hold(claims, [where for _, where in met], opening=not draft.is_draft)
    _settle(meeting, draft, by=by)
    displacement.tell_displaced(displaced, meeting, by=by)
    db.session.flush()
    return meeting


def change(meeting: Meeting, wanted: MeetingChange, *, by: Account) -> None:
    """Make the meeting as wanted, and tell each endpoint what concerns it.

    The new time is taken before the old one is given back. A new time for
    what was postponed puts it on again, and a draft that is confirmed
    invites everybody.

    Raises Invalid, NotAllowed, Conflict, Clash.
    """
    ready = _prepared(meeting, wanted)
    was, changed, claims, starting = ready.was, ready.changed, ready.claims, ready.starting
    displaced: Sequence[Displaced] = []
    if wanted.displace:
        needs = [claim.need for claim in claims]
        displaced = displacement.make_way(wanted.displace, needs, meeting.rank, by=by)
    now = Shape.of(meeting)
    if was != now or any(changed) or starting:
        _check_leader_again(meeting, ready, wanted, by=by)
        if starting or was.holds_otherwise(now) or any(changed):
            _take_anew(meeting, claims)
        _number(meeting)
        meeting.version += 1
        difference.tell(meeting, was, changed, starting=starting, by=by)
        for claim in claims:
            allocation.refresh(claim.occurrence)
        said = ", ".join(sorted(wanted.model_fields_set))
        audit.record(by.email, "changed", f"meeting {meeting.uid}", said)
        holds.room_was_made()
    displacement.tell_displaced(displaced, meeting, by=by)
    db.session.flush()


def cancel(meeting: Meeting, reason: str, *, by: Account) -> None:
    """Give everything back and tell everyone who was invited.

    What it had displaced is offered its old time again.

    Raises Conflict.
    """
    lifecycle.check_step(MeetingState(meeting.state), MeetingState.CANCELLED)
    _check_ahead(meeting)
    reason = _reason(meeting, reason)
    was_told = meeting.state != MeetingState.DRAFT
    ahead = [one for one in meeting.occurrences if one.state not in lifecycle.ENDED]
    allocation.release(ahead)
    for one in ahead:
        one.state, one.reason = MeetingState.CANCELLED, reason
    meeting.state, meeting.reason = MeetingState.CANCELLED, reason
    meeting.waiting_since = meeting.check_at = None
    meeting.version += 1
    if was_told:
        invitations.call_off(meeting, reason, by=by)
    audit.record(by.email, "cancelled", f"meeting {meeting.uid}", reason)
    db.session.flush()
    holds.offer_back(ahead)
    holds.room_was_made()
    db.session.flush()


def postpone(meeting: Meeting, reason: str, *, by: Account) -> None:
    """Give its time back, keep its number, and look for new times; everybody is told.

    Raises Conflict.
    """
    lifecycle.check_step(MeetingState(meeting.state), MeetingState.POSTPONED)
    _check_ahead(meeting)
    reason = _reason(meeting, reason)
    if meeting.repeats:
        raise Conflict(Phrase("Of a series, postpone single meetings by giving them a new time."))
    one = meeting.occurrence
    if one.starts <= clock.now():
        raise Conflict(Phrase("The meeting has begun; it can only be ended or cancelled."))
    one.state, one.reason = MeetingState.POSTPONED, reason
    meeting.state, meeting.reason = MeetingState.POSTPONED, reason
    allocation.release([one])
    displacement.tell_postponed(meeting, one, meeting.attendees, by=by)
    holds.room_was_made()
    db.session.flush()


def change_occurrence(
    meeting: Meeting, one: Occurrence, wanted: OccurrenceChange, *, by: Account
) -> Meeting:
    """Change one occurrence, or with `following` it and all after it; return whose it is then.

    Raises Invalid, NotAllowed, Conflict, Clash.
    """
    whole = MeetingChange.model_construct(
        {"start", "minutes", "endpoints", "leader_reason", "displace"},
        start=wanted.start,
        minutes=wanted.minutes,
        endpoints=wanted.endpoints,
        leader_reason=wanted.leader_reason,
        displace=wanted.displace,
    )
    if not meeting.repeats or (wanted.following and series.is_first(meeting, one)):
        change(meeting, whole, by=by)
        return meeting
    if not wanted.following:
        series.change_one(meeting, one, wanted, by=by)
        return meeting
    following = series.split(meeting, one, by=by)
    if wanted.start:  # the one that was chosen goes there, though it was moved before
        one.starts, one.ends = one.original, one.original + following.during.lasts
    change(following, whole.model_copy(update={"state": "scheduled"}), by=by)
    series.tell_of_split(meeting, following, by=by)
    db.session.flush()
    return following


def cancel_occurrence(
    meeting: Meeting, one: Occurrence, reason: str, *, following: bool, by: Account
) -> None:
    """Call one occurrence off, or it and all that follow.

    Raises Conflict.
    """
    reason = _reason(meeting, reason)
    if not meeting.repeats or (following and series.is_first(meeting, one)):
        cancel(meeting, reason, by=by)
    elif following:
        series.cancel_following(meeting, one, reason, by=by)
    else:
        series.cancel_one(meeting, one, reason, by=by)


def occurrence_of(meeting: Meeting, number: int) -> Occurrence:
    """Return the meeting's occurrence with that id.

    Raises NotFound.
    """
    for one in meeting.occurrences:
        if one.id == number:
            return one
    raise NotFound(Phrase("There is no such occurrence."))


def wanted_by(draft: MeetingDraft, by: Account, *, instead_of: Meeting | None = None) -> Wanted:
    """Return what a booking wants, to be explained; `instead_of` a meeting that is there already.

    Raises Invalid, NotAllowed.
    """
    own = instead_of.attendees if instead_of else ()
    endpoints = register.endpoints_named(draft.endpoints, own)
    host = instead_of.host if instead_of else access.host(by, draft.host or by.organisation.code)
    return Wanted(
        needs=[demands.need_of_draft(draft, endpoints, during) for during in draft.times()],
        optional=frozenset(
            endpoints[one.code].id for one in draft.endpoints if one.role is Role.OPTIONAL
        ),
        chair="" if draft.is_draft else draft.chair,
        leader_reason=draft.leader_reason,
        rank=rules.rank_for(host, draft.rank),
        names={one.id: code for code, one in endpoints.items()},
        leaves_out=bool(draft.exdates),
        own=frozenset(one.id for one in instead_of.occurrences) if instead_of else frozenset(),
    )


def wanted_after(meeting: Meeting, wanted: MeetingChange) -> Wanted:
    """Return what a refused change wanted; only to be called where it is taken back.

    Raises Invalid, Conflict.
    """
    own = frozenset(one.id for one in meeting.occurrences)
    ready = _prepared(meeting, wanted)
    needs = [claim.need for claim in ready.claims]
    needs = needs or demands.needs_now(meeting, meeting.occurrences)
    rechaired = ready.starting or ready.was.is_rechaired(Shape.of(meeting))
    return _wanted(meeting, needs, own, wanted.leader_reason if rechaired else UNASKED)


def wanted_of_one(
    meeting: Meeting, one: Occurrence, wanted: OccurrenceChange, *, by: Account
) -> Wanted:
    """Return what a refused change of an occurrence wanted; only where it is taken back.

    Raises Invalid, Conflict.
    """
    if wanted.following or not meeting.repeats:
        whole = MeetingChange.model_construct(
            {"start", "minutes", "endpoints", "leader_reason"},
            start=wanted.start,
            minutes=wanted.minutes,
            endpoints=wanted.endpoints,
            leader_reason=wanted.leader_reason,
        )
        if meeting.repeats and not series.is_first(meeting, one):
            meeting = series.split(meeting, one, by=by)
            if wanted.start:
                one.starts, one.ends = one.original, one.original + meeting.during.lasts
            whole = whole.model_copy(update={"state": "scheduled"})
        return replace(wanted_after(meeting, whole), is_part=True)
    need = series.need_of_one(meeting, one, wanted)
    found = _wanted(meeting, [need], frozenset({one.id}), wanted.leader_reason)
    return replace(found, is_part=True)


def _wanted(
    meeting: Meeting, needs: Sequence[Need], own: frozenset[int], leader_reason: str | None
) -> Wanted:
    return Wanted(
        needs=needs,
        optional=frozenset(
            one.endpoint_id for one in meeting.attendees if one.role == Role.OPTIONAL
        ),
        chair=meeting.chair,
        leader_reason=leader_reason or "",
        rank=meeting.rank,
        own=own,
        names={one.endpoint_id: one.endpoint.code for one in meeting.attendees},
        leaves_out=bool(meeting.exdates),
    )


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    """A change written into the meeting, and what has to be held for it; nothing is held yet."""

    was: Shape
    starting: MeetingState | None  # from which state it is put on
    changed: Changed
    claims: Sequence[Claim]


def _prepared(meeting: Meeting, wanted: MeetingChange) -> _Prepared:
    _check_ahead(meeting)
    was = Shape.of(meeting)
    starting = MeetingState(meeting.state) if _starting(meeting, wanted) else None
    changed = _change_list(meeting, wanted.endpoints)
    _change_words(meeting, wanted)
    fresh = series.retime(meeting, wanted) if series.is_retimed(meeting, wanted) else []
    if starting:
        _start(meeting)
    if was.is_elsewhen(Shape.of(meeting)):
        # Before it is said what is to be held: who had declined the old time is asked anew.
        everywhere = [one for one in meeting.attendees if one.everywhere]
        was_told = MeetingState.DRAFT not in {meeting.state, starting}
        invitations.open_answers(meeting, everywhere, sequence=meeting.sequence + was_told)
    claims = _claims(meeting, fresh)
    return _Prepared(was=was, starting=starting, changed=changed, claims=claims)


def _check_ahead(meeting: Meeting) -> None:
    """Raise Conflict unless the meeting can still be changed: its end is ahead."""
    lifecycle.check_changeable(MeetingState(meeting.state))
    if meeting.state == MeetingState.SCHEDULED and meeting.occurrence.ends <= clock.now():
        raise Conflict(lifecycle.REFUSALS[MeetingState.OVER])


def _plans(draft: MeetingDraft, needs: Sequence[Need]) -> list[Plan | None]:
    """Return where each date can take place, None for one that is missed or not held.

    Raises Clash.
    """
    if draft.is_draft and (draft.wait or draft.hold_minutes == 0):
        return [None] * len(needs)
    found = allocation.plan(needs)
    misses = sum(one is None for one in found)
    if misses > draft.max_misses or misses == len(found):
        raise Clash
    return found


def _settle(meeting: Meeting, draft: MeetingDraft, *, by: Account) -> None:
    """Invite everybody, or let the draft wait or hold its slots."""
    if not draft.is_draft:
        invitations.invite(meeting, meeting.attendees, by=by)
        detail = f"{meeting.number} {draft.leader_reason}".strip()
        audit.record(by.email, "booked", f"meeting {meeting.uid}", detail)
        return
    audit.record(by.email, "drafted", f"meeting {meeting.uid}", meeting.number)
    if draft.wait:
        holds.wait(meeting, by=by)
    elif draft.hold_minutes != 0:
        holds.keep(meeting, draft.hold_minutes)


def _starting(meeting: Meeting, wanted: MeetingChange) -> bool:
    """Say whether the change puts a draft on, or what was postponed on again."""
    if meeting.state == MeetingState.DRAFT:
        return wanted.is_to_start
    if meeting.state == MeetingState.POSTPONED:
        return wanted.is_to_start or wanted.start is not None
    return False


def _start(meeting: Meeting) -> None:
    for one in meeting.occurrences:
        if one.state == meeting.state:  # of a draft series some may be postponed; they stay so
            series.put_on(meeting, one)
    meeting.state, meeting.reason = MeetingState.SCHEDULED, ""
    meeting.waiting_since = meeting.check_at = None
    if all(one.ends <= clock.now() for one in meeting.occurrences):
        raise Conflict(Phrase("Its time has come already; choose a new one."))


def _number(meeting: Meeting) -> None:
    """Give what is a draft no more its number; last, for the register stays locked from here on."""
    is_entered = not meeting.number.startswith(register.PROVISIONAL)
    if meeting.state == MeetingState.SCHEDULED and not is_entered:
        meeting.number = register.next_number(meeting.starts)
        meeting.search = folded(f"{meeting.number} {meeting.title}")


def _claims(meeting: Meeting, fresh: Sequence[Occurrence]) -> list[Claim]:
    """Return what each occurrence that holds something, and is ahead, has to hold now."""
    new = {one.id for one in fresh}
    some = [one for one in meeting.occurrences if _holds(one)]
    needs = demands.needs_now(meeting, some)
    return [Claim(one, need, is_new=one.id in new) for one, need in zip(some, needs, strict=True)]


def _holds(one: Occurrence) -> bool:
    if one.state == MeetingState.SCHEDULED:
        return one.ends > clock.now()
    return one.state not in lifecycle.ENDED and one.hold_until is not None


def _take_anew(meeting: Meeting, claims: Sequence[Claim]) -> None:
    if claims:
        allocation.shift(claims, opening=meeting.state == MeetingState.SCHEDULED)


def _change_list(
    meeting: Meeting, invitees: Sequence[Invitee] | None
) -> tuple[list[Attendee], list[Attendee]]:
    """Put endpoints on the list and take them off it; return who was added and removed."""
    if invitees is None:
        return [], []
    endpoints = register.endpoints_named(invitees, meeting.attendees)
    before = {one.endpoint.code: one for one in meeting.attendees if one.everywhere}
    removed = [one for code, one in before.items() if code not in endpoints]
    added = []
    for invitee in invitees:
        endpoint = endpoints[invitee.code]
        if attendee := before.get(invitee.code):
            attendee.role, attendee.ports = invitee.role, invitee.ports
            attendee.quality = invitee.quality or attendee.quality
        else:
            added.append(register.invited_again(meeting, invitee, endpoint))
    for attendee in removed:
        attendee.invited = False
    db.session.flush()
    db.session.expire(meeting, ["attendees"])
    # Also of what holds nothing at present: it is this list that it will hold.
    ahead = [one for one in meeting.occurrences if one.state not in lifecycle.ENDED]
    if added:
        allocation.enlist(ahead, {one.endpoint_id for one in added})
        for one in ahead:
            one.remind_at = clock.now()  # theirs may come first
    if removed:
        allocation.strike(ahead, {one.endpoint_id for one in removed})
    return added, removed


def _change_words(meeting: Meeting, wanted: MeetingChange) -> None:
    if meeting.secret:
        _check_untold(meeting, wanted)
    for name in (*WORDS, *TERMS):
        value = getattr(wanted, name, None)
        if value is not None:
            setattr(meeting, name, value)
    if wanted.network is not None:
        meeting.network = wanted.network
    if wanted.bridge is not None:
        meeting.only_bridge = wanted.bridge
    if wanted.cascade is not None:
        meeting.may_cascade = wanted.cascade
    if wanted.rank is not None:
        meeting.rank = rules.rank_for(meeting.host, wanted.rank)
    if wanted.leader_reason:
        meeting.leader_reason = wanted.leader_reason
    meeting.search = folded(f"{meeting.number} {meeting.title}")
    for one in meeting.occurrences:
        one.chair_key = leaders.key(meeting.chair)


def _check_untold(meeting: Meeting, wanted: MeetingChange) -> None:
    """Raise Invalid if words are typed in for a state secret."""
    told = {
        name: SECRET
        for name in ("title", "agenda", "chair", "guest_ports", "leader_reason")
        if (value := getattr(wanted, name)) and value != getattr(meeting, name)
    }
    if told:
        raise Invalid(**told)


def _reason(meeting: Meeting, reason: str) -> str:
    """Return the reason as it is kept and told: of a state secret none."""
    return "" if meeting.secret else reason


def _check_leader_again(
    meeting: Meeting, ready: _Prepared, wanted: MeetingChange, *, by: Account
) -> None:
    """Ask after the chair's time where the chair or the time is another one, or it is put on."""
    if ready.starting or ready.was.is_rechaired(Shape.of(meeting)):
        own = [one.id for one in meeting.occurrences]
        times = [claim.need.during for claim in ready.claims]
        reason = wanted.leader_reason or ""
        if ready.starting is MeetingState.DRAFT:
            reason = reason or meeting.leader_reason
        leaders.check(meeting.chair, times, (reason, own), by=by)
