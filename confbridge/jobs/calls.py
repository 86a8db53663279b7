"""Takes the calls that come in for bridges which know no SIP themselves."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager

from confbridge import drivers
from confbridge.database import transaction
from confbridge.drivers import Agent, Caller, CanTakeCalls, Seat
from confbridge.errors import DriverError
from confbridge.services import callers
from confbridge.services.bridges import Call

log = logging.getLogger(__name__)

_agents: dict[int, tuple[Call, Agent]] = {}  # by the bridge's id, and how it was set up


def take_calls(context: Callable[[], AbstractContextManager[object]]) -> None:
    """See that calls are taken for every bridge that wants it, by us or by another process."""
    with transaction():
        wanted = {one.bridge_id: one for one in callers.lines()}
    for number, (call, agent) in list(_agents.items()):
        if wanted.get(number) != call:
            agent.stop()
            del _agents[number]
    for number, call in wanted.items():
        if number not in _agents:
            _begin(number, call, context)


def stop() -> None:
    """Take no calls any more."""
    for _, agent in _agents.values():
        agent.stop()
    _agents.clear()


def _begin(number: int, call: Call, context: Callable[[], AbstractContextManager[object]]) -> None:
    def host(caller: Caller) -> Seat | None:
        with context(), transaction():
            seat = callers.seat_for(number, caller)
        log.info("call of bridge %s: %s", number, "let in" if seat else "refused")
        return seat

    try:
        with drivers.sensible():
            driver = drivers.connect(call.driver, call.settings)
            if isinstance(driver, CanTakeCalls):
                _agents[number] = (call, driver.answering(host))
    except DriverError as error:
        log.debug("bridge %s: %s", number, error)
