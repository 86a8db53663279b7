"""The grid of endpoints, and what the secretary does in it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from confbridge import clock
from confbridge.models import Mail, Reply, Task
from tests import clients, factories
from tests.clients import Answer
from tests.factories import scalar, sign_in
from tests.services.mailing import attendee, come_in, mail_to, say
from tests.services.scheduling import count, monday_series, seen
from tests.web.forms import post


@pytest.fixture
def meeting(cast):
    return factories.meeting(cast.ann, ["E-1", "E-2", "E-3"])


def page(client, meeting, **query):
    return client.get(f"/meetings/{meeting.uid}", query_string=query).get_data(as_text=True)


def rows(text):
    grid = text[text.index('id="grid"') :]
    return [f"E-{number}" for number in range(1, 5) if f"/endpoints/E-{number}" in grid]


def test_the_grid_is_filtered_by_what_has_to_be_looked_at(client, cast, meeting):
    say(cast.ann, meeting, "E-1")
    say(cast.ann, meeting, "E-2", partstat="DECLINED")
    come_in(clients.simple(Answer(uid=meeting.uid, attendee="e-3@example.org"), sender="eve@x.org"))
    come_in(clients.bounce(mail_to(meeting).message_id))
    sign_in(client, cast.ann)
    assert rows(page(client, meeting)) == ["E-1", "E-2", "E-3"]
    assert rows(page(client, meeting, show="silent")) == ["E-3"]
    assert rows(page(client, meeting, show="declined")) == ["E-2"]
    assert rows(page(client, meeting, show="bounced")) == ["E-1"]
    assert rows(page(client, meeting, show="waiting")) == ["E-3"]
    assert rows(page(client, meeting, show="nonsense")) == ["E-1", "E-2", "E-3"]


def test_who_may_not_change_it_sees_nothing_to_decide(client, cast, meeting):
    come_in(clients.google(Answer(uid=meeting.uid, attendee="crasher@example.org")))
    sign_in(client, cast.ann)
    for text in (page(client, meeting), client.get("/inbox").get_data(as_text=True)):
        assert "crasher@example.org" in text
    sign_in(client, cast.bob)
    assert "crasher@example.org" not in page(client, meeting)
    (row,) = [scalar(select(Reply.id))]
    address = f"/meetings/{meeting.uid}/decide/{row}"
    assert post(client, address, accept="1").status_code == 403
    sign_in(client, cast.dan)
    assert post(client, address, accept="1").status_code == 404


def test_a_decision_is_one_click(client, cast, meeting):
    later = meeting.starts + timedelta(hours=3)
    come_in(clients.outlook(Answer(uid=meeting.uid, method="COUNTER", start=later)))
    sign_in(client, cast.ann)
    assert "Đề xuất giờ khác" in page(client, meeting)
    answer = post(client, f"/meetings/{meeting.uid}/decide/{scalar(select(Reply.id))}", accept="1")
    assert answer.status_code == 303
    assert seen(meeting.uid, cast.ann).starts == later


def test_a_decision_that_clashes_says_why_and_leaves_it_waiting(client, cast, meeting):
    later = meeting.starts + timedelta(hours=3)
    factories.meeting(cast.ann, ["E-2"], start=later.isoformat())
    come_in(clients.outlook(Answer(uid=meeting.uid, method="COUNTER", start=later)))
    sign_in(client, cast.ann)
    answer = post(client, f"/meetings/{meeting.uid}/decide/{scalar(select(Reply.id))}", accept="1")
    assert answer.status_code == 409
    assert "E-2" in answer.get_data(as_text=True)
    assert scalar(select(Reply.state)) == "waiting"


def test_one_is_reminded_or_sent_its_invitation_again(client, cast, meeting, clock_at):
    sign_in(client, cast.ann)
    clock_at(clock.now() + timedelta(hours=1))
    before = count(Mail)
    for deed in ("remind", "resend"):
        answer = post(client, f"/meetings/{meeting.uid}/{deed}", endpoint="E-2")
        assert answer.status_code == 303
        clock_at(clock.now() + timedelta(hours=1))
    assert count(Mail, Mail.recipient == "e-2@example.org") == 3
    assert count(Mail) == before + 2


def test_an_answer_to_one_occurrence_is_entered_in_its_grid(client, cast):
    series = monday_series(cast.ann)
    second = series.occurrences[1]
    sign_in(client, cast.ann)
    answer = post(
        client,
        f"/meetings/{series.uid}/replies",
        endpoint="E-1",
        partstat="DECLINED",
        comment="Đi cơ sở",
        occurrence=str(second.id),
    )
    assert f"occurrence={second.id}" in answer.location
    assert rows(page(client, series, occurrence=second.id, show="declined")) == ["E-1"]
    assert rows(page(client, series, show="silent")) == ["E-1", "E-2"]


def test_the_list_of_who_comes_counts_people_and_marks_what_was_late(
    client, cast, meeting, clock_at
):
    say(cast.ann, meeting, "E-1", headcount=3, delegates="Ông A, Giám đốc")
    clock_at(meeting.starts - timedelta(minutes=5))
    say(cast.ann, meeting, "E-2", headcount=2)
    sign_in(client, cast.ann)
    text = client.get(f"/meetings/{meeting.uid}/attendees").get_data(as_text=True)
    assert "Ông A, Giám đốc" in text
    assert "Thay đổi sau khi chốt danh sách" in text
    assert ">3<" in text  # the two who came late are told apart


def test_the_evidence_of_an_answer_is_shown_to_the_secretariat(client, cast, meeting):
    come_in(clients.google(Answer(uid=meeting.uid), message_id="<abc@example.org>"))
    sign_in(client, cast.ann)
    text = client.get(f"/meetings/{meeting.uid}/attendees/E-1").get_data(as_text=True)
    assert "&lt;abc@example.org&gt;" in text
    assert "gửi đúng từ địa chỉ được mời" in text


def test_a_task_is_closed_by_whom_it_is_for(client, cast, meeting):
    say(cast.ann, meeting, "E-2", partstat="DECLINED")
    number = scalar(select(Task.id))
    sign_in(client, cast.dan)
    assert post(client, f"/inbox/tasks/{number}/done").status_code == 404
    sign_in(client, cast.ann)
    assert "Điểm cầu E-2" in client.get("/inbox").get_data(as_text=True)
    assert post(client, f"/inbox/tasks/{number}/done").status_code == 303
    assert "Không có việc" in client.get("/inbox").get_data(as_text=True)
    assert attendee(cast.ann, meeting, "E-2").partstat == "DECLINED"


def test_the_page_asks_no_more_for_many_endpoints_than_for_few(client, cast):
    factories.bridge(ports=40)
    for number in range(10, 30):
        factories.endpoint(f"N-{number}", cast.below)
    few = factories.meeting(cast.ann, ["E-1", "E-2"])
    many = factories.meeting(cast.ann, [f"N-{number}" for number in range(10, 28)], minutes=30)
    sign_in(client, cast.ann)
    page(client, few)
    asked = []
    for one in (few, many):
        with factories.Statements() as statements:
            page(client, one)
        asked.append(len(statements.asked))
    assert asked[0] == asked[1]
