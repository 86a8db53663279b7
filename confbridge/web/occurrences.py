"""Pages about one occurrence of a series: another time or endpoints, for it or for the rest."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from confbridge import config, doors
from confbridge.database import attempt
from confbridge.doors import Refused
from confbridge.errors import Conflict, Invalid, Phrase
from confbridge.inputs import forms, parse
from confbridge.inputs.meetings import Cancellation, OccurrenceChange
from confbridge.services import (
    access,
    demands,
    displacement,
    endpoints,
    meetings,
    rehearsals,
    series,
)
from confbridge.web.booking import Fields, by_field, is_of_displacing, local, version
from confbridge.web.render import after_change, page
from confbridge.web.session import account

pages = Blueprint("occurrences", __name__, url_prefix="/meetings/<uid>/occurrences")


@pages.get("/<int:number>")
def edit(uid: str, number: int) -> str:
    return _form(uid, number, None)


@pages.post("/<int:number>")
def change(uid: str, number: int) -> ResponseReturnValue:
    me = account()
    form = Fields(request.form)
    for code in form.get("without", "").split():
        form.setlist("endpoint", [one for one in form.getlist("endpoint") if one != code])
    given: dict[str, object] = {
        "following": form.get("scope") == "following",
        "leader_reason": form.get("leader_reason", ""),
        **forms.displacement(form),
    }
    meeting = access.meeting(me, uid)
    known = {each.endpoint.code: each for each in meeting.attendees}
    given["endpoints"] = [
        {"code": code, "role": known[code].role, "ports": known[code].ports}
        if code in known
        else {"code": code}
        for code in form.getlist("endpoint")
    ]
    one = meetings.occurrence_of(meeting, number)
    start = form.get("take") or form.get("start", "")
    if start[:16] != local(one.starts) or given["following"] or one.state == "postponed":
        given["start"] = forms.in_zone(start, config.in_force().zone)
    if form.get("minutes"):
        given["minutes"] = form["minutes"]
    try:
        wanted = parse(OccurrenceChange, given)
        found = doors.change_occurrence(uid, number, wanted, by=me, version=version())
    except Invalid as error:
        again = None
        if is_of_displacing(error):
            wanted = parse(OccurrenceChange, {**given, "displace": None})
            again = doors.occurrence_refused(uid, number, wanted, by=me)
        return _form(uid, number, form, problems=error.problems, refused=again), 422
    except Refused as error:
        return _form(uid, number, form, refused=error), 409
    except Conflict as error:
        return _form(uid, number, form, problems={"displace": error.phrase}), 409
    return after_change(go_to=url_for("meetings.show", uid=found.uid))


@pages.post("/<int:number>/cancel")
def cancel(uid: str, number: int) -> ResponseReturnValue:
    me = account()
    following = request.form.get("scope") == "following"
    given = {"reason": request.form.get("reason", ""), "following": following}
    try:
        wanted = parse(Cancellation, given)
    except Invalid as error:
        return _form(uid, number, None, problems=error.problems), 422

    def deed() -> None:
        meeting = access.meeting(me, uid, to_change=True, version=version())
        one = meetings.occurrence_of(meeting, number)
        meetings.cancel_occurrence(meeting, one, wanted.reason, following=wanted.following, by=me)
        rehearsals.follow(meeting, by=me)

    attempt(deed)
    return after_change(go_to=url_for("meetings.show", uid=uid))


def _form(
    uid: str,
    number: int,
    given: Fields | None,
    *,
    problems: Mapping[str, Phrase] | None = None,
    refused: Refused | None = None,
) -> str:
    me = account()
    meeting = access.meeting(me, uid)
    access.check_may_change(me, meeting)
    one = meetings.occurrence_of(meeting, number)
    usual = {
        "start": local(one.starts),
        "minutes": str(round(one.during.lasts.total_seconds() / 60)),
        "version": str(meeting.version),
    }
    listed = endpoints.listed_with(meeting)
    if given is None:
        chosen = demands.members([one])[one.id]
    else:
        ticked = set(given.getlist("endpoint"))
        chosen = {each.id for each in listed if each.code in ticked}
    form = given.copy() if given else Fields()
    for name, value in usual.items():
        form.setdefault(name, value)
    if form.get("take"):
        form["start"] = form["take"]
    return page(
        "occurrences/edit.html",
        meeting=meeting,
        occurrence=one,
        form=form,
        endpoints=listed,
        chosen=chosen,
        problems=by_field(problems or {}),
        offers=displacement.offers_of(one) if one.state == "postponed" else [],
        can_change=one.state in series.CHANGEABLE,
        refusal=refused.refusal if refused else None,
    )
