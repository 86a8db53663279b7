"""Pages: who may see them, what they say, and how much they ask of the database."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select

from confbridge.database import db, transaction
from confbridge.inputs import parse
from confbridge.inputs.meetings import MeetingChange
from confbridge.models import Account, Mail, Meeting
from confbridge.services import access, accounts, links, meetings
from tests import factories
from tests.conftest import Client, service
from tests.factories import Statements, scalar, sign_in

PASSWORD = "a-long-enough-password"


@pytest.fixture
def meeting(cast):
    return factories.meeting(cast.ann)


def token_in(page):
    return re.search(r'name="csrf_token" value="([^"]+)"', page.text).group(1)


def post(client, address, on="/sign-in", **given):
    """Send a form as a browser does: with the token of the page it stands on."""
    given["csrf_token"] = token_in(client.get(on, follow_redirects=True))
    return client.post(address, data=given)


def form(**given):
    start = factories.soon().astimezone(ZoneInfo("Asia/Ho_Chi_Minh"))
    return {
        "title": "Giao ban",
        "start": f"{start:%Y-%m-%dT%H:%M}",
        "minutes": "60",
        "endpoint": ["E-1", "E-2"],
        "main": "E-1",
    } | given


def counted(model):
    return scalar(select(func.count()).select_from(model))


#           ann  bob  carla dan olga
SEEN = {
    "/meetings": (200, 200, 200, 200, 200),
    "/meetings?past=1": (200, 200, 200, 200, 200),
    "/meetings/day": (200, 200, 200, 200, 200),
    "/meetings/new": (200, 403, 200, 200, 403),
    "/meetings/{uid}": (200, 200, 200, 404, 200),
    "/meetings/{uid}/edit": (200, 403, 200, 404, 403),
    "/endpoints": (200, 200, 200, 200, 200),
    "/endpoints/E-1": (200, 200, 200, 200, 200),
    "/bridges": (403, 403, 200, 403, 200),
    "/conferences": (200, 200, 200, 200, 200),
    "/conferences/{occurrence}": (200, 403, 200, 404, 200),
    "/conferences/{occurrence}/attendance": (200, 403, 200, 404, 200),
    "/outbox": (200, 403, 200, 200, 200),
    "/outbox/{mail}": (200, 403, 200, 404, 200),  # a mail holds the links of its endpoint
}


def addresses(meeting):
    mail = scalar(select(Mail.id).limit(1))
    return {
        page: page.format(uid=meeting.uid, occurrence=meeting.occurrence.id, mail=mail)
        for page in SEEN
    }


@pytest.mark.parametrize("place", range(5), ids=["ann", "bob", "carla", "dan", "olga"])
def test_who_sees_which_page(client, cast, meeting, place):
    who = [cast.ann, cast.bob, cast.carla, cast.dan, cast.olga][place]
    sign_in(client, who)
    found = {page: client.get(address).status_code for page, address in addresses(meeting).items()}
    assert found == {page: statuses[place] for page, statuses in SEEN.items()}


def test_eve_sees_nothing_but_the_door(client, cast, meeting):
    for address in addresses(meeting).values():
        answer = client.get(address)
        assert (answer.status_code, answer.location.partition("?")[0]) == (303, "/sign-in")


def test_dan_never_reads_a_title_that_is_not_his(client, cast, meeting):
    sign_in(client, cast.dan)
    for address in ("/meetings", "/meetings/day", "/endpoints/E-1", "/conferences", "/outbox"):
        assert meeting.title not in client.get(address).text


@pytest.mark.parametrize("deed", ["cancel", "remind", "replies", "edit"])
@pytest.mark.parametrize("who", ["bob", "dan", "olga"])
def test_who_may_not_change_a_meeting_cannot(client, cast, meeting, deed, who):
    sign_in(client, getattr(cast, who))
    answer = post(
        client,
        f"/meetings/{meeting.uid}/{deed}",
        on="/meetings",
        reason="x",
        endpoint="E-1",
        partstat="ACCEPTED",
    )
    assert answer.status_code == (404 if who == "dan" else 403)
    assert scalar(select(Meeting.version)) == 1


def test_without_its_token_a_form_changes_nothing(client, cast, meeting):
    sign_in(client, cast.ann)
    answer = client.post(f"/meetings/{meeting.uid}/cancel", data={"reason": "x"})
    assert answer.status_code == 400
    assert scalar(select(Meeting.state)) == "scheduled"


def test_a_form_books_a_meeting(client, cast):
    sign_in(client, cast.ann)
    answer = post(client, "/meetings/new", on="/meetings/new", **form())
    assert answer.status_code == 303
    shown = client.get(answer.location).text
    assert "Giao ban" in shown
    assert counted(Mail) == 2


def test_a_whole_group_is_chosen_without_scripts(client, cast):
    sign_in(client, cast.ann)
    given = form(endpoint=[], group=["district"])
    assert post(client, "/meetings/new", on="/meetings/new", **given).status_code == 303
    assert counted(Mail) == 4


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("title", "", "Không được để trống"),
        ("title", "x" * 10_000, "300 ký tự"),
        ("title", "a\x07b", "U+0007"),
        ("title", "<b>x</b>", "HTML"),
        ("agenda", "<script>alert(1)</script>", "HTML"),
        ("agenda", "a\x00b", "U+0000"),
        ("chair", "<i>x</i>", "HTML"),
        ("start", "", "Thiếu"),
        ("start", "2020-01-01T08:00", "đã qua"),
        ("start", "never", "ngày giờ"),
        ("minutes", "1500", "1440"),
        ("minutes", "-5", "Ít nhất là 1"),
        ("minutes", "one", "số nguyên"),
        ("guest_ports", "x", "số nguyên"),
        ("endpoint", ["NOWHERE"], "NOWHERE"),
    ],
)
def test_bad_input_is_told_at_its_field_and_nothing_is_kept(client, cast, field, value, said):
    sign_in(client, cast.ann)
    given = form(**{field: value})
    if field == "endpoint":
        given["main"] = ""
    answer = post(client, "/meetings/new", on="/meetings/new", **given)
    assert answer.status_code == 422
    place = "endpoints" if field == "endpoint" else field
    problem = re.search(rf'id="problem-{place}">([^<]+)<', answer.text)
    assert problem, answer.text
    assert said in problem.group(1)
    assert "<script>alert" not in answer.text
    assert counted(Meeting) == counted(Mail) == 0


def test_choosing_no_endpoint_is_told_at_the_list(client, cast):
    sign_in(client, cast.ann)
    given = form(endpoint=[], main="")
    answer = post(client, "/meetings/new", on="/meetings/new", **given)
    assert 'id="problem-endpoints"' in answer.text


def test_what_was_typed_survives_a_refusal_and_one_click_takes_a_free_time(client, cast, meeting):
    sign_in(client, cast.ann)
    given = form(title="Họp khẩn", agenda="Dòng 1", **{"optional-E-2": "1"})
    answer = post(client, "/meetings/new", on="/meetings/new", **given)
    assert answer.status_code == 409
    for kept in ("Họp khẩn", "Dòng 1", "Điểm cầu E-1", meeting.title):
        assert kept in answer.text
    offers = re.findall(r'name="take" value="([^"]+)"', answer.text)
    assert len(offers) >= 3
    taken = post(client, "/meetings/new", on="/meetings/new", **given, take=offers[0])
    assert taken.status_code == 303


def test_html_in_what_others_wrote_is_shown_as_text(client, cast):
    factories.meeting(cast.ann, title="5 < 6 & 'x' \"y\"", agenda="a < b")
    sign_in(client, cast.ann)
    assert "5 &lt; 6 &amp; &#39;x&#39; &#34;y&#34;" in client.get("/meetings").text


def test_a_meeting_is_changed_by_its_form(client, cast, meeting):
    sign_in(client, cast.ann)
    given = form(title="Khác", version="1", endpoint=["E-1", "E-3"])
    address = f"/meetings/{meeting.uid}/edit"
    assert post(client, address, on=address, **given).status_code == 303
    shown = client.get(f"/meetings/{meeting.uid}").text
    assert "Khác" in shown
    assert "Điểm cầu E-3" in shown
    stale = post(client, address, on=address, **form(title="Cũ", version="1"))
    assert stale.status_code == 412


def test_an_edit_of_the_title_leaves_the_rest_of_the_booking(client, cast):
    several = [{"code": "E-1", "ports": 2}, {"code": "E-2", "role": "optional"}]
    meeting = factories.meeting(cast.ann, endpoints=several)
    sign_in(client, cast.ann)
    address = f"/meetings/{meeting.uid}/edit"
    shown = client.get(address).text
    given = form(title="Khác", version="1", main="", **{"optional-E-2": "1"})
    given["minutes"] = re.search(r'name="minutes"[^>]* value="(\d+)"', shown).group(1)
    assert post(client, address, on=address, **given).status_code == 303
    db.session.rollback()
    db.session.expire_all()
    now = access.meeting(cast.ann, meeting.uid)
    assert [(one.ports, one.role) for one in now.attendees] == [(2, "required"), (1, "optional")]
    assert (now.title, now.sequence) == ("Khác", 0)


def test_an_invited_organisation_does_not_read_the_mails_of_the_others(client, cast):
    theirs = factories.endpoint("D-1", cast.other)
    meeting = factories.meeting(cast.ann, ["E-1", theirs.code])
    sign_in(client, cast.dan)
    assert client.get(f"/meetings/{meeting.uid}").status_code == 200
    assert meeting.title not in client.get("/outbox").text
    for number in (1, 2):
        assert client.get(f"/outbox/{number}").status_code == 404
    assert "/join/" not in client.get(f"/meetings/{meeting.uid}").text


def test_an_answer_to_a_superseded_time_does_not_count(client, cast, meeting):
    old = {"partstat": "ACCEPTED", "sequence": "0"}
    later = factories.soon(48).isoformat()
    with transaction():
        found = access.meeting(cast.ann, meeting.uid, to_change=True)
        meetings.change(found, parse(MeetingChange, {"start": later}), by=cast.ann)
    answer = post(client, link(meeting), on=link(meeting), **old)
    assert answer.status_code == 409
    assert "đã thay đổi" in answer.text
    assert (
        post(client, link(meeting), on=link(meeting), **old | {"sequence": "1"}).status_code == 303
    )


def test_a_page_that_asks_for_itself_is_led_to_the_door_once_signed_out(client, cast):
    answer = client.get("/bridges", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (401, "/sign-in")


@pytest.mark.parametrize(
    "address",
    [
        "/meetings?q=%00",
        "/endpoints?q=%00",
        "/meetings/day/0001-01-01",
        "/meetings/day/9999-12-31",
        "/meetings/day/x",
        "/meetings?after=x_y",
    ],
)
def test_nonsense_in_an_address_breaks_nothing(client, cast, address):
    sign_in(client, cast.ann)
    assert client.get(address).status_code in {200, 400, 422}


def test_behind_https_forms_work_and_cookies_are_secure(database_url, tmp_path):
    with service(database_url, tmp_path, base_url="https://hoinghi.example") as app:
        factories.cast()
        app.test_client_class = Client
        check_https(app.test_client())


def check_https(client):
    from_proxy = {"X-Forwarded-Proto": "https"}
    answer = client.get("/sign-in", headers=from_proxy)
    assert "Secure" in answer.headers["Set-Cookie"]
    given = {"csrf_token": token_in(answer), "email": "x", "password": "y"}
    cookie = {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}
    refused = client.post("/sign-in", data=given, headers=from_proxy | cookie)
    assert refused.status_code == 403
    assert "Strict-Transport-Security" in answer.headers
    assert client.get("/healthz").status_code == 200


def test_a_cancellation_without_a_reason_is_refused(client, cast, meeting):
    sign_in(client, cast.ann)
    address = f"/meetings/{meeting.uid}/cancel"
    assert post(client, address, on="/meetings", reason=" ").status_code == 422
    assert post(client, address, on="/meetings", reason="Bão", version="1").status_code == 303
    assert "Bão" in client.get(f"/meetings/{meeting.uid}").text


def link(meeting):
    return f"/reply/{links.for_attendee(meeting.attendees[0].id)}"


def test_an_endpoint_answers_without_signing_in(client, cast, meeting):
    given = {"partstat": "ACCEPTED", "headcount": "12", "delegates": "Ông A\nBà B", "sequence": "0"}
    answer = post(client, link(meeting), on=link(meeting), **given)
    assert answer.status_code == 303
    assert "Tham dự" in client.get(answer.location).text


@pytest.mark.parametrize("method", ["get", "head"])
def test_looking_at_the_link_changes_nothing(client, cast, meeting, method):
    before = scalar(select(func.count()).select_from(Mail))
    assert getattr(client, method)(f"{link(meeting)}?partstat=ACCEPTED").status_code == 200
    assert {one.partstat for one in meeting.attendees} == {"NEEDS-ACTION"}
    assert scalar(select(func.count()).select_from(Mail)) == before


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"partstat": "DECLINED"},
        {"partstat": "ACCEPTED", "headcount": "-1"},
        {"partstat": "ACCEPTED", "comment": "<b>x</b>"},
        {"partstat": "ACCEPTED", "delegates": "a\x00b"},
        {"partstat": "NEEDS-ACTION"},
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(client, cast, meeting, given):
    refused = post(client, link(meeting), on=link(meeting), **given, sequence="0")
    assert refused.status_code == 422
    assert "NEEDS-ACTION" in {one.partstat for one in meeting.attendees}


@pytest.mark.parametrize("page", ["reply", "join", "guest"])
def test_a_forged_link_leads_nowhere(client, cast, meeting, page):
    real = links.for_attendee(meeting.attendees[0].id)
    for forged in (real[:-1] + ("A" if real[-1] != "A" else "B"), "MQ.x", "x"):
        assert client.get(f"/{page}/{forged}").status_code == 404


def test_a_link_for_one_purpose_does_not_serve_another(client, cast, meeting):
    assert client.get(f"/guest/{links.for_attendee(1)}").status_code == 404
    assert client.get(f"/reply/{links.for_guests(1)}").status_code == 404


def test_the_join_page_says_when_the_room_opens_and_lets_only_bridges_in(client, cast, meeting):
    answer = client.get(link(meeting).replace("reply", "join"))
    assert answer.status_code == 200
    assert "Phòng họp mở lúc" in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "connect-src 'self' ws://127.0.0.1:1;" in policy


def test_a_ticket_is_refused_before_the_room_is_open(client, cast, meeting):
    address = link(meeting).replace("reply", "join")
    csrf = re.search(r'data-csrf="([^"]+)"', client.get(address).text).group(1)
    answer = client.post(f"{address}/ticket", headers={"X-CSRFToken": csrf})
    assert answer.json["door"] == "early"
    assert "token" not in answer.json


def test_no_page_may_load_from_another_host(client, cast, meeting):
    sign_in(client, cast.carla)
    for address in addresses(meeting).values():
        answer = client.get(address)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert not re.search(r'(?:src|href)="(?:https?:)?//(?!127\.0\.0\.1:8000/)', answer.text)
        assert not re.search(r"<[^>]+\sstyle=", answer.text)
        assert "<style" not in answer.text


def test_pages_are_vietnamese_unless_english_is_wanted(client, cast):
    sign_in(client, cast.ann)
    assert 'lang="vi"' in client.get("/meetings").text
    english = client.get("/meetings", headers={"Accept-Language": "en-GB,en;q=0.9"})
    assert "Book a meeting" in english.text
    assert post(client, "/language", on="/meetings", language="en").status_code == 303
    assert "Book a meeting" in client.get("/meetings", headers={"Accept-Language": "vi"}).text
    assert scalar(select(Account.language).where(Account.name == "Ann")) == "en"


def with_password(cast):
    with transaction():
        return accounts.create(
            "thuky@example.org", PASSWORD, role="secretariat", organisation=cast.home, name="T"
        )


def test_signing_in_and_out(client, cast):
    with_password(cast)
    answer = post(
        client, "/sign-in", email="Thuky@Example.org", password=PASSWORD, next="/endpoints"
    )
    assert (answer.status_code, answer.location) == (303, "/endpoints")
    assert client.get("/endpoints").status_code == 200
    post(client, "/sign-out", on="/endpoints")
    assert client.get("/endpoints").status_code == 303


@pytest.mark.parametrize("address", ["//evil.example", "https://evil.example/", "/\\evil.example"])
def test_signing_in_never_leads_to_another_host(client, cast, address):
    with_password(cast)
    answer = post(client, "/sign-in", email="thuky@example.org", password=PASSWORD, next=address)
    assert answer.location == "/meetings"


def test_five_wrong_passwords_lock_the_account_for_a_while(client, cast, clock_at):
    with_password(cast)
    for _ in range(5):
        wrong = post(client, "/sign-in", email="thuky@example.org", password="wrong")
        assert wrong.status_code == 403
    assert post(client, "/sign-in", email="thuky@example.org", password=PASSWORD).status_code == 403
    clock_at(factories.soon(2))
    assert post(client, "/sign-in", email="thuky@example.org", password=PASSWORD).status_code == 303


def test_an_unknown_address_is_refused_in_the_same_words(client, cast):
    with_password(cast)
    known = post(client, "/sign-in", email="thuky@example.org", password="wrong")
    unknown = post(client, "/sign-in", email="nobody@example.org", password="wrong")
    said = [re.search(r'role="alert">([^<]+)<', one.text).group(1) for one in (known, unknown)]
    assert said[0] == said[1]


def test_the_list_asks_the_same_number_of_questions_however_long_it_is(client, cast):
    sign_in(client, cast.ann)

    def asked():
        with Statements() as statements:
            assert client.get("/meetings").status_code == 200
        return len(statements.asked)

    factories.meeting(cast.ann, ["E-1"], start=factories.soon(24).isoformat())
    few = asked()
    for hour in range(25, 40):
        factories.meeting(cast.ann, cast.codes, start=factories.soon(hour).isoformat())
    assert asked() == few <= 12


@pytest.mark.parametrize("address", ["/nowhere", "/meetings/x", "/outbox/999", "/conferences/999"])
def test_what_is_not_there_is_a_page_of_its_own(client, cast, address):
    sign_in(client, cast.ann)
    answer = client.get(address)
    assert answer.status_code == 404
    assert "Về danh sách cuộc họp" in answer.text


def test_a_damaged_link_does_not_lead_to_where_one_must_sign_in(client, cast):
    answer = client.get("/reply/damaged")
    assert answer.status_code == 404
    assert "Về danh sách cuộc họp" not in answer.text
    assert "đầu mối" in answer.text


def test_a_stale_form_keeps_what_was_typed(client, cast, meeting):
    sign_in(client, cast.ann)
    address = f"/meetings/{meeting.uid}/edit"
    post(client, address, on=address, **form(title="Trước", version="1"))
    stale = post(client, address, on=address, **form(title="Sau", version="1"))
    assert stale.status_code == 412
    assert "Sau" in stale.text
    assert 'name="version" value="2"' in stale.text
    assert post(client, address, on=address, **form(title="Sau", version="2")).status_code == 303


def test_what_is_cancelled_has_no_form_to_change_it(client, cast, meeting):
    sign_in(client, cast.ann)
    post(client, f"/meetings/{meeting.uid}/cancel", on="/meetings", reason="Bão")
    assert client.get(f"/meetings/{meeting.uid}/edit").status_code == 303


def test_who_declines_brings_nobody(client, cast, meeting):
    given = {"partstat": "DECLINED", "comment": "Bận", "headcount": "4", "sequence": "0"}
    assert post(client, link(meeting), on=link(meeting), **given).status_code == 303
    db.session.rollback()
    db.session.expire_all()
    answered = access.meeting(cast.ann, meeting.uid).attendees[0]
    assert (answered.partstat, answered.headcount) == ("DECLINED", None)


def test_the_first_button_after_a_refusal_is_no_offer(client, cast, meeting):
    sign_in(client, cast.ann)
    answer = post(client, "/meetings/new", on="/meetings/new", **form())
    buttons = re.findall(r'<button[^>]*form="booking"[^>]*>', answer.text)
    assert "take" not in buttons[0]
    assert all("take" in one for one in buttons[1:])


def test_a_fragment_is_the_part_of_its_page(client, cast, meeting):
    sign_in(client, cast.olga)
    whole = client.get("/bridges").text
    part = client.get("/bridges", headers={"HX-Request": "true"}).text
    assert "<html" in whole
    assert "<html" not in part
    assert 'id="bridges"' in part
