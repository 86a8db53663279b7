"""Chairs who would be in two meetings at once, and meetings that look booked twice."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from sqlalchemy import select

from confbridge.database import db
from confbridge.domain.interval import Interval
from confbridge.domain.lifecycle import MeetingState
from confbridge.domain.search import folded
from confbridge.errors import Clash
from confbridge.models import Account, Meeting, Occurrence
from confbridge.models.meeting import LONGEST
from confbridge.services import access, hosts

ALIKE = 0.85  # of 1: titles that are taken for the same
ADDITION = re.compile(r"[\[(][^\])]*[\])]")  # "[Bổ sung thành phần]", "(Cập nhật)"
TAKES_TIME = (MeetingState.SCHEDULED, MeetingState.DRAFT)


@dataclass(frozen=True, kw_only=True)
class Engagement:
    """Another meeting of the same chair; its uid and title only if the reader may know them."""

    during: Interval
    uid: str | None
    title: str


def key(chair: str) -> str:
    """Return the name by which a chair is recognised, "" for nobody."""
    return " ".join(folded(chair).split())


def engagements(
    chair: str, times: Sequence[Interval], *, but: Collection[int], reader: Account
) -> list[Engagement]:
    """Return where the chair is at these times already; `but` are the occurrences in question."""
    name = key(chair)
    if not name or not times:
        return []
    windows = hosts.window_table(times, LONGEST)
    asked = (
        select(
            *(Occurrence.id, Occurrence.starts, Occurrence.ends, Meeting.uid, Meeting.title),
            access.meeting_is_visible(reader).label("visible"),
        )
        .join(Meeting, Meeting.id == Occurrence.meeting_id)
        .join(
            windows,
            (Occurrence.ends > windows.c.since)
            & (Occurrence.ends <= windows.c.bound)
            & (Occurrence.starts < windows.c.until),
        )
        .where(Occurrence.chair_key == name, Occurrence.state == MeetingState.SCHEDULED)
        .order_by(Occurrence.starts)
        .distinct()
    )
    return [
        Engagement(
            during=Interval(row.starts, row.ends),
            uid=row.uid if row.visible else None,
            title=row.title if row.visible else "",
        )
        for row in db.session.execute(asked)
        if row.id not in but
    ]


def is_engaged(chair: str, during: Interval, *, but: Collection[int]) -> bool:
    """Say whether the chair is in another meeting at that time."""
    asked = select(Occurrence.id).where(
        Occurrence.chair_key == key(chair),
        Occurrence.state == MeetingState.SCHEDULED,
        Occurrence.ends > during.start,
        Occurrence.ends <= during.end + LONGEST,
        Occurrence.starts < during.end,
        Occurrence.id.not_in(but),
    )
    return bool(key(chair)) and db.session.scalars(asked.limit(1)).first() is not None


@dataclass(frozen=True)
class Alike:
    """A meeting that looks like the same one, booked before."""

    uid: str
    title: str


def duplicates(
    title: str, host_id: int, during: Interval, *, reader: Account, but: int = 0
) -> list[Alike]:
    """Return meetings of the same host at the same time with a title alike."""
    asked = (
        select(Meeting.uid, Meeting.title)
        .join(Occurrence, Occurrence.meeting_id == Meeting.id)
        .where(
            Meeting.host_id == host_id,
            Meeting.id != but,
            Occurrence.state.in_(TAKES_TIME),
            Occurrence.ends > during.start,
            Occurrence.ends <= during.end + LONGEST,
            Occurrence.starts < during.end,
            access.meeting_is_visible(reader),
        )
        .order_by(Meeting.id)
        .limit(50)
    )
    wanted = _bare(title)
    return [
        Alike(uid, other)
        for uid, other in dict.fromkeys(map(tuple, db.session.execute(asked)))
        if SequenceMatcher(None, wanted, _bare(other)).ratio() >= ALIKE
    ]


def _bare(title: str) -> str:
    """Return a title without case, accents, and what was typed into it afterwards."""
    return " ".join(folded(ADDITION.sub(" ", title)).split())


def check(
    chair: str,
    times: Sequence[Interval],
    reason_and_own: tuple[str, Collection[int]],
    *,
    by: Account,
) -> None:
    """Raise Clash if the chair is elsewhere at one of these times, and no reason is given.

    A leader's time is a soft clash: it needs a reason, which is kept, and not a refusal.
    """
    reason, own = reason_and_own
    if not reason and engagements(chair, times, but=own, reader=by):
        raise Clash
