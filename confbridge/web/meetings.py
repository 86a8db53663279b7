"""Pages about meetings: the list, the day, the booking form, one meeting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from confbridge import clock, config, doors
from confbridge.database import attempt
from confbridge.domain.interval import Interval
from confbridge.domain.lifecycle import ENDED
from confbridge.doors import Refused
from confbridge.errors import Invalid, Phrase
from confbridge.inputs import forms, parse
from confbridge.inputs.meetings import Cancellation, MeetingChange, Postponement
from confbridge.models import Account, Meeting
from confbridge.services import (
    access,
    agenda,
    attendees,
    displacement,
    endpoints,
    holds,
    leaders,
    links,
    meetings,
    rehearsals,
    rules,
)
from confbridge.services.agenda import Wanted
from confbridge.services.leaders import Alike
from confbridge.web import filters, pictures
from confbridge.web.booking import version
from confbridge.web.render import after_change, page
from confbridge.web.session import account

pages = Blueprint("meetings", __name__, url_prefix="/meetings")

DAY_BEGINS, DAY_ENDS = timedelta(hours=6), timedelta(hours=20)
PER_PAGE = 50
EARLIEST, LATEST = 1970, 2200


@pages.get("")
def index() -> str:
    me = account()
    text, past = request.args.get("q", "")[:100], "past" in request.args
    now = clock.now()
    wanted = Wanted(start=None if past else now, end=now if past else None, text=text)
    found = agenda.lines(me, wanted, limit=PER_PAGE + 1, after=_after(request.args))
    days = [
        (day, list(some))
        for day, some in groupby(
            found[:PER_PAGE],
            lambda one: one.during.start.astimezone(config.in_force().zone).date(),
        )
    ]
    return page(
        "meetings/index.html",
        days=days,
        text=text,
        past=past,
        more=found[PER_PAGE - 1] if len(found) > PER_PAGE else None,
        may_book=me.role in access.BOOK,
        now=now,
    )


@pages.get("/day")
@pages.get("/day/<date>")
def day(date: str = "") -> str:
    me = account()
    zone = config.in_force().zone
    try:
        first = datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=zone) if date else None
    except ValueError as error:
        raise Invalid(date=Phrase("Choose a date and a time.")) from error
    if first and not EARLIEST <= first.year <= LATEST:
        raise Invalid(date=Phrase("Choose a year from 1970 to 2200."))
    now = clock.now()
    midnight = (first or now.astimezone(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    taken = endpoints.busy_together(Interval(midnight, midnight + timedelta(days=1)), reader=me)
    within = _shown_hours(midnight, [one.during for _, some in taken for one in some])
    rows = [(endpoint, _bars(some, within)) for endpoint, some in taken]
    return page(
        "meetings/day.html",
        day=midnight,
        before=midnight - timedelta(days=1),
        after=midnight + timedelta(days=1),
        rows=rows,
        hours=pictures.hours(within, timedelta(hours=2)),
        now_at=pictures.now_line(now, within),
    )


@pages.get("/<uid>")
def show(uid: str) -> str:
    return shown(account(), uid)


@pages.get("/waiting")
def waiting() -> str:
    """Show drafts, what waits for room, and what was postponed."""
    me = account()
    access.check_role(me, *access.BOOK)
    return page("meetings/waiting.html", meetings=holds.listed(me), now=clock.now())


@pages.post("/<uid>/cancel")
def cancel(uid: str) -> ResponseReturnValue:
    return _with_reason(uid, Cancellation, _cancelled)


@pages.post("/<uid>/postpone")
def postpone(uid: str) -> ResponseReturnValue:
    return _with_reason(uid, Postponement, _postponed)


def _cancelled(meeting: Meeting, why: str, me: Account) -> None:
    meetings.cancel(meeting, why, by=me)
    rehearsals.follow(meeting, by=me)


def _postponed(meeting: Meeting, why: str, me: Account) -> None:
    meetings.postpone(meeting, why, by=me)
    rehearsals.follow(meeting, by=me)


@pages.post("/<uid>/confirm")
def confirm(uid: str) -> ResponseReturnValue:
    """Put a draft on, or what was postponed at one of the times found for it."""
    me = account()
    given: dict[str, object] = {"state": "scheduled"}
    if request.form.get("start"):
        given["start"] = forms.in_zone(request.form["start"], config.in_force().zone)
    reason = request.form.get("leader_reason", "").strip()
    if reason:
        given["leader_reason"] = reason
    try:
        doors.change(uid, parse(MeetingChange, given), by=me, version=version())
    except Refused as error:
        return shown(me, uid, refused=error), 409
    except Invalid as error:
        return shown(me, uid, problems=error.problems), 422
    return after_change(go_to=url_for(".show", uid=uid))


@pages.post("/<uid>/hold")
def hold(uid: str) -> ResponseReturnValue:
    """Let a draft hold its slots for a while, or give them back."""
    me = account()
    minutes = 0 if request.form.get("minutes") == "0" else None
    try:
        doors.hold(uid, minutes, by=me, version=version())
    except Refused as error:
        return shown(me, uid, refused=error), 409
    return after_change(go_to=url_for(".show", uid=uid))


@pages.post("/<uid>/wait")
def wait(uid: str) -> ResponseReturnValue:
    """Put a draft on the waiting list, or take it off."""
    me = account()

    def deed() -> None:
        meeting = access.meeting(me, uid, to_change=True, version=version())
        if request.form.get("stop"):
            holds.stop_waiting(meeting, by=me)
        else:
            holds.wait(meeting, by=me)

    attempt(deed)
    return after_change(go_to=url_for(".show", uid=uid))


def _with_reason(
    uid: str,
    kind: type[Cancellation] | type[Postponement],
    change: Callable[[Meeting, str, Account], None],
) -> ResponseReturnValue:
    me = account()
    try:
        wanted = parse(kind, {"reason": request.form.get("reason", "")})
    except Invalid as error:
        return shown(me, uid, problems=error.problems), 422

    def deed() -> None:
        meeting = access.meeting(me, uid, to_change=True, version=version())
        change(meeting, wanted.reason, me)

    attempt(deed)
    return after_change(go_to=url_for(".show", uid=uid))


def shown(
    me: Account,
    uid: str,
    *,
    problems: Mapping[str, Phrase] | None = None,
    refused: Refused | None = None,
) -> str:
    meeting = access.meeting(me, uid)
    may_change = access.may_change(me, meeting)
    one = meeting.occurrence
    number = request.values.get("occurrence", 0, type=int) if meeting.repeats else 0
    asked = meetings.occurrence_of(meeting, number) if number else None
    grid = attendees.grid(meeting, asked, may_change=may_change)
    show = request.values.get("show", "")
    return page(
        "meetings/show.html",
        meeting=meeting,
        occurrence=one,
        allocation=access.allocation_of(one),
        others=[each for each in one.allocations if each.role != "primary"],
        grid=grid,
        names={one.id: one for one in meeting.attendees},
        show=show if show in attendees.SHOWN else "",
        shows=("", *attendees.SHOWN),
        can_change=may_change and meeting.state not in ENDED,
        can_watch=may_change or me.role == "operator",
        links=_links(meeting) if may_change else {},
        guest_url=links.guest_url(one.id) if may_change else "",
        pin=links.pin(one.id) if may_change else "",
        problems=problems or {},
        refusal=refused.refusal if refused else None,
        offers=displacement.offers_of(one) if meeting.state in {"draft", "postponed"} else [],
        repeats=filters.repetition(meeting.rrule) if meeting.repeats else "",
        alike=_alike(me, meeting) if may_change else [],
        short_notice=rules.is_short_notice(one.starts) if may_change else None,
        years=_years(meeting) if meeting.repeats else [],
        now=clock.now(),
    )


def _links(meeting: Meeting) -> dict[int, str]:
    """Return the join address of each attendee; nothing leads into a state secret."""
    if meeting.secret:
        return {}
    return {one.id: links.join_url(one.id) for one in meeting.attendees}


def _alike(me: Account, meeting: Meeting) -> Sequence[Alike]:
    if meeting.state in ENDED or meeting.secret:
        return []
    return leaders.duplicates(
        meeting.title, meeting.host_id, meeting.occurrence.during, reader=me, but=meeting.id
    )


def _years(meeting: Meeting) -> list[tuple[int, list[pictures.Bar]]]:
    """Return the series as a picture: a line a year, a mark for each occurrence."""
    zone = config.in_force().zone
    found = []
    for year, some in groupby(meeting.occurrences, lambda one: one.starts.astimezone(zone).year):
        first = datetime(year, 1, 1, tzinfo=zone)
        within = Interval(first, first.replace(year=year + 1))
        bars = [
            pictures.bar(one.during, within, filters.moment(one.starts), kind=one.state)
            for one in some
        ]
        found.append((year, [one for one in bars if one]))
    return found


def _after(args: Mapping[str, str]) -> tuple[datetime, int] | None:
    """Return the place in the list after which to go on, or None for its beginning."""
    when, _, number = args.get("after", "").rpartition("_")
    try:
        moment = datetime.fromisoformat(when) if when else None
        return (moment, int(number)) if moment and moment.tzinfo else None
    except ValueError:
        return None


def _shown_hours(midnight: datetime, taken: Sequence[Interval]) -> Interval:
    """Return the usual hours of a day, and more of it where something lies outside."""
    start = min([midnight + DAY_BEGINS, *(one.start for one in taken)])
    end = max([midnight + DAY_ENDS, *(one.end for one in taken)])
    next_day = midnight + timedelta(days=1)
    return Interval(max(start, midnight), min(end, next_day))


def _bars(taken: Sequence[endpoints.Busy], within: Interval) -> list[pictures.Bar]:
    bars = []
    for one in taken:
        url = url_for(".show", uid=one.uid) if one.uid else ""
        kind = "gap" if one.is_maintenance else "mine" if url else ""
        bars.append(pictures.bar(one.during, within, one.title or "", kind=kind, url=url))
    return [one for one in bars if one]
