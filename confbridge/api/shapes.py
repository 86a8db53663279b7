"""What goes out: our things as JSON, as the contract of the API says."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from confbridge import drivers
from confbridge.domain.capacity import ports
from confbridge.domain.interval import Interval
from confbridge.doors import say, written_moment
from confbridge.errors import Phrase
from confbridge.models import (
    Attendee,
    Bridge,
    BridgeBlock,
    DecidedDay,
    Endpoint,
    Leg,
    Mail,
    Meeting,
    Occurrence,
    Organisation,
    Pool,
    Reply,
    Standing,
)
from confbridge.services import links, refusals
from confbridge.services.attendance import Attendance, Site
from confbridge.services.availability import Found
from confbridge.services.bridges import AtRisk
from confbridge.services.endpoints import Busy
from confbridge.services.maintenance import Affected
from confbridge.services.refusals import Obstacle, Refusal

Shape = dict[str, Any]

NO_CASCADE = Phrase(
    "It is too large for any one bridge, and no bridge here can be linked to another."
)


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
        "quality": one.quality,
        "seats": one.seats,
        "address": one.address,
        "networks": sorted(one.networks),
        "email": one.email,
        "contact": one.contact,
        "phone": one.phone,
        "recipients": sorted(one.recipients),
        "language": one.language,
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
        "kinds": sorted(one.kinds),
        "pool": one.pool.code,
        "failure_domain": one.failure_domain,
        "head_room": one.head_room,
        "rooms_per_minute": one.rooms_per_minute,
        "in_flight": one.in_flight,
        "settings": dict(one.settings),
        "state": one.state,
        "draining": one.draining,
        "ports_in_use": one.ports_in_use,
        "most_in_use": one.most_in_use,
        "ports_measured": one.measured,
        "load": one.load,
        "state_since": moment(one.state_since),
        "heard_at": moment_or_null(one.heard_at),
        "trouble": one.trouble,
        "certificate_until": moment_or_null(one.certificate_until),
        "clock_off": one.clock_off,
        "drained_at": moment_or_null(one.drained_at),
        "powers": sorted(drivers.powers(one.driver)),
        "software": one.software,
        "version": one.version,
    }


def at_risk(one: AtRisk) -> Shape:
    return {
        "meeting": one.uid,
        "title": one.title,
        "start": moment(one.during.start),
        "end": moment(one.during.end),
    }


def pool(one: Pool) -> Shape:
    return {
        "code": one.code,
        "name": one.name,
        "survives_loss": one.survives_loss,
        "version": one.version,
    }


def maintenance(one: BridgeBlock) -> Shape:
    return {
        "id": one.id,
        "start": moment(one.starts),
        "end": moment(one.ends),
        "ports_left": one.ports_left,
        "reason": one.reason,
    }


def affected(one: Affected) -> Shape:
    return {
        "meeting": one.uid,
        "occurrence": one.occurrence_id,
        "title": one.title,
        "start": moment(one.during.start),
        "end": moment(one.during.end),
        "moved": bool(one.moved_to),
        "moved_to": one.moved_to or None,
        "why": say(one.why) if one.why else None,
    }


def meeting(one: Meeting, deliveries: Mapping[int, Mail], *, with_links: bool) -> Shape:
    """Return a meeting; join addresses only for whom they may be shown to."""
    return {
        "uid": one.uid,
        "number": one.number,
        "version": one.version,
        "sequence": one.sequence,
        "state": one.state,
        "title": one.title,
        "agenda": one.agenda,
        "start": moment(one.starts),
        "minutes": round(one.during.lasts.total_seconds() / 60),
        "timezone": one.timezone,
        "rrule": one.rrule or None,
        "exdates": [moment(each) for each in one.skipped] if one.repeats else [],
        "misses": [moment(each.starts) for each in one.exdates if each.missed],
        "host": one.host.code,
        "chair": one.chair,
        "rank": one.rank,
        "network": one.network or None,
        "standby": one.standby,
        "cascade": one.may_cascade,
        "gives_back": one.gives_back,
        "secret": one.secret,
        "reason": one.reason,
        "waiting_since": moment_or_null(one.waiting_since),
        "endpoints": [
            {
                "code": each.endpoint.code,
                "role": each.role,
                "ports": each.ports,
                "quality": each.quality,
            }
            for each in one.attendees
            if each.everywhere
        ],
        "guest_ports": one.guest_ports,
        "lead_minutes": one.lead_minutes,
        "tail_minutes": one.tail_minutes,
        "rehearsal_minutes": one.rehearsal_minutes,
        "occurrences": [occurrence(each) for each in one.occurrences],
        "attendees": [
            attendee(each, deliveries.get(each.id), with_link=with_links and not one.secret)
            for each in one.attendees
        ],
    }


def occurrence(one: Occurrence) -> Shape:
    return {
        "id": one.id,
        "start": moment(one.starts),
        "end": moment(one.ends),
        "original": moment(one.original),
        "state": one.state,
        "held_until": moment_or_null(one.hold_until),
        "dial": one.dial.splitlines(),
        "bridges": [
            {"code": each.bridge.code, "ports": each.ports, "role": each.role}
            for each in one.allocations
        ],
    }


def interval(one: Interval) -> Shape:
    return {"start": moment(one.start), "end": moment(one.end)}


def attendee(one: Attendee, mail: Mail | None, *, with_link: bool) -> Shape:
    shape: Shape = {
        "endpoint": one.endpoint.code,
        "role": one.role,
        **said(one),
        "seen_at": moment_or_null(one.seen_at),
        "delivery": mail.state if mail else None,
    }
    return shape | {"join_url": links.join_url(one.id)} if with_link else shape


def said(one: Standing) -> Shape:
    """Return what counts as an endpoint's answer."""
    return {
        "partstat": one.partstat,
        "via": one.via or None,
        "answered_at": moment_or_null(one.answered_at),
        "comment": one.comment,
        "delegates": one.delegates,
        "headcount": one.headcount,
        "substitute": one.substitute,
        "substitute_state": one.substitute_state or None,
        "late": one.late,
    }


def waiting(one: Reply) -> Shape:
    """Return a reply that waits for a decision."""
    return {
        "id": one.id,
        "kind": one.kind,
        "why": one.why,
        "endpoint": one.attendee.endpoint.code if one.attendee else None,
        "occurrence": one.occurrence_id,
        "person": one.person,
        "partstat": one.partstat or None,
        "substitute": one.substitute,
        "start": moment_or_null(one.starts),
        "end": moment_or_null(one.ends),
        "comment": one.comment,
        "at": moment(one.at),
        "authentication": one.authentication,
    }


def refusal(one: Refusal) -> Shape:
    shape: Shape = {
        "clashes": [clash(each) for each in one.clashes],
        "alternatives": [
            {
                **interval(each.during),
                "change": each.change,
                "without": list(each.without),
            }
            for each in one.alternatives
        ],
        "displaceable": [
            {"occurrence": each.occurrence_id, "rank": each.rank, **interval(each.during)}
            for each in one.lower
        ],
    }
    if one.needs_cascade:
        shape["cascade"] = say(NO_CASCADE)
    return shape


def clash(one: Obstacle) -> Shape:
    shape: Shape = {
        "kind": one.kind,
        "subject": one.subject,
        "start": moment(one.start),
        "end": moment(one.end),
        "minutes": one.minutes,
        "with": [one.uid] if one.kind in {"endpoint", "leader"} else [],
        "soft": one.is_soft,
        "said": say(refusals.said(one, written_moment)),
    }
    if one.kind == "ports":
        shape |= {"short_by": ports(one.short_by), "peak_at": moment_or_null(one.peak_at)}
    if one.kind == "maintenance":
        shape["instead"] = list(one.instead)
    return shape


def suggestions(one: Found) -> Shape:
    return {
        "suggestions": [
            {
                **interval(each.during),
                "score": each.score,
                "missing": sorted(one.names[number] for number in each.missing),
                "bridges": [
                    {"code": one.bridges[part.bridge_id], "ports": ports(part.units)}
                    for part in each.plan.parts
                ],
            }
            for each in one.suggestions
        ],
        "reason": one.reason,
        "said": say(one.said) if one.said else None,
    }


def decided_day(one: DecidedDay) -> Shape:
    return {"day": one.day.isoformat(), "worked": one.worked, "basis": one.basis}


def conference(one: Occurrence, legs: Sequence[Leg], commands: Collection[str]) -> Shape:
    """Return a conference: where it is, who is in, and what can be done to it."""
    primary = one.primary
    endpoints = {each.id: each.endpoint.code for each in one.meeting.attendees}
    return {
        "id": one.id,
        "meeting": one.meeting.uid,
        "title": one.meeting.title,
        "start": moment(one.starts),
        "end": moment(one.ends),
        "bridge": primary.bridge.code if primary else None,
        "open": bool(primary and primary.is_open),
        "locked": one.locked,
        "recording": one.recording,
        "recording_decision": one.recording_decision,
        "commands": sorted(commands),
        "participants": [leg(each, endpoints.get(each.attendee_id or 0)) for each in legs],
    }


def leg(one: Leg, endpoint_code: str | None) -> Shape:
    return {
        "leg": one.id,
        "endpoint": endpoint_code,
        "name": one.name,
        "joined": moment(one.joined),
        "picture": one.picture,
        "sound": one.sound,
        "hand": one.hand,
        "muted": one.muted,
        "loss": one.loss,
        "delay": one.delay,
    }


def attendance(one: Attendance) -> Shape:
    return {
        "sites": [site(each) for each in one.sites],
        "uninvited": [uninvited(each) for each in one.uninvited],
        "gaps": [
            {
                "start": moment(gap.starts),
                "end": moment_or_null(gap.ends),
                "bridge": gap.bridge,
                "why": gap.why,
            }
            for gap in one.gaps
        ],
    }


def site(one: Site) -> Shape:
    assert one.attendee is not None, "who is not on the list is no site"
    return {
        "endpoint": one.attendee.endpoint.code,
        "invited": True,
        "partstat": one.attendee.partstat,
        "reason": one.roll_call.reason if one.roll_call else one.attendee.comment,
        "headcount": one.roll_call.headcount if one.roll_call else one.attendee.headcount,
        "recorded_by": one.roll_call.by if one.roll_call else None,
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
        "left_source": leg.left_source or None,
        "participant": leg.name,
    }
