"""Which meetings an account may see, in order of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Select, exists, func, select

from confbridge.database import db
from confbridge.domain.interval import Interval
from confbridge.domain.search import folded
from confbridge.models import Account, Attendee, Endpoint, Meeting, Occurrence, Organisation
from confbridge.services import access

Asked = TypeVar("Asked", bound="Select[*tuple[Any, ...]]")
After = tuple[datetime, int]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which meetings somebody wants listed; what is not named does not matter."""

    start: datetime | None = None
    end: datetime | None = None
    endpoint: str = ""
    organisation: str = ""
    state: str = ""
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One occurrence in a list: all that is shown of it."""

    id: int
    uid: str
    number: str
    title: str
    host: str
    during: Interval
    state: str
    repeats: bool
    is_held: bool
    sites: int


def listed(
    account: Account, wanted: Wanted, *, limit: int = 50, after: After | None = None
) -> Sequence[tuple[Meeting, datetime]]:
    """Return meetings that `account` may see, each once, with the first start that matches."""
    starts = func.min(Occurrence.starts)
    asked = (
        select(Meeting.id, starts.label("starts"))
        .join(Occurrence, Occurrence.meeting_id == Meeting.id)
        .group_by(Meeting.id)
        .order_by(starts, Meeting.id)
        .limit(limit)
    )
    asked = _narrowed(asked, account, wanted)
    if after:
        moment, last = after
        asked = asked.having((starts > moment) | ((starts == moment) & (Meeting.id > last)))
    rows = db.session.execute(asked).all()
    numbers = [number for number, _ in rows]
    known = {one.id: one for one in db.session.scalars(_meetings(numbers))}
    return [(known[number], moment) for number, moment in rows]


def lines(
    account: Account, wanted: Wanted, *, limit: int = 50, after: After | None = None
) -> list[Line]:
    """Return occurrences that `account` may see, in order of time, in one question."""
    sites = (
        select(func.count(Attendee.id))
        .where(Attendee.meeting_id == Meeting.id, Attendee.invited)
        .scalar_subquery()
    )
    asked = (
        select(
            *(Occurrence.id, Meeting.uid, Meeting.number, Meeting.title, Organisation.name),
            *(Occurrence.starts, Occurrence.ends, Occurrence.state, Meeting.rrule, sites),
            Occurrence.hold_until,
        )
        .join(Meeting, Meeting.id == Occurrence.meeting_id)
        .join(Organisation, Organisation.id == Meeting.host_id)
        .order_by(Occurrence.starts, Occurrence.id)
        .limit(limit)
    )
    asked = _narrowed(asked, account, wanted)
    if after:
        moment, last = after
        later = (Occurrence.starts == moment) & (Occurrence.id > last)
        asked = asked.where((Occurrence.starts > moment) | later)
    return [
        Line(
            id=number,
            uid=uid,
            number=register,
            title=title,
            host=host,
            during=Interval(starts, ends),
            state=state,
            repeats=bool(rrule),
            sites=count,
            is_held=held is not None,
        )
        for number, uid, register, title, host, starts, ends, state, rrule, count, held in (
            db.session.execute(asked)
        )
    ]


def _meetings(numbers: Sequence[int]) -> Select[Meeting]:
    return select(Meeting).where(Meeting.id.in_(numbers))


def _narrowed(asked: Asked, account: Account, wanted: Wanted) -> Asked:
    """Return the question for what `account` may see and wants to; both tables are joined in it."""
    asked = asked.where(access.meeting_is_visible(account))
    if wanted.start:
        asked = asked.where(Occurrence.ends > wanted.start)
    if wanted.end:
        asked = asked.where(Occurrence.starts < wanted.end)
    if wanted.state:
        asked = asked.where(Meeting.state == wanted.state)
    if wanted.text:
        asked = asked.where(Meeting.search.contains(folded(wanted.text), autoescape=True))
    if wanted.organisation:
        host = exists().where(
            Organisation.id == Meeting.host_id, Organisation.code == wanted.organisation
        )
        asked = asked.where(host)
    if wanted.endpoint:
        asked = asked.where(
            exists().where(
                Attendee.meeting_id == Meeting.id,
                Attendee.invited,
                Attendee.endpoint_id == Endpoint.id,
                Endpoint.code == wanted.endpoint,
            )
        )
    return asked
