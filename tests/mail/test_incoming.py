"""What of a mail matters, and what the fuzzer found."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from confbridge import config
from confbridge.domain import itip_reading
from confbridge.mail import incoming
from tests import clients
from tests.clients import Answer

ANSWER = Answer(uid="u@example.org", start=Answer.stamped, lines=("COMMENT:Đi cơ sở",))
ZONE = config.ZoneInfo("Asia/Ho_Chi_Minh")


def worked_through(raw: bytes) -> None:
    """Do what is done to a mail before anybody is looked up; it refuses in its own words alone."""
    try:
        arrival = incoming.read(raw, "mx.example")
    except incoming.TooMuch:
        assert all(isinstance(one, str) for one in incoming.header_of(raw))
        return
    assert "\0" not in str(arrival).replace(repr(arrival.calendars), "")
    for calendar in arrival.calendars:
        try:
            itip_reading.parts(calendar, ZONE)
        except itip_reading.Unusable:
            continue


@pytest.mark.parametrize(
    "raw",
    [
        b'Content-Type: text/calendar; charset="utf\x00-8"\r\n\r\nBEGIN:VCALENDAR\r\n',
        b"Content-Type: text/calendar; charset=punycode\r\n\r\n" + b"a-" * 5000,
        b"Subject: =?zip?b?AAAA?=\r\n\r\n",
        b"From: =?utf-8?q?=00?= <a@b.c>\r\nMessage-ID: <a\x00b@c>\r\n\r\nx",
        b"Content-Type: message/rfc822\r\n\r\n" * 40,
        b"",
    ],
)
def test_what_the_fuzzer_found_is_refused_or_read(raw):
    worked_through(raw)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(clients.SHAPES),
    st.lists(st.tuples(st.integers(0, 3000), st.binary(max_size=8)), max_size=6),
)
def test_a_damaged_mail_is_refused_or_read(shape, damages):
    raw = shape(ANSWER)
    for place, bytes_ in damages:
        raw = raw[:place] + bytes_ + raw[place + len(bytes_) :]
    worked_through(raw)


def test_a_token_is_found_wherever_the_server_notes_the_address():
    token = "1a-" + "0" * 20
    for header in ("Delivered-To", "X-Original-To", "To", "Cc"):
        raw = f"{header}: Hội nghị <hoinghi+{token.upper()}@x.example>\r\n\r\nx".encode()
        assert incoming.read(raw).tokens == (token,)


def test_quoted_lines_are_not_what_somebody_says():
    raw = clients.plain("Đồng ý\r\n\r\nVào 12/3, Hội nghị đã viết:\r\n> Không tham dự", "a@b.c")
    assert incoming.read(raw).text == "Đồng ý"
