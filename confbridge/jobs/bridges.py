"""Asks bridges how they are and who is on them."""

from __future__ import annotations

import logging
from dataclasses import replace

from confbridge import clock, drivers
from confbridge.database import transaction
from confbridge.drivers import CanIdentify, Driver, Participant
from confbridge.errors import DriverError
from confbridge.services import bridges
from confbridge.services.bridges import Findings, Visit

log = logging.getLogger(__name__)


def visit_one() -> bool:
    """Ask one bridge whose turn it is; say whether there was one."""
    with transaction():
        visit = bridges.claim_next_visit()
    if visit is None:
        return False
    asked_at = clock.now()
    try:
        findings = _ask(drivers.connect(visit.call.driver, visit.call.settings), visit)
    except DriverError as error:
        with transaction():
            changed = bridges.not_visited(visit.call.bridge_id, error)
        said = str(error)
    else:
        with transaction():
            changed = bridges.visited(visit.call.bridge_id, findings, asked_at)
        said = findings.software
    if changed:
        log.warning("bridge %s is %s: %s", visit.call.bridge_id, changed, said)
    return True


def _ask(driver: Driver, visit: Visit) -> Findings:
    answer = driver.probe()
    counts = driver.counts()
    return Findings(
        software=answer.software,
        epoch=answer.epoch,
        counts=counts,
        participants={
            room: _who_is_in(driver, room, known) if counts[room] else []
            for room, known in visit.rooms.items()
            if room in counts
        },
    )


def _who_is_in(driver: Driver, room: str, known: frozenset[str]) -> list[Participant]:
    """Return who is in a room, with the tokens of those of whom no event has told."""
    try:
        found = list(driver.participants(room))
        if isinstance(driver, CanIdentify) and any(one.leg not in known for one in found):
            tokens = driver.tokens(room)
            found = [replace(one, token=tokens.get(one.leg, "")) for one in found]
    except DriverError as error:
        if error.permanent:  # the room was closed while we were asking
            return []
        raise
    return found
