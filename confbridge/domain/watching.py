"""What is wrong with a conference that is on, from what is known of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

MISSING_AFTER = timedelta(minutes=5)  # from the start
DROPPED_AFTER = timedelta(minutes=1)  # so long a line may take to come back
NOT_OPEN_BEFORE = timedelta(minutes=5)  # before the start a room should be open
FRESH = timedelta(minutes=1)  # so old what is said of a line may be
MOST_LOSS = 0.05  # of 1; above it speech becomes hard to follow
MOST_DELAY = 0.4  # seconds there and back (ITU-T G.114: 150 ms one way is good, 400 the limit)


class Trouble(StrEnum):
    """What can be wrong with one site, or with the room."""

    MISSING = "missing"
    DROPPED = "dropped"
    QUALITY = "quality"
    NOT_OPEN = "not_open"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One leg of a site: from when until when, and how good it is, as far as is known."""

    joined: datetime
    left: datetime | None = None
    loss: float | None = None
    delay: float | None = None
    told_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A site that is expected, and its legs."""

    id: int
    lines: Sequence[Line] = ()


@dataclass(frozen=True, kw_only=True)
class Found:
    """Something that is wrong; without a site it is the room itself."""

    trouble: Trouble
    site: int | None = None
    detail: str = ""


def watch(
    sites: Iterable[Watched], *, starts: datetime, now: datetime, is_open: bool
) -> list[Found]:
    """Return what is wrong now."""
    if not is_open:
        late = now >= starts - NOT_OPEN_BEFORE
        return [Found(trouble=Trouble.NOT_OPEN)] if late else []
    found = [_of_site(one, starts, now) for one in sites]
    return [one for one in found if one is not None]


def _of_site(site: Watched, starts: datetime, now: datetime) -> Found | None:
    inside = [one for one in site.lines if one.left is None]
    if inside:
        bad = next((said for one in inside if (said := _poor(one, now))), "")
        return Found(trouble=Trouble.QUALITY, site=site.id, detail=bad) if bad else None
    if now < starts:
        return None
    # Who only tried the line beforehand has not come.
    was_in = [one.left for one in site.lines if one.left is not None and one.left > starts]
    if was_in:
        gone = max(was_in)
        if now - gone < DROPPED_AFTER:
            return None
        return Found(trouble=Trouble.DROPPED, site=site.id)
    if now - starts < MISSING_AFTER:
        return None
    return Found(trouble=Trouble.MISSING, site=site.id)


def _poor(line: Line, now: datetime) -> str:
    """Return what is bad about a line, in figures; "" if it is good or nothing is known."""
    if line.told_at is None or now - line.told_at > FRESH:
        return ""
    said = []
    if line.loss is not None and line.loss > MOST_LOSS:
        said.append(f"{line.loss:.0%}")
    if line.delay is not None and line.delay > MOST_DELAY:
        said.append(f"{line.delay * 1000:.0f} ms")
    return ", ".join(said)
