"""What may be asked of a meeting: text in, draft or problems out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from confbridge.errors import Invalid
from confbridge.inputs import forms, parse
from confbridge.inputs.meetings import Answer, Cancellation, MeetingChange, MeetingDraft
from tests.factories import body, soon

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")


def problems(**given: object) -> set[str]:
    with pytest.raises(Invalid) as refusal:
        parse(MeetingDraft, body(**given))
    return set(refusal.value.problems)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", ""),
        ("title", "   "),
        ("title", "x" * 10_000),
        ("title", "two\nlines"),
        ("title", "bell \x07"),
        ("title", "<script>alert(1)</script>"),
        ("title", "turned \u202e round"),
        ("title", None),
        ("title", 5),
        ("agenda", "nul \x00"),
        ("agenda", "<b>bold</b>"),
        ("agenda", "x" * 5001),
        ("chair", "<i>"),
        ("start", "2031-03-04T08:00:00"),
        ("start", "tomorrow"),
        ("start", "2020-01-01T08:00:00Z"),
        ("start", "2099-01-01T08:00:00Z"),
        ("start", 10**30),
        ("minutes", 0),
        ("minutes", -60),
        ("minutes", 25 * 60),
        ("minutes", "an hour"),
        ("minutes", 1.5),
        ("endpoints", []),
        ("endpoints", "E-1"),
        ("endpoints", [{"code": "E-1"}, {"code": "E-1"}]),
        ("endpoints", [{"code": "E-1", "role": "main"}, {"code": "E-2", "role": "main"}]),
        ("guest_ports", -1),
        ("lead_minutes", 10_000),
        ("host", "a b"),
    ],
)
def test_bad_input_is_named_at_its_field(field, value):
    assert problems(**{field: value}) == {field}


def test_problems_of_one_endpoint_are_named_at_its_place():
    endpoints = [{"code": "E-1"}, {"code": "E 2"}, {"code": "E-3", "role": "boss"}, {"ports": 1}]
    assert problems(endpoints=endpoints) == {
        "endpoints.1.code",
        "endpoints.2.role",
        "endpoints.3.code",
    }


def test_unknown_fields_are_refused():
    assert problems(titel="typing error") == {"titel"}


@pytest.mark.parametrize("given", [None, [], "text", 5])
def test_what_is_no_object_is_refused(given):
    with pytest.raises(Invalid):
        parse(MeetingDraft, given)


def test_text_is_kept_in_one_form_and_without_edges():
    assert parse(MeetingDraft, body(title="  Ho\u0323p ")).title == "H\u1ecdp"


def test_a_smaller_sign_is_no_html():
    assert parse(MeetingDraft, body(title="Doanh thu < 5 tỷ, a<5")).title.endswith("a<5")


def test_a_start_may_come_in_any_zone():
    start = soon().astimezone(timezone(timedelta(hours=7)))
    assert parse(MeetingDraft, body(start=start.isoformat())).start == start


@given(st.text(max_size=400))
def test_no_title_whatever_breaks_the_parser(title):
    try:
        draft = parse(MeetingDraft, body(title=title))
    except Invalid as refusal:
        assert set(refusal.problems) == {"title"}
    else:
        assert draft.title == draft.title.strip() != ""
        assert not {"\x00", "\n", "\x1b"} & set(draft.title)


def test_a_change_names_only_what_shall_be_different():
    assert parse(MeetingChange, {"title": "New"}).model_fields_set == {"title"}


def test_a_cancellation_needs_a_reason():
    with pytest.raises(Invalid) as refusal:
        parse(Cancellation, {"reason": " "})
    assert set(refusal.value.problems) == {"reason"}


@pytest.mark.parametrize(
    "given",
    [{}, {"partstat": "MAYBE"}, {"partstat": "ACCEPTED", "headcount": -1}],
)
def test_an_answer_that_makes_no_sense_is_refused(given):
    with pytest.raises(Invalid):
        parse(Answer, given)


def test_a_form_speaks_in_wall_clock_time():
    form = {
        "title": "T",
        "start": "2031-03-04T08:00",
        "minutes": "30",
        "optional-B": "1",
        "main": "A",
    }
    given = forms.meeting(MultiDict(form), ["A", "B", "C", "A"], ZONE)
    assert given["start"] == datetime(2031, 3, 4, 1, tzinfo=UTC)
    assert [(one["code"], one["role"]) for one in given["endpoints"]] == [
        ("A", "main"),
        ("B", "optional"),
        ("C", "required"),
    ]


def test_a_form_without_a_sensible_time_is_refused_at_the_start():
    form = {"title": "T", "start": "31/02/2031 25:00", "minutes": "x"}
    with pytest.raises(Invalid) as refusal:
        parse(MeetingDraft, forms.meeting(MultiDict(form), ["A"], ZONE))
    assert set(refusal.value.problems) == {"start", "minutes"}
