"""Times at which everybody could meet, as JSON."""

from __future__ import annotations

from flask import Blueprint

from confbridge.api import changes, shapes
from confbridge.api.shapes import Shape
from confbridge.inputs import parse
from confbridge.inputs.meetings import AvailabilityQuery
from confbridge.services import availability, register

resource = Blueprint("availability", __name__, url_prefix="/availability")


@resource.post("")
def search() -> Shape:
    """Return ranked times that work, or why there are none."""
    query = parse(AvailabilityQuery, changes.body())
    endpoints = register.endpoints_named(query.endpoints)
    return shapes.suggestions(availability.answer(query, endpoints))
