"""Whether a site is ready, from its own word and from the test of its line."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from confbridge.domain.watching import MOST_DELAY, MOST_LOSS

# What a technician checks before a meeting: power, picture, sound, line, the account to join by.
POINTS = ("power", "picture", "sound", "line", "account")


class Ready(StrEnum):
    """What is known of a site."""

    READY = "ready"
    NOT_READY = "not_ready"  # it says so, or its test has shown it
    UNKNOWN = "unknown"  # it has not said, or not all


def verdict(
    points: Mapping[str, str], test: bool | None, loss: float | None, delay: float | None
) -> Ready:
    """Return what the word of a site and the last test of its line (None: there was none) make.

    Whoever says that all is well is ready without a test: a room system cannot make one. A test
    that went wrong outweighs that word, and one that went well stands for picture, sound and line.
    """
    if "bad" in points.values() or test is False:
        return Ready.NOT_READY
    if (loss is not None and loss > MOST_LOSS) or (delay is not None and delay > MOST_DELAY):
        return Ready.NOT_READY
    shown = {"picture", "sound", "line", "account"} if test else set()
    if test and not points:
        return Ready.READY  # it could only be made with power, by the site's own link
    if all(points.get(name) == "ok" or name in shown for name in POINTS):
        return Ready.READY
    return Ready.UNKNOWN
