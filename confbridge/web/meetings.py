"""Pages about meetings: the list, the day, the booking form, one meeting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from confbridge import clock, config, doors
from confbridge.database import transaction
from confbridge.domain.interval import Interval
from confbridge.domain.lifecycle import MeetingState
from confbridge.domain.rsvp import Via
from confbridge.doors import Refused, status_of
from confbridge.errors import Invalid, Phrase, StaleVersion
from confbridge.inputs import parse
from confbridge.inputs.meetings import (
    Cancellation,
    MeetingChange,
    MeetingDraft,
    RecordedAnswer,
    from_form,
)
from confbridge.models import Account, Endpoint, Meeting
from confbridge.services import access, endpoints, links, meetings, outbox, replies
from confbridge.services.meetings import Wanted
from confbridge.web import pictures
from confbridge.web.render import after_change, page
from confbridge.web.session import account

pages = Blueprint("meetings", __name__, url_prefix="/meetings")

DAY_BEGINS, DAY_ENDS = timedelta(hours=6), timedelta(hours=20)
PER_PAGE = 50
EARLIEST, LATEST = 1970, 2200


@pages.get("")
def index() -> str:
    me = account()
    text, past = request.args.get("q", "")[:100], "past" in request.args
    now = clock.now()
    wanted = Wanted(start=None if past else now, end=now if past else None, text=text)
    found = meetings.listed(me, wanted, limit=PER_PAGE + 1, after=_after(request.args))
    days = [
        (day, list(some))
        for day, some in groupby(
            found[:PER_PAGE],
            lambda one: one.occurrence.starts.astimezone(config.in_force().zone).date(),
        )
    ]
    return page(
        "meetings/index.html",
        days=days,
        text=text,
        past=past,
        more=found[PER_PAGE - 1] if len(found) > PER_PAGE else None,
        may_book=me.role in access.BOOK,
        now=now,
    )


@pages.get("/day")
@pages.get("/day/<date>")
def day(date: str = "") -> str:
    me = account()
    zone = config.in_force().zone
    try:
        first = datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=zone) if date else None
    except ValueError as error:
        raise Invalid(date=Phrase("Choose a date and a time.")) from error
    if first and not EARLIEST <= first.year <= LATEST:
        raise Invalid(date=Phrase("Choose a year from 1970 to 2200."))
    now = clock.now()
    midnight = (first or now.astimezone(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    taken = endpoints.busy_together(Interval(midnight, midnight + timedelta(days=1)), reader=me)
    within = _shown_hours(midnight, [one.during for _, some in taken for one in some])
    rows = [(endpoint, _bars(some, within)) for endpoint, some in taken]
    return page(
        "meetings/day.html",
        day=midnight,
        before=midnight - timedelta(days=1),
        after=midnight + timedelta(days=1),
        rows=rows,
        hours=pictures.hours(within, timedelta(hours=2)),
        now_at=pictures.now_line(now, within),
    )


@pages.get("/new")
def new() -> str:
    me = account()
    access.check_role(me, *access.BOOK)
    start = clock.now() + timedelta(minutes=30)
    start -= timedelta(minutes=start.minute % 15, seconds=start.second)
    return _form({"start": _local(start), "minutes": "60", "guest_ports": "0"}, [])


@pages.post("/new")
def create() -> ResponseReturnValue:
    me = account()
    form = _form_taken()
    chosen = _chosen(form)
    try:
        draft = parse(MeetingDraft, from_form(form, chosen, config.in_force().zone))
        meeting = doors.book(draft, by=me)
    except Invalid as error:
        return _form(form, chosen, problems=error.problems), status_of(error)
    except Refused as error:
        return _form(form, chosen, refused=error), status_of(error)
    return after_change(go_to=url_for(".show", uid=meeting.uid))


@pages.get("/<uid>")
def show(uid: str) -> str:
    return _shown(account(), uid)


@pages.get("/<uid>/edit")
def edit(uid: str) -> ResponseReturnValue:
    me = account()
    meeting = access.meeting(me, uid)
    access.check_may_change(me, meeting)
    if meeting.state != MeetingState.SCHEDULED:
        return after_change(go_to=url_for(".show", uid=uid))
    form = {
        "title": meeting.title,
        "agenda": meeting.agenda,
        "chair": meeting.chair,
        "start": _local(meeting.occurrence.starts),
        "minutes": str(round(meeting.occurrence.during.lasts.total_seconds() / 60)),
        "guest_ports": str(meeting.guest_ports),
        "lead_minutes": str(meeting.lead_minutes),
        "tail_minutes": str(meeting.tail_minutes),
        "main": next((one.endpoint.code for one in meeting.attendees if one.role == "main"), ""),
        "version": str(meeting.version),
    }
    form |= {
        f"optional-{one.endpoint.code}": "1" for one in meeting.attendees if one.role == "optional"
    }
    return _form(form, [one.endpoint.code for one in meeting.attendees], meeting=meeting)


@pages.post("/<uid>/edit")
def change(uid: str) -> ResponseReturnValue:
    me = account()
    meeting = access.meeting(me, uid)
    access.check_may_change(me, meeting)
    form = _form_taken()
    chosen = _chosen(form)
    try:
        wanted = _wanted(meeting, form, chosen)
        doors.change(uid, wanted, by=me, version=_version())
    except Invalid as error:
        return _form(form, chosen, meeting=meeting, problems=error.problems), 422
    except StaleVersion as error:
        meeting = access.meeting(me, uid)
        form["version"] = str(meeting.version)
        problems = {"version": error.phrase}
        return _form(form, chosen, meeting=meeting, problems=problems), 412
    except Refused as error:
        return _form(form, chosen, meeting=meeting, refused=error), 409
    return after_change(go_to=url_for(".show", uid=uid))


@pages.post("/<uid>/cancel")
def cancel(uid: str) -> ResponseReturnValue:
    me = account()
    try:
        wanted = parse(Cancellation, {"reason": request.form.get("reason", "")})
    except Invalid as error:
        return _shown(me, uid, problems=error.problems), 422
    with transaction():
        meeting = access.meeting(me, uid, to_change=True, version=_version())
        meetings.cancel(meeting, wanted.reason, by=me)
    return after_change(go_to=url_for(".show", uid=uid))


@pages.post("/<uid>/remind")
def remind(uid: str) -> ResponseReturnValue:
    me = account()
    with transaction():
        meetings.remind(access.meeting(me, uid, to_change=True), by=me)
    return after_change(go_to=url_for(".show", uid=uid))


@pages.post("/<uid>/replies")
def record_reply(uid: str) -> ResponseReturnValue:
    """Enter what an endpoint said by telephone."""
    me = account()
    access.check_may_change(me, access.meeting(me, uid))
    given = {key: value for key, value in request.form.items() if value and key != "csrf_token"}
    try:
        answer = parse(RecordedAnswer, {**given, "via": Via.PHONE})
        with transaction():
            meeting = access.meeting(me, uid, to_change=True)
            attendee = replies.of_endpoint(meeting, answer.endpoint)
            replies.record(meeting, attendee, answer, via=Via.PHONE, by=me.email)
    except Invalid as error:
        return _shown(me, uid, problems=error.problems), 422
    return after_change(go_to=url_for(".show", uid=uid))


def _shown(me: Account, uid: str, *, problems: Mapping[str, Phrase] | None = None) -> str:
    meeting = access.meeting(me, uid)
    may_change = access.may_change(me, meeting)
    counts = dict.fromkeys(("ACCEPTED", "TENTATIVE", "DECLINED", "NEEDS-ACTION"), 0)
    for attendee in meeting.attendees:
        counts[attendee.partstat] += 1
    return page(
        "meetings/show.html",
        meeting=meeting,
        allocation=access.allocation_of(meeting.occurrence),
        deliveries=outbox.deliveries([meeting]),
        counts=counts,
        can_change=may_change and meeting.state == MeetingState.SCHEDULED,
        can_watch=may_change or me.role == "operator",
        links={one.id: links.join_url(one.id) for one in meeting.attendees} if may_change else {},
        guest_url=links.guest_url(meeting.occurrence.id) if may_change else "",
        pin=links.pin(meeting.occurrence.id) if may_change else "",
        problems=problems or {},
    )


def _form(
    form: Mapping[str, str],
    chosen: Sequence[str],
    *,
    meeting: Meeting | None = None,
    problems: Mapping[str, Phrase] | None = None,
    refused: Refused | None = None,
) -> str:
    me = account()
    groups: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints.listed_with(meeting):
        groups.setdefault(endpoint.organisation.level, []).append(endpoint)
    return page(
        "meetings/form.html",
        form=form,
        chosen=set(chosen),
        groups=groups.items(),
        hosts=[] if meeting else access.hosts(me),
        host=form.get("host") or me.organisation.code,
        meeting=meeting,
        problems=_by_field(problems or {}),
        refusal=refused.refusal if refused else None,
    )


def _by_field(problems: Mapping[str, Phrase]) -> dict[str, Phrase]:
    """Return problems by the field of the form; those of single endpoints count for all."""
    return {field.partition(".")[0]: phrase for field, phrase in problems.items()}


def _form_taken() -> dict[str, str]:
    """Return the form, at the time that was clicked on if one of those offered was."""
    form = dict(request.form.items())
    if form.get("take"):
        form["start"] = form["take"]
    return form


def _chosen(form: Mapping[str, str]) -> list[str]:
    """Return the codes ticked: one by one, as whole groups, or as the main site."""
    codes = request.form.getlist("endpoint")
    for level in request.form.getlist("group"):
        codes += [one.code for one in endpoints.listed(endpoints.Wanted(level=level))]
    return [*codes, form["main"]] if form.get("main") else codes


def _wanted(meeting: Meeting, form: Mapping[str, str], chosen: Sequence[str]) -> MeetingChange:
    """Return what differs; the start of a meeting that has begun may stay as it is."""
    given = from_form(form, chosen, config.in_force().zone)
    given.pop("host", None)
    unmoved = _local(meeting.occurrence.starts) == form.get("start", "")[:16]
    if unmoved:
        given.pop("start", None)
    # The form knows nothing of ports: who has more than one keeps them.
    ports = {one.endpoint.code: one.ports for one in meeting.attendees}
    for invitee in given["endpoints"]:
        invitee["ports"] = ports.get(invitee["code"], 1)
    return parse(MeetingChange, given)


def _version() -> int | None:
    text = request.form.get("version", "")
    return int(text) if text.isdecimal() else None


def _after(args: Mapping[str, str]) -> tuple[datetime, int] | None:
    """Return the place in the list after which to go on, or None for its beginning."""
    when, _, number = args.get("after", "").rpartition("_")
    try:
        return (datetime.fromisoformat(when), int(number)) if when else None
    except ValueError:
        return None


def _local(moment: datetime) -> str:
    return f"{moment.astimezone(config.in_force().zone):%Y-%m-%dT%H:%M}"


def _shown_hours(midnight: datetime, taken: Sequence[Interval]) -> Interval:
    """Return the usual hours of a day, and more of it where something lies outside."""
    start = min([midnight + DAY_BEGINS, *(one.start for one in taken)])
    end = max([midnight + DAY_ENDS, *(one.end for one in taken)])
    next_day = midnight + timedelta(days=1)
    return Interval(max(start, midnight), min(end, next_day))


def _bars(taken: Sequence[endpoints.Busy], within: Interval) -> list[pictures.Bar]:
    bars = []
    for one in taken:
        url = url_for(".show", uid=one.uid) if one.uid else ""
        label = one.title or ""
        bars.append(pictures.bar(one.during, within, label, kind="mine" if url else "", url=url))
    return [one for one in bars if one]
