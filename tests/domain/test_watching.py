from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from confbridge.domain.readiness import POINTS, Ready, verdict
from confbridge.domain.watching import Line, Trouble, Watched, watch

START = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
FINE = dict.fromkeys(POINTS, "ok")


def at(minutes):
    return START + timedelta(minutes=minutes)


def troubles(*lines, now, is_open=True):
    found = watch([Watched(id=1, lines=lines)], starts=START, now=at(now), is_open=is_open)
    return [one.trouble for one in found]


@pytest.mark.parametrize(
    ("lines", "now", "found"),
    [
        ([], -1, []),
        ([], 4.9, []),
        ([], 5, [Trouble.MISSING]),
        ([Line(joined=at(-5))], 5, []),
        ([Line(joined=at(-9), left=at(-8))], 4, []),  # it has tried its line
        ([Line(joined=at(-9), left=at(-8))], 5, [Trouble.MISSING]),
        ([Line(joined=at(0), left=at(10))], 10.5, []),
        ([Line(joined=at(0), left=at(10))], 11, [Trouble.DROPPED]),
        ([Line(joined=at(0), left=at(10)), Line(joined=at(12))], 13, []),
        ([Line(joined=at(0), loss=0.2, told_at=at(9.5))], 10, [Trouble.QUALITY]),
        ([Line(joined=at(0), loss=0.2, told_at=at(5))], 10, []),
        ([Line(joined=at(0), delay=0.6, told_at=at(9.5))], 10, [Trouble.QUALITY]),
        ([Line(joined=at(0), loss=0.01, delay=0.1, told_at=at(9.5))], 10, []),
    ],
)
def test_what_is_wrong_with_a_site(lines, now, found):
    assert troubles(*lines, now=now) == found


@pytest.mark.parametrize(("now", "found"), [(-6, []), (-5, [Trouble.NOT_OPEN])])
def test_a_room_that_should_be_open_is_the_trouble(now, found):
    assert troubles(now=now, is_open=False) == found


@pytest.mark.parametrize(
    ("points", "test", "loss", "delay", "ready"),
    [
        ({}, None, None, None, Ready.UNKNOWN),
        (FINE, None, None, None, Ready.READY),
        (FINE | {"sound": "bad"}, None, None, None, Ready.NOT_READY),
        (FINE | {"sound": ""}, None, None, None, Ready.UNKNOWN),
        (FINE | {"sound": ""}, True, 0.0, 0.1, Ready.READY),
        (FINE, False, None, None, Ready.NOT_READY),
        ({}, True, 0.0, 0.02, Ready.READY),
        ({}, True, 0.2, 0.02, Ready.NOT_READY),
        ({}, True, 0.0, 0.9, Ready.NOT_READY),
    ],
)
def test_whether_a_site_is_ready(points, test, loss, delay, ready):
    assert verdict(points, test, loss, delay) is ready
