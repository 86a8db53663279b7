"""The booking form: free times while it is filled in, refusals, and changing a meeting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from confbridge import clock, config, doors
from confbridge.domain.lifecycle import ENDED
from confbridge.domain.rank import Rank
from confbridge.domain.recurrence import WEEKDAYS
from confbridge.doors import Refused, status_of
from confbridge.errors import Conflict, Invalid, NotAllowed, Phrase, StaleVersion
from confbridge.inputs import forms, parse
from confbridge.inputs.meetings import AvailabilityQuery, MeetingChange, MeetingDraft
from confbridge.models import Endpoint, Meeting
from confbridge.services import (
    access,
    availability,
    endpoints,
    leaders,
    meetings,
    refusals,
    register,
    rules,
)
from confbridge.services.availability import Found
from confbridge.services.leaders import Alike
from confbridge.web.render import after_change, page
from confbridge.web.session import account

MOST_DIGITS = 9  # of a version

pages = Blueprint("booking", __name__, url_prefix="/meetings")

Fields = MultiDict[str, str]


@pages.get("/new")
def new() -> str:
    me = account()
    access.check_role(me, *access.BOOK)
    start = clock.now() + timedelta(minutes=30)
    start -= timedelta(minutes=start.minute % 15, seconds=start.second)
    return _form(Fields({"start": local(start), "minutes": "60", "guest_ports": "0"}), [])


@pages.post("/new")
def create() -> ResponseReturnValue:
    me = account()
    form = _form_taken()
    chosen = _chosen(form)
    if "use" in form or form.get("intent") == "times":
        return _form(form, chosen, found=_look(form, chosen))
    given = forms.meeting(form, chosen, config.in_force().zone)
    if form.get("intent") in {"draft", "wait"}:
        given |= {"state": "draft", "wait": form.get("intent") == "wait"}
    try:
        meeting = doors.book(parse(MeetingDraft, given), by=me)
    except Invalid as error:
        again = None
        if is_of_displacing(error):
            draft = parse(MeetingDraft, {**given, "displace": None})
            again = doors.refused(draft, by=me)
        return _form(form, chosen, problems=error.problems, refused=again), status_of(error)
    except Refused as error:
        return _form(form, chosen, refused=error), status_of(error)
    except Conflict as error:
        return _form(form, chosen, problems={"displace": error.phrase}), status_of(error)
    except NotAllowed as error:
        return _form(form, chosen, problems={"rank": error.phrase}), status_of(error)
    return after_change(go_to=url_for("meetings.show", uid=meeting.uid))


@pages.post("/times")
def times() -> ResponseReturnValue:
    """Return free times for the form as it stands; asked while it is filled in."""
    access.check_role(account(), *access.BOOK)
    form = _form_taken()
    meeting = _own_meeting()
    return page("meetings/times.html", look=_look(form, _chosen(form), meeting), form=form)


@pages.get("/<uid>/edit")
def edit(uid: str) -> ResponseReturnValue:
    me = account()
    meeting = access.meeting(me, uid)
    access.check_may_change(me, meeting)
    if meeting.state in ENDED:
        return after_change(go_to=url_for("meetings.show", uid=uid))
    return _form(_fields_of(meeting), _codes(meeting), meeting=meeting)


@pages.post("/<uid>/edit")
def change(uid: str) -> ResponseReturnValue:  # noqa: PLR0911 - one for each refusal
    me = account()
    meeting = access.meeting(me, uid)
    access.check_may_change(me, meeting)
    form = _form_taken()
    chosen = _chosen(form)
    if "use" in form or form.get("intent") == "times":
        return _form(form, chosen, meeting=meeting, found=_look(form, chosen, meeting))
    try:
        wanted = _wanted(meeting, form, chosen)
        doors.change(uid, wanted, by=me, version=version())
    except Invalid as error:
        again = None
        if is_of_displacing(error):
            form.setlist("intent", [])
            again = doors.change_refused(uid, _wanted(meeting, form, chosen), by=me)
            meeting = access.meeting(me, uid)
        return _form(form, chosen, meeting=meeting, problems=error.problems, refused=again), 422
    except StaleVersion as error:
        meeting = access.meeting(me, uid)
        form["version"] = str(meeting.version)
        problems = {"version": error.phrase}
        return _form(form, chosen, meeting=meeting, problems=problems), 412
    except Refused as error:
        return _form(form, chosen, meeting=meeting, refused=error), 409
    except Conflict as error:
        return _form(form, chosen, meeting=meeting, problems={"displace": error.phrase}), 409
    except NotAllowed as error:
        return _form(form, chosen, meeting=meeting, problems={"rank": error.phrase}), 403
    return after_change(go_to=url_for("meetings.show", uid=uid))


def version() -> int | None:
    """Return the version of the meeting that a form was filled in for."""
    text = request.form.get("version", "")[:MOST_DIGITS]
    return int(text) if text.isdecimal() else None


def is_of_displacing(error: Invalid) -> bool:
    """Say whether all that is wrong is who shall give way, or why: the refusal is shown again."""
    return all(field.partition(".")[0] == "displace" for field in error.problems)


def local(moment: datetime) -> str:
    """Return a moment as a browser's field has it."""
    return f"{moment.astimezone(config.in_force().zone):%Y-%m-%dT%H:%M}"


def _own_meeting() -> Meeting | None:
    """Return the meeting that the form is about; None for a new one."""
    uid = request.form.get("uid", "")
    return access.meeting(account(), uid) if uid else None


def _look(form: Fields, chosen: Sequence[str], meeting: Meeting | None = None) -> dict[str, object]:
    """Return what is known of the time in the form, and of better ones; nothing if it is unfit."""
    zone = config.in_force().zone
    empty: dict[str, object] = {"found": None, "clashes": [], "alike": [], "short_notice": None}
    try:
        query = parse(AvailabilityQuery, forms.times(form, chosen, zone))
        known = register.endpoints_named(query.endpoints, meeting.attendees if meeting else ())
        draft = parse(MeetingDraft, {"title": "-", **_timed(form, chosen)})
        me = account()
        wanted = meetings.wanted_by(draft, me, instead_of=meeting)
    except Invalid as error:
        return empty | {"unfit": [*error.problems.values()][:1]}
    except NotAllowed as error:
        return empty | {"unfit": [error.phrase]}
    clashes, missed = refusals.foreseen(wanted, reader=me)
    found: Found = availability.answer(query, known, but=wanted.own)
    title = form.get("title", "").strip()
    return {
        "found": found,
        "clashes": clashes,
        "dates": len(wanted.needs),
        "missed": missed,
        "names": {code: one.name for code, one in known.items()},
        "alike": _alike(title, draft, meeting) if title else [],
        "short_notice": rules.is_short_notice(draft.start),
        "start": draft.start,
    }


def _timed(form: Fields, chosen: Sequence[str]) -> dict[str, object]:
    given = forms.meeting(form, chosen, config.in_force().zone)
    for name in ("title", "displace", "max_misses"):
        given.pop(name, None)
    return given


def _alike(title: str, draft: MeetingDraft, meeting: Meeting | None) -> Sequence[Alike]:
    me = account()
    if meeting:
        host, own = meeting.host, meeting.id
    else:
        host, own = access.host(me, draft.host or me.organisation.code), 0
    return leaders.duplicates(title, host.id, draft.during, reader=me, but=own)


def _fields_of(meeting: Meeting) -> Fields:
    form = Fields(
        {
            "title": meeting.title,
            "agenda": meeting.agenda,
            "chair": meeting.chair,
            "start": local(meeting.starts),
            "minutes": str(round(meeting.during.lasts.total_seconds() / 60)),
            "guest_ports": str(meeting.guest_ports),
            "lead_minutes": str(meeting.lead_minutes),
            "tail_minutes": str(meeting.tail_minutes),
            "rehearsal_minutes": str(meeting.rehearsal_minutes or ""),
            "rank": meeting.rank,
            "network": meeting.network,
            "rrule": meeting.rrule,
            "exdates": " ".join(local(one.starts)[:10] for one in meeting.exdates),
            "version": str(meeting.version),
        }
    )
    for name, is_on in (
        ("standby", meeting.standby),
        ("cascade", meeting.may_cascade),
        ("gives_back", meeting.gives_back),
    ):
        if is_on:
            form[name] = "1"
    for one in meeting.attendees:
        if one.role == "main":
            form["main"] = one.endpoint.code
        if one.role == "optional":
            form[f"optional-{one.endpoint.code}"] = "1"
    return form


def _codes(meeting: Meeting) -> list[str]:
    return [one.endpoint.code for one in meeting.attendees if one.everywhere]


def _form(
    form: Fields,
    chosen: Sequence[str],
    *,
    meeting: Meeting | None = None,
    problems: Mapping[str, Phrase] | None = None,
    **shown: object,
) -> str:
    me = account()
    groups: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints.listed_with(meeting):
        groups.setdefault(endpoint.organisation.level, []).append(endpoint)
    refused = shown.get("refused")
    look = shown.get("found")
    return page(
        "meetings/form.html",
        form=form,
        chosen=set(chosen),
        groups=groups.items(),
        hosts=[] if meeting else access.hosts(me),
        host=form.get("host") or me.organisation.code,
        meeting=meeting,
        problems=by_field(problems or {}),
        refusal=refused.refusal if isinstance(refused, Refused) else None,
        look=look if isinstance(look, dict) else None,
        ranks=list(Rank),
        weekdays=WEEKDAYS,
        is_new=meeting is None,
    )


def by_field(problems: Mapping[str, Phrase]) -> dict[str, Phrase]:
    """Return problems by the field of the form; those of single endpoints count for all."""
    found = {field.partition(".")[0]: phrase for field, phrase in problems.items()}
    if any(field.startswith("displace.") for field in problems):
        found["displace"] = Phrase("Tick what shall give way, and say why.")
    return found


def _form_taken() -> Fields:
    """Return the form, at the time that was clicked on if one of those offered was."""
    form = Fields(request.form)
    chosen_time = form.get("take") or form.get("use")
    if chosen_time:
        form["start"] = chosen_time
    for code in form.get("without", "").split():
        form.setlist("endpoint", [one for one in form.getlist("endpoint") if one != code])
    return form


def _chosen(form: Fields) -> list[str]:
    """Return the codes ticked: one by one, as whole groups, or as the main site."""
    codes = form.getlist("endpoint")
    for level in form.getlist("group"):
        codes += [one.code for one in endpoints.listed(endpoints.Wanted(level=level))]
    main = form.get("main")
    return [*codes, main] if main else codes


def _wanted(meeting: Meeting, form: Fields, chosen: Sequence[str]) -> MeetingChange:
    """Return what differs; the start of a meeting that has begun may stay as it is."""
    given = forms.meeting(form, chosen, config.in_force().zone)
    for name in ("host", "max_misses"):
        given.pop(name, None)
    if local(meeting.starts) == form.get("start", "")[:16]:
        given.pop("start", None)
    if not given.get("rrule"):
        given["rrule"], given["exdates"] = "", []
    if form.get("intent") == "confirm":
        given["state"] = "scheduled"
    # The form knows nothing of ports: who has more than one keeps them.
    ports = {one.endpoint.code: one.ports for one in meeting.attendees}
    for invitee in given["endpoints"]:
        invitee["ports"] = ports.get(invitee["code"], 1)
    return parse(MeetingChange, given)
