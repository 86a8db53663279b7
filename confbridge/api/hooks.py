"""Where bridges report what happens on them."""

from __future__ import annotations

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from confbridge import config
from confbridge.database import transaction
from confbridge.drivers import Delivery
from confbridge.errors import ConfbridgeError
from confbridge.services import events

receivers = Blueprint("hooks", __name__, url_prefix="/hooks")


@receivers.post("/<code>")
def receive(code: str) -> ResponseReturnValue:
    """Keep the batch as it is and answer at once: what is not answered with 200 is lost."""
    delivery = Delivery(
        url=f"{config.in_force().base_url}{request.path}",
        query=request.args.to_dict(),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=request.get_data(as_text=True),
    )
    with transaction():
        bridge = events.reporting_bridge(code, delivery)
        if delivery.body.strip():  # some send nothing at times, to see whether we are there
            events.store(bridge, delivery.body)
    return "", 200


@receivers.errorhandler(ConfbridgeError)
def refused(_error: ConfbridgeError) -> ResponseReturnValue:
    return "", 401, {"WWW-Authenticate": 'Basic realm="bridges"'}
