"""Who may see and change what. Doors get their objects here, and only here."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, exists, false, or_, select, true
from sqlalchemy.orm import joinedload, undefer

from confbridge import clock
from confbridge.database import db
from confbridge.errors import Invalid, NotAllowed, NotFound, Phrase, StaleVersion
from confbridge.models import (
    Account,
    Allocation,
    Attendee,
    Bridge,
    Duty,
    Endpoint,
    Feed,
    Incident,
    Letter,
    Mail,
    Meeting,
    Occurrence,
    Organisation,
    Reply,
    Role,
    Task,
)

SEE_ALL = {Role.ADMIN, Role.OPERATOR}
BOOK = {Role.ADMIN, Role.SECRETARIAT}


def check_role(account: Account, *roles: Role) -> None:
    """Raise NotAllowed unless the account has one of the roles."""
    if account.role not in roles:
        raise NotAllowed(Phrase("Your account may not do this."))


def meeting(
    account: Account, uid: str, *, to_change: bool = False, version: int | None = None
) -> Meeting:
    """Return the meeting if `account` may see it, or may change it and has seen it as it is.

    Raises NotFound, NotAllowed, StaleVersion.
    """
    asked = select(Meeting).where(Meeting.uid == uid, meeting_is_visible(account))
    if to_change:
        asked = asked.with_for_update(of=Meeting)
    found = db.session.scalar(asked)
    if found is None:
        raise NotFound(Phrase("There is no such meeting."))
    if to_change:
        check_may_change(account, found)
        if version is not None and version != found.version:
            raise StaleVersion
    return found


def check_may_change(account: Account, found: Meeting) -> None:
    """Raise NotAllowed unless the account may change this meeting, which it may see."""
    if not may_change(account, found):
        raise NotAllowed(Phrase("Only the host's secretariat may change this meeting."))


def may_change(account: Account, found: Meeting) -> bool:
    """Say whether the account may change this meeting, which it may see."""
    if account.role not in BOOK:
        return False
    return (
        account.role == Role.ADMIN
        or found.organizer_id == account.id
        or bool(db.session.scalar(select(_own_organisations(account, found.host_id))))
    )


def meeting_is_visible(account: Account) -> ColumnElement[bool]:
    """Return the condition under which `account` sees a meeting.

    Its organisation, or one below, is the host or has an endpoint invited.
    """
    if account.role in SEE_ALL:
        return true()
    own = tree_below(account.organisation_id)
    invited = (
        exists()
        .where(Attendee.meeting_id == Meeting.id, Attendee.invited)
        .where(Attendee.endpoint_id == Endpoint.id, Endpoint.organisation_id.in_(own))
    )
    return or_(Meeting.organizer_id == account.id, Meeting.host_id.in_(own), invited)


def meeting_is_own(account: Account) -> ColumnElement[bool]:
    """Return the condition under which `account` runs a meeting: knows its links, watches it."""
    if account.role in SEE_ALL:
        return true()
    if account.role != Role.SECRETARIAT:
        return false()
    own = tree_below(account.organisation_id)
    return or_(Meeting.organizer_id == account.id, Meeting.host_id.in_(own))


def host(account: Account, code: str) -> Organisation:
    """Return the organisation in whose name `account` may convene.

    Raises Invalid, NotAllowed.
    """
    check_role(account, *BOOK)
    found = organisation(code, field="host")
    if account.role != Role.ADMIN and not db.session.scalar(
        select(_own_organisations(account, found.id))
    ):
        raise NotAllowed(Phrase("You may not convene meetings for %(name)s.", name=found.name))
    return found


def hosts(account: Account) -> list[Organisation]:
    """Return every organisation in whose name `account` may convene."""
    asked = select(Organisation).order_by(Organisation.id)
    if account.role != Role.ADMIN:
        asked = asked.where(Organisation.id.in_(tree_below(account.organisation_id)))
    today = clock.now().date()
    return [one for one in db.session.scalars(asked) if one.is_valid(today)]


def organisation(code: str, *, field: str = "organisation") -> Organisation:
    """Return the organisation that has this code today; codes may change hands.

    Raises Invalid.
    """
    today = clock.now().date()
    named = db.session.scalars(select(Organisation).where(Organisation.code == code))
    for one in named:
        if one.is_valid(today):
            return one
    raise Invalid(**{field: Phrase("There is no organisation “%(code)s”.", code=code[:40])})


def endpoint(account: Account, code: str, *, to_change: bool = False) -> Endpoint:
    """Return the endpoint; everybody signed in may see the directory.

    Raises NotFound, NotAllowed.
    """
    if to_change:
        check_role(account, Role.ADMIN)
    asked = select(Endpoint).where(Endpoint.code == code).options(joinedload(Endpoint.organisation))
    found = db.session.scalar(asked)
    if found is None:
        raise NotFound(Phrase("There is no such endpoint."))
    return found


def bridge(account: Account, code: str, *, to_change: bool = False) -> Bridge:
    """Return the bridge, with its secrets only to whom may change it.

    Raises NotFound, NotAllowed.
    """
    check_role(account, *((Role.ADMIN,) if to_change else (Role.ADMIN, Role.OPERATOR)))
    asked = select(Bridge).where(Bridge.code == code, Bridge.active)
    if to_change:
        asked = asked.options(undefer(Bridge.secrets)).with_for_update()
    found = db.session.scalar(asked)
    if found is None:
        raise NotFound(Phrase("There is no such bridge."))
    return found


def mail(account: Account, number: int, *, to_change: bool = False) -> Mail:
    """Return a mail of the outbox to whom may see its meeting.

    Raises NotFound, NotAllowed.
    """
    check_role(account, Role.ADMIN, Role.OPERATOR, Role.SECRETARIAT)
    asked = mails(account).where(Mail.id == number)
    found = db.session.scalar(asked.with_for_update(of=Mail) if to_change else asked)
    if found is None:
        raise NotFound(Phrase("There is no such mail."))
    return found


def mails(account: Account) -> Select[Mail]:
    """Return the question for all mails that `account` may read: they hold others' links.

    Raises NotAllowed.
    """
    check_role(account, Role.ADMIN, Role.OPERATOR, Role.SECRETARIAT)
    return (
        select(Mail)
        .join(Letter, Letter.id == Mail.letter_id)
        .outerjoin(Meeting, Meeting.id == Letter.meeting_id)
        .where(meeting_is_own(account))
    )


def reply(account: Account, uid: str, number: int) -> Reply:
    """Return a reply to a meeting, to who may change that; the meeting is locked.

    Raises NotFound, NotAllowed.
    """
    about = meeting(account, uid, to_change=True)
    asked = (
        select(Reply)
        .where(Reply.id == number, Reply.meeting_id == about.id)
        .options(
            joinedload(Reply.meeting), joinedload(Reply.attendee), joinedload(Reply.occurrence)
        )
    )
    found = db.session.scalar(asked)
    if found is None:
        raise NotFound(Phrase("There is no such reply."))
    return found


def task(account: Account, number: int) -> Task:
    """Return a task to who may change its meeting.

    Raises NotFound, NotAllowed.
    """
    asked = (
        select(Task)
        .join(Meeting, Meeting.id == Task.meeting_id)
        .where(Task.id == number, meeting_is_visible(account))
        .options(joinedload(Task.meeting))
    )
    found = db.session.scalar(asked)
    if found is None:
        raise NotFound(Phrase("There is no such task."))
    check_may_change(account, found.meeting)
    return found


def feed(account: Account, number: int) -> Feed:
    """Return a feed to whom may revoke it.

    Raises NotFound.
    """
    asked = select(Feed).where(Feed.id == number, feed_is_own(account))
    found = db.session.scalar(asked.with_for_update())
    if found is None:
        raise NotFound(Phrase("There is no such calendar."))
    return found


def feed_is_own(account: Account) -> ColumnElement[bool]:
    """Return the condition under which a feed is of the account's organisation, or below it."""
    if account.role == Role.ADMIN:
        return true()
    own = tree_below(account.organisation_id)
    below = select(Endpoint.id).where(Endpoint.organisation_id.in_(own))
    return or_(Feed.organisation_id.in_(own), Feed.endpoint_id.in_(below))


def endpoint_to_feed(account: Account, code: str) -> Endpoint:
    """Return an endpoint whose calendar `account` may give out.

    Raises NotFound, NotAllowed.
    """
    found = endpoint(account, code)
    _check_own(account, found.organisation_id)
    return found


def organisation_to_feed(account: Account, code: str) -> Organisation:
    """Return an organisation whose calendar `account` may give out.

    Raises Invalid, NotAllowed.
    """
    found = organisation(code)
    _check_own(account, found.id)
    return found


def _check_own(account: Account, number: int) -> None:
    if account.role == Role.ADMIN:
        return
    if not db.session.scalar(select(_own_organisations(account, number))):
        raise NotAllowed(Phrase("Your account may not do this."))


def conference(account: Account, number: int, *, to_change: bool = False) -> Occurrence:
    """Return an occurrence whose conference `account` may run: operators, and its secretariat.

    Raises NotFound, NotAllowed.
    """
    if to_change:  # the meeting first, as every change of it does
        meeting_of = select(Occurrence.meeting_id).where(Occurrence.id == number)
        locked = select(Meeting.id).where(Meeting.id.in_(meeting_of))
        db.session.execute(locked.with_for_update(of=Meeting))
    asked = (
        select(Occurrence)
        .join(Meeting)
        .where(Occurrence.id == number, meeting_is_visible(account))
        .options(joinedload(Occurrence.meeting), joinedload(Occurrence.allocations))
    )
    asked = asked.execution_options(populate_existing=True) if to_change else asked
    found = db.session.scalars(asked).unique().one_or_none()
    if found is None:
        raise NotFound(Phrase("There is no such conference."))
    if account.role != Role.OPERATOR and not may_change(account, found.meeting):
        raise NotAllowed(Phrase("Your account may not do this."))
    return found


def incident(account: Account, number: int) -> Incident:
    """Return an incident to who looks after bridges.

    Raises NotFound, NotAllowed.
    """
    check_role(account, Role.ADMIN, Role.OPERATOR)
    found = db.session.scalar(select(Incident).where(Incident.id == number).with_for_update())
    if found is None:
        raise NotFound(Phrase("There is no such task."))
    return found


def duty(account: Account, number: int) -> Duty:
    """Return a time on duty to who may change it.

    Raises NotFound, NotAllowed.
    """
    check_role(account, Role.ADMIN)
    found = db.session.scalar(select(Duty).where(Duty.id == number))
    if found is None:
        raise NotFound(Phrase("There is no such duty."))
    return found


def allocation_of(occurrence: Occurrence) -> Allocation | None:
    """Return the allocation on which the occurrence lives now."""
    return occurrence.primary


def _own_organisations(account: Account, wanted: int) -> ColumnElement[bool]:
    return exists().where(
        Organisation.id == wanted, Organisation.id.in_(tree_below(account.organisation_id))
    )


def tree_below(root: int) -> Select[int]:
    """Return the question for the ids of an organisation and all below it."""
    tree = select(Organisation.id).where(Organisation.id == root).cte("tree", recursive=True)
    tree = tree.union(select(Organisation.id).where(Organisation.parent_id == tree.c.id))
    return select(tree.c.id)
