"""A booked meeting really happens: from the form to the attendance, with nothing simulated."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest
from icalendar import Calendar

from tests.stories.conftest import Bridge, wait_for

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
TITLE = "Giao ban trực tuyến tháng 11"
SITES = ["UBND-1", "BA-1", "STC-1", "SYT-1"]  # the provincial site, a district, two departments
LASTS = 1  # minute


@pytest.mark.timeout(420)
def test_a_booked_meeting_really_happens(service, tmp_path, post_office, visit, photograph):
    bridge = Bridge(tmp_path, service)
    try:
        service.set_up(tmp_path / "janus")
        service.start()
        Journey(service, bridge, post_office, visit, photograph).go()
    finally:
        bridge.stop()


class Journey:
    """One sitting, step by step; each step stands on what the one before has made."""

    def __init__(self, service, bridge, post_office, visit, photograph):
        self.service, self.bridge, self.post_office = service, bridge, post_office
        self.visit, self.photograph = visit, photograph
        self.people = {}

    def go(self):
        self.the_bridge_comes_up()
        self.the_secretary_books()
        self.a_second_booking_is_refused()
        self.everybody_is_invited()
        self.they_answer()
        self.two_join_and_see_each_other()
        self.a_guest_joins_with_the_pin()
        self.whoever_cannot_come_in_is_told_why()
        self.the_operator_sees_who_is_in()
        self.one_leaves_and_the_meeting_ends()
        self.attendance_says_who_came()
        self.every_page_has_been_seen()
        for person in self.people.values():
            assert person.complaints == []
            assert person.hosts == {"127.0.0.1"}

    def person(self, name):
        if name not in self.people:
            self.people[name] = self.visit(self.service.url)
        return self.people[name]

    def signed_in(self, name):
        known = name in self.people
        person = self.person(name)
        email = f"{name}@ninhthuan.example"
        return person.page if known else person.sign_in(email, self.service.passwords[email])

    def the_bridge_comes_up(self):
        page = self.person("vanhanh").page
        page.goto("/sign-in")
        self.photograph(page, "sign-in")
        email = "vanhanh@ninhthuan.example"
        self.people["vanhanh"].sign_in(email, self.service.passwords[email])
        page.goto("/bridges")
        wait_for(lambda: page.locator("#bridge-cau-a").is_visible())
        page.locator(".bridge", has_text="cau-a").locator(".badge.up").wait_for(timeout=30_000)

    def fill_in(self, page, codes):
        page.goto("/meetings/new")
        page.fill("#title", TITLE)
        page.fill("#agenda", "1. Báo cáo tình hình kinh tế - xã hội\n2. Thảo luận")
        page.fill("#start", f"{self.starts.astimezone(ZONE):%Y-%m-%dT%H:%M}")
        page.fill("#minutes", str(LASTS))
        page.get_by_text("Khách, thời gian dự trữ, cấp, dự phòng").click()
        page.fill("#tail_minutes", "0")
        page.fill("#guest_ports", "1")
        for code in codes:
            page.check(f'input[name="endpoint"][value="{code}"]')

    def the_secretary_books(self):
        page = self.signed_in("thuky")
        soon = datetime.now(UTC) + timedelta(seconds=60)
        self.starts = soon.replace(second=0, microsecond=0) + timedelta(minutes=1)
        self.ends = self.starts + timedelta(minutes=LASTS)
        self.fill_in(page, SITES)
        page.check('input[name="main"][value="UBND-1"]')
        page.check('input[name="optional-SYT-1"]')
        self.photograph(page, "booking")
        page.get_by_role("button", name="Đặt và gửi lời mời").click()
        page.wait_for_url(re.compile(r"/meetings/[0-9a-f-]{36}$"))
        self.uid = page.url.rpartition("/")[2]
        assert page.get_by_role("heading", name=TITLE).is_visible()
        assert page.locator("tbody tr").count() == len(SITES)

    def a_second_booking_is_refused(self):
        page = self.signed_in("thuky")
        self.fill_in(page, ["BA-1", "NS-1"])
        page.get_by_role("button", name="Đặt và gửi lời mời").click()
        refusal = page.locator(".refusal")
        refusal.wait_for()
        assert "Điểm cầu Huyện Bác Ái" in refusal.inner_text()
        assert TITLE in refusal.inner_text()
        assert "Ninh Sơn" not in refusal.inner_text()
        offers = refusal.get_by_role("button")
        assert offers.count() >= 3
        assert page.locator('input[name="endpoint"]:checked').count() == 2
        self.photograph(page, "refusal")
        offers.nth(2).click()
        page.wait_for_url(re.compile(r"/meetings/[0-9a-f-]{36}$"))
        self.second = page.url.rpartition("/")[2]

    def everybody_is_invited(self):
        wait_for(lambda: len(self.post_office.mails) >= len(SITES) + 2, 60)
        self.links, uids = {}, set()
        for mail in self.post_office.mails:
            calendar = next(one for one in mail.walk() if one.get_content_type() == "text/calendar")
            assert calendar["Content-Type"].params["method"] == "REQUEST"
            event = Calendar.from_ical(calendar.get_content()).walk("VEVENT")[0]
            if event["UID"] != self.uid:
                continue
            uids.add(event["UID"])
            assert event.decoded("DTSTART") == self.starts
            assert event.decoded("DTEND") == self.ends
            assert event["SUMMARY"] == TITLE
            assert str(event["ORGANIZER"]) == "mailto:hoinghi@ninhthuan.example"
            address = str(event["ATTENDEE"]).removeprefix("mailto:")
            assert mail["To"].addresses[0].addr_spec == address
            code = address.partition("@")[0].upper()
            text = mail.get_body(("plain",)).get_content()
            reply = re.search(r"http\S+/reply/\S+", text).group()
            self.links[code] = (reply, str(event["CONFERENCE"]))
        assert uids == {self.uid}
        assert set(self.links) == set(SITES)

    def they_answer(self):
        page = self.person("BA-1").page
        page.goto(self.links["BA-1"][0])
        page.get_by_text("Có, tham dự").click()
        page.fill("#headcount", "12")
        page.fill("#delegates", "Đồng chí Chủ tịch UBND huyện và 11 cán bộ")
        self.photograph(page, "reply")
        page.get_by_role("button", name="Gửi trả lời").click()
        page.locator(".notice.good").wait_for()
        self.answer("STC-1", partstat="ACCEPTED", headcount="3")
        refused = self.answer("SYT-1", partstat="DECLINED")
        assert refused.status_code == 422
        assert "Hãy nêu lý do báo vắng." in refused.text
        assert self.answer("SYT-1", partstat="DECLINED", comment="Họp Bộ Y tế").status_code == 200

    def answer(self, code, **given):
        """Answer as a plain form does, without scripts."""
        headers = {"Accept-Language": "vi"}
        with httpx.Client(follow_redirects=True, trust_env=False, headers=headers) as client:
            page = client.get(self.links[code][0]).text
            for name in ("csrf_token", "sequence"):
                given[name] = re.search(rf'name="{name}" value="([^"]+)"', page).group(1)
            return client.post(self.links[code][0], data=given)

    def two_join_and_see_each_other(self):
        self.joined = {}
        for code in ("BA-1", "STC-1"):
            self.checked(code, self.links[code][1])
            person = self.people[code]
            if code == "BA-1":
                seen = "document.querySelector('[data-part=own]').currentTime > 0.5"
                wait_for(lambda seen=seen, page=person.page: page.evaluate(seen))
                self.photograph(person.page, "join-check")
            person.page.get_by_role("button", name="Vào họp").click()
            person.page.locator('[data-part="conference"]').wait_for(timeout=30_000)
            self.joined[code] = datetime.now(UTC)
        assert len(self.bridge.rooms()) == 1
        for code in self.joined:
            person = self.people[code]
            wait_for(lambda person=person: any(person.frames_decoded().values()), 20)
            before = sum(person.frames_decoded().values())
            time.sleep(3)
            assert sum(person.frames_decoded().values()) >= before + 15
        self.photograph(self.people["BA-1"].page, "conference")
        again = httpx.post(f"{self.links['BA-1'][1]}/ticket", trust_env=False)
        assert again.status_code == 400  # no form of ours, no ticket

    def checked(self, name, address):
        """Open a join page and check camera and microphone."""
        page = self.person(name).page
        page.goto(address)
        page.get_by_role("button", name="Kiểm tra camera và micrô").click()
        page.locator('[data-part="ready"]').wait_for(timeout=15_000)
        return page

    def a_guest_joins_with_the_pin(self):
        secretary = self.signed_in("thuky")
        secretary.goto(f"/meetings/{self.uid}")
        pin = secretary.locator("dd code").first.inner_text()
        address = secretary.get_by_role("link", name="Trang dành cho khách").get_attribute("href")
        page = self.checked("guest", address)
        self.photograph(page, "guest")
        page.fill("#name", "Ông Nguyễn Văn Khách")
        page.fill("#pin", "000000" if pin != "000000" else "111111")
        page.get_by_role("button", name="Vào họp").click()
        page.get_by_text("Mã PIN không đúng.").wait_for()
        page.fill("#pin", pin)
        page.get_by_role("button", name="Vào họp").click()
        page.locator('[data-part="conference"]').wait_for(timeout=30_000)
        wait_for(lambda: len(self.people["guest"].frames_decoded()) == 2, 20)

    def whoever_cannot_come_in_is_told_why(self):
        page = self.checked("BA-1 again", self.links["BA-1"][1])
        page.get_by_role("button", name="Vào họp").click()
        page.get_by_text("Điểm cầu này đang ở trong phòng họp.").wait_for()
        page = self.person("without camera").page
        page.add_init_script(REFUSE_CAMERA)
        page.goto(self.links["SYT-1"][1])
        page.get_by_role("button", name="Kiểm tra camera và micrô").click()
        page.get_by_text("Trình duyệt chưa được phép dùng camera và micrô.").wait_for()
        for name in ("BA-1 again", "without camera"):
            self.people.pop(name).page.close()

    def the_operator_sees_who_is_in(self):
        page = self.people["vanhanh"].page
        page.goto("/conferences")
        page.get_by_text(TITLE).first.wait_for()
        self.photograph(page, "live-list")
        page.get_by_text(TITLE).first.click()
        page.locator(".tiles li.in", has_text="Bác Ái").wait_for(timeout=10_000)
        page.locator(".tiles li.in", has_text="Sở Tài chính").wait_for()
        assert page.locator(".tiles li.missing").count() == 2
        self.photograph(page, "live")
        page.goto("/bridges")
        page.locator(".bridge", has_text="cau-a").locator(
            "dd", has_text=re.compile("^3/")
        ).wait_for(timeout=25_000)
        self.photograph(page, "bridges")

    def one_leaves_and_the_meeting_ends(self):
        wait_for(lambda: datetime.now(UTC) > self.starts + timedelta(seconds=12), 200)
        page = self.people["STC-1"].page
        page.get_by_role("button", name="Rời họp").click()
        self.left = {"STC-1": datetime.now(UTC)}
        operator = self.people["vanhanh"].page
        operator.goto("/conferences")
        operator.get_by_text(TITLE).first.click()
        operator.locator(".tiles li.missing", has_text="Sở Tài chính").wait_for(timeout=10_000)
        over = self.people["BA-1"].page.locator('[data-part="message"]', has_text="kết thúc")
        over.wait_for(timeout=120_000)
        self.left["BA-1"] = datetime.now(UTC)
        assert abs(self.left["BA-1"] - self.ends) < timedelta(seconds=10)
        assert self.bridge.rooms() == []
        self.photograph(self.people["BA-1"].page, "join-over")

    def attendance_says_who_came(self):
        with self.service.api("thuky@ninhthuan.example") as api:
            wait_for(lambda: api.get(f"/meetings/{self.uid}").json()["state"] == "over")
            found = api.get(f"/meetings/{self.uid}/attendance").json()
        sites = {site["endpoint"]: site for site in found["sites"]}
        for code, joined in self.joined.items():
            assert len(sites[code]["sessions"]) == 1, (found, self.joined, self.left)
            (session,) = sites[code]["sessions"]
            assert near(session["joined"], joined)
            assert near(session["left"], self.left[code])
            assert session["source"] == "event"
            assert sites[code]["state"] == "present_online"
        assert sites["BA-1"]["headcount"] == 12
        assert sites["UBND-1"]["state"] == sites["SYT-1"]["state"] == "absent"
        assert sites["SYT-1"]["reason"] == "Họp Bộ Y tế"
        (guest,) = found["uninvited"]
        assert guest["name"] == "Ông Nguyễn Văn Khách"
        assert near(guest["sessions"][0]["left"], self.ends)
        assert found["gaps"] == []
        page = self.signed_in("thuky")
        page.goto(f"/meetings/{self.uid}")
        self.photograph(page, "meeting")
        page.get_by_role("link", name="Điểm danh").click()
        page.locator("tr", has_text="Bác Ái").locator(".badge.present_online").wait_for()
        self.photograph(page, "attendance")

    def tomorrow_is_filled(self):
        """Book an ordinary working day, so that its picture shows something."""
        eight = (self.starts.astimezone(ZONE) + timedelta(days=1)).replace(hour=8, minute=0)
        booked = [
            ("Giao ban tuần", 0, 90, ["UBND-1", "PRTC-1", "BA-1", "NS-1", "NH-1", "NP-1", "TB-1"]),
            ("Phòng chống bão số 14", 120, 60, ["UBND-1", "NH-1", "TN-1", "SNNPTNT-1"]),
            ("Sơ kết chuyển đổi số", 330, 120, ["UBND-1", "STTTT-1", "SKHCN-1", "STC-1", "BA-1"]),
        ]
        with self.service.api("thuky@ninhthuan.example") as api:
            for title, after, minutes, codes in booked:
                start = (eight + timedelta(minutes=after)).isoformat()
                endpoints = [{"code": code} for code in codes]
                given = {"title": title, "start": start, "minutes": minutes, "endpoints": endpoints}
                assert api.post("/meetings", json=given).status_code == 201
        return eight

    def every_page_has_been_seen(self):
        tomorrow = self.tomorrow_is_filled()
        page = self.signed_in("thuky")
        for name, address in [
            ("meetings", "/meetings"),
            ("day", f"/meetings/day/{tomorrow:%Y-%m-%d}"),
            ("endpoints", "/endpoints"),
            ("endpoint", "/endpoints/BA-1"),
            ("meeting-edit", f"/meetings/{self.second}/edit"),
            ("outbox", "/outbox"),
        ]:
            assert page.goto(address).status == 200
            self.photograph(page, name)
        assert page.goto("/meetings/no-such-meeting").status == 404
        self.photograph(page, "not-found")
        page.goto("/outbox")
        page.get_by_role("link", name=TITLE).first.click()
        page.locator("pre.mail").first.wait_for()
        self.photograph(page, "mail")
        page.get_by_role("button", name="English").click()
        page.get_by_role("link", name="Meetings").wait_for()
        page.set_viewport_size({"width": 390, "height": 800})
        page.goto("/meetings/new")
        self.photograph(page, "booking-telephone")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


REFUSE_CAMERA = """
navigator.mediaDevices.getUserMedia = async () => {
  throw new DOMException("not allowed", "NotAllowedError");
};
"""


def near(text, moment):
    return abs(datetime.fromisoformat(text) - moment) < timedelta(seconds=5)
