"""What a real Janus can be told about a room, also when nobody is in it."""

from __future__ import annotations

import os
import threading
import uuid
from dataclasses import replace

import httpx
import pytest

from confbridge.drivers import RoomSpec, Visitor, connect
from confbridge.drivers.http import listening
from confbridge.drivers.janus_audio import Leg
from confbridge.errors import DriverError


@pytest.fixture(params=["janus", "janus_audio"])
def driver(request, tmp_path):
    os.chmod(tmp_path, 0o777)
    found = request.getfixturevalue(f"{request.param}_server").as_bridge()
    given = {**found["settings"], **found["secrets"], "recordings": str(tmp_path)}
    return connect(request.param, given)


@pytest.fixture
def spec(driver):
    made = RoomSpec(
        name=f"cb-{uuid.uuid4().hex}",
        title="Giao ban",
        ports=4,
        pin="471100",
        secret="of the room",
        tokens=frozenset({uuid.uuid4().hex, uuid.uuid4().hex}),
    )
    driver.open_room(made)
    yield made
    driver.close_room(made.name, made.secret)


def test_a_room_is_recorded_and_not_any_more(driver, spec):
    driver.record(spec.name, spec.secret, recording=True)
    driver.record(spec.name, spec.secret, recording=False)


def test_who_is_gone_can_be_muted_and_disconnected_all_the_same(driver, spec):
    driver.mute(spec.name, spec.secret, ["nobody"], muted=True)
    driver.disconnect(spec.name, spec.secret, "nobody")
    driver.lock(spec.name, locked=True)


def test_only_with_the_secret_of_the_room_is_it_changed(driver, spec):
    with pytest.raises(DriverError):
        driver.open_room(replace(spec, secret="a guess", title="taken over"))
    with pytest.raises(DriverError):
        driver.record(spec.name, "a guess", recording=True)


def test_what_is_kept_of_it_holds_no_key_of_anybody(driver, spec):
    with listening() as conversation:
        driver.open_room(replace(spec, tokens=frozenset({"0123456789abcdef"})))
    said = conversation.text(replace(spec, tokens=frozenset({"0123456789abcdef"})).secrets)
    for secret in (*spec.tokens, "0123456789abcdef"):
        assert secret not in conversation.text({*spec.secrets, "0123456789abcdef"})
    assert "create" in said


def test_marks_can_be_set(driver):
    driver.mark()


def test_a_seat_in_the_audio_bridge_is_taken_and_left(janus_audio_server):
    found = janus_audio_server.as_bridge()
    driver = connect("janus_audio", {**found["settings"], **found["secrets"]})
    token = uuid.uuid4().hex
    spec = RoomSpec(
        name=f"cb-{uuid.uuid4().hex}",
        title="Thoại",
        ports=4,
        pin="1",
        secret="s",
        tokens=frozenset({token}),
    )
    driver.open_room(spec)
    leg = Leg(found["settings"]["api_url"], token)
    seat = {"request": "join", "room": spec.name, "pin": "1", "token": token, "display": "A"}
    ours = leg.join(driver.PLUGIN, {**seat, "codec": "pcmu", "rtp": {"ip": "127.0.0.1", "port": 9}})
    assert ours["port"] > 0
    (one,) = driver.participants(spec.name)
    assert driver.tokens(spec.name) == {one.leg: token}
    gone = threading.Event()
    leg.on_gone = gone.set
    driver.close_room(spec.name, spec.secret)
    assert gone.wait(10)


def test_a_loop_room_lets_one_browser_in(janus_server):
    found = janus_server.as_bridge()
    driver = connect("janus", {**found["settings"], **found["secrets"]})
    ticket = driver.loop_ticket("cb-test-1", "s", Visitor(name="A", token="t-loop"))
    assert ticket.token == "t-loop"
    assert driver.counts()["cb-test-1"] == 0
    driver.close_room("cb-test-1", "s")
    assert httpx.URL(ticket.url).scheme == "ws"
