"""Series, against the examples of RFC 5545 and against dateutil, which is not ours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil import rrule
from hypothesis import given, settings
from hypothesis import strategies as st

from confbridge.domain import recurrence
from confbridge.domain.recurrence import Every, Rule, Series, Weekday, cut, parsed
from confbridge.errors import Invalid

ZONES = [ZoneInfo(name) for name in ("Asia/Ho_Chi_Minh", "Europe/Berlin", "UTC")]
NEW_YORK = ZoneInfo("America/New_York")
TEN_YEARS = timedelta(days=3653)
HOUR = timedelta(hours=1)


def series(first: datetime, rule: Rule | str, zone: ZoneInfo = ZONES[0], **rest) -> Series:
    made = parsed(rule, zone) if isinstance(rule, str) else rule
    return Series(first=first, zone=zone, lasts=HOUR, rule=made, **rest)


def local_days(text: str, first: datetime, zone: ZoneInfo = NEW_YORK) -> list[str]:
    starts = series(first, text, zone).starts()
    return [f"{one.astimezone(zone):%Y-%m-%d %H}" for one in starts]


# The examples of RFC 5545 section 3.8.5.3 that end, with the dates printed there.
NINE = datetime(1997, 9, 2, 9)
PUBLISHED = [
    ("FREQ=DAILY;COUNT=10", NINE, [(9, range(2, 12))]),
    ("FREQ=DAILY;INTERVAL=10;COUNT=5", NINE, [(9, (2, 12, 22)), (10, (2, 12))]),
    ("FREQ=WEEKLY;COUNT=10", NINE, [(9, (2, 9, 16, 23, 30)), (10, (7, 14, 21, 28)), (11, (4,))]),
    (
        "FREQ=WEEKLY;UNTIL=19971007T000000Z;WKST=SU;BYDAY=TU,TH",
        NINE,
        [(9, (2, 4, 9, 11, 16, 18, 23, 25, 30)), (10, (2,))],
    ),
    (
        "FREQ=WEEKLY;INTERVAL=2;UNTIL=19971224T000000Z;WKST=SU;BYDAY=MO,WE,FR",
        datetime(1997, 9, 1, 9),
        [
            (9, (1, 3, 5, 15, 17, 19, 29)),
            (10, (1, 3, 13, 15, 17, 27, 29, 31)),
            (11, (10, 12, 14, 24, 26, 28)),
            (12, (8, 10, 12, 22)),
        ],
    ),
    (
        "FREQ=WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH",
        NINE,
        [(9, (2, 4, 16, 18, 30)), (10, (2, 14, 16))],
    ),
    (
        "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO",
        datetime(1997, 8, 5, 9),
        [(8, (5, 10, 19, 24))],
    ),
    (
        "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU",
        datetime(1997, 8, 5, 9),
        [(8, (5, 17, 19, 31))],
    ),
    (
        "FREQ=MONTHLY;COUNT=10;BYDAY=1FR",
        datetime(1997, 9, 5, 9),
        [
            (9, (5,)),
            (10, (3,)),
            (11, (7,)),
            (12, (5,)),
            (1, (2,)),
            (2, (6,)),
            (3, (6,)),
            (4, (3,)),
            (5, (1,)),
            (6, (5,)),
        ],
    ),
    (
        "FREQ=MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU",
        datetime(1997, 9, 7, 9),
        [(9, (7, 28)), (11, (2, 30)), (1, (4, 25)), (3, (1, 29)), (5, (3, 31))],
    ),
    (
        "FREQ=MONTHLY;COUNT=6;BYDAY=-2MO",
        datetime(1997, 9, 22, 9),
        [(9, (22,)), (10, (20,)), (11, (17,)), (12, (22,)), (1, (19,)), (2, (16,))],
    ),
    (
        "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=2,15",
        NINE,
        [(9, (2, 15)), (10, (2, 15)), (11, (2, 15)), (12, (2, 15)), (1, (2, 15))],
    ),
    (
        "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=1,-1",
        datetime(1997, 9, 30, 9),
        [(9, (30,)), (10, (1, 31)), (11, (1, 30)), (12, (1, 31)), (1, (1, 31)), (2, (1,))],
    ),
    (
        "FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3",
        datetime(1997, 9, 4, 9),
        [(9, (4,)), (10, (7,)), (11, (6,))],
    ),
    (
        "FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5",
        datetime(2007, 1, 15, 9),
        [(1, (15, 30)), (2, (15,)), (3, (15, 30))],
    ),
]


@pytest.mark.parametrize(("text", "first", "printed"), PUBLISHED, ids=[one[0] for one in PUBLISHED])
def test_the_examples_of_rfc_5545_give_the_dates_printed_there(text, first, printed):
    found = [day[5:10] for day in local_days(text, first)]
    assert found == [f"{month:02}-{day:02}" for month, days in printed for day in days]


def test_an_eight_o_clock_meeting_stays_at_eight_when_the_clocks_change():
    found = series(datetime(2031, 3, 24, 8), "FREQ=WEEKLY;COUNT=3", ZONES[1]).starts()
    assert [one.astimezone(ZONES[1]).hour for one in found] == [8, 8, 8]
    assert [one.hour for one in found] == [7, 6, 6]  # in UTC it moves


def test_a_time_that_does_not_exist_is_read_with_the_offset_before_the_gap():
    found = series(datetime(2031, 3, 29, 2, 30), "FREQ=DAILY;COUNT=2", ZONES[1]).starts()
    assert [f"{one:%d %H:%M}" for one in found] == ["29 01:30", "30 01:30"]


FREQUENCIES = {
    Every.DAY: rrule.DAILY,
    Every.WEEK: rrule.WEEKLY,
    Every.MONTH: rrule.MONTHLY,
    Every.YEAR: rrule.YEARLY,
}
FIRSTS = st.datetimes(datetime(2024, 1, 1), datetime(2031, 12, 31)).map(
    lambda one: one.replace(second=0, microsecond=0)
)
NTH = st.sampled_from([1, 2, 3, 4, 5, -1, -2, -5])
DAYS = st.integers(0, 6)


def some(values: st.SearchStrategy, least: int = 0, most: int = 3) -> st.SearchStrategy:
    return st.lists(values, min_size=least, max_size=most, unique=True).map(tuple)


@st.composite
def rules(draw) -> Rule:
    every = draw(st.sampled_from(Every))
    parts = {"every": every, "interval": draw(st.integers(1, 5)), "count": 700}
    if every in {Every.DAY, Every.WEEK}:
        parts["weekdays"] = tuple(map(Weekday, draw(some(DAYS))))
        if every is Every.WEEK:
            parts["week_start"] = draw(DAYS)
        return Rule(**parts)
    months = some(st.integers(1, 12), 1, 1) if every is Every.YEAR else st.just(())
    kind = draw(st.sampled_from(["plain", "day", "nth", "place"]))
    if kind != "plain":
        parts["months"] = draw(months)
    if kind == "day":
        parts["month_days"] = draw(some(st.integers(1, 31) | st.integers(-31, -1), 1))
    elif kind == "nth":
        parts["weekdays"] = draw(some(st.builds(Weekday, DAYS, NTH), 1))
    elif kind == "place":
        parts["weekdays"] = tuple(map(Weekday, draw(some(DAYS, 1))))
        parts["places"] = draw(some(st.sampled_from([1, 2, 3, -1, -2]), 1))
    return Rule(**parts)


def independent(rule: Rule, first: datetime, zone: ZoneInfo) -> list[datetime]:
    """What dateutil makes of it, to ten years ahead."""
    weekdays = [rrule.weekday(one.day, one.nth or None) for one in rule.weekdays]
    made = rrule.rrule(
        FREQUENCIES[rule.every],
        dtstart=first,
        interval=rule.interval,
        until=first + TEN_YEARS,
        byweekday=weekdays or None,
        bymonthday=rule.month_days or None,
        bymonth=rule.months or None,
        bysetpos=rule.places or None,
        wkst=rule.week_start,
    )
    return [one.replace(tzinfo=zone).astimezone(UTC) for one in made]


@pytest.mark.parametrize("zone", ZONES, ids=str)
@settings(max_examples=200, deadline=None)
@given(rule=rules(), first=FIRSTS)
def test_ten_years_of_every_rule_are_those_of_an_independent_implementation(zone, rule, first):
    expected = independent(rule, first, zone)
    endless = Rule(**{**vars(rule), "count": None})
    if not expected:
        with pytest.raises(Invalid):
            series(first, endless, zone).starts(most=9999, farthest=TEN_YEARS)
        return
    # A series begins with its first date, so that is where both start.
    first = expected[0].astimezone(zone).replace(tzinfo=None)
    expected = independent(rule, first, zone)
    assert series(first, endless, zone).starts(most=9999, farthest=TEN_YEARS) == expected


@settings(deadline=None)
@given(rule=rules())
def test_a_rule_written_and_read_again_is_the_same(rule):
    assert parsed(str(rule), ZONES[0]) == Rule(
        **{
            **vars(rule),
            **{name: tuple(sorted(vars(rule)[name], key=order)) for name, order in SORTED.items()},
        }
    )


SORTED = {
    "weekdays": lambda one: (one.day, one.nth),
    "month_days": int,
    "months": int,
    "places": int,
}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FREQ=SECONDLY;COUNT=5", "FREQ=SECONDLY"),
        ("FREQ=HOURLY;COUNT=5", "FREQ=HOURLY"),
        ("FREQ=DAILY", "COUNT or UNTIL"),
        ("FREQ=DAILY;COUNT=5;UNTIL=20310101", "exclude"),
        ("FREQ=DAILY;COUNT=5;BYHOUR=9", "BYHOUR"),
        ("FREQ=YEARLY;COUNT=5;BYWEEKNO=20", "BYWEEKNO"),
        ("FREQ=YEARLY;COUNT=5;BYYEARDAY=100", "BYYEARDAY"),
        ("FREQ=DAILY;COUNT=0", "COUNT"),
        ("FREQ=DAILY;COUNT=731", "COUNT"),
        ("FREQ=DAILY;COUNT=5;INTERVAL=0", "INTERVAL"),
        ("FREQ=DAILY;COUNT=²", "COUNT"),
        ("FREQ=WEEKLY;COUNT=5;BYDAY=1MO", "numbered BYDAY"),
        ("FREQ=MONTHLY;COUNT=5;BYDAY=6MO", "6MO"),
        ("FREQ=MONTHLY;COUNT=5;BYDAY=0MO", "0MO"),
        ("FREQ=MONTHLY;COUNT=5;BYMONTHDAY=32", "32"),
        ("FREQ=MONTHLY;COUNT=5;BYSETPOS=1", "BYSETPOS"),
        ("FREQ=DAILY;UNTIL=20310230", "UNTIL"),
        ("FREQ=DAILY;UNTIL=00010101", "UNTIL"),
        ("FREQ=DAILY;COUNT=1;COUNT=2", "twice"),
        ("FREQ=DAILY;COUNT=5;RSCALE=CHINESE", "RSCALE"),
        ("", "FREQ"),
        ("nonsense", "NONSENSE"),
        ("FREQ=DAILY;COUNT=5;" + "X" * 600, "500"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(text, said):
    with pytest.raises(Invalid) as refusal:
        parsed(text, ZONES[0])
    assert said in str(refusal.value.problems["rrule"])


def test_a_series_has_at_most_730_meetings_and_lasts_at_most_three_years():
    first = datetime(2031, 1, 1, 8)
    assert len(series(first, "FREQ=DAILY;COUNT=730").starts()) == 730
    for text in (
        "FREQ=DAILY;UNTIL=20331231",
        "FREQ=MONTHLY;COUNT=38",
        "FREQ=MONTHLY;UNTIL=20350101",
    ):
        with pytest.raises(Invalid):
            series(first, text).starts()


def test_the_first_start_must_be_one_of_the_rule():
    with pytest.raises(Invalid):
        series(datetime(2031, 1, 1, 8), "FREQ=WEEKLY;BYDAY=MO;COUNT=3").starts()


def test_dates_left_out_count_for_the_number_of_occurrences():
    whole = series(datetime(2031, 1, 1, 8), "FREQ=DAILY;COUNT=4").starts()
    found = series(
        datetime(2031, 1, 1, 8), "FREQ=DAILY;COUNT=4", skipped=frozenset(whole[1:2])
    ).occurrences()
    assert [one.start for one in found] == [whole[0], *whole[2:]]


def test_until_as_a_day_counts_that_whole_day():
    found = series(datetime(2031, 1, 1, 20), "FREQ=DAILY;UNTIL=20310103").starts()
    assert len(found) == 3


def test_a_rule_can_be_cut_before_a_meeting():
    whole = series(datetime(2031, 1, 1, 8), "FREQ=WEEKLY;BYDAY=WE,FR;COUNT=10")
    starts = whole.starts()
    shorter = series(datetime(2031, 1, 1, 8), cut(whole.rule, starts[4]))
    assert shorter.starts() == starts[:4]


HOSTILE = [
    "FREQ=YEARLY;INTERVAL=400;BYMONTH=2;BYMONTHDAY=30;COUNT=730",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;COUNT=730",
    "FREQ=MONTHLY;BYMONTHDAY=31;INTERVAL=400;COUNT=730",
    "FREQ=DAILY;COUNT=730;BYDAY=MO",
    "FREQ=DAILY;UNTIL=22001231T235959Z",
    "FREQ=YEARLY;BYMONTH=1,2,3,4,5,6,7,8,9,10,11,12;BYMONTHDAY="
    + ",".join(map(str, range(1, 32)))
    + ";COUNT=730",
    "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSETPOS=31;COUNT=730",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_rule_costs_more_than_its_three_years_of_days(text):
    """Bounded by counting, not by the clock: at most one look at each day of the horizon."""
    looked = 0
    rule = parsed(text, ZONES[0])
    for days in recurrence._periods(rule, datetime(2031, 1, 1, 8), datetime(2034, 1, 3).date()):
        looked += max(len(days), 1)
    assert looked <= 4 * 366
