"""What Janus says, and what it means; the shapes are those that version 1.1.2 sends."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime

import pytest

from confbridge.drivers import Delivery, Joined, Left, Marked
from confbridge.drivers.janus import JanusDriver
from confbridge.errors import DriverError

STAMP = 1795416405789813
AT = datetime.fromtimestamp(STAMP / 1_000_000, UTC)
PLUGIN = "janus.plugin.videoroom"


@pytest.fixture
def driver():
    return JanusDriver({one.name: "x" for one in JanusDriver.SETTINGS})


def said(driver, *events):
    return list(driver.events(json.dumps([{"timestamp": STAMP, **one} for one in events])))


def room(**data):
    return {"type": 64, "event": {"plugin": PLUGIN, "data": data}}


def test_a_join_names_room_leg_token_and_handle(driver):
    event = room(event="joined", room="cb-1", id="p1", private_id=7, token="t", display="Ann")
    assert said(driver, {**event, "session_id": 5, "handle_id": 6}) == [
        Joined(at=AT, room="cb-1", leg="p1", name="Ann", token="t", handle="5/6")
    ]


@pytest.mark.parametrize(
    ("event", "left"),
    [
        (room(event="leaving", room="cb-1", id="p1"), Left(at=AT, room="cb-1", leg="p1")),
        (room(event="kicked", room="cb-1", id="p1"), Left(at=AT, room="cb-1", leg="p1")),
        (room(event="destroyed", room="cb-1"), Left(at=AT, room="cb-1")),
        (
            {"type": 2, "session_id": 5, "handle_id": 6, "event": {"name": "detached"}},
            Left(at=AT, handle="5/6"),
        ),
        ({"type": 1, "session_id": 5, "event": {"name": "destroyed"}}, Left(at=AT, handle="5/")),
        ({"type": 1, "session_id": 5, "event": {"name": "timeout"}}, Left(at=AT, handle="5/")),
        ({"type": 256, "event": {"status": "started"}}, Left(at=AT)),
        ({"type": 256, "event": {"status": "shutdown", "signum": 15}}, Left(at=AT)),
    ],
)
def test_whatever_ends_a_leg_is_understood(driver, event, left):
    assert said(driver, event) == [left]


def test_what_does_not_concern_us_is_left_out(driver):
    assert said(driver, room(event="published", room="cb-1", id="p1"), {"type": 8}, {}) == []


def test_a_single_event_is_a_batch_too(driver):
    one = {"timestamp": STAMP, **room(event="destroyed", room="cb-1")}
    assert driver.events(json.dumps(one)) == [Left(at=AT, room="cb-1")]


@pytest.mark.parametrize("body", ["", "{", "5", "[[]]", '[{"type": 1, "timestamp": 1e99}]'])
def test_nonsense_breaks_nothing(driver, body):
    try:
        assert driver.events(body) == []
    except DriverError as refusal:
        assert refusal.permanent


def delivered(user, password):
    text = b64encode(f"{user}:{password}".encode()).decode()
    return Delivery(
        url="", path="", query={}, headers={"authorization": f"Basic {text}"}, body="[]"
    )


def test_only_the_right_password_is_taken(driver):
    assert driver.is_from_bridge(delivered("bridge", "x"))
    assert not driver.is_from_bridge(delivered("bridge", "y"))
    assert not driver.is_from_bridge(delivered("", "x"))
    assert not driver.is_from_bridge(Delivery(url="", path="", query={}, headers={}, body="[]"))


def test_a_mark_of_ours_comes_back(driver):
    event = {"type": 4, "event": {"schema": "confbridge-mark", "data": {"mark": "1"}}}
    assert said(driver, event) == [Marked(at=AT)]
