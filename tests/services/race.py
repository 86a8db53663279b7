"""One client of the race: a process that books, moves and calls off, as fast as it can.

`python -m tests.services.race URL SEED ATTEMPTS SECONDS` prints what its attempts came to.
"""

from __future__ import annotations

import collections
import json
import random
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from confbridge import create_app
from confbridge.config import Settings
from confbridge.database import attempt, db
from confbridge.errors import Clash, ConfbridgeError, Conflict
from confbridge.inputs import parse
from confbridge.inputs.meetings import MeetingChange, MeetingDraft
from confbridge.models import Account
from confbridge.services import access, meetings

KEY = "only-for-tests-" + "k" * 40
ENDPOINTS = 40
CHOSEN = 8


class Client:
    """Somebody in a hurry."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        self.first = first + timedelta(days=2)
        self.own: list[str] = []

    def try_once(self) -> str:
        account = db.session.scalars(select(Account).where(Account.name == "Ann")).one()
        deed = self.chance.choices(("book", "series", "move", "cancel"), (6, 1, 3, 2))[0]
        if deed in {"move", "cancel"} and not self.own:
            deed = "book"
        getattr(self, deed)(account)
        return deed

    def start(self) -> str:
        return (self.first + timedelta(minutes=15 * self.chance.randrange(80))).isoformat()

    def draft(self, **rest: object) -> MeetingDraft:
        codes = self.chance.sample(range(ENDPOINTS), CHOSEN)
        given = {
            "title": "Tranh nhau",
            "start": self.start(),
            "minutes": self.chance.choice((15, 30, 60)),
            "endpoints": [{"code": f"R-{code}"} for code in codes],
        }
        return parse(MeetingDraft, given | rest)

    def book(self, account: Account, **rest: object) -> None:
        draft = self.draft(**rest)
        self.own.append(attempt(lambda: meetings.book(draft, by=account).uid))

    def series(self, account: Account) -> None:
        self.book(account, rrule="FREQ=DAILY;COUNT=3")

    def move(self, account: Account) -> None:
        uid, wanted = self.chance.choice(self.own), parse(MeetingChange, {"start": self.start()})

        def deed() -> None:
            meetings.change(access.meeting(account, uid, to_change=True), wanted, by=account)

        attempt(deed)

    def cancel(self, account: Account) -> None:
        uid = self.own.pop(self.chance.randrange(len(self.own)))

        def deed() -> None:
            meetings.cancel(access.meeting(account, uid, to_change=True), "Thôi", by=account)

        attempt(deed)


def run(url: str, seed: int, attempts: int, seconds: float) -> dict[str, int]:
    """Try so often, spread over the time; return what it came to."""
    folder = Path(tempfile.mkdtemp(prefix="race-"))
    app = create_app(
        Settings(
            database_url=url,
            secret_key=KEY,
            base_url="http://127.0.0.1:8000",
            mail_url=f"maildir:{folder}",
        )
    )
    client, came_to = Client(seed), collections.Counter[str]()
    begun = time.monotonic()
    for number in range(attempts):
        time.sleep(max(0.0, begun + number * seconds / attempts - time.monotonic()))
        with app.app_context():
            try:
                came_to[client.try_once()] += 1
            except Clash:
                came_to["clash"] += 1
            except Conflict as error:
                came_to[f"conflict: {type(error).__name__}"] += 1
            except ConfbridgeError as error:
                came_to[f"refused: {error}"] += 1
            except Exception as error:  # noqa: BLE001
                came_to[f"error: {type(error).__name__}: {error}"[:300]] += 1
            db.session.remove()
    return came_to


if __name__ == "__main__":
    address, number, times, lasts = sys.argv[1:]
    print(json.dumps(run(address, int(number), int(times), float(lasts))))
