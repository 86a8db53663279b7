"""Calendars to subscribe to: of one endpoint, or of one organisation, by a secret address."""

from __future__ import annotations

import gzip
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parseaddr
from threading import Lock
from typing import Any

from sqlalchemy import ColumnElement, exists, func, select

from confbridge import clock, config
from confbridge.database import db
from confbridge.domain import itip
from confbridge.domain.interval import Interval
from confbridge.domain.itip import Entry
from confbridge.domain.lifecycle import MeetingState
from confbridge.errors import NotFound, Phrase
from confbridge.models import (
    Account,
    Endpoint,
    Feed,
    Meeting,
    Occurrence,
    Organisation,
    Reservation,
)
from confbridge.services import access, audit, freebusy, links

BEHIND, AHEAD = timedelta(days=60), timedelta(days=400)
KEPT = 200  # calendars that are kept ready in each process
SHOWN = (MeetingState.SCHEDULED, MeetingState.OVER)


@dataclass(frozen=True)
class Ready:
    """A calendar as it is sent, and its ETag."""

    etag: str
    packed: bytes  # gzip


_ready: OrderedDict[tuple[Any, ...], tuple[tuple[Any, ...], Ready]] = OrderedDict()
_guard = Lock()  # several requests may be at it


def make(account: Account, *, endpoint: str = "", organisation: str = "") -> Feed:
    """Return a new feed of an endpoint, or of an organisation, that `account` belongs to.

    Raises NotFound, NotAllowed, Invalid.
    """
    of_endpoint = access.endpoint_to_feed(account, endpoint) if endpoint else None
    of_organisation = None if endpoint else access.organisation_to_feed(account, organisation)
    feed = Feed(
        endpoint_id=of_endpoint.id if of_endpoint else None,
        organisation_id=of_organisation.id if of_organisation else None,
        made_at=clock.now(),
        made_by=account.email,
    )
    db.session.add(feed)
    db.session.flush()
    audit.record(account.email, "feed made", f"feed {feed.id}", endpoint or organisation)
    return feed


def revoke(feed: Feed, *, by: Account) -> None:
    """Let the address lead nowhere from now on."""
    if feed.revoked_at is None:
        feed.revoked_at = clock.now()
        audit.record(by.email, "feed revoked", f"feed {feed.id}")


def listed(account: Account) -> Sequence[tuple[Feed, str]]:
    """Return the feeds that are in use and `account` may revoke, each with what it is of."""
    asked = (
        select(Feed, func.coalesce(Endpoint.name, Organisation.name))
        .outerjoin(Endpoint, Endpoint.id == Feed.endpoint_id)
        .outerjoin(Organisation, Organisation.id == Feed.organisation_id)
        .where(Feed.revoked_at.is_(None), access.feed_is_own(account))
        .order_by(Feed.id)
    )
    return [(feed, name) for feed, name in db.session.execute(asked)]


def by_link(link: str) -> Feed:
    """Return the feed at this address.

    Raises NotFound, also once it is revoked.
    """
    feed = db.session.get(Feed, links.feed_of(link))
    if feed is None or feed.revoked_at is not None:
        raise NotFound(Phrase("This calendar is no longer given out."))
    return feed


def calendar(feed: Feed) -> Ready:
    """Return the feed's calendar; kept ready until anything in it changes.

    Two questions however long it is: what has changed, and if something has, all of it.
    """
    now = clock.now()
    within = Interval(now - BEHIND, now + AHEAD)
    wanted = _wanted(feed, within)
    state = select(
        func.count(),
        func.coalesce(func.sum(Meeting.version), 0),
        func.coalesce(func.sum(Meeting.sequence), 0),
        func.coalesce(func.max(Occurrence.id), 0),
    ).select_from(Occurrence)
    state = state.join(Meeting, Meeting.id == Occurrence.meeting_id).where(*wanted)
    fingerprint = (now.date(), *db.session.execute(state).one())
    key = (feed.id, feed.made_at)
    with _guard:
        known = _ready.get(key)
    if known is not None and known[0] == fingerprint:
        return known[1]
    body = itip.feed(*_content(feed, wanted))
    ready = Ready(hashlib.sha256(body).hexdigest()[:32], gzip.compress(body, 6, mtime=0))
    with _guard:
        _ready[key] = (fingerprint, ready)
        _ready.move_to_end(key)
        while len(_ready) > KEPT:
            _ready.popitem(last=False)
    return ready


def free_busy(feed: Feed) -> bytes:
    """Return when the feed's endpoint is taken.

    Raises NotFound for the feed of an organisation.
    """
    endpoint = db.session.get(Endpoint, feed.endpoint_id) if feed.endpoint_id else None
    if endpoint is None:
        raise NotFound(Phrase("Only an endpoint is free or busy."))
    return freebusy.published(endpoint)


def _wanted(feed: Feed, within: Interval) -> list[ColumnElement[bool]]:
    """Return the conditions for what is in a feed: what is invited, or hosted."""
    conditions = [
        Occurrence.starts < within.end,
        Occurrence.starts > within.start,
        Occurrence.state.in_(SHOWN),
    ]
    part = exists().where(Reservation.occurrence_id == Occurrence.id, Reservation.wanted)
    if feed.endpoint_id is not None:
        conditions.append(part.where(Reservation.endpoint_id == feed.endpoint_id))
        return conditions
    tree = access.tree_below(feed.organisation_id or 0)
    invited = part.where(Reservation.endpoint_id == Endpoint.id, Endpoint.organisation_id.in_(tree))
    conditions.append(Meeting.host_id.in_(tree) | invited)
    return conditions


def _content(feed: Feed, wanted: list[ColumnElement[bool]]) -> tuple[str, list[Entry]]:
    name, place = _name(feed)
    domain = parseaddr(config.in_force().mail_from)[1]
    asked = (
        select(
            *(Occurrence.id, Occurrence.starts, Occurrence.ends, Meeting.uid, Meeting.sequence),
            *(Meeting.stamped, Meeting.title, Meeting.number, Meeting.chair, Meeting.secret),
            Organisation.name,
        )
        .join(Meeting, Meeting.id == Occurrence.meeting_id)
        .join(Organisation, Organisation.id == Meeting.host_id)
        .where(*wanted)
        .order_by(Occurrence.starts, Occurrence.id)
    )
    return name, [
        Entry(
            uid=f"{number}-{uid}",
            sequence=sequence,
            stamped=stamped,
            during=Interval(starts, ends),
            summary=title,
            description="" if secret else " · ".join(filter(None, (host, register, chair))),
            location="" if secret else place,
            organizer_email=domain,
            is_secret=secret,
        )
        for number, starts, ends, uid, sequence, stamped, title, register, chair, secret, host in (
            db.session.execute(asked)
        )
    ]


def _name(feed: Feed) -> tuple[str, str]:
    if feed.endpoint_id is not None:
        endpoint = db.session.get_one(Endpoint, feed.endpoint_id)
        return endpoint.name, endpoint.name
    return db.session.get_one(Organisation, feed.organisation_id).name, ""
