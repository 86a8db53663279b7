"""Booking, changing and cancelling by form, with and without scripts."""

from __future__ import annotations

import re

import pytest

from confbridge.database import db
from confbridge.models import Mail, Meeting
from confbridge.services import access
from tests import factories
from tests.factories import Statements, sign_in
from tests.web.forms import counted, form, post


@pytest.fixture
def meeting(cast):
    return factories.meeting(cast.ann)


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


def test_the_first_button_after_a_refusal_is_no_offer(client, cast, meeting):
    sign_in(client, cast.ann)
    answer = post(client, "/meetings/new", on="/meetings/new", **form())
    buttons = re.findall(r'<button[^>]*form="booking"[^>]*>', answer.text)
    assert "name=" not in buttons[0]
    assert any('name="take"' in one for one in buttons[1:])


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


def test_a_cancellation_without_a_reason_is_refused(client, cast, meeting):
    sign_in(client, cast.ann)
    address = f"/meetings/{meeting.uid}/cancel"
    assert post(client, address, on="/meetings", reason=" ").status_code == 422
    assert post(client, address, on="/meetings", reason="Bão", version="1").status_code == 303
    assert "Bão" in client.get(f"/meetings/{meeting.uid}").text


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
