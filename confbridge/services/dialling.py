"""What is dialled for a conference: it follows the meeting, on whatever bridges it is held."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import undefer

from confbridge import drivers
from confbridge.database import db
from confbridge.domain import lifecycle
from confbridge.drivers import CanDialIn
from confbridge.errors import DriverError
from confbridge.models import Bridge, Meeting, Occurrence
from confbridge.services import links

MOST_STRINGS = 4  # told in one letter: a series may be held on several bridges


def strings(occurrence: Occurrence, meeting: Meeting) -> Sequence[str]:
    """Return what is dialled for an occurrence; nothing where all come in by their page."""
    primary = occurrence.primary
    if primary is None or "dial_in" not in drivers.powers(primary.bridge.driver):
        return ()
    asked = select(Bridge).where(Bridge.id == primary.bridge_id).options(undefer(Bridge.secrets))
    bridge = db.session.scalars(asked).one()
    try:
        driver = drivers.load(bridge.driver, {**bridge.settings, **bridge.secrets})
    except DriverError:
        return ()
    if not isinstance(driver, CanDialIn):
        return ()
    return driver.dial_strings(links.dial_number(meeting.id))


def told(meeting: Meeting, occurrence: Occurrence | None) -> str:
    """Return what a letter says is dialled, a line each, and remember that it was told.

    The letter is about one occurrence, or about all that are to come.
    """
    some: Iterable[Occurrence] = [occurrence] if occurrence else meeting.occurrences
    found: dict[str, None] = {}
    for one in some:
        if one.state in lifecycle.ENDED or meeting.secret:
            continue
        lines = strings(one, meeting)
        one.dial = "\n".join(lines)
        found.update(dict.fromkeys(lines))
    return "\n".join(list(found)[:MOST_STRINGS])
