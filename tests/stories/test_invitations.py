"""Invitations go out and answers come back: through a real SMTP and a real IMAP server."""

from __future__ import annotations

import smtplib
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from icalendar import Calendar

from tests import clients
from tests.clients import Answer, stamp
from tests.stories.conftest import Bridge, wait_for

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
DEPUTY = "pho.giamdoc@ninhthuan.example"


def address(code):
    return f"{code.lower()}@ninhthuan.example"


def monday(weeks=2, hour=8):
    now = datetime.now(ZONE).replace(hour=hour, minute=0, second=0, microsecond=0)
    return now + timedelta(days=7 * weeks + (7 - now.weekday()) % 7)


@pytest.mark.timeout(300)
def test_answers_come_back_by_mail(one_service, mailbox, tmp_path, post_office, visit, photograph):
    bridge = Bridge(tmp_path, one_service)
    try:
        one_service.set_up(tmp_path / "janus")
        one_service.start()
        Correspondence(one_service, mailbox, post_office, visit, photograph).go()
    finally:
        bridge.stop()


class Correspondence:
    """One exchange of letters, step by step."""

    def __init__(self, service, mailbox, post_office, visit, photograph):
        self.service, self.mailbox, self.post_office = service, mailbox, post_office
        self.visit, self.photograph = visit, photograph

    def go(self):
        with self.service.api("thuky@ninhthuan.example") as api, smtplib.SMTP() as line:
            line.connect("127.0.0.1", self.post_office.port)
            self.api, self.line = api, line
            visitor = self.visit(self.service.url)
            email = "thuky@ninhthuan.example"
            self.page = visitor.sign_in(email, self.service.passwords[email])
            with self.service.api("quantri@ninhthuan.example") as admin:
                wait_for(lambda: admin.get("/bridges/cau-a").json()["state"] == "up")
            self.everybody_is_invited()
            self.they_accept_each_in_its_own_calendar()
            self.one_proposes_another_time_and_it_is_taken()
            self.one_declines_a_single_meeting()
            self.one_sends_a_deputy()
            self.one_mail_comes_back()
            self.one_answers_in_words_and_one_was_never_invited()
            self.nonsense_is_laid_aside()
            self.the_series_is_called_off()
            assert visitor.complaints == []

    def send(self, raw, sender):
        """Hand a mail to the mail server, which brings it to the mailbox of the service."""
        to = clients.US
        self.line.sendmail(sender, [to], raw)

    def got(self, who, method):
        """Wait for the last mail of that method to somebody, and return its event."""

        def last():
            found = [
                part.get_content()
                for mail in self.post_office.of(who)
                for part in mail.walk()
                if part.get_content_type() == "text/calendar"
            ]
            events = [Calendar.from_ical(one) for one in found]
            return next((one for one in reversed(events) if one["METHOD"] == method), None)

        return wait_for(last, 30).walk("VEVENT")[0]

    def answer(self, event, **given):
        """What a client makes of the invitation that it got."""
        return Answer(
            uid=str(event["UID"]),
            sequence=int(event["SEQUENCE"]),
            attendee=str(event["ATTENDEE"]).lower().removeprefix("mailto:"),
            stamped=datetime.now(UTC),
            organizer=str(event["ORGANIZER"]),
            **given,
        )

    def attendee(self, code):
        found = self.api.get(f"/meetings/{self.uid}").json()["attendees"]
        return next(one for one in found if one["endpoint"] == code)

    def said(self, code, partstat):
        wait_for(lambda: self.attendee(code)["partstat"] == partstat, 30)

    def everybody_is_invited(self):
        self.codes = ["UBND-1", "BA-1", "NS-1", "STC-1", "SYT-1"]
        body = {
            "title": "Giao ban hằng tuần",
            "agenda": "1. Kinh tế - xã hội\n2. Phòng chống bão",
            "start": monday().isoformat(),
            "minutes": 60,
            "rrule": "FREQ=WEEKLY;COUNT=4",
            "endpoints": [{"code": code} for code in self.codes],
        }
        made = self.api.post("/meetings", json=body)
        assert made.status_code == 201, made.text
        self.uid = made.json()["uid"]
        for code in self.codes:
            event = self.got(address(code), "REQUEST")
            assert event["ATTENDEE"] == f"mailto:{address(code)}"
            assert event["ORGANIZER"] == f"mailto:{clients.US}"

    def they_accept_each_in_its_own_calendar(self):
        shapes = [clients.outlook, clients.google, clients.apple, clients.thunderbird]
        for code, shape in zip(self.codes, shapes, strict=False):
            event = self.got(address(code), "REQUEST")
            self.send(shape(self.answer(event)), address(code))
        for code in self.codes[:4]:
            self.said(code, "ACCEPTED")
        assert self.attendee("BA-1")["via"] == "mail"

    def one_proposes_another_time_and_it_is_taken(self):
        event = self.got(address("NS-1"), "REQUEST")
        start = monday(hour=14)
        raw = clients.outlook(
            self.answer(
                event,
                method="COUNTER",
                start=start,
                lines=("COMMENT:Sáng họp Huyện ủy",),
            )
        )
        self.send(raw, address("NS-1"))
        page = self.page

        def waits():
            page.goto("/inbox")
            return page.get_by_text("Sáng họp Huyện ủy").is_visible()

        wait_for(waits)
        self.photograph(page, "to-do")
        page.get_by_role("button", name="Chấp nhận: dời cuộc họp và hỏi lại mọi điểm cầu").click()
        page.get_by_text("Không có việc").wait_for()
        moved = wait_for(lambda: self.moved("UBND-1"), 30)
        assert moved["DTSTART"].dt.astimezone(UTC) == start.astimezone(UTC)
        for code in self.codes:
            self.said(code, "NEEDS-ACTION")
            event = wait_for(lambda code=code: self.moved(code), 30)
            self.send(clients.google(self.answer(event)), address(code))
        for code in self.codes:
            self.said(code, "ACCEPTED")

    def moved(self, code):
        event = self.got(address(code), "REQUEST")
        return event if int(event["SEQUENCE"]) > 0 else None

    def one_declines_a_single_meeting(self):
        event = self.got(address("STC-1"), "REQUEST")
        second = self.api.get(f"/meetings/{self.uid}").json()["occurrences"][1]
        name = f":{stamp(datetime.fromisoformat(second['original']))}"
        answer = self.answer(
            event,
            partstat="DECLINED",
            recurrence_id=name,
            lines=("COMMENT:Quyết toán năm",),
        )
        self.send(clients.google(answer), address("STC-1"))

        def apart():
            found = self.api.get(f"/meetings/{self.uid}").json()["occurrences"][1]["answers"]
            return [(one["endpoint"], one["partstat"]) for one in found] == [("STC-1", "DECLINED")]

        wait_for(apart)
        assert self.attendee("STC-1")["partstat"] == "ACCEPTED"

    def one_sends_a_deputy(self):
        event = self.got(address("SYT-1"), "REQUEST")
        answer = self.answer(
            event,
            partstat="DELEGATED",
            parameters=f';DELEGATED-TO="mailto:{DEPUTY}"',
            lines=(f'ATTENDEE;CN=Phó Giám đốc Sở;DELEGATED-FROM="mailto:x@y.z":mailto:{DEPUTY}',),
        )
        self.send(clients.outlook(answer), address("SYT-1"))
        page = self.page

        def waits():
            page.goto(f"/meetings/{self.uid}")
            return page.get_by_role("button", name="Đồng ý người dự thay").is_visible()

        wait_for(waits)
        page.get_by_role("button", name="Đồng ý người dự thay").click()
        event = self.got(DEPUTY, "REQUEST")
        assert event["ATTENDEE"].params["DELEGATED-FROM"] == f"mailto:{address('SYT-1')}"
        self.send(clients.google(self.answer(event)), DEPUTY)
        self.said("SYT-1", "ACCEPTED")
        assert "Phó Giám đốc Sở" in self.attendee("SYT-1")["substitute"]

    def one_mail_comes_back(self):
        mail = self.post_office.of(address("BA-1"))[-1]
        to = mail["Reply-To"].addresses[0].addr_spec
        raw = clients.bounce("<lost@relay.example>", to=to)
        self.line.sendmail("", [to], raw)
        wait_for(lambda: self.attendee("BA-1")["delivery"] == "bounced")
        self.page.goto(f"/meetings/{self.uid}?show=bounced")
        self.page.get_by_text("no such user").first.wait_for()

    def one_answers_in_words_and_one_was_never_invited(self):
        mail = self.post_office.of(address("UBND-1"))[-1]
        to = mail["Reply-To"].addresses[0].addr_spec
        words = clients.plain("Không tham dự: đồng chí Chủ tịch đi công tác", address("UBND-1"))
        self.line.sendmail(address("UBND-1"), [to], words)
        event = self.got(address("NS-1"), "REQUEST")
        crasher = self.answer(event).but(attendee="bao.chi@ninhthuan.example")
        self.send(clients.google(crasher), "bao.chi@ninhthuan.example")

        def both_wait():
            self.page.goto(f"/meetings/{self.uid}")
            text = self.page.content()
            return "đi công tác" in text and "bao.chi@ninhthuan.example" in text

        wait_for(both_wait)
        self.photograph(self.page, "answers")
        waiting = self.page.locator(".waiting", has_text="đi công tác")
        waiting.get_by_role("button", name="Ghi nhận").press("Enter")  # by keyboard
        self.said("UBND-1", "DECLINED")
        waiting = self.page.locator(".waiting", has_text="bao.chi")
        waiting.get_by_text("Báo cho họ biết").click()
        waiting.get_by_role("button", name="Từ chối").click()
        assert "STATUS" not in self.got("bao.chi@ninhthuan.example", "CANCEL")
        self.page.goto(self.reply_page("BA-1"))
        self.photograph(self.page, "reply-series")
        narrow = self.visit(self.service.url, width=390).page
        narrow.goto(self.reply_page("BA-1"))
        assert narrow.evaluate("document.documentElement.scrollWidth") <= 390
        self.photograph(narrow, "reply-telephone")

    def reply_page(self, code):
        text = self.post_office.of(address(code))[-1].get_body(("plain",)).get_content()
        return next(word for word in text.split() if "/reply/" in word)

    def nonsense_is_laid_aside(self):
        before = self.mailbox.count(folder="Quarantine")
        self.send(clients.plain("Mua hàng giảm giá", "spam@elsewhere.example"), "spam@x.example")
        wait_for(lambda: self.mailbox.count(folder="Quarantine") == before + 1)
        wait_for(lambda: self.mailbox.count("UNSEEN") == 0)

    def the_series_is_called_off(self):
        answer = self.api.post(f"/meetings/{self.uid}/cancel", json={"reason": "Bão số 5"})
        assert answer.status_code == 200
        for who in (address("NS-1"), DEPUTY):
            event = self.got(who, "CANCEL")
            assert event["STATUS"] == "CANCELLED"
            assert int(event["SEQUENCE"]) == answer.json()["sequence"]
