"""Works on the events that bridges have reported."""

from __future__ import annotations

import logging

from confbridge.database import attempt, transaction
from confbridge.services import events

log = logging.getLogger(__name__)


def work_on_some() -> bool:
    """Work on the oldest batches of one bridge; say whether there were any."""
    with transaction():
        batches = events.claim_next()
    if not batches:
        return False
    try:
        with transaction():
            events.work_on(batches)
    except Exception:
        log.exception("events %s could not be worked on", batches)
        with transaction():
            events.put_back(batches)
    return True


def forget_old() -> bool:
    """Forget what is only kept so that the same event is not worked on twice."""
    attempt(events.forget_old)
    return False
