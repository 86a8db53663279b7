"""What every driver must do; each is shown against the real bridge."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from confbridge.drivers import DRIVERS, RoomSpec, Visitor, connect, declared
from confbridge.errors import DriverError
from tests.conftest import free_port


@pytest.fixture(params=sorted(DRIVERS))
def settings(request):
    """What the driver of this kind must be told to reach its bridge."""
    found = request.getfixturevalue(f"{request.param}_server").as_bridge()
    return request.param, {**found["settings"], **found["secrets"]}


@pytest.fixture
def driver(settings):
    return connect(*settings)


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
    yield made
    driver.close_room(made.name, made.secret)


def test_a_probe_says_what_it_is_and_the_same_epoch_each_time(driver):
    first, second = driver.probe(), driver.probe()
    assert first.software
    assert first == second
    assert first.epoch


def test_opening_a_room_twice_leaves_one_room(driver, spec):
    driver.open_room(spec)
    before = driver.counts()
    driver.open_room(spec)
    assert driver.counts() == before
    assert before[spec.name] == 0
    assert list(driver.participants(spec.name)) == []


def test_a_room_is_brought_up_to_date(driver, spec):
    driver.open_room(spec)
    driver.open_room(replace(spec, ports=7, tokens=frozenset({"another"}), title="Khác"))
    driver.open_room(spec)


def test_closing_a_room_twice_is_no_error(driver, spec):
    driver.open_room(spec)
    driver.close_room(spec.name, spec.secret)
    driver.close_room(spec.name, spec.secret)
    assert spec.name not in driver.counts()


def test_asking_after_an_unknown_room_is_a_permanent_error(driver):
    with pytest.raises(DriverError) as refusal:
        driver.participants("never was")
    assert refusal.value.permanent


def test_only_who_opened_a_room_can_close_it(driver, spec):
    driver.open_room(spec)
    with pytest.raises(DriverError):
        driver.close_room(spec.name, "a guess")
    assert spec.name in driver.counts()


def test_a_ticket_names_room_pin_and_token(driver, spec):
    ticket = driver.ticket(spec.name, spec.pin, Visitor(name="A", token="token"))
    assert (ticket.room, ticket.pin, ticket.token) == (spec.name, spec.pin, "token")
    assert ticket.url.startswith(("ws://", "wss://"))


def test_a_bridge_that_does_not_answer_is_a_temporary_error(settings):
    kind, given = settings
    driver = connect(kind, {**given, "admin_url": f"http://127.0.0.1:{free_port()}/admin"})
    with pytest.raises(DriverError) as refusal:
        driver.probe()
    assert not refusal.value.permanent


def test_a_wrong_secret_is_a_permanent_error(settings):
    kind, given = settings
    secret = next(one.name for one in declared(kind) if one.is_secret)
    with pytest.raises(DriverError) as refusal:
        connect(kind, {**given, secret: "no-such-thing"}).probe()
    assert refusal.value.permanent
    assert "no-such-thing" not in str(refusal.value)


def test_missing_settings_are_named(settings):
    with pytest.raises(DriverError, match="admin_url"):
        connect(settings[0], {})
