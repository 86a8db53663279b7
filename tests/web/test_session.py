"""Signing in and out, the language, and what holds behind HTTPS."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from confbridge.database import transaction
from confbridge.models import Account
from confbridge.services import accounts
from tests import factories
from tests.conftest import Client, service
from tests.factories import scalar, sign_in
from tests.web.forms import post, token_in

PASSWORD = "a-long-enough-password"


def test_a_page_that_asks_for_itself_is_led_to_the_door_once_signed_out(client, cast):
    answer = client.get("/bridges", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (401, "/sign-in")


def test_behind_https_forms_work_and_cookies_are_secure(database_url, tmp_path):
    with service(database_url, tmp_path, base_url="https://hoinghi.example") as app:
        factories.cast()
        app.test_client_class = Client
        check_https(app.test_client())


def check_https(client):
    from_proxy = {"X-Forwarded-Proto": "https"}
    answer = client.get("/sign-in", headers=from_proxy)
    assert "Secure" in answer.headers["Set-Cookie"]
    given = {"csrf_token": token_in(answer), "email": "x", "password": "y"}
    cookie = {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}
    refused = client.post("/sign-in", data=given, headers=from_proxy | cookie)
    assert refused.status_code == 403
    assert "Strict-Transport-Security" in answer.headers
    assert client.get("/healthz").status_code == 200


def test_pages_are_vietnamese_unless_english_is_wanted(client, cast):
    sign_in(client, cast.ann)
    assert 'lang="vi"' in client.get("/meetings").text
    english = client.get("/meetings", headers={"Accept-Language": "en-GB,en;q=0.9"})
    assert "Book a meeting" in english.text
    assert post(client, "/language", on="/meetings", language="en").status_code == 303
    assert "Book a meeting" in client.get("/meetings", headers={"Accept-Language": "vi"}).text
    assert scalar(select(Account.language).where(Account.name == "Ann")) == "en"


def with_password(cast):
    with transaction():
        return accounts.create(
            "thuky@example.org", PASSWORD, role="secretariat", organisation=cast.home, name="T"
        )


def test_signing_in_and_out(client, cast):
    with_password(cast)
    answer = post(
        client, "/sign-in", email="Thuky@Example.org", password=PASSWORD, next="/endpoints"
    )
    assert (answer.status_code, answer.location) == (303, "/endpoints")
    assert client.get("/endpoints").status_code == 200
    post(client, "/sign-out", on="/endpoints")
    assert client.get("/endpoints").status_code == 303


@pytest.mark.parametrize("address", ["//evil.example", "https://evil.example/", "/\\evil.example"])
def test_signing_in_never_leads_to_another_host(client, cast, address):
    with_password(cast)
    answer = post(client, "/sign-in", email="thuky@example.org", password=PASSWORD, next=address)
    assert answer.location == "/meetings"


def test_five_wrong_passwords_lock_the_account_for_a_while(client, cast, clock_at):
    with_password(cast)
    for _ in range(5):
        wrong = post(client, "/sign-in", email="thuky@example.org", password="wrong")
        assert wrong.status_code == 403
    assert post(client, "/sign-in", email="thuky@example.org", password=PASSWORD).status_code == 403
    clock_at(factories.soon(2))
    assert post(client, "/sign-in", email="thuky@example.org", password=PASSWORD).status_code == 303


def test_an_unknown_address_is_refused_in_the_same_words(client, cast):
    with_password(cast)
    known = post(client, "/sign-in", email="thuky@example.org", password="wrong")
    unknown = post(client, "/sign-in", email="nobody@example.org", password="wrong")
    said = [re.search(r'role="alert">([^<]+)<', one.text).group(1) for one in (known, unknown)]
    assert said[0] == said[1]
