"""Where bridges report what happens on them."""

from __future__ import annotations

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from confbridge.database import transaction
from confbridge.errors import ConfbridgeError
from confbridge.services import attendance

receivers = Blueprint("hooks", __name__, url_prefix="/hooks")


@receivers.post("/<code>")
def receive(code: str) -> ResponseReturnValue:
    """Keep the batch as it is and answer at once: what is not answered with 2xx is lost."""
    given = request.authorization
    user, password = (given.username or "", given.password or "") if given else ("", "")
    body = request.get_data(as_text=True)
    with transaction():
        bridge = attendance.reporting_bridge(code, user, password)
        attendance.store_events(bridge, body)
    return "", 204


@receivers.errorhandler(ConfbridgeError)
def refused(_error: ConfbridgeError) -> ResponseReturnValue:
    return "", 401, {"WWW-Authenticate": 'Basic realm="bridges"'}
