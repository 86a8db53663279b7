"""Feeds the inbound path with damaged mails, guided by what of the parsers they reach.

    .venv/bin/pip install atheris
    .venv/bin/python bench/fuzz.py CORPUS -max_total_time=600 -timeout=1 -rss_limit_mb=600

Every input has to end in something that can be worked on or in a refusal, within a second.
What it finds goes into tests/mail/test_incoming.py.
"""

from __future__ import annotations

import sys
from pathlib import Path
from zoneinfo import ZoneInfo

import atheris

with atheris.instrument_imports(include=["confbridge", "icalendar", "email"]):
    from confbridge.domain import itip_reading
    from confbridge.mail import incoming

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests import clients

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")


def one_input(raw: bytes) -> None:
    try:
        arrival = incoming.read(raw, "mx.example")
    except incoming.TooMuch:
        incoming.header_of(raw)
        return
    for calendar in arrival.calendars:
        try:
            itip_reading.parts(calendar, ZONE)
        except itip_reading.Unusable:
            continue


def seed(folder: Path) -> None:
    answer = clients.Answer(
        uid="u@example.org",
        start=clients.Answer.stamped,
        recurrence_id=";TZID=SE Asia Standard Time:20310304T080000",
        parameters=';DELEGATED-TO="mailto:b@example.org";CN="Bà, Phó"',
        lines=("COMMENT:Đi cơ sở", "REQUEST-STATUS:2.0;Success", "RRULE:FREQ=DAILY;COUNT=3"),
    )
    folder.mkdir(parents=True, exist_ok=True)
    for number, shape in enumerate(clients.SHAPES):
        (folder / f"seed-{number}").write_bytes(shape(answer))
    (folder / "seed-bounce").write_bytes(clients.bounce("<a@example.org>"))
    (folder / "seed-away").write_bytes(clients.out_of_office("a@example.org"))


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        if not argument.startswith("-"):
            seed(Path(argument))
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
