"""A secretariat plans its weeks in a browser: series, refusal, displacement, waiting, drain."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from icalendar import Calendar

from tests.stories.conftest import Bridge, wait_for

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
MEETING = re.compile(r"/meetings/[0-9a-f-]{36}$")
TITLE = "Giao ban tuần"


def monday() -> datetime:
    """Eight o'clock on a Monday, two weeks ahead or more, before which no holiday is likely."""
    day = datetime.now(ZONE).replace(hour=8, minute=0, second=0, microsecond=0)
    return day + timedelta(days=14 + (0 - day.weekday()) % 7)


@pytest.mark.timeout(420)
def test_a_secretariat_plans_its_weeks(one_service, tmp_path, post_office, visit, photograph):
    bridge = Bridge(tmp_path, one_service)
    try:
        one_service.set_up(tmp_path / "janus")
        one_service.start()
        Planning(one_service, post_office, visit, photograph).go()
    finally:
        bridge.stop()


class Planning:
    """One sitting, step by step."""

    def __init__(self, service, post_office, visit, photograph):
        self.service, self.post_office = service, post_office
        self.visit, self.photograph = visit, photograph
        self.people = {}

    def go(self):
        self.the_bridge_is_up()
        self.a_series_is_booked_at_a_suggested_time()
        self.one_of_it_is_moved_and_one_called_off()
        self.a_booking_over_it_is_refused_and_waits()
        self.the_committee_displaces_one_of_it()
        self.who_waits_is_offered_the_room()
        self.a_draft_is_kept_and_confirmed()
        self.maintenance_is_shown_before_it_is_set()
        self.the_bridge_is_drained()
        self.the_rules_are_decided()
        self.it_works_on_a_telephone()
        for person in self.people.values():
            assert person.complaints == []
            assert person.hosts == {"127.0.0.1"}

    def signed_in(self, name):
        if name not in self.people:
            self.people[name] = self.visit(self.service.url)
            email = f"{name}@ninhthuan.example"
            self.people[name].sign_in(email, self.service.passwords[email])
        return self.people[name].page

    def the_bridge_is_up(self):
        page = self.signed_in("quantri")
        page.goto("/bridges")
        page.locator(".bridge", has_text="cau-a").locator(".badge.up").wait_for(timeout=30_000)

    def form(self, name, title, codes, start):
        page = self.signed_in(name)
        page.goto("/meetings/new")
        page.fill("#title", title)
        page.fill("#start", f"{start:%Y-%m-%dT%H:%M}")
        for code in codes:
            page.check(f'input[name="endpoint"][value="{code}"]')
        return page

    def a_series_is_booked_at_a_suggested_time(self):
        page = self.form("thuky", TITLE, ["UBND-1", "BA-1", "STC-1"], monday())
        page.locator(".suggestions button").first.wait_for()
        page.locator(".times .notice.good").wait_for()
        offers = page.locator(".suggestions button")
        assert offers.count() >= 4
        wanted = f"{monday():%Y-%m-%dT%H:%M}"
        page.locator(f'[data-use="{wanted}"]').click()
        assert page.input_value("#start") == wanted
        page.locator("summary", has_text="Lặp lại").click()
        page.select_option("#repeat", "WEEKLY")
        page.check('input[name="byday"][value="MO"]')
        page.fill("#count", "5")
        self.photograph(page, "booking-series")
        page.get_by_role("button", name="Đặt và gửi lời mời").click()
        page.wait_for_url(MEETING)
        self.series = page.url
        assert page.locator(".years .bar").count() == 5
        assert "hằng tuần vào thứ Hai, 5 lần" in page.inner_text("main")
        wait_for(lambda: len(self.post_office.mails) >= 3, 60)
        mail = self.post_office.mails[0]
        calendar = next(one for one in mail.walk() if one.get_content_type() == "text/calendar")
        event = Calendar.from_ical(calendar.get_content()).walk("VEVENT")[0]
        assert dict(event["RRULE"]) == {"FREQ": ["WEEKLY"], "COUNT": [5], "BYDAY": ["MO"]}

    def one_of_it_is_moved_and_one_called_off(self):
        page = self.signed_in("thuky")
        page.goto(self.series)
        page.get_by_role("link", name="Đổi hoặc hủy").nth(1).click()
        self.photograph(page, "occurrence")
        moved = monday() + timedelta(days=8, hours=2)
        page.fill("#start", f"{moved:%Y-%m-%dT%H:%M}")
        page.get_by_role("button", name="Lưu và báo").click()
        page.wait_for_url(self.series)
        assert "thay cho" in page.inner_text("main")
        page.get_by_role("link", name="Đổi hoặc hủy").nth(4).click()
        page.fill("#reason", "Nghỉ lễ")
        page.get_by_role("button", name="Hủy và báo cho mọi người").click()
        page.wait_for_url(self.series)
        assert page.locator("tr", has_text="Nghỉ lễ").locator(".badge.cancelled").is_visible()
        self.photograph(page, "series")

        def override():
            for mail in self.post_office.mails:
                for part in mail.walk():
                    if part.get_content_type() == "text/calendar":
                        event = Calendar.from_ical(part.get_content()).walk("VEVENT")[0]
                        if "RECURRENCE-ID" in event and event.decoded("DTSTART") == moved:
                            return event
            return None

        event = wait_for(override, 60)
        assert event.decoded("RECURRENCE-ID") == monday() + timedelta(days=7)

    def a_booking_over_it_is_refused_and_waits(self):
        page = self.form("thuky", "Họp chuyên đề", ["BA-1", "NS-1"], monday())
        page.locator(".times .notice.warn").wait_for()
        page.get_by_role("button", name="Đặt và gửi lời mời").click()
        refusal = page.locator(".refusal")
        refusal.wait_for()
        assert TITLE in refusal.inner_text()
        assert refusal.locator('button[name="take"]').count() >= 4
        self.photograph(page, "refusal-offers")
        refusal.get_by_role("button", name="Chờ giờ này").click()
        page.wait_for_url(MEETING)
        self.waiting = page.url
        assert "đang chờ chỗ" in page.inner_text("main")

    def the_committee_displaces_one_of_it(self):
        page = self.form("thuky.tu", "Họp Ban Thường vụ", ["TU-1", "BA-1"], monday())
        page.get_by_role("button", name="Đặt và gửi lời mời").click()
        page.locator(".displace summary").click()
        # Without a reason and without a tick nothing is displaced, and the place stays open.
        page.get_by_role("button", name="Thay chỗ và đặt họp").click()
        page.locator('.displace input[name="displace"]').check()
        page.fill("#displace_reason", "Ứng phó bão số 5")
        self.photograph(page, "displacement")
        page.get_by_role("button", name="Thay chỗ và đặt họp").click()
        page.wait_for_url(MEETING)
        self.committee = page.url
        page = self.signed_in("thuky")
        page.goto(self.series)
        row = page.locator("tr", has_text="Ứng phó bão số 5")
        assert row.locator(".badge.postponed").is_visible()
        wait_for(lambda: self.mails_to("thuky@ninhthuan.example"), 60)
        (told,) = self.mails_to("thuky@ninhthuan.example")
        text = told.get_body(("plain",)).get_content()
        assert "Ứng phó bão số 5" in text
        assert text.count("\n- ") == 3

    def who_waits_is_offered_the_room(self):
        page = self.signed_in("thuky.tu")
        page.goto(self.committee)
        page.locator("details.cancel summary", has_text="Hủy").click()
        page.fill("#reason", "Hoãn theo chỉ đạo")
        page.get_by_role("button", name="Hủy cuộc họp và báo").click()
        # What was displaced goes before who waits: it had the time first.
        wait_for(lambda: len(self.mails_to("thuky@ninhthuan.example")) >= 2, 60)
        page = self.signed_in("thuky")
        page.goto("/meetings/waiting")
        self.photograph(page, "waiting")
        assert page.locator(".meetings li").count() >= 1
        page.goto(self.waiting)
        assert "Chờ từ" in page.inner_text("main")

    def mails_to(self, address):
        return [
            mail for mail in self.post_office.mails if mail["To"].addresses[0].addr_spec == address
        ]

    def a_draft_is_kept_and_confirmed(self):
        start = monday() + timedelta(days=1, hours=6)
        page = self.form("thuky", "Họp nháp", ["PRTC-1", "SYT-1"], start)
        page.get_by_role("button", name="Lưu nháp, giữ chỗ").click()
        page.wait_for_url(MEETING)
        assert "D-" in page.inner_text(".kicker")
        self.photograph(page, "draft")
        page.get_by_role("button", name="Đặt họp và gửi mời").click()
        page.locator(".badge.scheduled").first.wait_for()
        assert re.search(r"\d+/\d{4}", page.inner_text(".kicker"))

    def maintenance_is_shown_before_it_is_set(self):
        page = self.signed_in("quantri")
        page.goto("/bridges/cau-a")
        day = monday() + timedelta(days=1)
        page.fill("#start", f"{day:%Y-%m-%dT}00:00")
        page.fill("#end", f"{day:%Y-%m-%dT}23:00")
        page.fill("#reason", "Thay nguồn")
        page.get_by_role("button", name="Xem sẽ phải chuyển gì").click()
        preview = page.locator("section[role=status]")
        preview.wait_for()
        text = page.inner_text("main")
        assert "Họp nháp" in text
        self.photograph(page, "maintenance")

    def the_bridge_is_drained(self):
        page = self.signed_in("quantri")
        page.goto("/bridges/cau-a")
        page.get_by_role("button", name="Rút tải: xem").click()
        page.get_by_role("heading", name="Rút tải sẽ chuyển").wait_for()
        page.get_by_role("button", name="Rút tải: không nhận").click()
        page.get_by_role("heading", name="Đã chuyển gì").wait_for()
        assert "Lúc đó không cầu nào khác đủ cổng." in page.inner_text("main")
        self.photograph(page, "drained")
        page.get_by_role("button", name="Nhận lại cuộc họp mới").click()
        page.locator("button", has_text="Rút tải").wait_for()

    def the_rules_are_decided(self):
        page = self.signed_in("quantri")
        page.goto("/rules")
        page.fill("#day", f"{monday():%Y-%m-%d}")
        page.fill("#basis", "Công văn hoán đổi ngày làm việc")
        page.get_by_role("button", name="Thêm ngày").click()
        page.get_by_text("Công văn hoán đổi ngày làm việc").wait_for()
        self.photograph(page, "rules")
        page = self.form("thuky", "Ngày nghỉ", ["NH-1"], monday())
        page.locator(".suggestions button").first.wait_for()
        assert not page.locator(f'[data-use^="{monday():%Y-%m-%d}"]').count()

    def it_works_on_a_telephone(self):
        visitor = self.visit(self.service.url, width=390)
        self.people["telephone"] = visitor
        email = "thuky@ninhthuan.example"
        page = visitor.sign_in(email, self.service.passwords[email])
        page.goto("/meetings/new")
        for path, name in (
            ("/meetings/new", "booking-telephone"),
            (self.series, "series-telephone"),
        ):
            page.goto(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            self.photograph(page, name)
