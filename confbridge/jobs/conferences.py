"""Opens rooms when their time has come, and closes them when it is over."""

from __future__ import annotations

import logging

from confbridge import drivers
from confbridge.database import transaction
from confbridge.errors import DriverError
from confbridge.services import conferences

log = logging.getLogger(__name__)


def open_one() -> bool:
    """Open one due room; say whether there was one."""
    with transaction():
        order = conferences.claim_next_to_open()
    if order is None:
        return False
    try:
        drivers.connect(order.call.driver, order.call.settings).open_room(order.spec)
    except DriverError as error:
        log.warning("room of allocation %s not opened: %s", order.allocation_id, error)
        with transaction():
            conferences.opening_failed(order, error)
    else:
        log.info("room of allocation %s opened", order.allocation_id)
        with transaction():
            conferences.opened(order)
    return True


def close_one() -> bool:
    """Close one room whose time is over; say whether there was one."""
    with transaction():
        order = conferences.claim_next_to_close()
    if order is None:
        return False
    try:
        driver = drivers.connect(order.call.driver, order.call.settings)
        driver.close_room(order.spec.name, order.spec.secret)
    except DriverError as error:
        log.warning("room of allocation %s not closed: %s", order.allocation_id, error)
        with transaction():
            conferences.closing_failed(order, error)
    else:
        log.info("room of allocation %s closed", order.allocation_id)
        with transaction():
            conferences.closed(order)
    return True
