"""Calendars to subscribe to, and free and busy times."""

from __future__ import annotations

import gzip
from datetime import timedelta

import pytest
from icalendar import Calendar
from sqlalchemy import text

from confbridge.database import db, transaction
from confbridge.errors import NotAllowed, NotFound
from confbridge.models import Feed
from confbridge.services import access, feeds, links
from tests import factories
from tests.services.scheduling import (
    cancel,
    cancel_one,
    change,
    change_one,
    count,
    monday_series,
    morning,
)


def feed_of(by, **of):
    with transaction():
        return feeds.make(by, **of)


def address(feed, kind="ics"):
    return f"/api/v1/calendars/{links.for_feed(feed.id)}.{kind}"


def events(client, feed):
    answer = client.get(address(feed))
    assert answer.status_code == 200
    return Calendar.from_ical(answer.get_data()).walk("VEVENT")


def test_s17_a_feed_has_an_organizer_no_attendee_and_no_method(cast, client):
    factories.meeting(cast.ann, title="Giao ban")
    answer = client.get(address(feed_of(cast.carla, endpoint="E-1")))
    assert answer.content_type == "text/calendar; charset=utf-8"
    calendar = Calendar.from_ical(answer.get_data())
    assert "METHOD" not in calendar
    assert b"REFRESH-INTERVAL;VALUE=DURATION:PT1H" in answer.get_data()
    assert calendar["NAME"] == "Điểm cầu E-1"
    (event,) = calendar.walk("VEVENT")
    assert (event["SUMMARY"], "ATTENDEE" in event) == ("Giao ban", False)
    assert event["ORGANIZER"] == "mailto:hoinghi@ninhthuan.example"
    assert "/join/" not in answer.get_data(as_text=True)


def test_it_follows_what_becomes_of_meetings(cast, client):
    feed = feed_of(cast.carla, endpoint="E-1")
    assert events(client, feed) == []
    series = monday_series(cast.ann)
    assert len(events(client, feed)) == 4
    second, third = series.occurrences[1], series.occurrences[2]
    cancel_one(cast.ann, series.uid, second.id)
    later = third.starts + timedelta(hours=1)
    change_one(cast.ann, series.uid, third.id, start=later.isoformat())
    found = [event["DTSTART"].dt for event in events(client, feed)]
    assert len(found) == 3
    assert later in found
    change(cast.ann, series.uid, title="Tên mới")
    assert {str(event["SUMMARY"]) for event in events(client, feed)} == {"Tên mới"}
    change(cast.ann, series.uid, endpoints=[{"code": "E-2"}])
    assert events(client, feed) == []
    cancel(cast.ann, series.uid)


def test_an_organisations_feed_has_what_it_hosts_and_where_it_is_invited(cast, client):
    factories.meeting(cast.ann)
    below, other = (
        feed_of(cast.carla, organisation="BELOW"),
        feed_of(cast.dan, organisation="OTHER"),
    )
    home = feed_of(cast.ann, organisation="HOME")
    assert [len(events(client, one)) for one in (below, home, other)] == [1, 1, 0]


def test_drafts_and_state_secrets_say_nothing(cast, client):
    factories.meeting(cast.ann, ["E-2"], state="draft", title="Chưa báo ai")
    factories.meeting(cast.ann, ["E-1"], title=None, secret=True)
    (event,) = events(client, feed_of(cast.carla, endpoint="E-1"))
    assert event["CLASS"] == "CONFIDENTIAL"
    assert not {"DESCRIPTION", "LOCATION"} & set(event)
    assert events(client, feed_of(cast.carla, endpoint="E-2")) == []


def test_it_is_packed_and_sent_only_when_something_changed(cast, client):
    meeting = factories.meeting(cast.ann)
    where = address(feed_of(cast.carla, endpoint="E-1"))
    packed = client.get(where, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.get_data()) == client.get(where).get_data()
    mine = {"If-None-Match": packed.headers["ETag"]}
    assert client.get(where, headers=mine).status_code == 304
    change(cast.ann, meeting.uid, title="Anders")
    assert client.get(where, headers=mine).status_code == 200


def test_who_may_give_a_calendar_out_and_take_it_back(cast, client):
    with pytest.raises(NotAllowed):
        feed_of(cast.dan, endpoint="E-1")
    with pytest.raises(NotAllowed):
        feed_of(cast.dan, organisation="HOME")
    feed = feed_of(cast.ann, endpoint="E-1")
    with pytest.raises(NotFound), transaction():
        access.feed(cast.dan, feed.id)
    assert client.get(address(feed)).status_code == 200
    with transaction():
        feeds.revoke(access.feed(cast.ann, feed.id), by=cast.ann)
    for kind in ("ics", "ifb"):
        answer = client.get(address(feed, kind))
        assert (answer.status_code, answer.json["status"]) == (404, 404)
    assert client.get("/api/v1/calendars/guessed.ics").status_code == 404
    assert count(Feed) == 1


def test_s18_free_and_busy_times_without_why(cast, client):
    meeting = factories.meeting(cast.ann, title="Không được lộ")
    feed = feed_of(cast.carla, endpoint="E-1")
    answer = client.get(address(feed, "ifb"))
    (found,) = Calendar.from_ical(answer.get_data()).walk("VFREEBUSY")
    assert {"UID", "DTSTAMP", "ORGANIZER", "DTSTART", "DTEND"} <= set(found)
    assert "RRULE" not in found
    text_of = answer.get_data(as_text=True)
    span = f"{meeting.starts:%Y%m%dT%H%M%SZ}/{meeting.ends:%Y%m%dT%H%M%SZ}"
    assert span in text_of
    assert "lộ" not in text_of
    assert client.get(address(feed_of(cast.carla, organisation="HOME"), "ifb")).status_code == 404


def test_a_long_calendar_costs_no_question_for_each_occurrence(cast, client):
    feed = feed_of(cast.carla, endpoint="E-1")
    asked = []
    for times in (24, 30):
        start = morning(hour=times // 3).isoformat()
        monday_series(cast.ann, start=start, rrule=f"FREQ=WEEKLY;COUNT={times}")
        with factories.Statements() as statements:
            client.get(address(feed))
        asked.append(len(statements.asked))
        with factories.Statements() as statements:
            client.get(address(feed))
        asked.append(len(statements.asked))
    assert asked[0] == asked[2] <= 5
    assert asked[1] == asked[3] == 2
    assert db.session.execute(text("SELECT count(*) FROM occurrences")).scalar() == 54
