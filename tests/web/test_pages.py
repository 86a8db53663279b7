"""What holds for every page: who may see it, and what it may load."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from confbridge.models import Mail, Meeting
from tests import factories
from tests.factories import scalar, sign_in
from tests.web.forms import link, post

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
    "/conferences/{occurrence}/readiness": (200, 403, 200, 404, 200),
    "/duty": (403, 403, 200, 403, 200),
    "/meetings/{uid}/attendees": (200, 200, 200, 404, 200),
    "/meetings/{uid}/attendees/E-1": (200, 403, 200, 404, 403),
    "/inbox": (200, 403, 200, 200, 200),
    "/inbox/mail": (403, 403, 200, 403, 200),
    "/feeds": (200, 200, 200, 200, 200),
    "/outbox": (200, 403, 200, 200, 200),
    "/outbox/{mail}": (200, 403, 200, 404, 200),  # a mail holds the links of its endpoint
}


@pytest.fixture
def meeting(cast):
    return factories.meeting(cast.ann)


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


def test_an_invited_organisation_does_not_read_the_mails_of_the_others(client, cast):
    theirs = factories.endpoint("D-1", cast.other)
    meeting = factories.meeting(cast.ann, ["E-1", theirs.code])
    sign_in(client, cast.dan)
    assert client.get(f"/meetings/{meeting.uid}").status_code == 200
    assert meeting.title not in client.get("/outbox").text
    for number in (1, 2):
        assert client.get(f"/outbox/{number}").status_code == 404
    assert "/join/" not in client.get(f"/meetings/{meeting.uid}").text


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


@pytest.mark.parametrize("address", ["/nowhere", "/meetings/x", "/outbox/999", "/conferences/999"])
def test_what_is_not_there_is_a_page_of_its_own(client, cast, address):
    sign_in(client, cast.ann)
    answer = client.get(address)
    assert answer.status_code == 404
    assert "Về danh sách cuộc họp" in answer.text


def test_a_fragment_is_the_part_of_its_page(client, cast, meeting):
    sign_in(client, cast.olga)
    whole = client.get("/bridges").text
    part = client.get("/bridges", headers={"HX-Request": "true"}).text
    assert "<html" in whole
    assert "<html" not in part
    assert 'id="bridges"' in part
