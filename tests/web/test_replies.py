"""The page behind the signed link: who may answer, and what counts."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from confbridge.database import db, transaction
from confbridge.inputs import parse
from confbridge.inputs.meetings import MeetingChange
from confbridge.models import Attendee, Mail
from confbridge.services import access, links, meetings
from tests import factories
from tests.factories import scalar
from tests.web.forms import link, post


@pytest.fixture
def meeting(cast):
    return factories.meeting(cast.ann)


def answer_of(meeting):
    """What the first attendee has answered, as the database has it now."""
    asked = select(Attendee.partstat).where(Attendee.meeting_id == meeting.id)
    return scalar(asked.order_by(Attendee.id).limit(1))


def test_an_answer_to_a_superseded_time_does_not_count(client, cast, meeting):
    old = {"partstat": "ACCEPTED", "sequence": "0"}
    later = factories.soon(48).isoformat()
    with transaction():
        found = access.meeting(cast.ann, meeting.uid, to_change=True)
        meetings.change(found, parse(MeetingChange, {"start": later}), by=cast.ann)
    answer = post(client, link(meeting), on=link(meeting), **old)
    assert answer.status_code == 409
    assert "đã thay đổi" in answer.text
    assert answer_of(meeting) == "NEEDS-ACTION"
    assert (
        post(client, link(meeting), on=link(meeting), **old | {"sequence": "1"}).status_code == 303
    )


def test_an_endpoint_answers_without_signing_in(client, cast, meeting):
    given = {"partstat": "ACCEPTED", "headcount": "12", "delegates": "Ông A\nBà B", "sequence": "0"}
    answer = post(client, link(meeting), on=link(meeting), **given)
    assert answer.status_code == 303
    assert "Tham dự" in client.get(answer.location).text
    assert answer_of(meeting) == "ACCEPTED"


@pytest.mark.parametrize("method", ["get", "head"])
def test_looking_at_the_link_changes_nothing(client, cast, meeting, method):
    before = scalar(select(func.count()).select_from(Mail))
    assert getattr(client, method)(f"{link(meeting)}?partstat=ACCEPTED").status_code == 200
    assert answer_of(meeting) == "NEEDS-ACTION"
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
    assert answer_of(meeting) == "NEEDS-ACTION"


@pytest.mark.parametrize("page", ["reply", "join", "guest"])
def test_a_forged_link_leads_nowhere(client, cast, meeting, page):
    real = links.for_attendee(meeting.attendees[0].id)
    for forged in (real[:-1] + ("A" if real[-1] != "A" else "B"), "MQ.x", "x"):
        assert client.get(f"/{page}/{forged}").status_code == 404


def test_a_link_for_one_purpose_does_not_serve_another(client, cast, meeting):
    assert client.get(f"/guest/{links.for_attendee(1)}").status_code == 404
    assert client.get(f"/reply/{links.for_guests(1)}").status_code == 404


def test_a_damaged_link_does_not_lead_to_where_one_must_sign_in(client, cast):
    answer = client.get("/reply/damaged")
    assert answer.status_code == 404
    assert "Về danh sách cuộc họp" not in answer.text
    assert "đầu mối" in answer.text


def test_who_declines_brings_nobody(client, cast, meeting):
    given = {"partstat": "DECLINED", "comment": "Bận", "headcount": "4", "sequence": "0"}
    assert post(client, link(meeting), on=link(meeting), **given).status_code == 303
    db.session.rollback()
    db.session.expire_all()
    answered = access.meeting(cast.ann, meeting.uid).attendees[0]
    assert (answered.partstat, answered.headcount) == ("DECLINED", None)
