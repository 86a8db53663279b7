"""REPLY, COUNTER and REFRESH of attendees: whose they are, and whether they count."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import select, update

from confbridge import clock
from confbridge.database import db
from confbridge.domain.itip import Method
from confbridge.domain.itip_reading import Part, Who
from confbridge.domain.lifecycle import MeetingState
from confbridge.domain.rsvp import Order, Partstat, Via
from confbridge.inputs.meetings import Answer
from confbridge.mail.incoming import Arrival
from confbridge.models import (
    Attendee,
    Letter,
    LetterKind,
    Mail,
    Meeting,
    Occurrence,
    Outcome,
    Reply,
    ReplyKind,
    ReplyState,
    Why,
)
from confbridge.services import demands, invitations, links, replies, substitutes
from confbridge.services.replies import Said, Seat

ANSWERS = {
    Partstat.ACCEPTED,
    Partstat.DECLINED,
    Partstat.TENTATIVE,
    Partstat.DELEGATED,
}
MOST_AHEAD = timedelta(days=1)  # that the clock of a client may be wrong
DEEPEST = 5  # delegations after one another


@dataclass(frozen=True)
class Verdict:
    """What became of a part of a mail, why in a word, and about which meeting."""

    outcome: Outcome
    why: str
    meeting_id: int | None = None


@dataclass(frozen=True, kw_only=True)
class Speaker:
    """Who speaks in a reply, for whom, and how sure that is; without attendee a stranger."""

    who: Who
    attendee: Attendee | None
    depth: int
    proof: str  # "token", "sender", "sent-by"; "" if there is none


@dataclass(frozen=True, kw_only=True)
class Words:
    """An answer in plain words, and what it seems to mean."""

    partstat: Partstat | None
    text: str
    key: str
    arrival: Arrival


def work_on(meeting: Meeting, part: Part, arrival: Arrival, *, holding: bool) -> Verdict:  # noqa: PLR0911
    """Let one component of an attendee's message have its effect (R2 to R13).

    Raises Clash if it is `holding` and the place of who comes after all is taken.
    """

    def ended(outcome: Outcome, why: str) -> Verdict:
        return Verdict(outcome, why, meeting.id)

    speaker = _speaker(meeting, part, arrival)
    if speaker is None:
        return ended(Outcome.QUARANTINE, "whose_answer")  # R4
    if part.method == Method.REFRESH:
        return ended(*_refresh(meeting, speaker, arrival))
    if part.stamped is None:
        return ended(Outcome.QUARANTINE, "no_stamp")
    if part.sequence > meeting.sequence:
        return ended(Outcome.QUARANTINE, "unknown_version")
    meant = [one for one in _meant(meeting, part) if _is_invited_to(speaker, one)]
    if not meant and speaker.attendee and part.sequence < speaker.attendee.asked:
        meant = [None]  # a date that the series had before it was moved: outdated, not unknown
    if not meant:
        return ended(Outcome.IGNORED, "no_such_occurrence")  # R6
    if part.method == Method.COUNTER:
        return ended(*_counter(Talk(meeting, meant[0], part, speaker, arrival)))
    if speaker.who.partstat not in ANSWERS:
        return ended(Outcome.IGNORED, "no_answer")
    found = [_reply(Talk(meeting, one, part, speaker, arrival), holding=holding) for one in meant]
    return ended(*min(found, key=lambda one: one[0] != Outcome.QUEUE))


@dataclass(frozen=True)
class Talk:
    """A reply about the whole meeting or one occurrence of it."""

    meeting: Meeting
    occurrence: Occurrence | None
    part: Part
    speaker: Speaker
    arrival: Arrival


def _speaker(meeting: Meeting, part: Part, arrival: Arrival) -> Speaker | None:
    """Return who speaks; None if that cannot be told (R4).

    Of several who are named, some clients repeat them all, it is who has sent it.
    """
    named = {one.address for one in part.attendees}
    people = [one for one in part.attendees if one.delegated_from not in named]
    people = people or [Who(address=arrival.sender)] * bool(arrival.sender)
    chains = _chains(meeting, part)
    speakers = [_known(meeting, who, arrival, chains) for who in people]
    if len(speakers) == 1:
        return speakers[0]
    proven = [one for one in speakers if one.proof]
    return proven[0] if len(proven) == 1 else None


def _chains(meeting: Meeting, part: Part) -> dict[int, list[str]]:
    """Return who stands in for each attendee, in what the message is about."""
    meant = [one for one in _meant(meeting, part) if one is not None]
    if not meant or not meeting.repeats:
        return {one.id: one.substitutes for one in meeting.attendees}
    standings = replies.standings(meeting, meant[0])
    whole = {one.id: one.substitutes for one in meeting.attendees}
    return {number: one.substitutes or whole[number] for number, one in standings.items()}


def _known(
    meeting: Meeting, who: Who, arrival: Arrival, chains: Mapping[int, Sequence[str]]
) -> Speaker:
    attendee, depth = _attendee_at(meeting, who.address, chains, arrival)
    if attendee is None:
        return Speaker(who=who, attendee=None, depth=0, proof="")
    own = {who.address} if depth else _addresses(attendee)
    proof = ""
    if _has_token(arrival, attendee, who.address if depth else ""):
        proof = "token"
    elif arrival.sender == who.address:
        proof = "sender"
    elif arrival.sender in own:  # another who receives for it, or is registered to speak (R11)
        proof = "sent-by"
    if arrival.authentication.endswith(("=fail", "=softfail", "=permerror")):
        proof = ""  # R10
    return Speaker(who=who, attendee=attendee, depth=depth, proof=proof)


def _addresses(attendee: Attendee) -> set[str]:
    """Return the addresses that receive for an attendee, in small letters."""
    endpoint = attendee.endpoint
    return set(map(str.lower, {endpoint.email, *endpoint.recipients, *attendee.also}))


def _attendee_at(
    meeting: Meeting,
    address: str,
    chains: Mapping[int, Sequence[str]],
    arrival: Arrival | None = None,
) -> tuple[Attendee | None, int]:
    """Return whose address it is, an endpoint's or that of a substitute agreed to.

    Several endpoints may have one address: then the token of the mail says which.
    """
    found = [one for one in meeting.attendees if address in _addresses(one)]
    if len(found) > 1 and arrival is not None:
        found.sort(key=lambda one: not _has_token(arrival, one, ""))
    if found:
        return found[0], 0
    for attendee in meeting.attendees:
        if address in chains[attendee.id]:
            return attendee, chains[attendee.id].index(address) + 1
    return None, 0


def _has_token(arrival: Arrival, attendee: Attendee, address: str) -> bool:
    for token in arrival.tokens:
        number = links.mail_of(token)
        mail = db.session.get(Mail, number) if number is not None else None
        if mail is not None and mail.attendee_id == attendee.id:
            return not address or mail.recipient.lower() == address
    return False


def _meant(meeting: Meeting, part: Part) -> Sequence[Occurrence | None]:
    """Return the occurrences that are meant, [None] for the whole; [] if there is none such."""
    if part.recurrence_id is None:
        return [None]
    if not meeting.repeats:
        return [None] if part.recurrence_id in {meeting.starts, meeting.occurrence.original} else []
    if part.and_future:
        return [one for one in meeting.occurrences if one.original >= part.recurrence_id]
    return [one for one in meeting.occurrences if one.original == part.recurrence_id]


def _is_invited_to(speaker: Speaker, one: Occurrence | None) -> bool:
    if one is None or speaker.attendee is None:
        return True
    return speaker.attendee.endpoint_id in demands.members([one])[one.id]


def _reply(talk: Talk, *, holding: bool) -> tuple[Outcome, str]:  # noqa: PLR0911
    meeting, speaker = talk.meeting, talk.speaker
    said = _said(talk)
    if speaker.attendee is None:
        if not _is_kept(said.key):
            replies.evidence_of_stranger(meeting, talk.occurrence, said)  # R9
            return Outcome.QUEUE, "stranger"
        return Outcome.REPEATED, "same_answer"
    seat = Seat(meeting, speaker.attendee, talk.occurrence)
    doubt = _doubt(seat, speaker, said)
    if _is_kept(said.key, but_unverified=not doubt):
        return Outcome.REPEATED, "same_answer"  # R18
    if doubt:
        replies.evidence(seat, said, ReplyState.WAITING, Why.UNVERIFIED)
        return Outcome.QUEUE, doubt
    if not _is_open(seat):
        replies.evidence(seat, said, ReplyState.OUTDATED)
        return Outcome.IGNORED, "not_open"
    if not holding and replies.would_take(seat, said):
        replies.evidence(seat, said, ReplyState.WAITING, Why.TAKEN)
        return Outcome.QUEUE, "taken"
    row = replies.count(seat, said)
    if row.state == ReplyState.OUTDATED:
        _ask_about_now(seat)  # R3
        return Outcome.EFFECT, "outdated"
    if speaker.depth and row.state == ReplyState.COUNTED and said.answer.partstat == "DECLINED":
        substitutes.back_to_delegator(seat)  # R8
        return Outcome.EFFECT, "delegate_declined"
    if row.state == ReplyState.WAITING:
        return Outcome.QUEUE, "substitute"
    return Outcome.EFFECT, row.state


def _doubt(seat: Seat, speaker: Speaker, said: Said) -> str:
    """Return why somebody has to look at it before it counts; "" if nothing speaks against it."""
    if not speaker.proof:
        return "unverified"  # R10
    if said.stamped > clock.now() + MOST_AHEAD:
        return "wrong_clock"  # no other answer could ever follow this one
    if said.substitute_email and _goes_in_circles(seat, said):
        return "delegation_in_circles"
    return ""


def _said(talk: Talk) -> Said:
    part, who = talk.part, talk.speaker.who
    assert part.stamped is not None, "checked before"
    substitute = who.delegated_to if who.partstat == Partstat.DELEGATED else ""
    delegate = next((one for one in part.attendees if one.address == substitute), None)
    named = f"{delegate.name} <{substitute}>" if delegate and delegate.name else substitute
    partstat = Partstat(who.partstat)
    if partstat is Partstat.DELEGATED and not substitute:
        named = part.comment[:100] or who.address
    answer = Answer.model_construct(
        partstat=partstat,
        comment=part.comment,
        delegates="",
        headcount=None,
        substitute=named,
    )
    return Said(
        answer=answer,
        via=Via.MAIL,
        person=who.address,
        sequence=part.sequence,
        depth=talk.speaker.depth,
        stamped=part.stamped,
        key=_key(talk.meeting, talk.occurrence, part, who),
        message_id=talk.arrival.message_id,
        authentication=_found(talk.speaker, talk.arrival),
        request_status=part.request_status,
        substitute_email=substitute,
    )


def _found(speaker: Speaker, arrival: Arrival) -> str:
    """Return what is known of the sender, as evidence."""
    found = [speaker.proof or f"sent by {arrival.sender or 'nobody'}", arrival.authentication]
    return ", ".join(one for one in found if one)


def _key(meeting: Meeting, occurrence: Occurrence | None, part: Part, who: Who) -> str:
    words = (
        *(meeting.uid, str(occurrence.id if occurrence else ""), part.method, who.address),
        *(str(part.sequence), str(part.stamped), who.partstat, who.delegated_to),
        *(str(part.starts) if part.method == Method.COUNTER else "", part.comment),
    )
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def _is_kept(key: str, *, but_unverified: bool = False) -> bool:
    """Say whether it has come before; an unverified copy does not stand in the way of a proven."""
    asked = select(Reply.id).where(Reply.key == key)
    if but_unverified:
        asked = asked.where(~((Reply.state == ReplyState.WAITING) & (Reply.why == Why.UNVERIFIED)))
    return db.session.scalar(asked) is not None


def _is_open(seat: Seat) -> bool:
    one = seat.about or seat.meeting.occurrence
    return (
        seat.meeting.state == MeetingState.SCHEDULED
        and one.state == MeetingState.SCHEDULED
        and one.ends > clock.now()
    )


def _goes_in_circles(seat: Seat, said: Said) -> bool:
    chain = replies.current(seat).substitutes
    attendee, _ = _attendee_at(
        seat.meeting,
        said.substitute_email,
        {one.id: chain if one is seat.attendee else () for one in seat.meeting.attendees},
    )
    return len(chain) >= DEEPEST or attendee is not None


def _ask_about_now(seat: Seat) -> None:
    """Send the invitation as it is now to who answered an earlier one, once for each version."""
    asked = select(Mail.id).join(Letter, Letter.id == Mail.letter_id)
    asked = asked.where(
        Mail.attendee_id == seat.attendee.id,
        Letter.meeting_id == seat.meeting.id,
        Letter.sequence >= seat.meeting.sequence,
        Letter.kind == LetterKind.REMINDER,
    )
    if db.session.scalar(asked.limit(1)) is None:
        invitations.resend(seat.meeting, [seat.attendee], occurrence=seat.about)


def _refresh(meeting: Meeting, speaker: Speaker, arrival: Arrival) -> tuple[Outcome, str]:
    """Send the invitation as it is now: only to who is on the list, never to a machine (R13)."""
    if speaker.attendee is None or not speaker.proof or arrival.is_automatic:
        return Outcome.QUARANTINE, "refresh_of_whom"
    if meeting.state != MeetingState.SCHEDULED:
        return Outcome.IGNORED, "not_open"
    if not invitations.was_just_sent(meeting, speaker.attendee):
        invitations.resend(meeting, [speaker.attendee], kind=LetterKind.INVITATION)
    return Outcome.EFFECT, "refreshed"


def _counter(talk: Talk) -> tuple[Outcome, str]:  # noqa: PLR0911
    """Put another time before the secretary; nothing is changed by it (R12)."""
    part, meeting, attendee = talk.part, talk.meeting, talk.speaker.attendee
    one = talk.occurrence or meeting.occurrence
    if part.starts is None or part.ends is None or part.ends <= part.starts:
        return Outcome.QUARANTINE, "no_time_proposed"
    if (part.starts, part.ends) == (one.starts, one.ends):
        return Outcome.IGNORED, "same_time"
    # What else the proposal says of coming or not is no answer to the time as it is (R5).
    speaker = replace(talk.speaker, who=replace(talk.speaker.who, partstat=Partstat.TENTATIVE))
    said = _said(replace(talk, speaker=speaker))
    if _is_kept(said.key):
        return Outcome.REPEATED, "same_answer"
    if attendee is None:
        _propose(replies.evidence_of_stranger(meeting, talk.occurrence, said), part)
        return Outcome.QUEUE, "stranger"
    seat = Seat(meeting, attendee, talk.occurrence)
    doubt = _doubt(seat, speaker, said)
    row = replies.evidence(seat, said, ReplyState.WAITING, Why.UNVERIFIED if doubt else Why.COUNTER)
    _propose(row, part)
    if doubt:
        return Outcome.QUEUE, doubt
    if said.sequence < replies.current(seat).asked or not _is_open(seat):
        row.state = ReplyState.OUTDATED
        return Outcome.EFFECT, "outdated"
    _only_the_last(seat)
    return Outcome.QUEUE, "counter"


def _propose(row: Reply, part: Part) -> None:
    row.kind, row.partstat = ReplyKind.COUNTER, ""
    row.starts, row.ends = part.starts, part.ends
    db.session.flush()


def _only_the_last(seat: Seat) -> None:
    """Let of several proposals of one endpoint only the last wait, in whatever order they came."""
    asked = select(Reply).where(
        Reply.attendee_id == seat.attendee.id,
        Reply.occurrence_id == (seat.about.id if seat.about else None),
        Reply.why == Why.COUNTER,
        Reply.state == ReplyState.WAITING,
    )
    waiting = sorted(
        db.session.scalars(asked),
        key=lambda one: Order(one.sequence, one.depth, one.stamped, one.key),
    )
    past = update(Reply).where(Reply.id.in_([one.id for one in waiting[:-1]]))
    db.session.execute(past.values(state=ReplyState.EARLIER, why=""))


def suggest(meeting: Meeting, attendee: Attendee, mail: Mail, words: Words) -> None:
    """Put an answer in plain words before the secretary."""
    if _is_kept(words.key):
        return
    letter = mail.letter
    one = next((one for one in meeting.occurrences if one.id == letter.occurrence_id), None)
    seat = Seat(meeting, attendee, one)
    chain = replies.current(seat).substitutes
    answer = Answer.model_construct(
        partstat=words.partstat or Partstat.NEEDS_ACTION,
        comment=words.text,
        delegates="",
        headcount=None,
        substitute="",
    )
    said = Said(
        answer=answer,
        via=Via.MAIL,
        person=words.arrival.sender,
        sequence=letter.sequence,
        depth=chain.index(mail.recipient) + 1 if mail.recipient in chain else 0,
        stamped=clock.now(),
        key=words.key,
        message_id=words.arrival.message_id,
        authentication=words.arrival.authentication,
    )
    replies.evidence(seat, said, ReplyState.WAITING, Why.TEXT)
