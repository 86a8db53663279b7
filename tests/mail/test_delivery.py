"""Handing mails over: to a real SMTP server, and to a Maildir."""

from __future__ import annotations

import mailbox

import pytest

from confbridge.errors import MailError
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
