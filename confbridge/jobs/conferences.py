"""Opens rooms when their time has come, and closes them when it is over."""

from __future__ import annotations

import logging
from collections.abc import Callable

from confbridge import drivers
from confbridge.database import attempt, transaction
from confbridge.drivers import CanDialOut, CanLock, CanRecord, Driver, RoomSpec
from confbridge.drivers.http import listening
from confbridge.errors import DriverError
from confbridge.services import redial, rooms, watching
from confbridge.services.rooms import RoomOrder, Said

log = logging.getLogger(__name__)


def open_one() -> bool:
    """Open one due room; say whether there was one."""
    with transaction():
        order = rooms.claim_next_to_open()
    if order is None:
        return False
    said, error = _do(order, lambda driver: _open(driver, order.spec))
    with transaction():
        if error is None:
            rooms.opened(order, said)
        else:
            rooms.opening_failed(order, error, said)
    return True


def _open(driver: Driver, spec: RoomSpec) -> None:
    """Open a room, and bring it to what was decided about it where it was before."""
    driver.open_room(spec)
    if spec.locked and isinstance(driver, CanLock):
        driver.lock(spec.name, locked=True)
    if spec.recording and isinstance(driver, CanRecord):
        driver.record(spec.name, spec.secret, recording=True)


def close_one() -> bool:
    """Close one room whose time is over; say whether there was one."""
    with transaction():
        order = rooms.claim_next_to_close()
    if order is None:
        return False
    said, error = _do(order, lambda driver: driver.close_room(order.spec.name, order.spec.secret))
    with transaction():
        if error is None:
            rooms.closed(order, said)
        else:
            rooms.closing_failed(order, error, said)
    return True


def dial_one() -> bool:
    """Call one endpoint that is due; say whether there was one."""
    with transaction():
        dialling = redial.claim_next()
    if dialling is None:
        return False
    error = None
    call, spec = dialling.order.call, dialling.order.spec
    try:
        with drivers.sensible():
            driver = drivers.connect(call.driver, call.settings)
            if not isinstance(driver, CanDialOut):
                raise DriverError("this bridge cannot call anybody", permanent=True)
            driver.dial_out(spec, dialling.address, dialling.visitor)
    except DriverError as failure:
        error = failure
        log.warning("dial-out %s: %s", dialling.dial_out_id, failure)
    with transaction():
        redial.dialled(dialling, error)
    return True


def watch_one() -> bool:
    """Look after one conference that is on; say whether there was one."""
    return attempt(watching.watch_one)


def _do(order: RoomOrder, deed: Callable[[Driver], None]) -> tuple[Said, DriverError | None]:
    """Do it on the order's bridge; return all that was said, without secrets, and what failed."""
    error = None
    with listening() as conversation:
        try:
            with drivers.sensible():
                deed(drivers.connect(order.call.driver, order.call.settings))
        except DriverError as failure:
            error = failure
            log.warning("room of allocation %s: %s", order.allocation_id, failure)
    hidden = {*order.spec.secrets, *drivers.secrets_among(order.call.driver, order.call.settings)}
    return Said(answer=conversation.text(hidden), took=conversation.took), error
