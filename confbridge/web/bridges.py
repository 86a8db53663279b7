"""Pages about bridges: how they are, what they have promised, what losing one would break."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from confbridge import clock, config, doors
from confbridge.database import attempt
from confbridge.domain.capacity import PORT, ports
from confbridge.domain.interval import Interval
from confbridge.errors import Conflict, Invalid, Phrase
from confbridge.inputs import forms, parse
from confbridge.inputs.directory import Maintenance
from confbridge.models import Bridge, Role
from confbridge.services import access, bridges, health, maintenance
from confbridge.services.maintenance import Affected, NotMovable
from confbridge.web import filters, pictures
from confbridge.web.render import after_change, page
from confbridge.web.session import account

pages = Blueprint("bridges", __name__, url_prefix="/bridges")

STEP = timedelta(minutes=15)
STEPS = 96
WEEKS = 4
HISTORY = timedelta(hours=24)
MONTH = timedelta(days=30)


@pages.get("")
def index() -> str:
    me = account()
    access.check_role(me, Role.ADMIN, Role.OPERATOR)
    now = clock.now()
    midnight = _midnight(request.args.get("day", ""), now)
    day = Interval(midnight, midnight + timedelta(days=1))
    found = bridges.listed()
    timeline = bridges.timeline(found, day, STEP)
    risks = bridges.at_risk()
    past = Interval(now - HISTORY, now)
    states = health.history(found, past)
    cards = [
        {
            "bridge": bridge,
            "peak": ports(max(timeline[bridge.id][0])),
            "risks": risks.get(bridge.id, []),
            "blocks": maintenance.blocks(bridge),
            "states": _strip(states[bridge.id], past),
            "warnings": health.warnings(bridge),
            **_profile(bridge, timeline[bridge.id], day),
        }
        for bridge in found
    ]
    return page(
        "bridges/index.html",
        cards=cards,
        hours=pictures.hours(day, timedelta(hours=3)),
        now_at=pictures.now_line(now, day),
        day=midnight,
        before=midnight - timedelta(days=1),
        after=midnight + timedelta(days=1),
        is_today=day.start <= now < day.end,
    )


@pages.get("/<code>")
def show(code: str) -> str:
    return _shown(code)


@pages.post("/<code>/drain")
def drain(code: str) -> ResponseReturnValue:
    """Let the bridge take nothing new, and say what was moved and what could not be."""
    if request.form.get("intent") == "preview":
        return _shown(code, draining=doors.drain_preview(code, by=account()))
    _, affected = doors.drain(code, by=account())
    return _shown(code, affected=affected)


@pages.post("/<code>/undrain")
def undrain(code: str) -> ResponseReturnValue:
    me = account()
    attempt(lambda: maintenance.undrain(access.bridge(me, code, to_change=True), by=me))
    return after_change(go_to=url_for(".show", code=code))


@pages.post("/<code>/maintenance")
def maintain(code: str) -> ResponseReturnValue:
    """Show what maintenance would move, or set it."""
    me = account()
    access.check_role(me, Role.ADMIN)
    form = request.form.to_dict()
    zone = config.in_force().zone
    given = {
        "start": forms.in_zone(form.get("start", ""), zone),
        "end": forms.in_zone(form.get("end", ""), zone),
        "reason": form.get("reason", ""),
        "ports_left": form.get("ports_left") or 0,
    }

    def deed(wanted: Maintenance) -> list[Affected]:
        return maintenance.maintain_bridge(access.bridge(me, code), wanted, by=me)

    try:
        wanted = parse(Maintenance, given)
        if form.get("intent") == "preview":
            return _shown(code, form=form, preview=doors.trial(lambda: deed(wanted)))
        attempt(lambda: deed(wanted))
    except Invalid as error:
        return _shown(code, form=form, problems=error.problems), 422
    except NotMovable as error:
        problems = {"start": error.phrase}
        return _shown(code, form=form, problems=problems, affected=error.affected), 409
    except Conflict as error:
        return _shown(code, form=form, problems={"start": error.phrase}), 409
    return after_change(go_to=url_for(".show", code=code))


@pages.post("/<code>/maintenance/<int:number>/end")
def end_maintenance(code: str, number: int) -> ResponseReturnValue:
    me = account()
    access.check_role(me, Role.ADMIN)
    attempt(lambda: maintenance.end_maintenance(access.bridge(me, code), number, by=me))
    return after_change(go_to=url_for(".show", code=code))


def _shown(
    code: str,
    *,
    form: Mapping[str, str] | None = None,
    problems: Mapping[str, Phrase] | None = None,
    **told: object,
) -> str:
    me = account()
    bridge = access.bridge(me, code)
    midnight = _midnight("", clock.now())
    weeks = Interval(midnight, midnight + timedelta(weeks=WEEKS))
    month = Interval(clock.now() - MONTH, clock.now())
    taken, _ = bridges.timeline([bridge], weeks, timedelta(hours=6))[bridge.id]
    labels = [
        f"{filters.short(weeks.start + place * timedelta(hours=6))}: {ports(units)}"
        for place, units in enumerate(taken)
    ]
    return page(
        "bridges/show.html",
        bridge=bridge,
        columns=pictures.columns(taken, bridge.ports * PORT, labels),
        days=pictures.days(weeks, timedelta(days=7)),
        block_bars=[
            bar
            for one in maintenance.blocks(bridge)
            if (bar := pictures.bar(one.during, weeks, one.reason, kind="gap"))
        ],
        blocks=maintenance.blocks(bridge),
        risks=bridges.at_risk().get(bridge.id, []),
        ahead=len(maintenance.on_bridge(bridge)),
        may_change=me.role == Role.ADMIN,
        form=form or {},
        problems=problems or {},
        affected=told.get("affected"),
        preview=told.get("preview"),
        draining=told.get("draining"),
        left=maintenance.left_on(bridge) if bridge.draining else None,
        states=_strip(health.history([bridge], month)[bridge.id], month),
        state_days=pictures.days(month, timedelta(days=5)),
        warnings=health.warnings(bridge),
    )


def _strip(states: Sequence[tuple[Interval, str]], within: Interval) -> list[pictures.Bar]:
    """Return the states a bridge was in as bars on a line."""
    bars = [
        pictures.bar(
            span,
            within,
            f"{filters.short(span.start)} – {filters.short(span.end)}: {filters.word(state)}",
            kind=state,
        )
        for span, state in states
    ]
    return [one for one in bars if one]


def _profile(
    bridge: Bridge, timeline: tuple[list[int], list[int]], day: Interval
) -> dict[str, object]:
    taken, free = timeline
    starts = [filters.time_of_day(day.start + place * STEP) for place in range(STEPS)]
    capacity = bridge.ports * PORT
    out = [capacity - promised - left for promised, left in zip(taken, free, strict=True)]
    return {
        "columns": pictures.columns(
            taken,
            capacity,
            [f"{start}: {ports(units)}" for start, units in zip(starts, taken, strict=True)],
        ),
        "out_of_use": pictures.columns(out, capacity, starts),
        "hourly": [
            (starts[place], ports(max(taken[place : place + 4]))) for place in range(0, STEPS, 4)
        ],
    }


def _midnight(text: str, now: datetime) -> datetime:
    zone = config.in_force().zone
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=zone) if text else None
    except ValueError as error:
        raise Invalid(day=Phrase("Choose a date and a time.")) from error
    if day and not 1970 <= day.year <= 2200:
        raise Invalid(day=Phrase("Choose a year from 1970 to 2200."))
    return (day or now.astimezone(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
