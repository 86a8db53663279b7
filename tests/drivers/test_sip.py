"""The SIP user agent, against datagrams as phones send them, and others."""

from __future__ import annotations

import re
import socket
import threading
import time

import pytest

from confbridge.drivers import sip
from confbridge.drivers.sip import Agent, Media
from confbridge.errors import DriverError

SDP = Media("127.0.0.1", 4000).sdp()


class Phone:
    """A socket that speaks SIP by hand."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(3)
        self.port = self.socket.getsockname()[1]

    def say(self, agent, first, *headers, body=""):
        lines = [
            first,
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK1",
            f"From: <sip:ba-1@127.0.0.1:{self.port}>;tag=a",
            f"To: <sip:000012@127.0.0.1:{agent.port}>",
            *("Call-ID: c1", f"Contact: <sip:ba-1@127.0.0.1:{self.port}>", *headers),
            f"Content-Length: {len(body)}",
        ]
        data = "\r\n".join(lines) + "\r\n\r\n" + body
        self.socket.sendto(data.encode(), ("127.0.0.1", agent.port))

    def hear(self):
        return sip.parsed(self.socket.recv(65535))

    def hear_status(self, wanted):
        while True:
            found = self.hear()
            if found.status == wanted:
                return found

    def invite(self, agent, body=SDP):
        self.say(agent, "INVITE sip:000012@x SIP/2.0", "CSeq: 1 INVITE", body=body)


@pytest.fixture
def phone():
    made = Phone()
    yield made
    made.socket.close()


@pytest.fixture
def agents():
    made = []

    def make(admit=None):
        made.append(Agent("127.0.0.1", 0, admit))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def test_a_call_that_is_let_in_is_told_where_the_sound_goes_until_it_hangs_up(phone, agents):
    ended = threading.Event()
    callers = []

    def admit(message, theirs):
        callers.append((message.user, message.caller, theirs.port))
        return 200, Media("127.0.0.1", 5000), ended.set

    agent = agents(admit)
    phone.invite(agent)
    accepted = phone.hear_status(200)
    assert sip.media_of(accepted.body) == Media("127.0.0.1", 5000)
    assert callers == [("000012", f"ba-1@127.0.0.1:{phone.port}", 4000)]
    phone.say(agent, "ACK sip:x SIP/2.0", "CSeq: 1 ACK")
    phone.say(agent, "BYE sip:x SIP/2.0", "CSeq: 2 BYE")
    phone.hear_status(200)
    assert ended.wait(3)


def test_the_same_invite_again_takes_no_second_seat(phone, agents):
    seats = []

    def admit(*_):
        seats.append(1)
        time.sleep(0.3)
        return 200, Media("127.0.0.1", 5000), lambda: None

    agent = agents(admit)
    for _ in range(3):
        phone.invite(agent)
    phone.hear_status(200)
    assert seats == [1]


@pytest.mark.parametrize(
    ("admit", "status"),
    [
        (lambda *_: (403, None, lambda: None), 403),
        (lambda *_: 1 / 0, 500),
        (None, 404),
    ],
)
def test_who_is_not_let_in_is_told_so(phone, agents, admit, status):
    agent = agents(admit)
    phone.invite(agent)
    assert phone.hear_status(status)


def test_sound_that_we_do_not_know_is_not_acceptable(phone, agents):
    agent = agents(lambda *_: (200, Media("127.0.0.1", 5000), lambda: None))
    phone.invite(agent, body="v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 4000 RTP/AVP 9\r\n")
    assert phone.hear_status(488)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", b"INVITE", b"INVITE x SIP/2.0\r\nnonsense", b"SIP/2.0 abc\r\n\r\n"]
)
def test_nonsense_breaks_nothing(phone, agents, data):
    agent = agents()
    phone.socket.sendto(data, ("127.0.0.1", agent.port))
    phone.say(agent, "OPTIONS sip:x SIP/2.0", "CSeq: 1 OPTIONS")
    assert phone.hear_status(200)


def answer_of(phone, invite, status, body=""):
    lines = [f"SIP/2.0 {status}"]
    lines += [
        f"{name.title()}: {value}" for name, value in invite.headers if name != "content-length"
    ]
    lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def test_calling_out_leaves_the_offer_to_the_other_side(phone, agents):
    agent = agents()
    made = []

    def answer(theirs):
        made.append(theirs.port)
        return Media("127.0.0.1", 5000), lambda: None

    call = threading.Thread(
        target=lambda: made.append(agent.call(f"sip:a@127.0.0.1:{phone.port}", "CB", answer))
    )
    call.start()
    invite = phone.hear()
    assert (invite.method, invite.body) == ("INVITE", "")
    peer = ("127.0.0.1", agent.port)
    phone.socket.sendto(answer_of(phone, invite, "200 OK", SDP), peer)
    ack = phone.hear()
    assert ack.method == "ACK"
    assert sip.media_of(ack.body).port == 5000
    phone.socket.sendto(answer_of(phone, invite, "200 OK", SDP), peer)
    assert phone.hear().method == "ACK"  # the first had not come
    call.join(3)
    assert made[0] == 4000
    agent.hang_up(made[1])
    assert phone.hear().method == "BYE"


@pytest.mark.parametrize(("status", "permanent"), [("486 Busy", False), ("404 No", True)])
def test_an_endpoint_that_does_not_take_the_call_says_why(phone, agents, status, permanent):
    agent = agents()
    found = []

    def call():
        try:
            agent.call(f"sip:a@127.0.0.1:{phone.port}", "CB", lambda _: None)
        except DriverError as error:
            found.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    invite = phone.hear()
    phone.socket.sendto(answer_of(phone, invite, status), ("127.0.0.1", agent.port))
    assert phone.hear().method == "ACK"
    caller.join(3)
    assert found[0].permanent is permanent
    assert status[:3] in str(found[0])


def test_an_endpoint_that_never_answers_is_called_off(phone, agents, monkeypatch):
    monkeypatch.setattr(sip, "GIVE_UP", 0.5)
    agent = agents()
    with pytest.raises(DriverError, match="nobody answers"):
        agent.call(f"sip:a@127.0.0.1:{phone.port}", "CB", lambda _: None)
    methods = [phone.hear().method for _ in range(2)]
    while methods[-1] != "CANCEL":
        methods.append(phone.hear().method)
    assert methods[0] == "INVITE"


@pytest.mark.parametrize("address", ["sip:a@127.0.0.1:99999", "sip:"])
def test_an_address_that_cannot_be_called_is_a_permanent_error(agents, address):
    with pytest.raises(DriverError) as refusal:
        agents().call(address, "CB", lambda _: None)
    assert refusal.value.permanent


def test_a_port_is_free_again_at_once_when_its_agent_is_stopped():
    agent = Agent("127.0.0.1", 0)
    agent.stop()
    again = Agent("127.0.0.1", agent.port)
    again.stop()
    assert again.port == agent.port


def test_a_phone_that_is_gone_is_hung_up_on(phone, agents, monkeypatch):
    monkeypatch.setattr(sip, "ALIVE_EVERY", 0.1)
    ended = threading.Event()
    agent = agents(lambda *_: (200, Media("127.0.0.1", 5000), ended.set))
    phone.invite(agent)
    phone.hear_status(200)
    phone.say(agent, "ACK sip:x SIP/2.0", "CSeq: 1 ACK")
    assert ended.wait(5)
    assert re.match("OPTIONS|BYE", phone.hear().first)
