"""Sends what waits in the outbox."""

from __future__ import annotations

import logging

from confbridge import clock, config
from confbridge.database import transaction
from confbridge.errors import MailError
from confbridge.mail import compose
from confbridge.mail.delivery import PATIENCE, Courier, signature
from confbridge.services import outbox
from confbridge.services.outbox import Dispatch

log = logging.getLogger(__name__)

SLOWEST = 3 * PATIENCE  # seconds that one mail may take: its address, its text, the connection
_couriers: dict[str, Courier] = {}  # whose connection goes on from one batch to the next


def deliver_some() -> bool:
    """Send a batch of mails that are due, on one connection; say whether to go on at once."""
    url = config.in_force().mail_url
    with transaction():
        batch = outbox.claim_due()
    if not batch:
        if courier := _couriers.pop(url, None):
            courier.close()
        return False
    courier = _couriers.setdefault(url, Courier(url))
    for place, dispatch in enumerate(batch):
        if (dispatch.lease - clock.now()).total_seconds() < SLOWEST:
            _put_back(batch[place:])
            return True
        if not _deliver(courier, dispatch):
            _put_back(batch[place + 1 :])
            return False
    return True


def _deliver(courier: Courier, dispatch: Dispatch) -> bool:
    """Send one mail and write down how it went; False if the server takes none at present."""
    number = dispatch.mail_id
    try:
        courier.deliver(compose.mail(dispatch.copy), sign=signature())
    except MailError as error:
        log.warning("mail %s, try %s: %s", number, dispatch.tries, error)
        with transaction():
            outbox.not_sent(dispatch, error)
        return not error.server
    except Exception as error:
        log.exception("mail %s could not be made", number)
        with transaction():
            outbox.not_sent(dispatch, MailError(f"it cannot be made: {error}", permanent=True))
        return True
    with transaction():
        outbox.sent(number)
    log.info("mail %s sent", number)
    return True


def _put_back(rest: list[Dispatch]) -> None:
    if rest:
        with transaction():
            outbox.put_back(rest)
