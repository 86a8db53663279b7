"""What the secretary decides about: substitutes, proposals, strangers, words."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from confbridge import doors
from confbridge.database import db
from confbridge.doors import Refused
from confbridge.errors import Conflict, Invalid, NotAllowed, NotFound
from confbridge.inputs import parse
from confbridge.inputs.meetings import Decision
from confbridge.mail import compose
from confbridge.models import Letter, Mail, Meeting, Task
from confbridge.services import outbox, replies
from tests import clients, factories
from tests.clients import Answer, stamp
from tests.services.mailing import attendee, come_in, evidence, mail_to, outcome, say, token_address
from tests.services.scheduling import answered, change, change_one, count, monday_series, seen

DEPUTY = "deputy@example.org"


def seen_uid(row):
    return db.session.scalar(select(Meeting.uid).where(Meeting.id == row.meeting_id))


def decide(by, row, accept=True, **given):
    return doors.decide(seen_uid(row), row.id, parse(Decision, {"accept": accept} | given), by=by)


def last_mail(kind=None):
    db.session.rollback()
    db.session.expire_all()
    asked = select(Mail).join(Letter).order_by(Mail.id.desc())
    return db.session.scalars(asked.where(Letter.kind == kind) if kind else asked).first()


def event_of(mail):
    message = compose.mail(outbox.copy_of(mail, outbox.meeting_uid(mail)))
    part = next(one for one in message.walk() if one.get_content_type() == "text/calendar")
    return part.get_content().replace("\r\n ", "")


def delegated(meeting, seconds=0):
    answer = Answer(
        uid=meeting.uid,
        partstat="DELEGATED",
        parameters=f';DELEGATED-TO="mailto:{DEPUTY}"',
        lines=(f'ATTENDEE;CN=Bà Phó;DELEGATED-FROM="mailto:e-1@example.org":mailto:{DEPUTY}',),
        stamped=Answer.stamped + timedelta(seconds=seconds),
    )
    return clients.outlook(answer)


def of_deputy(meeting, partstat="ACCEPTED", seconds=1):
    answer = Answer(
        uid=meeting.uid,
        attendee=DEPUTY,
        partstat=partstat,
        parameters=';DELEGATED-FROM="mailto:e-1@example.org"',
        stamped=Answer.stamped + timedelta(seconds=seconds),
    )
    return clients.google(answer)


@pytest.fixture
def meeting(cast):
    return factories.meeting(cast.ann)


def test_r8_a_substitute_is_invited_once_agreed_to_and_then_answers_itself(cast, meeting):
    assert outcome(delegated(meeting)) == ("queue", "substitute")
    (row,) = evidence(state="waiting")
    decide(cast.ann, row)
    mail = last_mail()
    assert (mail.recipient, mail.delegated_from) == (DEPUTY, "e-1@example.org")
    assert 'DELEGATED-FROM="mailto:e-1@example.org"' in event_of(mail)
    assert f"mailto:{DEPUTY}" in event_of(mail)
    assert attendee(cast.ann, meeting).partstat == "DELEGATED"  # until the substitute has said so
    assert outcome(of_deputy(meeting)) == ("effect", "counted")
    who = attendee(cast.ann, meeting)
    assert (who.partstat, who.person, who.substitute_state) == ("ACCEPTED", DEPUTY, "agreed")
    assert "Bà Phó" in who.substitute


def test_r8_a_substitutes_answer_that_comes_first_is_held_and_counts_then(cast, meeting):
    assert outcome(of_deputy(meeting)) == ("queue", "stranger")
    come_in(delegated(meeting))
    row = next(one for one in evidence(state="waiting") if one.kind == "delegation")
    decide(cast.ann, row)
    assert attendee(cast.ann, meeting).partstat == "ACCEPTED"
    assert evidence(state="waiting") == []


def test_r8_a_substitute_who_does_not_come_leads_back_to_the_delegator(cast, meeting):
    come_in(delegated(meeting))
    decide(cast.ann, evidence(state="waiting")[0])
    assert outcome(of_deputy(meeting, "DECLINED")) == ("effect", "delegate_declined")
    who = attendee(cast.ann, meeting)
    assert (who.partstat, who.substitute, who.chain) == ("NEEDS-ACTION", "", "")
    assert last_mail().recipient == "e-1@example.org"
    old = Answer(uid=meeting.uid, stamped=Answer.stamped - timedelta(seconds=5))
    assert outcome(clients.outlook(old)) == ("effect", "earlier")
    new = Answer(uid=meeting.uid, stamped=Answer.stamped + timedelta(seconds=60))
    assert outcome(clients.outlook(new)) == ("effect", "counted")


def test_r8_while_a_substitute_speaks_who_has_delegated_does_not(cast, meeting):
    come_in(delegated(meeting))
    decide(cast.ann, evidence(state="waiting")[0])
    come_in(of_deputy(meeting))
    raw = clients.outlook(
        Answer(uid=meeting.uid, partstat="DECLINED", stamped=Answer.stamped + timedelta(hours=1))
    )
    assert outcome(raw) == ("effect", "earlier")
    assert attendee(cast.ann, meeting).partstat == "ACCEPTED"


def test_r8_a_substitute_may_delegate_on_and_never_in_a_circle(cast, meeting):
    come_in(delegated(meeting))
    decide(cast.ann, evidence(state="waiting")[0])
    on = Answer(
        uid=meeting.uid,
        attendee=DEPUTY,
        partstat="DELEGATED",
        parameters=';DELEGATED-TO="mailto:third@example.org"',
    )
    back = on.but(parameters=';DELEGATED-TO="mailto:e-1@example.org"')
    assert outcome(clients.google(back)) == ("queue", "delegation_in_circles")
    decide(cast.ann, evidence(state="waiting")[0], accept=False)
    assert outcome(clients.google(on)) == ("queue", "substitute")
    decide(cast.ann, evidence(state="waiting")[0])
    assert (last_mail().recipient, last_mail().delegated_from) == ("third@example.org", DEPUTY)
    third = Answer(uid=meeting.uid, attendee="third@example.org", partstat="TENTATIVE")
    assert outcome(clients.google(third)) == ("effect", "counted")
    assert attendee(cast.ann, meeting).partstat == "TENTATIVE"


def test_r8_a_substitute_who_is_refused_leaves_the_endpoint_asked_again(cast, meeting):
    come_in(delegated(meeting))
    decide(cast.ann, evidence(state="waiting")[0], accept=False)
    who = attendee(cast.ann, meeting)
    assert (who.partstat, who.substitute_state) == ("NEEDS-ACTION", "refused")
    assert last_mail().recipient == "e-1@example.org"
    assert outcome(of_deputy(meeting)) == ("queue", "stranger")


def test_r8_a_substitute_for_one_occurrence_speaks_for_that_one_alone(cast):
    series = monday_series(cast.ann)
    one = series.occurrences[1]
    name = f":{stamp(one.original)}"
    answer = Answer(
        uid=series.uid,
        partstat="DELEGATED",
        recurrence_id=name,
        parameters=f';DELEGATED-TO="mailto:{DEPUTY}"',
    )
    come_in(clients.google(answer))
    decide(cast.ann, evidence(state="waiting")[0])
    assert last_mail().recipient == DEPUTY
    own = Answer(uid=series.uid, attendee=DEPUTY, recurrence_id=name)
    assert outcome(clients.google(own)) == ("effect", "counted")
    found = seen(series.uid, cast.ann)
    said = [what.partstat for _, what in replies.to_answer(found.attendees[0], found)]
    assert said == ["NEEDS-ACTION", "ACCEPTED", "NEEDS-ACTION", "NEEDS-ACTION"]
    assert outcome(clients.google(own.but(recurrence_id=""))) == ("queue", "stranger")
    later = (one.starts + timedelta(hours=2)).isoformat()
    change_one(cast.ann, series.uid, one.id, start=later)
    db.session.rollback()
    asked = select(Mail.recipient, Letter.kind).join(Letter).order_by(Mail.id.desc()).limit(3)
    assert sorted(map(tuple, db.session.execute(asked))) == [
        (DEPUTY, "withdrawn"),
        ("e-1@example.org", "moved"),
        ("e-2@example.org", "moved"),
    ]


def test_s3_who_stood_in_is_told_that_the_meeting_has_moved_on_without_him(cast, meeting):
    come_in(delegated(meeting))
    decide(cast.ann, evidence(state="waiting")[0])
    change(cast.ann, meeting.uid, start=(meeting.starts + timedelta(hours=2)).isoformat())
    mail = last_mail("withdrawn")
    assert (mail.recipient, mail.letter.sequence) == (DEPUTY, 1)
    assert last_mail().letter.kind == "moved"
    assert attendee(cast.ann, meeting).chain == ""


def test_d5_a_substitute_named_by_telephone_counts_once_agreed_to(cast, meeting):
    say(cast.ann, meeting, substitute="Bà B", headcount=2)
    decide(cast.ann, evidence(state="waiting")[0])
    who = attendee(cast.ann, meeting)
    assert (who.partstat, who.substitute, who.headcount) == ("ACCEPTED", "Bà B", 2)


def proposal(meeting, hours=3, **rest):
    start = meeting.starts + timedelta(hours=hours)
    return clients.outlook(Answer(uid=meeting.uid, method="COUNTER", start=start, **rest))


def test_r12_an_accepted_proposal_moves_the_meeting_and_asks_all_anew(cast, meeting):
    answered(cast.ann, meeting, "E-2", "ACCEPTED")
    was = meeting.starts
    come_in(proposal(meeting))
    decide(cast.ann, evidence(state="waiting")[0])
    found = seen(meeting.uid, cast.ann)
    assert found.starts == was + timedelta(hours=3)
    assert {one.partstat for one in found.attendees} == {"NEEDS-ACTION"}
    assert last_mail().letter.kind == "moved"


def test_r12_a_proposal_that_cannot_be_held_says_what_is_in_the_way(cast, meeting):
    start = (meeting.starts + timedelta(hours=3)).isoformat()
    factories.meeting(cast.ann, ["E-2"], start=start)
    come_in(proposal(meeting))
    row = evidence(state="waiting")[0]
    with pytest.raises(Refused) as refused:
        decide(cast.ann, row)
    assert [one.kind for one in refused.value.refusal.clashes] == ["endpoint"]
    assert evidence(state="waiting")[0].id == row.id
    assert seen(meeting.uid, cast.ann).starts == meeting.starts


def test_r12_a_declined_proposal_is_answered_to_its_proposer_alone(cast, meeting):
    come_in(proposal(meeting))
    before = count(Mail)
    decide(cast.ann, evidence(state="waiting")[0], accept=False, reason="Phòng đã bận")
    assert count(Mail) == before + 1
    mail = last_mail()
    assert mail.recipient == "e-1@example.org"
    event = event_of(mail)
    assert "METHOD:DECLINECOUNTER" in event
    assert "SEQUENCE:0" in event
    message = compose.mail(outbox.copy_of(mail, meeting.uid))
    assert "Phòng đã bận" in message.get_body(("plain",)).get_content()
    assert seen(meeting.uid, cast.ann).sequence == 0  # S23


def test_r12_a_proposal_for_one_occurrence_moves_that_one_alone(cast):
    series = monday_series(cast.ann)
    one, was = series.occurrences[1], [each.starts for each in series.occurrences]
    raw = clients.google(
        Answer(
            uid=series.uid,
            method="COUNTER",
            recurrence_id=f":{stamp(one.original)}",
            start=one.starts + timedelta(hours=2),
        )
    )
    assert outcome(raw) == ("queue", "counter")
    decide(cast.ann, evidence(state="waiting")[0])
    times = [each.starts for each in seen(series.uid, cast.ann).occurrences]
    assert times == [was[0], was[1] + timedelta(hours=2), was[2], was[3]]


def test_r9_a_stranger_may_be_taken_as_an_endpoints_answer_and_is_known_from_then_on(cast, meeting):
    crasher = Answer(uid=meeting.uid, attendee="crasher@example.org")
    come_in(clients.google(crasher))
    with pytest.raises(Invalid):
        decide(cast.ann, evidence(state="waiting")[0])
    decide(cast.ann, evidence(state="waiting")[0], endpoint="E-2")
    assert attendee(cast.ann, meeting, "E-2").partstat == "ACCEPTED"
    assert last_mail().recipient == "crasher@example.org"
    later = crasher.but(partstat="DECLINED", stamped=Answer.stamped + timedelta(minutes=1))
    assert outcome(clients.google(later)) == ("effect", "counted")


@pytest.mark.parametrize("tell", [True, False])
def test_r9_a_stranger_who_is_refused_may_be_told_so(cast, meeting, tell):
    come_in(clients.google(Answer(uid=meeting.uid, attendee="crasher@example.org")))
    before = count(Mail)
    decide(cast.ann, evidence(state="waiting")[0], accept=False, tell=tell)
    assert count(Mail) == before + tell
    if tell:
        event = event_of(last_mail())
        assert "METHOD:CANCEL" in event
        assert "STATUS" not in event
        assert "mailto:crasher@example.org" in event


def test_r10_an_unverified_answer_counts_once_a_human_says_so(cast, meeting):
    come_in(clients.simple(Answer(uid=meeting.uid), sender="eve@example.org"))
    decide(cast.ann, evidence(state="waiting")[0])
    assert attendee(cast.ann, meeting).partstat == "ACCEPTED"
    (row,) = evidence(meeting_id=meeting.id)
    assert (row.state, row.decided_by) == ("counted", "ann@example.org")
    with pytest.raises(Conflict):
        decide(cast.ann, row)


def test_words_count_as_the_secretary_reads_them(cast, meeting):
    mail = mail_to(meeting)
    come_in(clients.plain("Sẽ có mặt", "e-1@example.org", to=token_address(mail)))
    with pytest.raises(Invalid):
        decide(cast.ann, evidence(state="waiting")[0])
    decide(cast.ann, evidence(state="waiting")[0], partstat="ACCEPTED")
    assert attendee(cast.ann, meeting).partstat == "ACCEPTED"


def test_an_unverified_answer_to_an_earlier_time_does_not_count_by_being_accepted(cast, meeting):
    come_in(clients.simple(Answer(uid=meeting.uid), sender="eve@example.org"))
    change(cast.ann, meeting.uid, start=(meeting.starts + timedelta(hours=2)).isoformat())
    (row,) = evidence(meeting_id=meeting.id)
    assert row.state == "outdated"
    with pytest.raises(Conflict):
        decide(cast.ann, row)
    assert attendee(cast.ann, meeting).partstat == "NEEDS-ACTION"


def test_nobody_else_decides(cast, meeting):
    come_in(clients.google(Answer(uid=meeting.uid, attendee="crasher@example.org")))
    (row,) = evidence(state="waiting")
    with pytest.raises(NotFound):
        decide(cast.dan, row)
    for who in (cast.bob, cast.olga):
        with pytest.raises(NotAllowed):
            decide(who, row)
    assert count(Task) == 0
