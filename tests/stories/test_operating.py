"""Sites get ready, an operator runs the conference, and every button does what it says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.stories.conftest import Bridge, wait_for

SITES = ["STC-1", "SYT-1", "BA-1"]
LEAD = 1  # minute


@pytest.mark.timeout(300)
def test_an_operator_runs_a_conference(one_service, tmp_path, visit, photograph):
    bridge = Bridge(tmp_path, one_service)
    try:
        one_service.set_up(tmp_path / "janus")
        one_service.start()
        with one_service.api("quantri@ninhthuan.example") as api:
            Evening(one_service, api, visit, photograph).go()
    finally:
        bridge.stop()


class Evening:
    """One conference, from the test of the lines to its end."""

    def __init__(self, service, api, visit, photograph):
        self.service, self.api, self.visit, self.photograph = service, api, visit, photograph
        self.people = {}

    def go(self):
        self.it_is_booked()
        self.a_site_tests_its_line_and_signs_off()
        self.the_board_says_who_is_ready()
        self.two_join_and_one_raises_a_hand()
        self.one_is_muted_and_may_speak_again()
        self.everybody_reads_a_message()
        self.a_locked_conference_lets_nobody_new_in()
        self.one_is_put_out_and_stays_out()
        self.it_lasts_longer_as_far_as_it_can()
        self.what_is_wrong_is_on_the_list()
        self.it_is_ended()
        for person in self.people.values():
            assert person.complaints == []

    def it_is_booked(self):
        wait_for(lambda: self.api.get("/bridges/cau-a").json()["state"] == "up")
        soon = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=LEAD)
        self.starts = soon
        given = {"title": "Tổng kết công tác dân vận", "start": soon.isoformat(), "minutes": 30}
        endpoints = [{"code": code} for code in SITES]
        endpoints[0]["role"] = "main"
        given |= {"lead_minutes": LEAD, "host": "UBND", "endpoints": endpoints}
        answer = self.api.post("/meetings", json=given)
        assert answer.status_code == 201, answer.text
        self.meeting = answer.json()
        self.number = self.meeting["occurrences"][0]["id"]
        after = self.starts + timedelta(minutes=50)
        later = {**given, "start": after.isoformat(), "endpoints": [{"code": "BA-1"}]}
        later |= {"title": "Giao ban huyện", "lead_minutes": 0}
        assert self.api.post("/meetings", json=later).status_code == 201

    def person(self, code):
        if code not in self.people:
            self.people[code] = self.visit(self.service.url)
            known = {one["endpoint"]: one["join_url"] for one in self.meeting["attendees"]}
            page = self.people[code].page
            page.goto(known[code])
            page.get_by_role("button", name="Kiểm tra camera và micrô").click()
        return self.people[code].page

    def a_site_tests_its_line_and_signs_off(self):
        page = self.person("STC-1")
        page.get_by_role("button", name="Kiểm tra đường truyền qua cầu").click()
        page.get_by_role("button", name="Có", exact=True).click(timeout=30_000)
        page.get_by_text("hình và tiếng đã quay về").wait_for()
        self.photograph(page, "line-test")
        page.get_by_text("Báo điểm cầu đã sẵn sàng chưa").click()
        for point in ("power", "picture", "sound", "line", "account"):
            page.check(f'input[name="{point}"][value="ok"]')
        page.get_by_role("button", name="Báo cán bộ vận hành").click()
        page.wait_for_url("**#ready")
        # The page was loaded anew: camera and microphone are checked again.
        page.get_by_role("button", name="Kiểm tra camera và micrô").click()

    def the_board_says_who_is_ready(self):
        self.operator = self.visit(self.service.url)
        self.people["operator"] = self.operator
        email = "vanhanh@ninhthuan.example"
        page = self.operator.sign_in(email, self.service.passwords[email])
        page.goto(f"/conferences/{self.number}/readiness")
        page.get_by_text("1/3 điểm cầu đã sẵn sàng").first.wait_for()
        row = page.locator("tr", has_text="Sở Tài chính")
        assert row.locator(".dot.ok").count() == 5
        assert "đã quay về" in row.inner_text()
        assert page.locator(".calls li").count() == 2
        self.photograph(page, "readiness")

    def two_join_and_one_raises_a_hand(self):
        for code in SITES[:2]:
            self.person(code).get_by_role("button", name="Vào họp").click()
        wait_for(lambda: len(self.inside()) == 2, 60)
        self.person("SYT-1").get_by_role("button", name="Giơ tay").click()
        page = self.operator.page
        page.goto(f"/conferences/{self.number}")
        self.tile("Sở Y tế").get_by_text("giơ tay").wait_for()
        wait_for(lambda: all(one["loss"] is not None for one in self.inside()))

    def inside(self):
        return self.api.get(f"/conferences/{self.number}").json()["participants"]

    def tile(self, name):
        return self.operator.page.locator("#conference .tiles li", has_text=name)

    def one_is_muted_and_may_speak_again(self):
        self.tile("Sở Y tế").get_by_role("button", name="Tắt micrô").click()
        self.person("SYT-1").get_by_text("đã tắt tiếng điểm cầu này").wait_for(timeout=15_000)
        assert [one["muted"] for one in self.inside()].count(True) == 1
        self.tile("Sở Y tế").get_by_role("button", name="Cho nói").click()
        wait_for(lambda: not any(one["muted"] for one in self.inside()))

    def everybody_reads_a_message(self):
        page = self.operator.page
        page.fill("#text", "Xin các điểm cầu tắt micrô khi không phát biểu")
        page.get_by_role("button", name="Gửi", exact=True).click()
        for code in SITES[:2]:
            self.person(code).get_by_text("Xin các điểm cầu tắt micrô").wait_for(timeout=15_000)
        self.photograph(page, "operating")
        page.set_viewport_size({"width": 390, "height": 800})
        self.photograph(page, "operating-telephone")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        page.set_viewport_size({"width": 1200, "height": 860})

    def a_locked_conference_lets_nobody_new_in(self):
        page = self.operator.page
        page.get_by_role("button", name="Khóa: không ai vào thêm").click()
        page.get_by_role("button", name="Mở khóa").wait_for()
        self.person("BA-1").get_by_role("button", name="Vào họp").click()
        self.person("BA-1").get_by_text("Hội nghị đã khóa").wait_for(timeout=15_000)
        page.get_by_role("button", name="Mở khóa").click()
        wait_for(lambda: len(self.inside()) == 3, 30)

    def one_is_put_out_and_stays_out(self):
        self.tile("Sở Y tế").get_by_role("button", name="Mời ra").click()
        wait_for(lambda: len(self.inside()) == 2, 20)
        page = self.person("SYT-1")
        page.get_by_role("button", name="Vào lại").click()
        page.get_by_role("button", name="Vào họp").click()
        page.get_by_text("đã đưa điểm cầu này ra khỏi hội nghị").wait_for()
        self.tile("Sở Y tế").get_by_role("button", name="Cho vào lại").click()
        wait_for(lambda: not self.tile("Sở Y tế").get_by_role("button", name="Cho vào lại").count())
        page.get_by_role("button", name="Vào họp").click()
        wait_for(lambda: len(self.inside()) == 3, 30)

    def it_lasts_longer_as_far_as_it_can(self):
        page = self.operator.page
        page.fill("#minutes", "60")
        page.get_by_role("button", name="Kéo dài", exact=True).click()
        page.get_by_text("Huyện Bác Ái có lịch khác lúc").wait_for()
        assert page.input_value("#minutes") == "20"
        self.photograph(page, "extend")
        page.get_by_role("button", name="Kéo dài", exact=True).click()
        wait_for(lambda: self.ends() == self.starts + timedelta(minutes=50))

    def ends(self):
        found = self.api.get(f"/conferences/{self.number}").json()
        return datetime.fromisoformat(found["end"])

    def what_is_wrong_is_on_the_list(self):
        self.person("BA-1").get_by_role("button", name="Rời họp").click()
        page = self.operator.page
        page.goto("/duty")
        self.photograph(page, "duty")
        assert page.get_by_role("heading", name="Trực vận hành").is_visible()

    def it_is_ended(self):
        page = self.operator.page
        page.goto(f"/conferences/{self.number}")
        wait_for(lambda: datetime.now(UTC) > self.starts, 120)
        page.locator(".ending summary").click()
        page.get_by_role("button", name="Kết thúc ngay").click()
        self.person("STC-1").get_by_text("Hội nghị đã kết thúc").wait_for(timeout=30_000)
        wait_for(lambda: self.api.get(f"/meetings/{self.meeting['uid']}").json()["state"] == "over")
