"""The roll-call: attendance as the secretary records it, where no bridge can tell."""

from __future__ import annotations

from sqlalchemy import select

from confbridge import clock
from confbridge.database import db
from confbridge.errors import Conflict, Invalid, Phrase
from confbridge.inputs.live import RollCallDraft
from confbridge.models import Account, Attendee, Occurrence, RollCall
from confbridge.services import audit


def record(
    occurrence: Occurrence, attendee: Attendee, draft: RollCallDraft, *, by: Account
) -> None:
    """Record what the secretary says of one site; what was recorded before is replaced.

    Raises Conflict before the meeting has begun, Invalid if an absence has no reason.
    """
    if clock.now() < occurrence.starts:
        raise Conflict(Phrase("The meeting has not begun."))
    if draft.state == "absent" and not draft.reason:
        raise Invalid(reason=Phrase("Say why the site was absent."))
    asked = select(RollCall).where(
        RollCall.occurrence_id == occurrence.id, RollCall.attendee_id == attendee.id
    )
    one = db.session.scalar(asked.with_for_update())
    if one is None:
        one = RollCall(occurrence_id=occurrence.id, attendee_id=attendee.id)
        db.session.add(one)
    one.state, one.reason, one.headcount = draft.state, draft.reason, draft.headcount
    one.by, one.at = by.email, clock.now()
    said = f"{attendee.endpoint.code}: {draft.state}"
    audit.record(by.email, "roll-call", f"meeting {occurrence.meeting.uid}", said)
    db.session.flush()
