"""Pages about meetings in progress, and about who came to those that are over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from confbridge import clock, doors, drivers
from confbridge.database import attempt
from confbridge.domain.attendance import PresenceState
from confbridge.domain.interval import Interval
from confbridge.doors import say
from confbridge.errors import Conflict, Invalid, NotFound, Phrase
from confbridge.inputs import parse
from confbridge.inputs.live import Command, RollCallDraft
from confbridge.models import Allocation, Occurrence
from confbridge.services import (
    access,
    attendance,
    conferences,
    control,
    incidents,
    rollcalls,
    rooms,
)
from confbridge.services.attendance import Attendance, Site
from confbridge.services.extension import CannotExtend
from confbridge.web import filters, pictures
from confbridge.web.render import after_change, is_fragment, page
from confbridge.web.session import account

pages = Blueprint("conferences", __name__, url_prefix="/conferences")

PRESENT = {PresenceState.PRESENT_ONLINE, PresenceState.PRESENT_IN_PERSON}
ROLL = frozenset({"state", "reason", "headcount"})
FIELDS = frozenset({"leg", "keep_out", "text", "minutes", "layout", "endpoint", "decision"})


@pages.get("")
def index() -> str:
    live = conferences.live(account())
    here = attendance.sites_in(live)
    found = [(one, here.get(one.id, 0), access.allocation_of(one)) for one in live]
    return page("conferences/index.html", conferences=found)


@pages.get("/<int:number>")
def show(number: int) -> str:
    """Show who is in now and who is missing; the page asks for itself again and again."""
    return _shown(number)


@pages.post("/<int:number>/extend")
def extend(number: int) -> ResponseReturnValue:
    """Let it last longer, or say how much longer it can."""
    try:
        wanted = parse(Command, {"minutes": request.form.get("minutes", "")})
        doors.extend(number, wanted.minutes, by=account())
    except Invalid as error:
        return _shown(number, problems=error.problems), 422
    except CannotExtend as error:
        return _shown(number, cannot=error), 409
    return after_change(go_to=url_for(".show", number=number))


@pages.post("/<int:number>/end")
def end(number: int) -> ResponseReturnValue:
    """End it now."""
    try:
        doors.end(number, by=account())
    except Conflict as error:
        return _shown(number, failed=say(error.phrase)), 409
    return after_change(go_to=url_for(".show", number=number))


@pages.post("/<int:number>/<name>")
def command(number: int, name: str) -> ResponseReturnValue:
    """Do to the conference what an operator wants, and say so if its bridge could not."""
    given = {key: value for key, value in request.form.items() if key in FIELDS and value}
    try:
        wanted = parse(Command, given)
        error = doors.command(number, name, wanted, by=account())
    except Invalid as invalid:
        return _shown(number, problems=invalid.problems), 422
    except Conflict as conflict:
        return _shown(number, failed=say(conflict.phrase)), 409
    if error is not None:
        return _shown(number, failed=str(error)), doors.BAD_GATEWAY
    return after_change(go_to=url_for(".show", number=number))


def _shown(number: int, **told: object) -> str:
    me = account()
    occurrence = access.conference(me, number)
    found = attendance.of(occurrence.meeting, occurrence)
    allocation = access.allocation_of(occurrence)
    names = {site.attendee.id: site.name for site in found.sites if site.attendee}
    out = control.put_out(occurrence)
    return page(
        "conferences/show.html",
        occurrence=occurrence,
        meeting=occurrence.meeting,
        allocation=allocation,
        legs=[(leg, names.get(leg.attendee_id or 0)) for leg in control.legs_in(occurrence)],
        invited=len(found.sites),
        here=sum(bool(site.here_since) for site in found.sites),
        missing=[one for one in found.sites if not one.here_since and one.attendee not in out],
        put_out=out,
        dialled={one.attendee_id: one for one in control.dialled(occurrence)},
        notices=control.notices(occurrence),
        incidents=incidents.of_conference(occurrence),
        offered=control.offered(occurrence),
        layouts=_layouts(allocation),
        can_end=allocation is not None and drivers.terms(allocation.bridge.driver).can_end,
        steps=() if is_fragment() else rooms.steps_of(occurrence),
        gaps=found.gaps,
        now=clock.now(),
        **{"problems": {}, "failed": "", "cannot": None, **told},
    )


def _layouts(allocation: Allocation | None) -> Sequence[str]:
    return drivers.layouts(allocation.bridge.driver) if allocation else ()


@pages.post("/<int:number>/attendance/<int:attendee>")
def call_roll(number: int, attendee: int) -> ResponseReturnValue:
    """Keep what the secretary records of one site."""
    me = account()
    given = {key: value for key, value in request.form.items() if key in ROLL and value}

    def deed() -> None:
        occurrence = access.conference(me, number, to_change=True)
        one = next((each for each in occurrence.meeting.attendees if each.id == attendee), None)
        if one is None:
            raise NotFound(Phrase("This site is not invited."))
        rollcalls.record(occurrence, one, parse(RollCallDraft, given), by=me)

    try:
        attempt(deed)
    except Invalid as error:
        return _report(number, problems=error.problems, called=attendee), 422
    except Conflict as error:
        return _report(number, failed=say(error.phrase)), 409
    return after_change(go_to=url_for(".report", number=number))


@pages.get("/<int:number>/attendance")
def report(number: int) -> str:
    return _report(number)


def _report(number: int, **told: object) -> str:
    occurrence = access.conference(account(), number)
    found = attendance.of(occurrence.meeting, occurrence)
    within = _shown_time(occurrence, found)
    sites = [*found.sites, *found.uninvited]
    return page(
        "conferences/attendance.html",
        occurrence=occurrence,
        meeting=occurrence.meeting,
        rows=[(site, _bars(site, within)) for site in sites],
        invited=len(found.sites),
        came=sum(site.presence.state in PRESENT for site in found.sites),
        answered=sum(
            site.attendee.partstat != "NEEDS-ACTION" for site in found.sites if site.attendee
        ),
        gaps=found.gaps,
        gap_bars=[
            pictures.bar(
                Interval(gap.starts, gap.ends or clock.now()), within, gap.bridge, kind="gap"
            )
            for gap in found.gaps
            if (gap.ends or clock.now()) > gap.starts
        ],
        meeting_bar=pictures.bar(occurrence.during, within, "", kind="meeting"),
        hours=[(place, moment) for place, moment in pictures.hours(within, _axis(within))],
        states=list(PresenceState),
        has_begun=clock.now() >= occurrence.starts,
        **{"problems": {}, "called": 0, "failed": "", **told},
    )


def _shown_time(occurrence: Occurrence, found: Attendance) -> Interval:
    """Return the meeting's time, and what lies around it in which somebody was there."""
    now = clock.now()
    legs = [leg for site in [*found.sites, *found.uninvited] for leg in site.legs]
    start = min([occurrence.starts, *(leg.joined for leg in legs)])
    end = max([occurrence.ends, *(leg.left or now for leg in legs)])
    margin = (end - start) * 0.03
    return Interval(start - margin, end + margin)


def _axis(within: Interval) -> timedelta:
    """Return the distance of marks on the axis, so that there are a handful."""
    minutes = within.lasts.total_seconds() / 60
    step = next((step for step in (1, 5, 15, 30, 60) if minutes / step <= 8), 120)
    return timedelta(minutes=step)


def _bars(site: Site, within: Interval) -> list[pictures.Bar]:
    bars = []
    for leg in site.legs:
        left = leg.left or clock.now()
        if left > leg.joined:
            label = f"{filters.exact(leg.joined)} – {filters.exact(left)}"
            bars.append(pictures.bar(Interval(leg.joined, left), within, label, kind=leg.source))
    return [one for one in bars if one]
