"""Reads the mailbox to which answers come."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event

from sqlalchemy.exc import InterfaceError, OperationalError

from confbridge import config
from confbridge.database import attempt, transaction
from confbridge.errors import Clash, Crossed, MailError
from confbridge.mail import incoming, mailbox
from confbridge.mail.incoming import TooMuch
from confbridge.mail.mailbox import Box, Item
from confbridge.models import Outcome, Received
from confbridge.services import inbox
from confbridge.services.inbox import Place

log = logging.getLogger(__name__)

BATCH = 50
PATIENCE = 10  # seconds for which a server may tell of new mail before the lease is renewed
ASIDE = {Outcome.QUARANTINE, Outcome.REFUSED}

stopping = Event()  # set when the process ends, so that nobody waits for new mail any longer
_open: dict[str, Box] = {}  # kept from one reading to the next


def read_mail() -> bool:
    """Work on the next mails, or wait for some where the server can tell; say whether there were.

    A mail is marked as done only after its effect was committed: whoever dies in
    between finds it unmarked and known, and only marks it.
    """
    url = config.in_force().mailbox_url
    if not url:
        return False
    name = mailbox.name_of(url)
    with transaction():
        is_ours = inbox.claim(name) is not None
    if not is_ours:
        return False
    try:
        box = _open.get(url) or _opened(url, name)
        found = _work(box, name)
    except MailError as error:
        log.warning("mailbox: %s", error)
        forget(url)
        with transaction():
            inbox.let_go(name, str(error))
        return False
    with transaction():
        inbox.let_go(name)
    return found


def forget(url: str) -> None:
    """Let go of an open mailbox, which did not answer or is another one by now."""
    box = _open.pop(url, None)
    if box is not None:
        box.close()


def _opened(url: str, name: str) -> Box:
    """Open the mailbox, and mark what was worked on and could not be marked any more."""
    box = mailbox.opened(url)
    _open[url] = box
    with transaction():
        last = inbox.begin(name, box.validity)
    _mark(box, [(one, _known(name, one)) for one in box.unmarked(last)])
    return box


def _known(name: str, item: Item) -> str:
    return inbox.outcome_of(Place(name, item.place)) or Outcome.EFFECT


def _work(box: Box, name: str) -> bool:
    with transaction():
        last = inbox.begin(name, box.validity)
    items = box.after(last, BATCH)
    if not items:
        return not stopping.is_set() and box.wait(PATIENCE)
    done = []
    for item in items:
        received = _work_on(item, name)
        done.append((item, received.outcome))
    _mark(box, done)
    return True


def _work_on(item: Item, name: str) -> Received:
    """Let one mail have its effect; a mail that nobody foresaw is laid aside, and not lost."""
    place = Place(name, item.place)
    try:
        if not item.is_whole:
            raise TooMuch("too_large")
        arrival = incoming.read(item.raw, config.in_force().authserv_id)
    except TooMuch as error:
        why, head = str(error), incoming.header_of(item.raw)
        return attempt(lambda: _noted(item, name, lambda: inbox.refuse(place, head, why)))
    try:
        try:
            return attempt(lambda: _noted(item, name, lambda: inbox.take(place, arrival)))
        except Clash:
            deed = lambda: inbox.take(place, arrival, holding=False)  # noqa: E731
            return attempt(lambda: _noted(item, name, deed))
    except (Crossed, OperationalError, InterfaceError):
        raise  # not the mail's fault: it is read again when the lease is over
    except Exception:
        log.exception("mail %s could not be worked on", item.place)
        head = (arrival.message_id, arrival.sender, arrival.subject)
        return attempt(lambda: _noted(item, name, lambda: inbox.set_aside(place, head)))


def _noted(item: Item, name: str, deed: Callable[[], Received]) -> Received:
    received = deed()
    if item.number:
        inbox.read_up_to(name, item.number)
    inbox.renew(name)
    log.info("mail %s: %s (%s)", item.place, received.outcome, received.detail)
    return received


def _mark(box: Box, done: list[tuple[Item, str]]) -> None:
    box.done([item for item, outcome in done if outcome not in ASIDE])
    box.quarantine([item for item, outcome in done if outcome in ASIDE])
