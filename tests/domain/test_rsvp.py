"""Which answer counts, in whatever order they come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confbridge.domain.rsvp import Order, Partstat, Verdict, judged, worded

NOON = datetime(2031, 3, 4, 5, tzinfo=UTC)


def order(sequence=0, seconds=0, key="a", depth=0):
    return Order(sequence, depth, NOON + timedelta(seconds=seconds), key)


@pytest.mark.parametrize(
    ("reply", "last", "asked", "verdict"),
    [
        (order(), None, 0, Verdict.COUNTS),
        (order(seconds=1), order(), 0, Verdict.COUNTS),
        (order(), order(seconds=1), 0, Verdict.EARLIER),
        (order(), order(), 0, Verdict.EARLIER),
        (order(sequence=2), order(sequence=3), 2, Verdict.EARLIER),
        (order(sequence=3), order(sequence=2, seconds=9), 2, Verdict.COUNTS),
        (order(sequence=1, seconds=99), None, 2, Verdict.OUTDATED),
        (order(depth=1), order(seconds=99), 0, Verdict.COUNTS),
        (order(seconds=99), order(depth=1), 0, Verdict.EARLIER),
    ],
)
def test_r2_r3_sequence_then_stamp_and_never_about_another_time(reply, last, asked, verdict):
    assert judged(reply, last, asked=asked) is verdict


REPLIES = st.lists(
    st.builds(
        order,
        sequence=st.integers(0, 3),
        seconds=st.integers(0, 3),
        key=st.sampled_from("abc"),
        depth=st.integers(0, 1),
    ),
    max_size=8,
)


def last_of(replies, asked):
    standing = None
    for reply in replies:
        if judged(reply, standing, asked=asked) is Verdict.COUNTS:
            standing = reply
    return standing


@given(REPLIES, st.integers(0, 3), st.randoms())
def test_any_order_and_repetition_of_replies_ends_with_the_same_one(replies, asked, random):
    mixed = replies + [one for one in replies if random.random() < 0.5]
    random.shuffle(mixed)
    assert last_of(mixed, asked) == last_of(replies, asked)


@pytest.mark.parametrize(
    ("text", "partstat"),
    [
        ("Đồng ý", Partstat.ACCEPTED),
        ("ĐỒNG Ý, 3 người", Partstat.ACCEPTED),
        ("Xác nhận tham dự.", Partstat.ACCEPTED),
        ("Không tham dự được vì đi cơ sở", Partstat.DECLINED),
        ("Không đồng ý", Partstat.DECLINED),
        ("accept", Partstat.ACCEPTED),
        ("Accepted - we come", Partstat.ACCEPTED),
        ("decline: on leave", Partstat.DECLINED),
        ("> accept", Partstat.ACCEPTED),
        ("acceptable?", None),
        ("Kính gửi văn phòng", None),
        ("", None),
    ],
)
def test_what_words_a_plain_answer_may_begin_with(text, partstat):
    assert worded(text) is partstat
