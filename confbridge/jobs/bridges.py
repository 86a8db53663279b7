"""Asks bridges how they are and who is on them, and gives what a lost one held another."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from confbridge import clock, drivers
from confbridge.database import attempt, transaction
from confbridge.drivers import CanIdentify, CanMark, Driver, Participant
from confbridge.drivers.http import certificate_until, listening
from confbridge.errors import DriverError, RoomGone
from confbridge.services import health, linetests, rescue
from confbridge.services.health import Findings, Visit

log = logging.getLogger(__name__)


def visit_one() -> bool:
    """Ask one bridge whose turn it is; say whether there was one."""
    with transaction():
        visit = health.claim_next_visit()
    if visit is None:
        return False
    asked_at = clock.now()
    try:
        with drivers.sensible():
            driver = drivers.connect(visit.call.driver, visit.call.settings)
            findings = _ask(driver, visit)
    except DriverError as error:
        with transaction():
            changed = health.not_visited(visit.call.bridge_id, error)
        said = str(error)
    else:
        with transaction():
            changed = health.visited(visit.call.bridge_id, findings, asked_at)
        attempt(lambda: rescue.returned(visit.call.bridge_id, findings.counts, asked_at))
        said = findings.software
        _tidy(driver, findings.counts or {})
    if changed:
        log.warning("bridge %s is %s: %s", visit.call.bridge_id, changed, said)
    return True


def rescue_one() -> bool:
    """Give one occurrence another bridge if its own is lost; say whether there was one."""
    return attempt(rescue.rescue_one)


def _ask(driver: Driver, visit: Visit) -> Findings:
    with listening() as conversation:
        answer = driver.probe()
        took = conversation.took
    counts = driver.counts()
    marked = visit.mark and isinstance(driver, CanMark)
    if isinstance(driver, CanMark) and marked:
        driver.mark()
    until, checked = _certificate(visit) if visit.check else (None, False)
    return Findings(
        software=answer.software,
        epoch=answer.epoch,
        trouble=answer.trouble,
        capacity=answer.capacity,
        load=answer.load,
        counts=counts,
        in_use=answer.in_use,
        next_number=answer.next_number,
        took=took,
        clock_off=conversation.clock_off,
        certificate_until=until,
        checked=checked,
        marked=marked,
        participants=None if counts is None or not visit.compare else _all(driver, visit, counts),
    )


def _all(driver: Driver, visit: Visit, counts: Mapping[str, int]) -> dict[str, list[Participant]]:
    return {
        room: _who_is_in(driver, room, known) if counts[room] else []
        for room, known in visit.rooms.items()
        if room in counts
    }


def _who_is_in(driver: Driver, room: str, known: frozenset[str]) -> list[Participant]:
    """Return who is in a room, with the tokens of those of whom no event has told."""
    try:
        found = list(driver.participants(room))
        if isinstance(driver, CanIdentify) and any(one.leg not in known for one in found):
            tokens = driver.tokens(room)
            found = [replace(one, token=tokens.get(one.leg, "")) for one in found]
    except DriverError as error:
        if isinstance(error, RoomGone):  # it was closed while we were asking
            return []
        raise
    return found


def _certificate(visit: Visit) -> tuple[datetime | None, bool]:
    """Return until when the first of its certificates is valid, and whether that could be seen."""
    patience = drivers.terms(visit.call.driver).patience
    try:
        found = [
            until
            for address in visit.call.settings.values()
            if (until := certificate_until(address, patience)) is not None
        ]
    except DriverError as error:
        log.warning("bridge %s: %s", visit.call.bridge_id, error)
        return None, True  # it is looked at again in an hour, not at every visit
    return min(found, default=None), True


def _tidy(driver: Driver, counts: Mapping[str, int]) -> None:
    """Close what tests of lines have left behind."""
    for room in linetests.left_behind(counts):
        try:
            driver.close_room(room, linetests.room_secret(room))
        except DriverError as error:
            log.warning("room %s of a test stays: %s", room, error)
