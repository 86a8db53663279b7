"""Where bridges report what happens on them, and ask whether a room may be opened."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from confbridge import config
from confbridge.api import shapes
from confbridge.database import transaction
from confbridge.doors import say
from confbridge.drivers import Delivery
from confbridge.errors import ConfbridgeError, NotFound
from confbridge.models import Bridge
from confbridge.services import events, reservation
from confbridge.services.reservation import Granted

receivers = Blueprint("hooks", __name__, url_prefix="/hooks")


@receivers.post("/<code>")
@receivers.route("/<code>/<path:rest>", methods=["GET", "POST"])
def receive(code: str, rest: str = "") -> ResponseReturnValue:
    """Keep the batch as it is and answer at once: what is not answered with 200 is lost."""
    delivery = _delivery(rest)
    with transaction():
        bridge = events.reporting_bridge(code, delivery)
        if rest or delivery.body.strip():  # some send nothing at times, to see if we are there
            events.store(bridge, delivery)
    return "", 200


@receivers.post("/<code>/conference")
def reserve(code: str) -> ResponseReturnValue:
    """Say whether a room may be opened (Prosody's mod_reservations); asked again, the same."""
    name = request.form.get("name", "")
    return _reserved(reservation.grant(_asking(code), name))


@receivers.get("/<code>/conference/<int:number>")
def reserved(code: str, number: int) -> ResponseReturnValue:
    return _reserved(reservation.granted(_asking(code), number))


@receivers.delete("/<code>/conference/<int:number>")
def given_up(code: str, number: int) -> ResponseReturnValue:
    """Take note that the room is gone; who was in it is told by other events."""
    reservation.granted_before(_asking(code), number)
    return "", 200


@receivers.errorhandler(NotFound)
def unknown(error: NotFound) -> ResponseReturnValue:
    return {"message": say(error.phrase)}, 403


@receivers.errorhandler(ConfbridgeError)
def refused(_error: ConfbridgeError) -> ResponseReturnValue:
    return "", 401, {"WWW-Authenticate": 'Basic realm="bridges"'}


def _asking(code: str) -> Bridge:
    return events.reporting_bridge(code, _delivery("conference"))


def _delivery(rest: str) -> Delivery:
    return Delivery(
        url=f"{config.in_force().base_url}{request.path}",
        path=rest,
        query=request.args.to_dict(),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=request.get_data(as_text=True),
    )


def _reserved(found: Granted) -> dict[str, Any]:
    return {
        "id": found.id,
        "name": found.name,
        "mail_owner": request.form.get("mail_owner", ""),
        "start_time": shapes.moment(found.starts),
        "duration": found.seconds,
        "max_occupants": found.legs,
    }
