"""Pages about bridges: how they are, and what they have promised today."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint

from confbridge import clock, config
from confbridge.domain.interval import Interval
from confbridge.models import Role
from confbridge.services import access, bridges
from confbridge.web import filters, pictures
from confbridge.web.render import page
from confbridge.web.session import account

pages = Blueprint("bridges", __name__, url_prefix="/bridges")

STEP = timedelta(minutes=15)


@pages.get("")
def index() -> str:
    access.check_role(account(), Role.ADMIN, Role.OPERATOR)
    now = clock.now()
    local = now.astimezone(config.in_force().zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    today = Interval(midnight, midnight + timedelta(days=1))
    found = bridges.listed()
    promised = bridges.promised(found, today, STEP)
    starts = [filters.time_of_day(today.start + place * STEP) for place in range(96)]
    cards = [
        {
            "bridge": bridge,
            "peak": max(promised[bridge.id]),
            "columns": pictures.columns(
                promised[bridge.id],
                bridge.ports,
                [
                    f"{start}: {ports}"
                    for start, ports in zip(starts, promised[bridge.id], strict=True)
                ],
            ),
            "hourly": [
                (starts[place], max(promised[bridge.id][place : place + 4]))
                for place in range(0, 96, 4)
            ],
        }
        for bridge in found
    ]
    return page(
        "bridges/index.html",
        cards=cards,
        hours=pictures.hours(today, timedelta(hours=3)),
        now_at=pictures.now_line(now, today),
        day=midnight,
    )
