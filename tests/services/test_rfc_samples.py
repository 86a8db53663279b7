"""The messages printed in RFC 5546 section 4 and RFC 6047 section 4, mistakes and all.

A is the organizer: here that is us. B, C and D are endpoints. What only an organizer
may send does nothing when it is sent to the organizer.
"""

from __future__ import annotations

import pytest
from sqlalchemy import text

from confbridge.database import db, transaction
from tests import clients, factories
from tests.services.mailing import come_in, evidence, outcome
from tests.services.scheduling import monday_series, seen

UID = "calsrv.example.com-873970198738777@example.com"
HEAD = "BEGIN:VCALENDAR\nPRODID:-//Example/ExampleCalendarClient//EN\nVERSION:2.0\n"
FOOT = "END:VEVENT\nEND:VCALENDAR\n"


def sample(method: str, *lines: str, uid: str = UID) -> str:
    body = "\n".join(lines)
    return f"{HEAD}METHOD:{method}\nBEGIN:VEVENT\n{body}\nUID:{uid}\n{FOOT}"


ALL = (
    "ORGANIZER:mailto:a@example.com",
    "ATTENDEE;ROLE=CHAIR;PARTSTAT=ACCEPTED;CN=A:mailto:a@example.com",
    "ATTENDEE;RSVP=TRUE;CUTYPE=INDIVIDUAL;CN=B:mailto:b@example.com",
    "ATTENDEE;RSVP=TRUE;CUTYPE=INDIVIDUAL;CN=C:mailto:c@example.com",
    "ATTENDEE;RSVP=FALSE;CUTYPE=ROOM:conf_big@example.com",
)
TIME = ("DTSTART:19970701T200000Z", "DTEND:19970701T2100000Z")  # a digit too many, as printed
WHEN = ("DTSTAMP:19970611T190000Z", "SEQUENCE:0")
SAMPLES = {
    "5546 4.2.1 a group request": (
        sample("REQUEST", *ALL, *WHEN, *TIME, "SUMMARY:Conference", "STATUS:CONFIRMED"),
        "a",
        ("ignored", "claims_to_organize"),
    ),
    "5546 4.2.2 a reply": (
        sample(
            "REPLY",
            "ATTENDEE;PARTSTAT=ACCEPTED:mailto:b@example.com",
            "ORGANIZER:mailto:a@example.com",
            "SEQUENCE:0",
            "REQUEST-STATUS:2.0;Success",
            "DTSTAMP:19970612T190000Z",
        ),
        "b",
        ("effect", "counted"),
    ),
    "5546 4.2.4 a counter": (
        sample(
            "COUNTER",
            *ALL[:3],
            "DTSTART:19970701T160000Z",
            "DTEND:19970701T170000Z",
            "DTSTAMP:19970612T190000Z",
            "SUMMARY:Discuss the Merits of the election results",
            "LOCATION:Green Conference Room",
            "COMMENT:This time works much better and I think the big conference room is too big",
            "SEQUENCE:0",
        ),
        "b",
        ("queue", "counter"),
    ),
    "5546 4.2.4 the counter is declined": (
        sample("DECLINECOUNTER", *ALL[:1], "COMMENT:Sorry", "SEQUENCE:0", *WHEN[:1]),
        "a",
        ("ignored", "claims_to_organize"),
    ),
    "5546 4.2.5 a delegation, without its delegate": (
        sample(
            "REPLY",
            "ORGANIZER:mailto:a@example.com",
            'ATTENDEE;PARTSTAT=DELEGATED;DELEGATED-TO="mailto:e@example.com":mailto:c@example.com',
            "SEQUENCE:0",
            "REQUEST-STATUS:2.0;Success",
            "DTSTAMP:19970611T190000Z",
        ),
        "c",
        ("queue", "substitute"),
    ),
    "5546 4.2.6 the delegate accepts, and nobody has agreed yet": (
        sample(
            "REPLY",
            "ORGANIZER:mailto:a@example.com",
            'ATTENDEE;PARTSTAT=ACCEPTED;DELEGATED-FROM="mailto:c@example.com":mailto:e@example.com',
            "SEQUENCE:0",
            "REQUEST-STATUS:2.0;Success",
            "DTSTAMP:19970614T190000Z",
        ),
        "e",
        ("queue", "stranger"),
    ),
    "5546 4.2.9 a cancellation, with its typing error": (
        sample(
            "CANCEL",
            "ORGANIZER:mailto:a@example.com",
            "ATTENDEE;CUTYPE=INDIVIDUAL;mailto:a@example.com",
            "ATTENDEE;CUTYPE=INDIVIDUAL:mailto:b@example.com",
            "COMMENT:Mr. B cannot attend. It's raining. Lets cancel.",
            "SEQUENCE:1",
            "STATUS:CANCELLED",
            "DTSTAMP:19970613T190000Z",
        ),
        "b",
        ("ignored", "claims_to_organize"),
    ),
    "5546 4.2.11 another organizer": (
        sample("REQUEST", "ORGANIZER:mailto:e@example.com", *ALL[1:], "SEQUENCE:1", *TIME),
        "e",
        ("ignored", "claims_to_organize"),
    ),
    "5546 4.2.3 an update": (
        sample("REQUEST", *ALL, "SEQUENCE:1", "DTSTAMP:19970613T190000Z", *TIME[:1]),
        "a",
        ("ignored", "claims_to_organize"),
    ),
    "5546 4.2.7 the delegate declines, and nobody has agreed yet": (
        sample(
            "REPLY",
            "ORGANIZER:mailto:a@example.com",
            'ATTENDEE;PARTSTAT=DECLINED;DELEGATED-FROM="mailto:c@example.com":mailto:e@example.com',
            "COMMENT:Sorry, I will be out of town at that time.",
            "SEQUENCE:0",
            "REQUEST-STATUS:2.0;Success",
            "DTSTAMP:19970614T190000Z",
        ),
        "e",
        ("queue", "stranger"),
    ),
    "5546 4.2.8 who was sent it on accepts": (
        sample("REPLY", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:e@example.com", *WHEN),
        "e",
        ("queue", "stranger"),
    ),
    "5546 4.2.10 attendees removed": (
        sample("CANCEL", *ALL[:2], "SEQUENCE:1", "DTSTAMP:19970613T190000Z"),
        "a",
        ("ignored", "claims_to_organize"),
    ),
    "5546 4.4.1 a recurring request with its zone": (
        sample(
            "REQUEST",
            *ALL[:3],
            "DTSTAMP:19970526T083000Z",
            "DTSTART;TZID=America-SanJose:19970601T140000",
            "DTEND;TZID=America-SanJose:19970601T150000",
            "RRULE:FREQ=MONTHLY;BYMONTHDAY=1;UNTIL=19970901T210000Z",
            "RDATE:19970910T210000Z",
            "EXDATE:19970801T210000Z",
            "SEQUENCE:0",
        ).replace(
            "BEGIN:VEVENT",
            "BEGIN:VTIMEZONE\nTZID:America-SanJose\nTZURL:http://example.com/tz/America-SanJose\n"
            "BEGIN:STANDARD\nDTSTART:19671029T020000\nRRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10\n"
            "TZOFFSETFROM:-0700\nTZOFFSETTO:-0800\nTZNAME:PST\nEND:STANDARD\nEND:VTIMEZONE\n"
            "BEGIN:VEVENT",
        ),
        "a",
        ("ignored", "claims_to_organize"),
    ),
    "5546 4.4.3 one instance cancelled": (
        sample("CANCEL", *ALL[:2], "RECURRENCE-ID:19970801T210000Z", "SEQUENCE:2", *WHEN[:1]),
        "a",
        ("ignored", "claims_to_organize"),
    ),
    "5546 4.4.6 an instance added": (
        sample("ADD", *ALL[:3], "SEQUENCE:4", *WHEN[:1], "DTSTART:19970815T210000Z"),
        "a",
        ("ignored", "claims_to_organize"),
    ),
    "5546 4.4.8 a counter of an instance that is not there": (
        sample(
            "COUNTER",
            *ALL[:3],
            "RECURRENCE-ID:19970715T210000Z",
            "DTSTART:19970715T220000Z",
            "DTEND:19970715T230000Z",
            *WHEN,
        ),
        "b",
        ("ignored", "no_such_occurrence"),
    ),
    "5546 4.4.9 an error in a reply": (
        sample(
            "REPLY",
            "ORGANIZER:mailto:a@example.com",
            "REQUEST-STATUS:3.8;No authority",
            "ATTENDEE;PARTSTAT=TENTATIVE:mailto:b@example.com",
            *WHEN,
        ),
        "b",
        ("effect", "counted"),
    ),
    "5546 4.5.2 a reply to a to-do": (
        sample("REPLY", "ATTENDEE;PARTSTAT=COMPLETED:mailto:b@example.com", *WHEN).replace(
            "VEVENT", "VTODO"
        ),
        "b",
        ("quarantine", "other_component"),
    ),
    "5546 4.6 a journal": (
        sample("PUBLISH", "ORGANIZER:mailto:a@example.com", *WHEN).replace("VEVENT", "VJOURNAL"),
        "a",
        ("quarantine", "other_component"),
    ),
    "5546 4.7.1 a refresh": (
        sample(
            "REFRESH",
            "ORGANIZER:mailto:a@example.com",
            "ATTENDEE:mailto:b@example.com",
            "DTSTAMP:19970603T094000",
        ),
        "b",
        ("effect", "refreshed"),
    ),
    "5546 4.7.2 a rule that is wrong": (
        sample("REQUEST", *ALL[:3], *WHEN, "RRULE:FREQ=DAILY;INTERVAL=-1;BYDAY=XX"),
        "a",
        ("ignored", "claims_to_organize"),
    ),
    "5546 4.3.1 busy time asked of strangers": (
        sample("REQUEST", *ALL[:3], *WHEN[:1], "DTSTART:19970701T080000Z", *TIME[:1]).replace(
            "VEVENT", "VFREEBUSY"
        ),
        "a",
        ("quarantine", "unknown_sender"),
    ),
    "5546 4.3.2 busy time told": (
        sample(
            "REPLY",
            *ALL[:1],
            "ATTENDEE:mailto:b@example.com",
            "FREEBUSY:19970701T090000Z/PT1H,19970701T140000Z/PT30H",
            *WHEN[:1],
        ).replace("VEVENT", "VFREEBUSY"),
        "b",
        ("ignored", "no_answer"),
    ),
    "6047 4.1 a single component": (
        sample("REPLY", "ATTENDEE;PARTSTAT=DECLINED:mailto:b@example.com", *WHEN),
        "b",
        ("effect", "counted"),
    ),
}


@pytest.fixture
def meeting(cast):
    for name in "bcd":
        factories.endpoint(name, cast.below, email=f"{name}@example.com")
    return renamed(factories.meeting(cast.ann, ["b", "c", "d"]))


def renamed(meeting, uid=UID):
    with transaction():
        statement = text("UPDATE meetings SET uid = :uid WHERE id = :id")
        db.session.execute(statement, {"uid": uid, "id": meeting.id})
    return meeting


def mail(calendar: str, who: str) -> bytes:
    head = clients.envelope(f"{who}@example.com")
    part = "Content-Type: text/calendar; charset=UTF-8; component=vevent\r\n\r\n"
    return (head + part + calendar.replace("\n", "\r\n")).encode()


@pytest.mark.parametrize("name", SAMPLES)
def test_a_printed_message_ends_where_it_should(cast, meeting, name):
    calendar, who, wanted = SAMPLES[name]
    assert outcome(mail(calendar, who)) == wanted
    found = seen(UID, cast.ann)
    assert (found.state, found.organizer.email) == ("scheduled", cast.ann.email)
    assert found.starts == meeting.starts


def test_5546_4_4_5_this_and_future_as_it_is_printed(cast):
    factories.endpoint("c", cast.below, email="c@example.com")
    series = renamed(monday_series(cast.ann, ["c", "E-1"]))
    third = f"{series.occurrences[2].original:%Y%m%dT%H%M%SZ}"
    said = "ATTENDEE;PARTSTAT=DECLINED:mailto:c@example.com"
    printed = sample("REPLY", said, *WHEN, f"RECURRENCE-ID;THISANDFUTURE:{third}")
    come_in(mail(printed, "c"))
    declined = {row.occurrence_id for row in evidence(partstat="DECLINED", state="counted")}
    assert declined == {one.id for one in series.occurrences[2:]}


def test_6047_4_several_parts_of_which_one_is_a_calendar(cast, meeting):
    calendar = SAMPLES["5546 4.2.2 a reply"][0].replace("\n", "\r\n")
    raw = (
        clients.envelope("b@example.com")
        + 'Content-Type: multipart/mixed; boundary="--FEE3790DC7E35189CA67CE2C"\r\n\r\n'
        + "This is a multi-part message in MIME format.\r\n\r\n"
        + "----FEE3790DC7E35189CA67CE2C\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
        + "The attached object contains my answer.\r\n\r\n"
        + "----FEE3790DC7E35189CA67CE2C\r\n"
        + "Content-Type: text/calendar; charset=US-ASCII; method=REPLY; component=vevent\r\n"
        + f'Content-Disposition: inline; filename="event.ics"\r\n\r\n{calendar}\r\n'
        + "----FEE3790DC7E35189CA67CE2C--\r\n"
    )
    assert outcome(raw.encode()) == ("effect", "counted")
