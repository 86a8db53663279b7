"""Sends what waits in the outbox."""

from __future__ import annotations

import logging

from confbridge import config
from confbridge.database import transaction
from confbridge.errors import MailError
from confbridge.mail import compose, delivery
from confbridge.services import outbox

log = logging.getLogger(__name__)


def deliver_one() -> bool:
    """Send one mail that is due; False when none is, or the server takes none at present."""
    with transaction():
        dispatch = outbox.claim_next_due()
    if dispatch is None:
        return False
    mail = dispatch.mail
    try:
        delivery.deliver(compose.mail(outbox.copy_of(dispatch)), config.in_force().mail_url)
    except MailError as error:
        log.warning("mail %s, try %s: %s", mail.id, mail.tries, error)
        with transaction():
            outbox.not_sent(dispatch, error)
        return not error.server
    with transaction():
        outbox.sent(mail.id)
    log.info("mail %s sent", mail.id)
    return True
