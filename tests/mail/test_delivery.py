"""Handing mails over: to a real SMTP server, and to a Maildir."""

from __future__ import annotations

import base64
import mailbox
from dataclasses import replace

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from confbridge.errors import BadConfig, MailError
from confbridge.mail import compose, delivery
from tests.conftest import free_port
from tests.mail.test_compose import COPY


def mail():
    return compose.mail(COPY)


def hand_over(url):
    with delivery.Courier(url) as courier:
        courier.deliver(mail())


def test_a_server_takes_the_mail(post_office):
    hand_over(post_office.url)
    (taken,) = post_office.mails
    assert taken["Message-ID"] == COPY.message_id


@pytest.mark.parametrize(
    ("answer", "permanent"), [("550 no such mailbox", True), ("451 try later", False)]
)
def test_a_refused_address_is_its_own_trouble(post_office, answer, permanent):
    post_office.refuse[COPY.recipient] = answer
    with pytest.raises(MailError) as refusal:
        hand_over(post_office.url)
    assert (refusal.value.permanent, refusal.value.server) == (permanent, False)
    assert answer in str(refusal.value)


def test_a_server_that_is_away_is_the_trouble_of_all():
    with pytest.raises(MailError) as refusal:
        hand_over(f"smtp://127.0.0.1:{free_port()}")
    assert (refusal.value.permanent, refusal.value.server) == (False, True)


def test_a_server_that_is_too_slow_is_not_waited_for(post_office, monkeypatch):
    monkeypatch.setattr(delivery, "PATIENCE", 0.2)
    post_office.slow = 1.0
    with pytest.raises(MailError) as refusal:
        hand_over(post_office.url)
    assert refusal.value.server


def test_without_a_server_mails_are_filed_once_each(tmp_path):
    for _ in range(2):
        hand_over(f"maildir:{tmp_path}")
    (filed,) = mailbox.Maildir(tmp_path)
    assert filed["Message-ID"] == COPY.message_id


def test_check_says_whether_mail_can_go_out(post_office, tmp_path):
    assert "250" in delivery.check(post_office.url)
    assert delivery.check(f"maildir:{tmp_path}")
    with pytest.raises(MailError):
        delivery.check(f"smtp://127.0.0.1:{free_port()}")


def test_many_mails_go_over_one_connection_and_one_that_was_ended_is_made_anew(post_office):
    with delivery.Courier(post_office.url) as courier:
        for _ in range(3):
            courier.deliver(mail())
        assert post_office.connections == 1
        post_office.close()
        post_office.open()
        courier.deliver(mail())
    assert (post_office.connections, len(post_office.mails)) == (2, 4)


def test_with_a_key_every_mail_is_signed_and_the_signature_holds(post_office):
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)
    sign = delivery.Signature(domain="ninhthuan.example", selector="s1", key=pem)
    raw = delivery.signed(mail().as_bytes(), sign)
    asked = []

    def dns(name, **_):
        asked.append(name)
        return record

    assert dkim.verify(raw, dnsfunc=dns)
    assert asked == [b"s1._domainkey.ninhthuan.example."]
    assert not dkim.verify(raw.replace(b"Subject: ", b"Subject: x"), dnsfunc=dns)
    assert b"reply-to" in raw.partition(b"b=")[0].lower()
    with pytest.raises(BadConfig):
        delivery.signed(b"From: a@b.c\r\n\r\n", replace(sign, key="PRIVATE KEY nonsense"))
    assert pem not in repr(sign)
