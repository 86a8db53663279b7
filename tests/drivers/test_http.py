"""The client of all drivers: never waits long, never leaks, looks at clocks and certificates."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from confbridge import clock
from confbridge.domain.health import Patience
from confbridge.drivers.http import HIDDEN, Conversation, ask, certificate_until, listening
from confbridge.errors import DriverError
from tests.conftest import free_port
from tests.drivers.makers import Maker

QUICK = Patience(connect=0.3, answer=0.3)


class Slow(Maker):
    """Answers when it is told to."""

    waits = 0.0

    def answer(self, _asked):
        time.sleep(self.waits)
        return 200, "application/json", '{"pin": "4711", "ok": 1}', {}


@pytest.fixture
def slow():
    made = Slow()
    yield made
    made.stop()


def test_who_takes_longer_than_its_driver_waits_does_not_answer(slow):
    slow.waits = 1.0
    with pytest.raises(DriverError, match="ReadTimeout"):
        ask("GET", slow.url, patience=QUICK)


def test_who_is_not_there_does_not_answer_and_that_is_kept():
    with listening() as conversation, pytest.raises(DriverError, match="ConnectError"):
        ask("GET", f"http://127.0.0.1:{free_port()}/x?secret=s", patience=QUICK, saying="hello")
    assert conversation.text() == "> hello\n< the bridge does not answer: ConnectError"


def test_an_address_that_makes_no_sense_is_permanent():
    with pytest.raises(DriverError):
        ask("GET", "http://[", patience=QUICK)


def test_what_is_kept_of_a_conversation_holds_no_secret(slow):
    with listening() as conversation:
        ask("GET", f"{slow.url}/path?token=in-the-address", saying="question")
    said = conversation.text({"ok"})
    assert "4711" not in said
    assert "in-the-address" not in said
    assert said == f'> question\n< 200 {{"pin": "{HIDDEN}", "{HIDDEN}": 1}}'


@pytest.mark.parametrize(
    "text",
    [
        "<moderatorPW>hidden</moderatorPW>",
        "<passcode>hidden</passcode>",
        '{"token":"hidden"}',
        '{"guest_pin" : "hidden"}',
    ],
)
def test_what_makers_call_a_secret_is_hidden_though_we_do_not_know_it(text):
    assert "hidden" not in Conversation(lines=[text]).text()


def test_an_answer_that_shall_not_be_kept_is_not(slow):
    with listening() as conversation:
        ask("GET", slow.url, saying="q", is_kept=False)
    assert conversation.text() == "> q\n< 200 …"


@pytest.mark.parametrize("off", [0, 90, -90])
def test_by_how_much_a_clock_is_off_is_seen_to_the_second(slow, monkeypatch, off):
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() - timedelta(seconds=off))
    with listening() as conversation:
        ask("GET", slow.url)
    assert abs(conversation.clock_off - off) <= 1


@pytest.fixture
def https():
    """A server whose certificate nobody trusts, valid for ten days."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cau.example")])
    now = datetime.now(UTC).replace(microsecond=0)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=10))
        .sign(key, hashes.SHA256())
    )
    return key, made, now + timedelta(days=10)


def test_until_when_a_certificate_is_valid_is_seen_whether_we_trust_it_or_not(https, tmp_path):
    key, made, until = https
    plain = serialization.NoEncryption()
    pkcs8 = serialization.PrivateFormat.PKCS8
    (tmp_path / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))
    (tmp_path / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with context.wrap_socket(listener.accept()[0], server_side=True) as line:
            line.recv(1)

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    port = listener.getsockname()[1]
    assert certificate_until(f"wss://127.0.0.1:{port}/janus") == until
    server.join(3)
    listener.close()


def test_a_plain_address_has_no_certificate():
    assert certificate_until("ws://127.0.0.1:1") is None
    with pytest.raises(DriverError):
        certificate_until(f"https://127.0.0.1:{free_port()}", QUICK)
