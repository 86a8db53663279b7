"""What each make can do besides, and what its reports mean."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

import httpx
import jwt
import pytest

from confbridge.drivers import (
    Begun,
    Delivery,
    Joined,
    Left,
    Other,
    Participant,
    RoomSpec,
    Told,
    Visitor,
    connect,
)
from confbridge.errors import DriverError
from tests.drivers import makers
from tests.drivers.makers import SECRET

AT = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
MS = int(AT.timestamp() * 1000)
SPEC = RoomSpec(
    name="cb-room",
    title="Giao ban",
    ports=4,
    pin="4711",
    secret="s",
    tokens=frozenset({"t1"}),
    number="000012",
)


def driver_of(kind, server):
    found = server.as_bridge()
    return connect(kind, {**found["settings"], **found["secrets"]})


@pytest.fixture
def bbb(bigbluebutton_server):
    return driver_of("bigbluebutton", bigbluebutton_server)


@pytest.fixture
def pexip(pexip_server):
    return driver_of("pexip", pexip_server)


@pytest.fixture
def cms(cms_server):
    return driver_of("cms", cms_server)


@pytest.fixture
def jitsi(jitsi_server):
    return driver_of("jitsi", jitsi_server)


def delivered(**given):
    blank = {
        "url": "https://us.example/hooks/x",
        "path": "",
        "query": {},
        "headers": {},
        "body": "",
    }
    return Delivery(**{**blank, **given})


def basic(user, password):
    return {"authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


# ---- BigBlueButton


def test_a_signed_link_lets_its_holder_in_under_its_own_key(bbb, bigbluebutton_server):
    bbb.open_room(SPEC)
    ticket = bbb.ticket(SPEC.name, SPEC.pin, Visitor(name="Sở Tài chính & ĐT", token="t1"))
    assert "<status>joined</status>" in httpx.get(ticket.url, trust_env=False).text
    (one,) = bbb.participants(SPEC.name)
    assert (one.name, one.token, one.picture, one.sound) == ("Sở Tài chính & ĐT", "t1", True, False)
    assert bbb.counts() == {SPEC.name: 1}
    other = httpx.get(ticket.url.replace("VIEWER", "MODERATOR"), trust_env=False)
    assert "checksumError" in other.text


def test_it_is_told_where_to_report(bbb, bigbluebutton_server):
    bbb.open_room(SPEC)
    assert bigbluebutton_server.hooks == ["https://us.example/hooks/bbb"]


def hook(*events):
    body = [{"data": one} for one in events]
    return urlencode({"domain": "b", "event": json.dumps(body), "timestamp": MS}, quote_via=quote)


def of_bbb(name, **attributes):
    meeting = {"internal-meeting-id": "i", "external-meeting-id": SPEC.name}
    attributes = {"meeting": meeting, **attributes}
    return {"type": "event", "id": name, "attributes": attributes, "event": {"ts": MS}}


def test_a_webhook_says_who_came_and_went(bbb):
    user = {"external-user-id": "t1.aa", "name": "A"}
    body = hook(
        of_bbb("user-joined", user=user),
        of_bbb("user-audio-unmuted", user=user),
        of_bbb("chat-group-message-sent", user=user),
        of_bbb("user-left", user=user),
        of_bbb("meeting-ended"),
    )
    joined, told, left, ended = bbb.events(body)
    assert isinstance(joined, Joined)
    assert (joined.room, joined.leg, joined.token, joined.at) == (SPEC.name, "t1.aa", "t1", AT)
    assert isinstance(told, Told)
    assert told.sound is True
    assert isinstance(left, Left)
    assert isinstance(ended, Left)
    assert (ended.room, ended.leg) == (SPEC.name, "")
    assert len({one.key for one in (joined, told, left, ended)}) == 4


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
def test_a_webhook_is_believed_by_its_checksum(bbb, algorithm):
    body = hook(of_bbb("meeting-ended"))
    text = f"https://us.example/hooks/bbb{body}{SECRET}"
    good = hashlib.new(algorithm, text.encode()).hexdigest()
    assert bbb.is_from_bridge(delivered(query={"checksum": good}, body=body))
    assert not bbb.is_from_bridge(delivered(query={"checksum": good}, body=body + "x"))
    assert not bbb.is_from_bridge(delivered(query={}, body=body))
    assert bbb.is_from_bridge(delivered(headers={"authorization": f"Bearer {SECRET}"}, body=body))


def test_its_callbacks_at_the_end_are_known_by_our_own_signature(bbb, bigbluebutton_server):
    bbb.open_room(SPEC)
    created = next(one for one in bigbluebutton_server.asked if one.path.endswith("/create"))
    callback = makers.query_of(created.params["meta_endCallbackUrl"])
    assert bbb.is_from_bridge(delivered(path="ended", query=callback))
    assert not bbb.is_from_bridge(delivered(path="ended", query={**callback, "room": "cb-other"}))
    (left,) = bbb.events(delivered(path="ended", query=callback).envelope())
    assert left.room == SPEC.name
    told = {"data": {"attendees": [{"ext_user_id": "t1.a", "name": "A", "joins": [MS],
                                    "leaves": [MS + 60_000]}]}}  # fmt: skip
    kept = delivered(path="analytics", query=callback, body=json.dumps(told)).envelope()
    joined, left = bbb.events(kept)
    assert (joined.at, left.at) == (AT, AT + timedelta(minutes=1))


# ---- Jitsi


def test_its_token_names_the_endpoint_and_the_room(jitsi):
    ticket = jitsi.ticket("cb-room", "4711", Visitor(name="A", token="t1", is_chair=True))
    claims = jwt.decode(
        makers.query_of(ticket.url)["jwt"], SECRET, algorithms=["HS256"], audience="confbridge"
    )
    assert claims["room"] == "cb-room"
    assert claims["context"]["user"] == {"id": "t1", "name": "A", "moderator": True}
    assert claims["context"]["features"]["recording"] is False


def synced(path, **given):
    return delivered(path=path, body=json.dumps({"room_name": "cb-room", **given})).envelope()


def test_its_event_sync_says_who_came_and_went(jitsi):
    seconds = AT.timestamp()
    one = {"name": "A", "id": "t1", "occupant_jid": "x@y/1", "joined_at": seconds}
    (joined,) = jitsi.events(synced("events/occupant/joined", occupant=one))
    assert (joined.leg, joined.token, joined.at) == ("x@y/1", "t1", AT)
    gone = {**one, "left_at": seconds + 60}
    (left,) = jitsi.events(synced("events/occupant/left", occupant=gone))
    assert (left.leg, left.at) == ("x@y/1", AT + timedelta(minutes=1))
    everybody = jitsi.events(
        synced("events/room/destroyed", all_occupants=[gone], destroyed_at=seconds + 90)
    )
    assert [type(one) for one in everybody] == [Joined, Left, Left]


def test_prosody_is_known_by_its_bearer(jitsi):
    assert jitsi.is_from_bridge(delivered(headers={"authorization": "Bearer of Prosody"}))
    assert not jitsi.is_from_bridge(delivered(headers={"authorization": "Bearer "}))
    assert not jitsi.is_from_bridge(delivered())


def test_a_stressed_videobridge_is_degraded_and_a_sick_one_down(jitsi, jitsi_server):
    assert jitsi.probe().in_use == 3
    jitsi_server.stress = 0.95
    assert "95" in jitsi.probe().trouble
    jitsi_server.health = 500
    with pytest.raises(DriverError):
        jitsi.probe()


# ---- Pexip


def test_pexip_legs_can_be_commanded(pexip, pexip_server):
    pexip.open_room(SPEC)
    pexip_server.enter(SPEC.name, "u1", "ba-1")
    (one,) = pexip.participants(SPEC.name)
    assert one == Participant(
        leg="u1", name="ba-1", address="ba-1@vc.example", joined=AT, sound=True
    )
    assert pexip.counts() == {SPEC.name: 1}
    pexip.mute(SPEC.name, "s", ["u1", "gone"], muted=True)
    assert pexip_server.legs["u1"]["is_muted"]
    pexip.lock(SPEC.name, locked=True)
    pexip.layout(SPEC.name, "ac")
    pexip.dial_out(SPEC, "sip:na-1@vc.example", Visitor(name="Ninh Sơn", token="t"))
    pexip.disconnect(SPEC.name, "s", "u1")
    assert pexip_server.legs == {}
    commands = dict(pexip_server.commands)
    assert commands["conference/lock"] == {"conference_id": f"live-{SPEC.name}"}
    assert commands["participant/dial"]["destination"] == "na-1@vc.example"
    assert commands["participant/dial"]["protocol"] == "sip"


def test_a_pexip_command_that_answers_200_may_have_failed(pexip, pexip_server):
    pexip_server.answers["participant/dial"] = {"status": "failed", "message": "no such alias"}
    with pytest.raises(DriverError, match="no such alias"):
        pexip.dial_out(SPEC, "sip:x@y", Visitor(name="A", token="t"))


def test_pexip_lists_are_read_to_their_end(pexip, pexip_server):
    for number in range(250):
        pexip_server.rooms[1000 + number] = {"name": f"room-{number}"}
    assert len(pexip.counts()) == 250


def sunk(event, number, **data):
    envelope = {"node": "10.0.0.1", "seq": number, "version": 2, "time": AT.timestamp()}
    return {**envelope, "event": event, "data": data}


def test_pexip_events_are_numbered_by_node(pexip):
    leg = {"uuid": "u1", "conference": SPEC.name, "display_name": "A", "source_alias": "a@b",
           "protocol": "sip", "has_media": True, "is_streaming": False}  # fmt: skip
    bulk = {
        **sunk("eventsink_bulk", 0),
        "data": [
            sunk("conference_started", 7, name=SPEC.name),
            sunk("participant_connected", 8, **leg),
            sunk("participant_connected", 9, **{**leg, "uuid": "u2", "is_streaming": True}),
            sunk("participant_updated", 10, uuid="u1", conference=SPEC.name, is_muted=True),
            sunk("participant_disconnected", 11, **leg),
        ],
    }
    said = pexip.events(json.dumps(bulk))
    assert [one.number for one in said] == [7, 8, 9, 10, 11]
    assert {one.stream for one in said} == {"10.0.0.1"}
    assert [type(one) for one in said] == [Other, Joined, Other, Told, Left]
    assert said[1].address == "a@b"
    assert said[3].sound is False


def test_the_sink_of_pexip_is_known_by_user_and_password(pexip):
    assert pexip.is_from_bridge(delivered(headers=basic("pexip", "of the sink")))
    assert not pexip.is_from_bridge(delivered(headers=basic("pexip", "guess")))
    assert not pexip.is_from_bridge(delivered(headers=basic("x", "of the sink")))


# ---- Cisco Meeting Server


def test_cms_legs_can_be_commanded(cms, cms_server):
    cms.open_room(SPEC)
    cms_server.enter(SPEC.name, "l1", "ba-1")
    (one,) = cms.participants(SPEC.name)
    assert (one.leg, one.address) == ("l1", "ba-1@vc.example")
    assert cms.counts() == {SPEC.name: 1}
    cms.mute(SPEC.name, "s", ["l1", "gone"], muted=True)
    assert cms_server.legs["l1"]["rxAudioMute"] == "true"
    cms.lock(SPEC.name, locked=True)
    cms.message(SPEC.name, "Xin tắt micrô")
    cms.record(SPEC.name, "s", recording=True)
    cms.layout(SPEC.name, "allEqual")
    (call,) = cms_server.calls.values()
    assert (call["locked"], call["messageText"], call["recording"]) == (
        "true",
        "Xin tắt micrô",
        "true",
    )
    cms.disconnect(SPEC.name, "s", "l1")
    cms.disconnect(SPEC.name, "s", "l1")
    assert cms_server.legs == {}


def test_cms_calls_an_endpoint_also_into_a_room_where_nobody_is(cms, cms_server):
    cms.open_room(SPEC)
    cms.dial_out(SPEC, "sip:na-1@vc.example", Visitor(name="Đ" * 60, token="t1"))
    (leg,) = cms_server.legs.values()
    assert (leg["remoteParty"], leg["ownerId"]) == ("na-1@vc.example", "t1")
    assert len(leg["nameLabelOverride"].encode()) <= 50


RECORDS = """<records session="s1" callBridge="b">
<record type="callStart" time="2026-11-23T01:00:00Z" recordIndex="1" correlatorIndex="4">
<call id="c1"><name>x</name><cdrTag>cb-room</cdrTag></call></record>
<record type="callLegStart" time="2026-11-23T01:00:00Z" recordIndex="2" correlatorIndex="5">
<callLeg id="l1"><displayName>A</displayName><remoteParty>a@b</remoteParty><call>c1</call>
</callLeg></record>
<record type="callLegEnd" time="2026-11-23T01:01:00Z" recordIndex="3" correlatorIndex="6"
 numPreceedingRecordsMissing="2"><callLeg id="l1"><reason>remoteTeardown</reason></callLeg>
</record></records>"""


def test_cms_records_are_numbered_and_say_what_they_miss(cms):
    begun, joined, left = cms.events(RECORDS)
    assert begun == Begun(at=AT, key="s1|4", stream="s1", number=4, room="cb-room", call="c1")
    assert (joined.call, joined.leg, joined.address, joined.number) == ("c1", "l1", "a@b", 5)
    assert (left.leg, left.at, left.missing) == ("l1", AT + timedelta(minutes=1), 2)


@pytest.mark.parametrize("body", ["", "<", "<!DOCTYPE a [<!ENTITY b 'c'>]><records>&b;</records>"])
def test_records_that_make_no_sense_are_refused(cms, body):
    with pytest.raises(DriverError) as refusal:
        cms.events(body)
    assert refusal.value.permanent


@pytest.mark.parametrize("kind", ["bigbluebutton", "jitsi", "pexip"])
@pytest.mark.parametrize(
    "body", ["", "{", "5", "[[]]", "event=5", '{"event": []}', '{"time": 1e99}']
)
def test_nonsense_breaks_nothing(request, kind, body):
    driver = driver_of(kind, request.getfixturevalue(f"{kind}_server"))
    with pytest.raises(DriverError) as refusal:
        driver.events(body)
    assert refusal.value.permanent


def test_cms_rooms_are_found_again_and_not_made_twice(cms, cms_server):
    cms.open_room(SPEC)
    cms.open_room(replace(SPEC, title="Khác"))
    (space,) = cms_server.spaces.values()
    assert (space["name"], space["callId"], space["passcode"]) == ("Khác", "000012", "4711")
