"""Endpoints, bridges, organisations, tokens, and the description of it all."""

from __future__ import annotations

import base64
import json

import pytest
from sqlalchemy import text

from confbridge.database import db
from confbridge.jobs import run_until_idle
from confbridge.jobs.attendance import work_on_some
from confbridge.models import BridgeEvents
from tests import factories
from tests.conftest import Client, free_port, service
from tests.factories import token

BRIDGE = {
    "code": "cau-c",
    "name": "Cầu C",
    "driver": "janus",
    "ports": 20,
    "networks": ["tslcd"],
    "settings": {"admin_url": "http://127.0.0.1:1/admin", "ws_url": "ws://127.0.0.1:1"},
    "secrets": {"admin_secret": "hidden-1", "admin_key": "hidden-2", "events_password": "hidden-3"},
}
ENDPOINT = {
    "code": "NEW-1",
    "name": "Điểm cầu mới",
    "organisation": "BELOW",
    "kind": "soft",
    "networks": ["internet"],
    "email": "new-1@example.org",
}


def test_health_needs_no_token(client):
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


def test_health_says_when_the_database_is_away(tmp_path):
    away = f"postgresql+psycopg://confbridge@127.0.0.1:{free_port()}/none"
    with service(away, tmp_path) as app:
        app.test_client_class = Client
        answer = app.test_client().get("/healthz")
    assert (answer.status_code, answer.json) == (503, {"status": "down"})


@pytest.mark.parametrize(("address", "status"), [("nowhere", 404), ("meetings/x/y", 404)])
def test_an_address_that_is_none_is_a_problem_document(client, cast, address, status):
    answer = client.get(f"/api/v1/{address}", headers=token(cast.ann))
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")


def test_a_method_that_is_none_is_a_problem_document(client, cast):
    answer = client.delete("/api/v1/endpoints", headers=token(cast.ann))
    assert (answer.status_code, answer.content_type) == (405, "application/problem+json")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", "Basic eDp4"])
def test_without_a_good_token_nothing_is_told(client, cast, header):
    answer = client.get("/api/v1/endpoints", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.content_type == "application/problem+json"


def test_a_token_ends_with_its_account(client, cast):
    headers = token(cast.ann)
    db.session.execute(text("UPDATE accounts SET active = (1 = 0)"))
    db.session.commit()
    assert client.get("/api/v1/endpoints", headers=headers).status_code == 401


def test_only_the_digest_of_a_token_is_kept(client, cast):
    secret = token(cast.ann)["Authorization"].removeprefix("Bearer ")
    kept = db.session.execute(text("SELECT digest FROM api_tokens")).scalar_one()
    assert secret not in kept


def test_endpoints_are_found_without_accents(client, cast):
    found = client.get("/api/v1/endpoints?q=diem+cau+e-1", headers=token(cast.bob)).json
    assert [one["code"] for one in found["items"]] == ["E-1"]


def test_an_endpoint_is_added_changed_and_retired(client, cast):
    headers = token(cast.carla)
    made = client.post("/api/v1/endpoints", json=ENDPOINT, headers=headers)
    assert made.status_code == 201
    assert made.json["level"] == "district"
    address = "/api/v1/endpoints/NEW-1"
    changed = client.patch(address, json={"seats": 30}, headers=headers | {"If-Match": "1"})
    assert (changed.json["seats"], changed.json["version"]) == (30, 2)
    stale = client.patch(address, json={"seats": 31}, headers=headers | {"If-Match": "1"})
    assert stale.status_code == 412
    client.patch(address, json={"state": "retired"}, headers=headers)
    refused = client.post("/api/v1/meetings", json=factories.body(["NEW-1"]), headers=headers)
    assert set(refused.json["problems"]) == {"endpoints.0.code"}
    twice = client.post("/api/v1/endpoints", json=ENDPOINT, headers=headers)
    assert set(twice.json["problems"]) == {"code"}


@pytest.mark.parametrize(
    ("field", "value"),
    [("email", "no address"), ("kind", "phone"), ("networks", []), ("organisation", "NOBODY")],
)
def test_an_endpoint_that_makes_no_sense_is_refused(client, cast, field, value):
    answer = client.post(
        "/api/v1/endpoints", json=ENDPOINT | {field: value}, headers=token(cast.carla)
    )
    assert (answer.status_code, set(answer.json["problems"])) == (422, {field})


@pytest.mark.parametrize(
    ("who", "reads", "changes"),
    [
        ("ann", 403, 403),
        ("bob", 403, 403),
        ("dan", 403, 403),
        ("olga", 200, 403),
        ("carla", 200, 200),
    ],
)
def test_who_may_see_and_change_bridges(client, cast, who, reads, changes):
    headers = token(getattr(cast, who))
    address = f"/api/v1/bridges/{cast.bridge.code}"
    assert client.get("/api/v1/bridges", headers=headers).status_code == reads
    assert client.get(address, headers=headers).status_code == reads
    assert client.get(f"{address}/timeline", headers=headers).status_code == reads
    assert client.patch(address, json={"name": "X"}, headers=headers).status_code == changes
    made = client.post("/api/v1/bridges", json=BRIDGE, headers=headers).status_code
    assert made == (201 if changes == 200 else 403)


def test_secrets_of_a_bridge_never_come_back_and_are_encrypted_at_rest(client, cast):
    headers = token(cast.carla)
    made = client.post("/api/v1/bridges", json=BRIDGE, headers=headers)
    listed = client.get("/api/v1/bridges", headers=headers)
    kept = db.session.execute(text("SELECT secrets FROM bridges")).scalars().all()
    for secret in BRIDGE["secrets"].values():
        assert secret not in made.text + listed.text
        assert all(secret.encode() not in bytes(one) for one in kept)


def test_a_bridge_lacking_what_its_driver_needs_is_refused(client, cast):
    given = BRIDGE | {"settings": {"ws_url": "ws://x", "colour": "red"}}
    answer = client.post("/api/v1/bridges", json=given, headers=token(cast.carla))
    assert set(answer.json["problems"]) == {"settings.admin_url", "settings.colour"}
    unknown = client.post(
        "/api/v1/bridges", json=BRIDGE | {"driver": "tin-can"}, headers=token(cast.carla)
    )
    assert set(unknown.json["problems"]) == {"driver"}


def test_a_bridge_cannot_have_fewer_ports_than_it_has_promised(client, cast):
    factories.meeting(cast.ann, ["E-1", "E-2", "E-3"])
    address, headers = f"/api/v1/bridges/{cast.bridge.code}", token(cast.carla)
    assert client.patch(address, json={"ports": 2}, headers=headers).status_code == 409
    assert client.patch(address, json={"ports": 3}, headers=headers).json["ports"] == 3


def test_the_timeline_shows_the_peak_inside_each_step(client, cast):
    factories.meeting(cast.ann, ["E-1", "E-2"])
    start = factories.soon()
    query = {"from": start.isoformat(), "to": factories.soon(27).isoformat(), "step_minutes": "60"}
    answer = client.get(
        f"/api/v1/bridges/{cast.bridge.code}/timeline", query_string=query, headers=token(cast.olga)
    )
    assert [one["promised"] for one in answer.json["steps"]] == [2, 2, 0]
    assert [one["free"] for one in answer.json["steps"]] == [8, 8, 10]


def test_organisations_know_their_parent(client, cast):
    found = client.get("/api/v1/organisations/BELOW", headers=token(cast.bob)).json
    assert (found["parent"], found["valid_from"], found["valid_to"]) == ("HOME", "2010-01-01", None)
    listed = client.get("/api/v1/organisations?limit=2", headers=token(cast.bob)).json
    assert len(listed["items"]) == 2
    assert listed["next"]


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "cursor=%%%", "cursor=eHh4"])
def test_nonsense_about_pages_is_refused(client, cast, query):
    answer = client.get(f"/api/v1/endpoints?{query}", headers=token(cast.bob))
    assert answer.status_code == 422


def test_the_description_names_every_call_and_its_input(client):
    found = client.get("/api/v1/openapi.json").json
    assert found["openapi"].startswith("3.1")
    assert {"get", "patch"} == set(found["paths"]["/meetings/{uid}"])
    draft = found["components"]["schemas"]["MeetingDraft"]
    assert set(draft["required"]) == {"start", "minutes", "endpoints"}  # title: unless secret
    assert draft["properties"]["minutes"]["maximum"] == 1440
    written = json.dumps(found)
    for name in {part.split('"')[0] for part in written.split("#/components/schemas/")[1:]}:
        assert name in found["components"]["schemas"], name


def reported(client, bridge, password, body="[]"):
    credentials = base64.b64encode(f"{bridge.code}:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}"}
    return client.post(f"/hooks/{bridge.code}", data=body, headers=headers)


def test_only_the_bridge_itself_may_report(app, client, cast):
    assert reported(client, cast.bridge, "guess").status_code == 401
    assert client.post(f"/hooks/{cast.bridge.code}", data="[]").status_code == 401
    assert client.post("/hooks/nowhere", data="[]").status_code == 401
    assert reported(client, cast.bridge, "p").status_code == 200


def test_a_batch_of_nonsense_is_kept_and_blocks_nothing(app, client, cast):
    assert reported(client, cast.bridge, "p", "{nonsense").status_code == 200
    assert reported(client, cast.bridge, "p", "[]").status_code == 200
    assert run_until_idle(app, work_on_some) == 1
    db.session.rollback()
    (kept,) = db.session.query(BridgeEvents).all()
    assert (kept.due, bool(kept.trouble)) == (None, True)
