"""Forms as a browser sends them, and links as an endpoint gets them."""

from __future__ import annotations

import re

from sqlalchemy import func, select

from confbridge.services import links
from tests import factories
from tests.factories import scalar
from tests.services.scheduling import SAIGON, morning

NEW = "/meetings/new"


def token_in(page):
    return re.search(r'name="csrf_token" value="([^"]+)"', page.text).group(1)


def post(client, address, on="/sign-in", **given):
    """Send a form as a browser does: with the token of the page it stands on."""
    given["csrf_token"] = token_in(client.get(on, follow_redirects=True))
    return client.post(address, data=given)


def form(**given):
    soon = factories.soon().astimezone(SAIGON)
    return {
        "title": "Giao ban",
        "start": f"{soon:%Y-%m-%dT%H:%M}",
        "minutes": "60",
        "endpoint": ["E-1", "E-2"],
        "main": "E-1",
    } | given


def counted(model):
    return scalar(select(func.count()).select_from(model))


def link(meeting):
    return f"/reply/{links.for_attendee(meeting.attendees[0].id)}"


def start(moment=None) -> str:
    """A moment as the browser's field has it, by default the Monday morning of the tests."""
    return f"{(moment or morning()).astimezone(SAIGON):%Y-%m-%dT%H:%M}"


def filled(**given):
    return form(**{"start": start()} | given)


def send(client, address, on=NEW, **given):
    return post(client, address, on=on, **given)
