"""Tests of a site's line: its own pictures and sound, sent through a bridge and back."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import undefer

from confbridge import clock, drivers
from confbridge.database import db
from confbridge.domain.health import BridgeState
from confbridge.drivers import Visitor
from confbridge.errors import Conflict, Phrase
from confbridge.inputs.live import LineResult
from confbridge.models import Attendee, Bridge, LineTest, Occurrence
from confbridge.services import bridges, links
from confbridge.services.bridges import Call

PREFIX = "cb-test-"
LONGEST = timedelta(minutes=5)  # that a room for a test is left


@dataclass(frozen=True, kw_only=True)
class Loop:
    """A room for one test, on one bridge; all that can be known without asking it."""

    call: Call
    code: str
    room: str
    secret: str
    visitor: Visitor


def prepare(occurrence: Occurrence, attendee: Attendee) -> Loop:
    """Return where a site can test its line: on the bridge of its meeting if that is up.

    Raises Conflict if there is none that can.
    """
    primary = occurrence.primary
    wanted = primary.bridge_id if primary else 0
    asked = select(Bridge).where(Bridge.active, Bridge.state == BridgeState.UP)
    fit = [
        one
        for one in db.session.scalars(asked.options(undefer(Bridge.secrets)).order_by(Bridge.id))
        if "loop" in drivers.powers(one.driver)
    ]
    if not fit:
        raise Conflict(Phrase("No bridge can test the line now. Try again in a minute."))
    bridge = min(fit, key=lambda one: (one.id != wanted, one.ports_in_use))
    room = f"{PREFIX}{int(clock.now().timestamp()):x}-{secrets.token_hex(8)}"
    visitor = Visitor(name=attendee.endpoint.name, token=links.access_token(room, attendee.id))
    return Loop(
        call=bridges.call_of(bridge),
        code=bridge.code,
        room=room,
        secret=room_secret(room),
        visitor=visitor,
    )


def keep(attendee: Attendee, occurrence: Occurrence, result: LineResult) -> LineTest:
    """Write down what a test showed."""
    code = select(Bridge.id).where(Bridge.code == result.bridge)
    made = LineTest(
        occurrence_id=occurrence.id,
        attendee_id=attendee.id,
        bridge_id=db.session.scalar(code),
        at=clock.now(),
        camera=result.camera,
        microphone=result.microphone,
        loudspeaker=result.loudspeaker,
        looped=result.looped,
        loss=result.loss,
        delay=result.delay,
        detail=result.detail,
    )
    db.session.add(made)
    db.session.flush()
    return made


def room_secret(room: str) -> str:
    return links.room_secret(room)


def is_of_a_test(room: str) -> bool:
    """Say whether a room is one that was made for a test, and not for a conference."""
    return room.startswith(PREFIX)


def left_behind(open_rooms: Collection[str]) -> list[str]:
    """Return the rooms of tests that must be over by now."""
    oldest = clock.now() - LONGEST
    return [room for room in open_rooms if is_of_a_test(room) and _made_at(room) < oldest]


def _made_at(room: str) -> datetime:
    text = room.removeprefix(PREFIX).partition("-")[0]
    try:
        return datetime.fromtimestamp(int(text, 16), clock.now().tzinfo)
    except (ValueError, OverflowError, OSError):
        return clock.now()
