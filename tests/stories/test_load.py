"""Many rooms at once, and many who come and go at random."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.conftest import Postgres, free_port
from tests.janus_client import Participant
from tests.stories.conftest import Bridge, Service, wait_for

CODES = ("cau-a", "cau-b", "cau-c")
ROOMS, PEOPLE = 200, 60
LASTS = 40  # seconds for which they come and go
BOOKING = 50  # seconds in which all of them are booked, on a machine that has more to do
EXACT = timedelta(seconds=1)


@pytest.fixture
def crowd(tmp_path, postgres: Postgres, post_office):
    service = Service(tmp_path, postgres.create(f"load_{free_port()}"), post_office.url)
    bridges = [Bridge(tmp_path, service, code) for code in CODES[:2]]  # of the demo province
    try:
        service.set_up(tmp_path / "janus")
        bridges.append(Bridge(tmp_path, service, CODES[2]))
        service.start()
        with service.api("quantri@ninhthuan.example") as api:
            yield service, {one.code: one for one in bridges}, api
    finally:
        service.kill()
        for one in bridges:
            one.stop()


@pytest.mark.timeout(360)
def test_two_hundred_rooms_open_in_one_minute_and_sixty_people_come_and_go(crowd):
    service, bridges, api = crowd
    server = bridges["cau-c"].server
    made = {"code": "cau-c", "name": "Cầu C", "driver": "janus", "ports": 400}
    networks = {"networks": ["tslcd", "internet"]}
    assert api.post("/bridges", json={**made, **networks, **server.as_bridge()}).status_code == 201
    for code in CODES:
        pace = {"ports": 400, "rooms_per_minute": 100}
        assert api.patch(f"/bridges/{code}", json=pace).status_code == 200
    codes = [new_endpoint(api, number) for number in range(ROOMS + PEOPLE)]
    wait_for(lambda: all(api.get(f"/bridges/{one}").json()["state"] == "up" for one in CODES))

    starts = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=2)
    while (starts - datetime.now(UTC)).total_seconds() < BOOKING + 60:
        starts += timedelta(minutes=1)
    crowded = book(api, starts, codes[ROOMS:])
    some = [book(api, starts, [code])["occurrences"][0]["id"] for code in codes[: ROOMS - 1]]
    assert datetime.now(UTC) < starts - timedelta(minutes=1), "booked too late to be a trial"
    wait_for(lambda: opened(bridges) == ROOMS, 120, every=0.5)
    assert datetime.now(UTC) < starts
    each = Counter({code: len(one.rooms()) for code, one in bridges.items()})
    print(f"rooms on each bridge: {dict(each)}")
    assert max(each.values()) - min(each.values()) <= 2
    every = [room for one in bridges.values() for room in one.rooms()]
    assert len(set(every)) == ROOMS
    live = api.get("/conferences").json()["items"]
    assert {one["id"] for one in live} >= set(some)

    number = crowded["occurrences"][0]["id"]
    where = next(one for one in live if one["id"] == number)["bridge"]
    tickets = [ticket(service, one) for one in crowded["attendees"]]
    with ThreadPoolExecutor(1) as aside:  # a loop of its own, beside that of the browsers
        aside.submit(asyncio.run, come_and_go(bridges[where].server, tickets)).result()
    wait_for(lambda: all_are_out(api, crowded["uid"]), 30)
    compare(api.get(f"/meetings/{crowded['uid']}/attendance").json(), tickets)


def new_endpoint(api, number):
    code = f"X-{number}"
    given = {"code": code, "name": f"Điểm cầu xã {number}", "organisation": "UBND"}
    given |= {"kind": "soft", "networks": ["internet"], "email": f"{code.lower()}@xa.example"}
    answer = api.post("/endpoints", json=given)
    assert answer.status_code == 201, answer.text
    return code


def book(api, starts, codes):
    given = {"title": "Giao ban", "start": starts.isoformat(), "minutes": 30, "lead_minutes": 1}
    given |= {"host": "UBND", "endpoints": [{"code": code} for code in codes]}
    answer = api.post("/meetings", json=given)
    assert answer.status_code == 201, answer.text
    return answer.json()


def opened(bridges):
    return sum(len(one.rooms()) for one in bridges.values())


def ticket(service, attendee):
    """Return what the join page of an attendee is given, as its browser would ask for it."""
    with httpx.Client(trust_env=False) as client:
        page = client.get(attendee["join_url"]).text
        csrf = re.search(r'data-csrf="([^"]+)"', page).group(1)
        headers = {"X-CSRFToken": csrf}
        found = client.post(f"{attendee['join_url']}/ticket", json={}, headers=headers).json()
    assert found["door"] == "open", found
    return {**found, "endpoint": attendee["endpoint"], "did": []}


async def come_and_go(server, tickets):
    """Let everybody come and go at random; what each did is kept beside its ticket."""
    api_url = f"http://127.0.0.1:{server.api_port}/janus"
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
    async with httpx.AsyncClient(trust_env=False, limits=limits, timeout=60) as client:
        end = asyncio.get_running_loop().time() + LASTS
        await asyncio.gather(*(one_of_them(client, api_url, one, end) for one in tickets))


async def one_of_them(client, api_url, given, end):
    chance = random.Random(given["endpoint"])
    clock = asyncio.get_running_loop()
    await asyncio.sleep(chance.uniform(0, 10))
    while clock.time() < end - 5:
        person = Participant(client, api_url, given)
        await person.join()
        given["did"].append(person)
        await asyncio.sleep(chance.uniform(2, 15))
        await person.leave()
        await asyncio.sleep(chance.uniform(1, 6))


def all_are_out(api, uid):
    sites = api.get(f"/meetings/{uid}/attendance").json()["sites"]
    return all(one["left"] for site in sites for one in site["sessions"])


def happened(told, did):
    """Say whether what is recorded lies between asking for it and being told, to the second."""
    asked, answered = did
    return asked - EXACT <= datetime.fromisoformat(told) <= answered + EXACT


def compare(attendance, tickets):
    """Check that what is recorded is what they did: to the second, and nobody too many."""
    recorded = {one["endpoint"]: one["sessions"] for one in attendance["sites"]}
    assert attendance["uninvited"] == []
    exact = total = 0
    for one in tickets:
        sessions = recorded.pop(one["endpoint"])
        assert len(sessions) <= len(one["did"]), "somebody too many"
        total += len(one["did"])
        for did, told in zip(one["did"], sessions, strict=False):
            exact += happened(told["joined"], did.joined) and happened(told["left"], did.left)
    assert not any(recorded.values())
    print(f"sessions recorded to the second: {exact} of {total}")
    assert total > PEOPLE
    assert exact >= total * 0.995
