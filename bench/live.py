"""How fast rooms open, events are taken, and what live participants cost.

Run by hand: python bench/live.py. Against a real Janus and a real PostgreSQL of its own, where
rooms are opened; each figure beside its floor: the bare call to Janus, the bare insert.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

HOUSE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOUSE))

import httpx  # noqa: E402
from flask import Flask  # noqa: E402
from sqlalchemy import delete, func, select  # noqa: E402

from confbridge import clock  # noqa: E402
from confbridge.database import db, transaction  # noqa: E402
from confbridge.jobs import run_until_idle  # noqa: E402
from confbridge.jobs.attendance import work_on_some  # noqa: E402
from confbridge.jobs.conferences import open_one  # noqa: E402
from confbridge.models import Allocation, Bridge, BridgeEvents, Leg, Meeting  # noqa: E402
from confbridge.services import links  # noqa: E402
from deploy import janus  # noqa: E402
from tests import factories  # noqa: E402
from tests.conftest import Postgres, migrated, open_folder, service  # noqa: E402

ROOMS, BATCHES, PER_BATCH, PEOPLE = 200, 100, 20, 300


@contextmanager
def house(kind: str, folder: Path) -> Iterator[Flask]:
    """A service with an empty database of that kind."""
    if kind == "sqlite":
        url = f"sqlite:///{folder / 'bench.db'}"
        migrated(url, folder)
        with service(url, folder) as app:
            yield app
        return
    with open_folder() as place:
        server = Postgres(place)
        server.start()
        try:
            url = server.create("bench")
            migrated(url, folder)
            with service(url, folder) as app:
                yield app
        finally:
            server.stop()


def booked(bridge: Bridge, number: int, codes: list[str]) -> list[Meeting]:
    """Meetings that hold a room each, booked by hand: booking is another benchmark's business."""
    cast = factories.cast()
    with transaction():
        known = db.session.get_one(Bridge, bridge.id)
        known.ports, known.in_flight = 100_000, 100
        for one in db.session.scalars(select(Bridge).where(Bridge.id != bridge.id)):
            one.active = False
    start = factories.soon(24)
    return [
        factories.meeting(cast.ann, codes, start=(start + timedelta(hours=place)).isoformat())
        for place in range(number)
    ]


def opening(app: Flask, server: janus.Server, bridge: Bridge) -> dict[str, float]:
    """Rooms opened a second by the job, and by bare calls of the same kind."""
    with transaction():
        known = db.session.get_one(Bridge, bridge.id)
        found = server.as_bridge()
        known.settings, known.secrets = found["settings"], found["secrets"]
        for one in db.session.scalars(select(Allocation)):
            one.open_at = clock.now()
    begun = time.perf_counter()
    done = 0
    while count := run_until_idle(app, open_one):
        done += count
    ours = done / (time.perf_counter() - begun)
    return {"rooms": done, "ours": ours, "bare": bare_opening(server, done)}


def bare_opening(server: janus.Server, number: int) -> float:
    """The same number of rooms, each made and its token added, with nothing around it."""
    url = f"http://127.0.0.1:{server.admin_port}/admin"
    with httpx.Client(trust_env=False) as client:
        begun = time.perf_counter()
        for place in range(number):
            room = {"request": "create", "admin_key": server.admin_key, "room": f"bare-{place}"}
            asked: dict[str, Any] = {"plugin": "janus.plugin.videoroom", "request": room}
            known = {"transaction": "b", "admin_secret": server.admin_secret}
            client.post(url, json={"janus": "message_plugin", **known, **asked})
            for token in range(2):
                wanted = {"token": f"bare-{place}-{token}", "plugins": [asked["plugin"]]}
                client.post(url, json={"janus": "add_token", **known, **wanted})
        return number / (time.perf_counter() - begun)


def batch_of(room: str, number: int, token: str) -> str:
    """A batch as Janus sends it: people who come, and people who go."""
    stamp = clock.now().timestamp() * 1e6
    said = []
    for place in range(PER_BATCH // 2):
        leg = f"p{number}-{place}"
        come = {"event": "joined", "room": room, "id": leg, "display": "A", "token": token}
        go = {"event": "leaving", "room": room, "id": leg}
        for data in (come, go):
            event = {"plugin": "janus.plugin.videoroom", "data": data}
            said.append({"type": 64, "timestamp": stamp, "session_id": number, "event": event})
    return json.dumps(said)


def events(app: Flask, bridge: Bridge, meeting: Meeting) -> dict[str, float]:
    """Events taken in by HTTP, and worked on, a second."""
    room = meeting.occurrence.allocations[0].room
    token = links.access_token(room, meeting.attendees[0].id)
    client = app.test_client()
    bodies = [batch_of(room, number, token) for number in range(BATCHES)]
    begun = time.perf_counter()
    for body in bodies:
        answer = client.post(f"/hooks/{bridge.code}", data=body, auth=("b", "p"))
        assert answer.status_code == 200
    taken = BATCHES * PER_BATCH / (time.perf_counter() - begun)
    begun = time.perf_counter()
    while run_until_idle(app, work_on_some):
        pass
    worked = BATCHES * PER_BATCH / (time.perf_counter() - begun)
    with transaction():
        legs = db.session.scalars(select(func.count(Leg.id))).one()
        assert legs == BATCHES * PER_BATCH // 2, legs
        assert not db.session.scalars(select(func.count(BridgeEvents.id))).one()
        db.session.execute(delete(Leg))
    return {"taken": taken, "worked": worked}


def living(app: Flask, bridge: Bridge, meeting: Meeting) -> dict[str, float]:
    """What 300 people who are in cost in memory, with their rooms asked after again and again."""
    room = meeting.occurrence.allocations[0].room
    stamp = clock.now().timestamp() * 1e6
    said = [
        {
            "type": 64,
            "timestamp": stamp,
            "event": {
                "plugin": "janus.plugin.videoroom",
                "data": {"event": "joined", "room": room, "id": f"live-{place}", "display": "A"},
            },
        }
        for place in range(PEOPLE)
    ]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    client = app.test_client()
    for start in range(0, PEOPLE, 100):
        body = json.dumps(said[start : start + 100])
        assert client.post(f"/hooks/{bridge.code}", data=body, auth=("b", "p")).status_code == 200
    while run_until_idle(app, work_on_some):
        pass
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with transaction():
        inside = db.session.scalars(select(func.count(Leg.id)).where(Leg.left.is_(None))).one()
    assert inside == PEOPLE, inside
    return {"people": PEOPLE, "grown_mb": (after - before) / 1024, "peak_mb": after / 1024}


def main() -> None:
    wanted = argparse.ArgumentParser(description=__doc__)
    wanted.add_argument("--rooms", type=int, default=ROOMS)
    given = wanted.parse_args()
    for kind in ("sqlite", "postgresql"):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            server = janus.prepare(folder / "janus", "bench", "http://127.0.0.1:9/hooks/bench")
            process = janus.start(folder / "janus", server)
            try:
                with house(kind, folder) as app:
                    measure(kind, app, server, given.rooms)
            finally:
                process.terminate()
                process.wait()


def measure(kind: str, app: Flask, server: janus.Server, rooms: int) -> None:
    bridge = factories.bridge(ports=10)
    some = booked(bridge, rooms, ["E-1", "E-2"])
    found = opening(app, server, bridge)
    ratio = found["bare"] / found["ours"]
    print(
        f"{kind}: {found['rooms']:.0f} rooms opened at {found['ours']:.0f} a second,"
        f" {ratio:.1f} times the time of the bare calls ({found['bare']:.0f} a second)"
    )
    with transaction():
        known = db.session.get_one(Bridge, bridge.id)
        known.secrets = {**known.secrets, "events_password": "p"}
        held = db.session.get_one(Allocation, some[0].occurrence.allocations[0].id)
        held.opened_at = clock.now()
    cost = living(app, bridge, some[0])
    with transaction():
        db.session.execute(delete(Leg))
    print(
        f"{kind}: {cost['people']:.0f} live participants: {cost['grown_mb']:.1f} MB more,"
        f" {cost['peak_mb']:.0f} MB at most",
    )
    told = events(app, bridge, some[0])
    print(
        f"{kind}: events taken {told['taken']:.0f}, worked on {told['worked']:.0f} a second",
        flush=True,
    )


if __name__ == "__main__":
    main()
