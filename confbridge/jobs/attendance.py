"""Works on the events that bridges have reported."""

from __future__ import annotations

from confbridge.database import transaction
from confbridge.services import attendance


def work_on_one() -> bool:
    """Work on one batch; say whether there was one."""
    with transaction():
        batch = attendance.claim_next_events()
    if batch is None:
        return False
    with transaction():
        attendance.work_on_events(batch)
    return True
