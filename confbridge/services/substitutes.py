"""Who stands in for whom was invited: agreed to by the chair's side, or not (RFC 5546, R8)."""

from __future__ import annotations

from sqlalchemy import select

from confbridge.database import db
from confbridge.domain.rsvp import Partstat
from confbridge.models import (
    Account,
    Reply,
    ReplyKind,
    ReplyState,
    Standing,
    SubstituteState,
    Why,
)
from confbridge.services import invitations, replies
from confbridge.services.replies import Seat


def agree(row: Reply, seat: Seat, *, by: Account) -> None:
    """Let a substitute count.

    One with an address is invited and answers itself, and what it has answered
    already counts now; one without takes part by that word alone.
    """
    standing = replies.standing_of(seat)
    standing.substitute_state = SubstituteState.AGREED
    row.state = ReplyState.ACCEPTED
    endpoint, email = seat.attendee.endpoint, row.substitute_email
    stays = standing.substitutes[: row.depth] if email else []
    invitations.release_substitutes(seat.meeting, seat.attendee, standing, keep=stays)
    if not email or email in {endpoint.email, *endpoint.recipients, *stays}:
        # Nobody else is to be asked: it comes by that word alone.
        standing.partstat, standing.chain = Partstat.ACCEPTED, " ".join(stays)
        return
    before = stays[-1] if stays else endpoint.email
    standing.chain = " ".join([*stays, email])
    invitations.invite_substitute(row, seat.attendee, before, by=by)
    db.session.flush()
    for early in _said_before(row):
        early.attendee_id, early.depth = seat.attendee.id, len(standing.substitutes)
        replies.count(seat, replies.said_of(early))


def refuse(row: Reply, seat: Seat) -> None:
    """Let the endpoint answer again for itself."""
    row.state = ReplyState.REFUSED
    standing = replies.standing_of(seat)
    _open_again(standing)
    standing.substitute_state = SubstituteState.REFUSED
    invitations.resend(seat.meeting, [seat.attendee], occurrence=seat.about)


def back_to_delegator(seat: Seat) -> None:
    """Ask who had delegated again, for the substitute does not come either."""
    standing = replies.standing_of(seat)
    _open_again(standing)
    own = db.session.scalars(
        select(Reply)
        .where(
            Reply.attendee_id == seat.attendee.id,
            Reply.occurrence_id == (seat.about.id if seat.about else None),
            Reply.kind == ReplyKind.DELEGATION,
            Reply.depth == 0,
            Reply.state == ReplyState.ACCEPTED,
        )
        .order_by(Reply.id.desc())
    ).first()
    if own is not None:  # what it says next counts, what it had said before does not
        standing.said_sequence, standing.said_depth = own.sequence, own.depth
        standing.said_stamp, standing.said_key = own.stamped, own.key
    invitations.resend(seat.meeting, [seat.attendee], occurrence=seat.about)


def _open_again(standing: Standing) -> None:
    standing.partstat, standing.substitute, standing.substitute_state = (
        Partstat.NEEDS_ACTION,
        "",
        "",
    )
    standing.chain, standing.delegates, standing.headcount = "", "", None


def _said_before(row: Reply) -> list[Reply]:
    """Return what the substitute has answered before it was agreed to."""
    asked = select(Reply).where(
        Reply.meeting_id == row.meeting_id,
        Reply.state == ReplyState.WAITING,
        Reply.why == Why.STRANGER,
        Reply.kind == ReplyKind.ANSWER,
        Reply.person == row.substitute_email,
        Reply.occurrence_id == row.occurrence_id,
        # Sent from that very address, and nothing speaks against it (R10).
        Reply.authentication.startswith(f"sent by {row.substitute_email}", autoescape=True),
        ~Reply.authentication.contains("=fail"),
    )
    return list(db.session.scalars(asked.order_by(Reply.id)))
