"""A state secret (D10): the endpoints are busy, and nobody is told anything else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, text

from confbridge.database import Base, db
from confbridge.domain.wording import SECRET_TITLE
from confbridge.errors import Clash, Invalid
from confbridge.mail import compose
from confbridge.models import Allocation, Letter, Mail, Reservation
from confbridge.services import conferences, outbox
from tests import factories
from tests.services.scheduling import cancel, change, count, seen


def secret(by, **rest):
    return factories.meeting(by, title=None, secret=True, **rest)


def test_it_takes_its_endpoints_and_no_port_and_has_no_door(cast):
    meeting = secret(cast.ann)
    assert count(Reservation, Reservation.live) == 2
    assert count(Allocation) == 0
    entrance = conferences.entrance(meeting, meeting.occurrences[0], meeting.attendees[0])
    assert (entrance.door, entrance.call) == ("secret", None)
    with pytest.raises(Clash):
        factories.meeting(cast.ann, start=meeting.starts.isoformat())


@pytest.mark.parametrize("field", ["title", "agenda", "chair"])
def test_words_are_refused_before_anything_is_kept(cast, field):
    given = {"title": None, "secret": True} | {field: "Kế hoạch A2"}
    with pytest.raises(Invalid) as refused:
        factories.meeting(cast.ann, **given)
    assert set(refused.value.problems) == {field}
    meeting = secret(cast.ann)
    with pytest.raises(Invalid):
        change(cast.ann, meeting.uid, **{field: "Kế hoạch A2"})


def test_without_the_mark_a_title_is_needed(cast):
    for title in (None, ""):
        with pytest.raises(Invalid):
            factories.meeting(cast.ann, title=title)


def test_in_no_mail_and_in_no_row_stands_more_than_busy(cast):
    meeting = secret(cast.ann)
    change(cast.ann, meeting.uid, start=(meeting.starts + timedelta(hours=2)).isoformat())
    cancel(cast.ann, meeting.uid)  # with a reason, which is not kept
    for table in Base.metadata.sorted_tables:
        for row in db.session.execute(text(f"SELECT * FROM {table.name}")):
            assert "Bão" not in str(row)
    db.session.rollback()
    kinds = set()
    for mail in db.session.scalars(select(Mail).join(Letter).order_by(Mail.id)):
        message = compose.mail(outbox.copy_of(mail, meeting.uid))
        kinds.add(mail.letter.kind)
        assert SECRET_TITLE in str(message["Subject"])
        for part in message.walk():
            if part.get_content_maintype() == "text":
                content = part.get_content()
                assert "/join/" not in content
                assert "/reply/" not in content
    assert kinds == {"invitation", "moved", "cancelled"}
    assert seen(meeting.uid, cast.ann).reason == ""
