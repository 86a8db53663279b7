"""What the API takes and gives, made from the same models that check the input."""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, current_app

from confbridge.inputs import Draft
from confbridge.inputs.directory import (
    BridgeChange,
    BridgeDraft,
    DecidedDay,
    EndpointChange,
    EndpointDraft,
    Maintenance,
    PoolChange,
    PoolDraft,
    Reminders,
    Weights,
)
from confbridge.inputs.live import Command
from confbridge.inputs.meetings import (
    AvailabilityQuery,
    Cancellation,
    Decision,
    Hold,
    MeetingChange,
    MeetingDraft,
    OccurrenceChange,
    Postponement,
    RecordedAnswer,
)

resource = Blueprint("openapi", __name__)

PREFIX = "/api/v1"
SCHEMAS = "#/components/schemas/{model}"

TAKES: dict[str, type[Draft]] = {  # what each changing call takes
    "api.endpoints.create": EndpointDraft,
    "api.endpoints.change": EndpointChange,
    "api.bridges.create": BridgeDraft,
    "api.bridges.change": BridgeChange,
    "api.bridges.maintain": Maintenance,
    "api.endpoints.maintain": Maintenance,
    "api.conferences.command": Command,
    "api.conferences.extend": Command,
    "api.availability.search": AvailabilityQuery,
    "api.rules.create": PoolDraft,
    "api.rules.change_pool": PoolChange,
    "api.rules.order_ranks": Weights,
    "api.rules.decide_day": DecidedDay,
    "api.organisations.change_reminders": Reminders,
    "api.meetings.decide": Decision,
    "api.meetings.create": MeetingDraft,
    "api.meetings.change": MeetingChange,
    "api.meetings.cancel": Cancellation,
    "api.meetings.postpone": Postponement,
    "api.meetings.hold": Hold,
    "api.meetings.change_occurrence": OccurrenceChange,
    "api.meetings.cancel_occurrence": Cancellation,
    "api.meetings.reply": RecordedAnswer,
}
# Besides every PATCH, what may name the version it was decided on.
VERSIONED = {
    f"api.meetings.{name}" for name in ("cancel", "postpone", "hold", "wait", "cancel_occurrence")
}
ASKED: dict[str, tuple[str, ...]] = {  # what each list can be narrowed by
    "api.organisations.index": ("limit", "cursor"),
    "api.endpoints.index": ("q", "level", "organisation", "kind", "limit", "cursor"),
    "api.endpoints.freebusy": ("from", "to"),
    "api.bridges.timeline": ("from", "to", "step_minutes"),
    "api.meetings.index": (
        *("from", "to", "endpoint", "organisation", "state", "q"),
        *("limit", "cursor"),
    ),
    "api.meetings.report": ("occurrence",),
    "api.conferences.index": ("state",),
}
REFUSALS = {
    "401": "No token, or one that is unknown",
    "403": "Not allowed to this account",
    "404": "No such thing, or none that this account may see",
    "409": "A clash: `clashes` says what is in the way, `alternatives` when it is free",
    "412": "If-Match names a version that is no longer the newest",
    "422": "Input that makes no sense: `problems` maps field to message",
}


@resource.get("/openapi.json")
def document() -> dict[str, Any]:
    """Return the description (OpenAPI 3.1) of every call there is."""
    paths: dict[str, dict[str, Any]] = {}
    for rule in current_app.url_map.iter_rules():
        if not rule.rule.startswith(PREFIX):
            continue
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule.removeprefix(PREFIX))
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            paths.setdefault(path, {})[method.lower()] = _call(rule.endpoint, path, method)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ConfBridge", "version": "1"},
        "servers": [{"url": PREFIX}],
        "security": [{"token": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
        },
    }


def _call(endpoint: str, path: str, method: str) -> dict[str, Any]:
    view = current_app.view_functions[endpoint]
    said = (view.__doc__ or "").strip().split("\n")[0]
    call: dict[str, Any] = {
        "operationId": endpoint.removeprefix("api."),
        "summary": said or f"{endpoint.rsplit('.', maxsplit=1)[-1]} {endpoint.split('.')[-2]}",
        "parameters": _parameters(endpoint, path, method),
        "responses": _responses(endpoint, method),
    }
    if model := TAKES.get(endpoint):
        schema = {"$ref": SCHEMAS.format(model=model.__name__)}
        call["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    return call


def _parameters(endpoint: str, path: str, method: str) -> list[dict[str, Any]]:
    text = {"type": "string"}
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": text}
        for name in re.findall(r"{(\w+)}", path)
    ]
    found += [{"name": name, "in": "query", "schema": text} for name in ASKED.get(endpoint, ())]
    if endpoint.endswith(".create"):
        found.append({"name": "Idempotency-Key", "in": "header", "schema": text})
    elif method == "PATCH" or endpoint in VERSIONED:
        found.append({"name": "If-Match", "in": "header", "schema": text})
    return found


def _responses(endpoint: str, method: str) -> dict[str, Any]:
    good = "201" if endpoint.endswith(".create") else "204" if method == "DELETE" else "200"
    problem = {"schema": {"$ref": SCHEMAS.format(model="Problem")}}
    refusals = set(REFUSALS) if method != "GET" else {"401", "403", "404", "422"}
    return {good: {"description": "Done"}} | {
        code: {"description": REFUSALS[code], "content": {"application/problem+json": problem}}
        for code in sorted(refusals)
    }


def _schemas() -> dict[str, Any]:
    schemas: dict[str, Any] = {
        "Problem": {
            "type": "object",
            "required": ["type", "title", "status", "detail"],
            "properties": {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string"},
                "problems": {"type": "object", "additionalProperties": {"type": "string"}},
                "clashes": {"type": "array", "items": {"type": "object"}},
                "alternatives": {"type": "array", "items": {"type": "object"}},
                "displaceable": {"type": "array", "items": {"type": "object"}},
                "affected": {"type": "array", "items": {"type": "object"}},
            },
        }
    }
    for model in TAKES.values():
        schema = model.model_json_schema(ref_template=SCHEMAS)
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    return schemas
