"""What every driver must do: Janus against a real one, the others against their makers' rules."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from confbridge.drivers import (
    DRIVERS,
    POWERS,
    RoomSpec,
    Visitor,
    connect,
    declared,
    powers,
    secrets_among,
    terms,
)
from confbridge.errors import DriverError
from tests.conftest import free_port

ASKED = sorted(set(DRIVERS) - {"external"})  # that have a server which can be asked
ROOMS = sorted(set(ASKED) - {"jitsi"})  # that can say which rooms are open
SECRETIVE = {"janus", "janus_audio", "bigbluebutton"}  # whose rooms have a secret each


def settings_of(request, kind):
    found = request.getfixturevalue(f"{kind}_server").as_bridge()
    return kind, {**found["settings"], **found["secrets"]}


@pytest.fixture
def settings(request):
    """What the driver of this kind must be told to reach its bridge."""
    return settings_of(request, request.param)


@pytest.fixture
def driver(settings):
    return connect(*settings)


@pytest.fixture
def spec(driver):
    made = RoomSpec(
        name=f"cb-{uuid.uuid4().hex}",
        title="Giao ban <tháng 11> & nhiều việc",
        ports=4,
        pin="471100",
        secret="of the room",
        tokens=frozenset({uuid.uuid4().hex, uuid.uuid4().hex}),
        number="000012",
        until=datetime.now(UTC) + timedelta(hours=1),
    )
    yield made
    driver.close_room(made.name, made.secret)


def of(kinds):
    return pytest.mark.parametrize("settings", kinds, indirect=True)


@of(sorted(DRIVERS))
def test_a_probe_says_what_it_is_and_the_same_epoch_each_time(driver):
    first, second = driver.probe(), driver.probe()
    assert first.software
    assert first == second


@of(sorted(DRIVERS))
def test_opening_a_room_twice_leaves_one_room(driver, spec):
    driver.open_room(spec)
    before = driver.counts()
    driver.open_room(spec)
    assert driver.counts() == before
    if before is not None:
        assert before[spec.name] == 0
        assert list(driver.participants(spec.name)) == []


@of(ROOMS)
def test_a_room_is_brought_up_to_date(driver, spec):
    driver.open_room(spec)
    driver.open_room(replace(spec, ports=7, tokens=frozenset({"another"}), title="Khác"))
    driver.open_room(spec)


@of(sorted(DRIVERS))
def test_closing_a_room_twice_is_no_error(driver, spec):
    driver.open_room(spec)
    driver.close_room(spec.name, spec.secret)
    driver.close_room(spec.name, spec.secret)
    assert spec.name not in (driver.counts() or {})


@of(sorted(DRIVERS))
def test_asking_after_an_unknown_room_is_a_permanent_error(driver):
    with pytest.raises(DriverError) as refusal:
        driver.participants("never was")
    assert refusal.value.permanent


@of(sorted(SECRETIVE))
def test_only_who_opened_a_room_can_close_it(driver, spec):
    driver.open_room(spec)
    with pytest.raises(DriverError):
        driver.close_room(spec.name, "a guess")
    assert spec.name in driver.counts()


@of(sorted(DRIVERS))
def test_a_ticket_leads_into_the_room_without_asking_anybody(settings, driver, spec):
    kind, _ = settings
    ticket = driver.ticket(spec.name, spec.pin, Visitor(name="Điểm cầu", token="t0k3n"))
    if terms(kind).by_page:
        assert (ticket.room, ticket.pin, ticket.token) == (spec.name, spec.pin, "t0k3n")
        assert ticket.url.startswith(("ws://", "wss://"))
    else:
        assert ticket.url.startswith(("http://", "https://"))
        assert spec.pin not in ticket.url


@of(ASKED)
def test_a_bridge_that_does_not_answer_is_a_temporary_error(settings):
    kind, given = settings
    dead = f"http://127.0.0.1:{free_port()}/x"
    places = {"admin_url", "api_url", "manager_url", "jvb_url", "jicofo_url"}
    driver = connect(kind, {**given, **dict.fromkeys(places & given.keys(), dead)})
    with pytest.raises(DriverError) as refusal:
        driver.probe()
    assert not refusal.value.permanent


@of(ROOMS)
def test_a_wrong_secret_is_a_permanent_error(settings):
    kind, given = settings
    secret = next(one.name for one in declared(kind) if one.is_secret)
    with pytest.raises(DriverError) as refusal:
        connect(kind, {**given, secret: "no-such-thing"}).probe()
    assert refusal.value.permanent
    assert "no-such-thing" not in str(refusal.value)


@of(sorted(DRIVERS))
def test_missing_settings_are_named(settings):
    kind, _ = settings
    wanted = next(one.name for one in declared(kind) if not one.is_optional and not one.default)
    with pytest.raises(DriverError, match=wanted):
        connect(kind, {})


@of(sorted(DRIVERS))
def test_what_is_secret_is_known_to_be(settings):
    kind, given = settings
    named = {given[one.name] for one in declared(kind) if one.is_secret}
    assert secrets_among(kind, given) == named


@pytest.mark.parametrize("kind", sorted(DRIVERS))
def test_a_power_is_claimed_only_by_who_has_its_methods(kind, request):
    driver = connect(*settings_of(request, kind))
    assert powers(kind) == {
        name for name, protocol in POWERS.items() if isinstance(driver, protocol)
    }
