"""Times the letters: invitations rendered and sent, replies worked on, a long calendar read.

On SQLite and PostgreSQL, one worker: invitations a second to an SMTP server on this
machine over one connection, and how memory grows over them; replies a second; each
with its ratio to the bare libraries, `icalendar` and `email`, without any database.
Then a calendar of 10,000 occurrences, first and warm.

    python bench/mail.py [--mails 10000] [--replies 2000] [--only postgresql]
"""

from __future__ import annotations

import argparse
import gzip
import multiprocessing
import resource
import smtplib
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOUSE))

from aiosmtpd.controller import Controller  # noqa: E402
from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: E402
from flask_migrate import upgrade  # noqa: E402
from icalendar import Calendar, Event, vCalAddress  # noqa: E402
from sqlalchemy import select, update  # noqa: E402

from confbridge import config, create_app  # noqa: E402
from confbridge.database import attempt, db, transaction  # noqa: E402
from confbridge.jobs.postman import deliver_some  # noqa: E402
from confbridge.mail import incoming  # noqa: E402
from confbridge.models import Mail, MailState, Meeting  # noqa: E402
from confbridge.services import feeds, inbox, outbox  # noqa: E402
from confbridge.services.inbox import Place  # noqa: E402
from tests import clients, factories  # noqa: E402
from tests.conftest import Postgres, free_port, settings  # noqa: E402
from tests.services.scheduling import morning  # noqa: E402

SITES = 34


class Sink:
    """Takes everything and keeps nothing."""

    async def handle_DATA(self, _server: object, _session: object, _envelope: object) -> str:  # noqa: N802
        return "250 taken"


def serve(port: int, ready: object) -> None:
    controller = Controller(Sink(), hostname="127.0.0.1", port=port)
    controller.start()
    ready.set()  # type: ignore[attr-defined]
    while True:
        time.sleep(60)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--mails", type=int, default=10_000)
    asked.add_argument("--replies", type=int, default=2_000)
    asked.add_argument("--only", choices=["postgresql", "sqlite"])
    given = asked.parse_args()
    port, ready = free_port(), multiprocessing.Event()
    server = multiprocessing.Process(target=serve, args=(port, ready), daemon=True)
    server.start()
    ready.wait(10)
    url = f"smtp://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="confbridge-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        urls = {}
        if given.only != "sqlite":
            (folder / "postgres").mkdir()
            postgres = Postgres(folder / "postgres")
            postgres.start()
            stack.callback(postgres.stop)
            urls["PostgreSQL"] = postgres.create("letters")
        if given.only != "postgresql":
            urls["SQLite"] = f"sqlite:///{folder / 'letters.db'}"
        for kind, database in urls.items():
            app = create_app(settings(database, folder, mail_url=url))
            with app.app_context():
                upgrade()
                measure(kind, given.mails, given.replies, port)
                db.session.remove()
                db.engine.dispose()
    server.terminate()


def measure(kind: str, mails: int, replies: int, port: int) -> None:
    cast = factories.cast()
    factories.bridge(ports=100_000)
    codes = [factories.endpoint(f"N-{number}", cast.below).code for number in range(SITES)]
    made = factories.meeting(cast.ann, codes, start=morning().isoformat())
    print(f"{kind}:")
    bare = bare_sending(port, min(mails, 2000))
    rate, growth = sending(mails)
    print(f"  sent      {rate:7.0f} a second, {bare / rate:.1f} times the bare libraries' time")
    print(f"            memory grew by {growth:.1f} MB from the first tenth to the last")
    signed_rate, _ = sending(min(mails, 2000), sign=True)
    print(f"  signed    {signed_rate:7.0f} a second (RSA 2048, DKIM)")
    bare = bare_reading(replies)
    rate = reading(made, codes, replies)
    print(f"  replies   {rate:7.0f} a second, {bare / rate:.1f} times the bare libraries' time")
    first, warm = a_long_calendar(cast)
    print(f"  calendar  {first:7.0f} ms first, {warm:.1f} ms warm, 10,000 occurrences")


def sending(mails: int, *, sign: bool = False) -> tuple[float, float]:
    """Send so many mails of the meeting; how many a second, and by how much memory grew."""
    if sign:
        key = rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        config.put_in_force(replace(config.in_force(), dkim_key=key.decode()))
    done, took, grown = 0, 0.0, []
    while done < mails:
        with transaction():
            again = update(Mail).values(state=MailState.QUEUED, due=datetime.now(UTC), tries=0)
            db.session.execute(again)
        start = time.perf_counter()
        while deliver_some():
            pass
        took += time.perf_counter() - start
        done += SITES
        grown.append(resident())
    with transaction():
        left = db.session.scalars(select(Mail.state).distinct()).all()
    assert left == [MailState.SENT], left
    if sign:
        config.put_in_force(replace(config.in_force(), dkim_key=""))
    tenth = max(len(grown) // 10, 1)
    return done / took, grown[-1] - grown[tenth - 1]


def resident() -> float:
    """Return the memory that this process holds now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def bare_sending(port: int, mails: int) -> float:
    """Do the same with the libraries alone, on one connection; how many a second."""
    with smtplib.SMTP("127.0.0.1", port) as line:
        start = time.perf_counter()
        for number in range(mails):
            line.send_message(bare_mail(number))
        return mails / (time.perf_counter() - start)


def bare_mail(number: int) -> EmailMessage:
    event, calendar, start = Event(), Calendar(), morning()
    event.add("UID", f"{number}@example.org")
    event.add("SEQUENCE", 0)
    event.add("DTSTAMP", datetime.now(UTC))
    event.add("DTSTART", start)
    event.add("DTEND", start + timedelta(hours=1))
    event.add("SUMMARY", "Giao ban trực tuyến")
    event.add("ORGANIZER", vCalAddress(f"mailto:{clients.US}"))
    event.add("ATTENDEE", vCalAddress(f"mailto:e-{number}@example.org"))
    calendar.add("METHOD", "REQUEST")
    calendar.add("VERSION", "2.0")
    calendar.add("PRODID", "bench")
    calendar.add_component(event)
    written = calendar.to_ical()
    message = EmailMessage()
    message["From"], message["To"] = clients.US, f"e-{number}@example.org"
    message["Subject"] = "Giao ban trực tuyến"
    message.set_content("Giao ban trực tuyến\n" * 12, cte="base64")
    message.add_alternative("<p>Giao ban trực tuyến</p>" * 40, subtype="html", cte="base64")
    message.add_alternative(
        written.decode(), subtype="calendar", cte="base64", params={"method": "REQUEST"}
    )
    message.add_attachment(written, maintype="application", subtype="ics", filename="invite.ics")
    return message


def reply(meeting: Meeting, codes: list[str], number: int) -> bytes:
    shape = clients.SHAPES[number % len(clients.SHAPES)]
    return shape(
        clients.Answer(
            uid=meeting.uid,
            attendee=f"{codes[number % len(codes)].lower()}@example.org",
            partstat=("ACCEPTED", "TENTATIVE", "DECLINED")[number % 3],
            stamped=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number),
            start=meeting.starts,
        )
    )


def reading(meeting: Meeting, codes: list[str], replies: int) -> float:
    raws = [reply(meeting, codes, number) for number in range(replies)]
    start = time.perf_counter()
    for number, raw in enumerate(raws):
        arrival = incoming.read(raw)
        place = Place("bench", str(number))
        found = attempt(lambda arrival=arrival, place=place: inbox.take(place, arrival))
        assert found.outcome == "effect", found.detail
    return replies / (time.perf_counter() - start)


def bare_reading(replies: int) -> float:
    class Blank:
        uid, starts = "u@example.org", morning()

    codes = [f"N-{number}" for number in range(SITES)]
    raws = [reply(Blank, codes, number) for number in range(replies)]  # type: ignore[arg-type]
    start = time.perf_counter()
    for raw in raws:
        for part in message_from_bytes(raw).walk():
            if part.get_content_type() == "text/calendar":
                Calendar.from_ical(part.get_payload(decode=True))
                break
    return replies / (time.perf_counter() - start)


def a_long_calendar(cast: factories.Cast) -> tuple[float, float]:
    """Read a calendar of 10,000 occurrences: milliseconds the first time, and warm (median)."""
    start = morning(days=20)
    for number in range(28):
        factories.endpoint(f"L-{number}", cast.other)
        factories.meeting(
            cast.dan,
            [f"L-{number}"],
            start=start.isoformat(),
            minutes=5,
            rrule="FREQ=DAILY;COUNT=360",
            lead_minutes=0,
            tail_minutes=0,
        )
    with transaction():
        feed = feeds.make(cast.dan, organisation="OTHER")
    moments = []
    for _ in range(12):
        begun = time.perf_counter()
        ready = feeds.calendar(feeds.by_link(outbox.links.for_feed(feed.id)))
        moments.append((time.perf_counter() - begun) * 1000)
    assert gzip.decompress(ready.packed).count(b"BEGIN:VEVENT") > 10_000
    return moments[0], statistics.median(moments[1:])


if __name__ == "__main__":
    main()
