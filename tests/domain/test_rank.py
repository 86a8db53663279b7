"""Who may displace whom."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from confbridge.domain.rank import WEIGHTS, Precedence, Rank, may_use, own

NOON = datetime(2031, 3, 4, 12, tzinfo=UTC)
ORDER = Precedence(WEIGHTS, timedelta(minutes=30))


@pytest.mark.parametrize("higher", Rank)
@pytest.mark.parametrize("lower", Rank)
def test_never_an_equal_or_a_higher_one(higher, lower):
    order = [Rank(one) for one in WEIGHTS]
    allowed = ORDER.may_displace(higher, lower, starts=NOON + timedelta(days=1), now=NOON)
    assert allowed == (order.index(higher) < order.index(lower))


@pytest.mark.parametrize(
    ("minutes", "rank", "allowed"),
    [
        (31, Rank.PARTY, True),
        (30, Rank.PARTY, False),
        (30, Rank.EMERGENCY, True),
        (0, Rank.EMERGENCY, False),
        (-5, Rank.EMERGENCY, False),
    ],
)
def test_not_shortly_before_its_start_unless_in_an_emergency(minutes, rank, allowed):
    starts = NOON + timedelta(minutes=minutes)
    assert ORDER.may_displace(rank, Rank.DISTRICT, starts=starts, now=NOON) is allowed


@pytest.mark.parametrize(
    ("rank", "level", "allowed"),
    [
        (Rank.DISTRICT, "district", True),
        (Rank.DEPARTMENT, "district", False),
        (Rank.COMMUNE, "department", True),
        (Rank.EMERGENCY, "department", False),
        (Rank.EMERGENCY, "province", True),
        (Rank.CENTRAL, "party", True),
        (Rank.PARTY, "province", False),
    ],
)
def test_an_organisation_convenes_with_its_own_rank_or_less(rank, level, allowed):
    assert may_use(rank, level, WEIGHTS) is allowed


def test_an_unknown_level_has_the_lowest_rank():
    assert own("province") is Rank.PROVINCE
    assert own("hamlet") is Rank.COMMUNE
