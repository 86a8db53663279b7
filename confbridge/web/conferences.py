"""Pages about meetings in progress, and about who came to those that are over."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint

from confbridge import clock
from confbridge.domain.attendance import PresenceState
from confbridge.domain.interval import Interval
from confbridge.models import Occurrence
from confbridge.services import access, attendance, conferences
from confbridge.services.attendance import Attendance, Site
from confbridge.web import filters, pictures
from confbridge.web.render import page
from confbridge.web.session import account

pages = Blueprint("conferences", __name__, url_prefix="/conferences")


@pages.get("")
def index() -> str:
    live = conferences.live(account())
    here = attendance.sites_in(live)
    found = [(one, here.get(one.id, 0), access.allocation_of(one)) for one in live]
    return page("conferences/index.html", conferences=found)


@pages.get("/<int:number>")
def show(number: int) -> str:
    """Show who is in now and who is missing; the page asks for itself again and again."""
    occurrence = access.conference(account(), number)
    found = attendance.of(occurrence.meeting, occurrence)
    here = [site for site in found.sites if site.here_since]
    return page(
        "conferences/show.html",
        occurrence=occurrence,
        meeting=occurrence.meeting,
        allocation=access.allocation_of(occurrence),
        here=here,
        missing=[site for site in found.sites if not site.here_since],
        guests=[site for site in found.uninvited if site.here_since],
        gaps=found.gaps,
        now=clock.now(),
    )


@pages.get("/<int:number>/attendance")
def report(number: int) -> str:
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
        came=sum(site.presence.state == PresenceState.PRESENT_ONLINE for site in found.sites),
        answered=sum(
            site.attendee.partstat != "NEEDS-ACTION" for site in found.sites if site.attendee
        ),
        gaps=found.gaps,
        gap_bars=[
            pictures.bar(Interval(gap.starts, gap.ends or clock.now()), within, code, kind="gap")
            for gap, code in found.gaps
            if (gap.ends or clock.now()) > gap.starts
        ],
        meeting_bar=pictures.bar(occurrence.during, within, "", kind="meeting"),
        hours=[(place, moment) for place, moment in pictures.hours(within, _axis(within))],
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
