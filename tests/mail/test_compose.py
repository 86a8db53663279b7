"""The mail that goes out: its parts, its headers, its words."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from icalendar import Calendar

from confbridge.domain.interval import Interval
from confbridge.mail import compose
from confbridge.mail.compose import Copy
from confbridge.models import LetterKind

START = datetime(2031, 3, 4, 1, tzinfo=UTC)
COPY = Copy(
    kind="invitation",
    message_id="<one@ninhthuan.example>",
    sender="Hội nghị truyền hình <hoinghi@ninhthuan.example>",
    recipient="ba-1@ninhthuan.example",
    name="Điểm cầu Huyện Bác Ái",
    role="required",
    partstat="NEEDS-ACTION",
    language="vi",
    uid="5d3f0f3e-0000-4000-8000-000000000001",
    sequence=0,
    stamped=datetime(2031, 3, 1, tzinfo=UTC),
    during=Interval(START, START + timedelta(minutes=90)),
    timezone="Asia/Ho_Chi_Minh",
    title='Giao ban "tháng 3" & quý 1',
    agenda="1. Báo cáo\n2. Thảo luận",
    chair="Chủ tịch UBND tỉnh",
    host="Ủy ban nhân dân tỉnh Ninh Thuận",
    number="12/2031",
    contact="Thư ký <thuky@ninhthuan.example>",
    lead_minutes=15,
    reason="",
    join_url="https://hoinghi.example/join/abc",
    reply_url="https://hoinghi.example/reply/abc",
)


def received(copy: Copy):
    """The mail as its reader gets it: written out, and read in again."""
    return email.message_from_bytes(compose.mail(copy).as_bytes(), policy=email.policy.default)


def body(message, kind):
    return message.get_body((kind,)).get_content()


def test_s19_the_parts_are_mixed_alternative_and_the_invitation_once_more_as_a_file():
    message = received(COPY)
    kinds = [part.get_content_type() for part in message.walk()]
    assert kinds == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "text/calendar",
        "application/ics",
    ]
    calendar, file = list(message.walk())[4:]
    assert calendar["Content-Type"].params["method"] == "REQUEST"
    assert calendar["Content-Type"].params["charset"].lower() == "utf-8"
    assert file.get_filename() == "invite.ics"
    assert calendar.get_content().replace("\r\n", "\n") == file.get_content().decode().replace(
        "\r\n", "\n"
    )
    assert Calendar.from_ical(file.get_content())["METHOD"] == "REQUEST"


def test_the_headers_name_the_service_the_endpoint_and_the_letter():
    message = received(COPY)
    assert message["From"] == "Hội nghị truyền hình <hoinghi@ninhthuan.example>"
    assert message["To"].addresses[0].addr_spec == "ba-1@ninhthuan.example"
    assert message["Message-ID"] == "<one@ninhthuan.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Subject"] == 'Mời họp: Giao ban "tháng 3" & quý 1'


def test_the_words_are_vietnamese_and_the_time_is_local():
    text = body(received(COPY), "plain")
    assert "08 giờ 00 phút, thứ Ba, ngày 04/03/2031 (1 giờ 30 phút)" in text
    assert "trân trọng kính mời Điểm cầu Huyện Bác Ái" in text
    for said in (COPY.join_url, COPY.reply_url, COPY.chair, COPY.contact, "2. Thảo luận"):
        assert said in text


def test_html_is_escaped():
    assert "&#34;tháng 3&#34; &amp; quý 1" in body(received(COPY), "html")


def test_english_is_there_too():
    assert received(replace(COPY, language="en"))["Subject"].startswith("Invitation: ")


METHODS = {"withdrawn": "CANCEL", "cancelled": "CANCEL", "counter_declined": "DECLINECOUNTER"}


@pytest.mark.parametrize("kind", sorted(set(LetterKind) - compose.PLAIN))
def test_s19_every_letter_says_its_method_in_the_part_and_in_the_header(kind):
    message = received(replace(COPY, kind=kind, reason="Bão"))
    calendar = list(message.walk())[4]
    method = METHODS.get(kind, "REQUEST")
    assert calendar["Content-Type"].params["method"] == method
    assert Calendar.from_ical(calendar.get_content())["METHOD"] == method
    assert ("STATUS:CANCELLED" in calendar.get_content()) == (kind == "cancelled")


@pytest.mark.parametrize("kind", sorted(compose.PLAIN))
def test_what_is_only_told_asks_nothing_of_a_calendar(kind):
    kinds = [part.get_content_type() for part in received(replace(COPY, kind=kind)).walk()]
    assert kinds == ["multipart/alternative", "text/plain", "text/html"]


@pytest.mark.parametrize("kind", ["withdrawn", "cancelled", "counter_declined"])
def test_who_is_not_wanted_gets_no_link(kind):
    message = received(replace(COPY, kind=kind, reason="Bão"))
    assert COPY.join_url not in body(message, "plain") + body(message, "html")


def test_a_title_with_line_breaks_cannot_add_a_header():
    message = received(replace(COPY, title="A\r\nBcc: eve@example.org"))
    assert message["Bcc"] is None


def test_answers_come_back_to_an_address_of_this_mail_alone():
    message = received(replace(COPY, reply_to="hoinghi+1a-0f@ninhthuan.example"))
    assert message["Reply-To"].addresses[0].addr_spec == "hoinghi+1a-0f@ninhthuan.example"
    assert message["From"].addresses[0].addr_spec == "hoinghi@ninhthuan.example"


@pytest.mark.parametrize("kind", sorted(set(LetterKind)))
def test_d10_of_a_state_secret_nothing_is_told_but_that_the_time_is_taken(kind):
    secret = replace(COPY, kind=kind, is_secret=True, title="Bận", agenda="", chair="")
    message = received(secret)
    for part in message.walk():
        if part.get_content_maintype() == "text" or part.get_content_subtype() == "ics":
            text = part.get_content()
            text = text.decode() if isinstance(text, bytes) else text
            assert "/join/" not in text
            assert "/reply/" not in text
    if kind not in compose.PLAIN:
        event = Calendar.from_ical(list(message.walk())[4].get_content()).walk("VEVENT")[0]
        assert event["CLASS"] == "CONFIDENTIAL"
        assert not {"URL", "CONFERENCE", "DESCRIPTION"} & set(event)
