"""What goes out: our things as JSON, as the contract of the API says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from confbridge.models import (
    Attendee,
    Bridge,
    Endpoint,
    Leg,
    Mail,
    Meeting,
    Occurrence,
    Organisation,
)
from confbridge.services import links
from confbridge.services.attendance import Attendance, Site
from confbridge.services.endpoints import Busy
from confbridge.services.refusals import Obstacle, Refusal

Shape = dict[str, Any]


def moment(when: datetime) -> str:
    """Return ISO 8601 in UTC with Z."""
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")


def moment_or_null(when: datetime | None) -> str | None:
    return moment(when) if when else None


def organisation(one: Organisation, parent: str | None) -> Shape:
    return {
        "code": one.code,
        "name": one.name,
        "short_name": one.short_name,
        "level": one.level,
        "parent": parent,
        "valid_from": one.valid_from.isoformat(),
        "valid_to": one.valid_to.isoformat() if one.valid_to else None,
    }


def endpoint(one: Endpoint) -> Shape:
    return {
        "code": one.code,
        "name": one.name,
        "organisation": one.organisation.code,
        "level": one.organisation.level,
        "kind": one.kind,
        "seats": one.seats,
        "address": one.address,
        "networks": sorted(one.networks),
        "email": one.email,
        "contact": one.contact,
        "phone": one.phone,
        "state": "active" if one.active else "retired",
        "version": one.version,
    }


def busy(one: Busy) -> Shape:
    return {
        "start": moment(one.during.start),
        "end": moment(one.during.end),
        "meeting": one.uid,
    }


def bridge(one: Bridge) -> Shape:
    return {
        "code": one.code,
        "name": one.name,
        "driver": one.driver,
        "ports": one.ports,
        "networks": sorted(one.networks),
        "settings": dict(one.settings),
        "state": one.state,
        "draining": one.draining,
        "ports_in_use": one.ports_in_use,
        "software": one.software,
        "version": one.version,
    }


def meeting(one: Meeting, deliveries: Mapping[int, Mail], *, with_links: bool) -> Shape:
    """Return a meeting; join addresses only for whom they may be shown to."""
    during = one.occurrence.during
    return {
        "uid": one.uid,
        "number": one.number,
        "version": one.version,
        "sequence": one.sequence,
        "state": one.state,
        "title": one.title,
        "agenda": one.agenda,
        "start": moment(during.start),
        "minutes": round(during.lasts.total_seconds() / 60),
        "timezone": one.timezone,
        "host": one.host.code,
        "chair": one.chair,
        "endpoints": [
            {"code": each.endpoint.code, "role": each.role, "ports": each.ports}
            for each in one.attendees
        ],
        "guest_ports": one.guest_ports,
        "lead_minutes": one.lead_minutes,
        "tail_minutes": one.tail_minutes,
        "occurrences": [occurrence(each) for each in one.occurrences],
        "attendees": [
            attendee(each, deliveries.get(each.id), with_link=with_links) for each in one.attendees
        ],
    }


def occurrence(one: Occurrence) -> Shape:
    return {
        "id": one.id,
        "start": moment(one.starts),
        "end": moment(one.ends),
        "state": one.state,
        "bridges": [
            {"code": each.bridge.code, "ports": each.ports, "role": each.role}
            for each in one.allocations
        ],
    }


def attendee(one: Attendee, mail: Mail | None, *, with_link: bool) -> Shape:
    shape: Shape = {
        "endpoint": one.endpoint.code,
        "role": one.role,
        "partstat": one.partstat,
        "via": one.via or None,
        "answered_at": moment_or_null(one.answered_at),
        "comment": one.comment,
        "delegates": one.delegates,
        "headcount": one.headcount,
        "delivery": mail.state if mail else None,
    }
    return shape | {"join_url": links.join_url(one.id)} if with_link else shape


def refusal(one: Refusal) -> Shape:
    return {
        "clashes": [clash(each) for each in one.clashes],
        "alternatives": [
            {
                "start": moment(each.start),
                "end": moment(each.end),
                "change": "time",
                "without": [],
            }
            for each in one.alternatives
        ],
    }


def clash(one: Obstacle) -> Shape:
    shape: Shape = {
        "kind": one.kind,
        "subject": one.subject,
        "start": moment(one.start),
        "end": moment(one.end),
        "with": [one.uid] if one.kind == "endpoint" else [],
    }
    if one.kind == "ports":
        shape |= {"short_by": one.short_by, "peak_at": moment_or_null(one.peak_at)}
    return shape


def attendance(one: Attendance) -> Shape:
    return {
        "sites": [site(each) for each in one.sites],
        "uninvited": [uninvited(each) for each in one.uninvited],
        "gaps": [
            {
                "start": moment(gap.starts),
                "end": moment_or_null(gap.ends),
                "bridge": code,
                "why": gap.why,
            }
            for gap, code in one.gaps
        ],
    }


def site(one: Site) -> Shape:
    assert one.attendee is not None, "who is not on the list is no site"
    return {
        "endpoint": one.attendee.endpoint.code,
        "invited": True,
        "partstat": one.attendee.partstat,
        "reason": one.attendee.comment,
        "headcount": one.attendee.headcount,
        **_presence(one),
    }


def uninvited(one: Site) -> Shape:
    return {"invited": False, "name": one.name, **_presence(one)}


def _presence(one: Site) -> Shape:
    return {
        "state": one.presence.state,
        "sessions": [session(each) for each in one.legs],
        "minutes_present": one.presence.minutes,
        "late_minutes": one.presence.late_minutes,
        "left_early_minutes": one.presence.left_early_minutes,
    }


def session(leg: Leg) -> Shape:
    return {
        "joined": moment(leg.joined),
        "left": moment_or_null(leg.left),
        "source": leg.source,
        "participant": leg.name,
    }
