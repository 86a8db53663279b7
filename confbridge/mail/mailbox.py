"""Where mail comes in: an IMAP server (RFC 9051, IDLE of RFC 2177), or a Maildir."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError

from confbridge.config import HOUSE
from confbridge.database import in_transaction
from confbridge.errors import MailError
from confbridge.mail.incoming import LARGEST

PATIENCE = 15  # seconds for each answer of the server
QUARANTINE = "Quarantine"
HEADER = 65536  # bytes that are read of a mail which is too large


@dataclass(frozen=True)
class Item:
    """A mail in the box: where it lies, and its bytes, or only its head if it is too large."""

    number: int
    place: str
    raw: bytes
    is_whole: bool = True


class Box(Protocol):
    """A mailbox that is open."""

    validity: int

    def after(self, number: int, most: int) -> list[Item]:
        """Return the next mails after that number, in order; reading changes nothing."""

    def unmarked(self, number: int) -> list[Item]:
        """Return mails up to that number that are not marked as done; without their bytes."""

    def done(self, items: Sequence[Item]) -> None:
        """Mark mails as worked on."""

    def quarantine(self, items: Sequence[Item]) -> None:
        """Lay mails aside that cannot be used."""

    def wait(self, seconds: float) -> bool:
        """Wait until something comes, if the server can tell; say whether something did."""

    def close(self) -> None:
        """Let go of it."""


def name_of(url: str) -> str:
    """Return what the mailbox is called in the database: its address without the password."""
    address = urlsplit(url)
    if address.scheme == "maildir":
        return f"maildir:{address.path}"
    user = unquote(address.username or "")
    return f"{address.scheme}://{user}@{address.hostname}/{_folder(address)}"


def opened(url: str) -> Box:
    """Open a mailbox.

    Raises MailError.
    """
    assert not in_transaction(), "mail servers are slow: commit before talking to one"
    address = urlsplit(url)
    if address.scheme == "maildir":
        return Maildir(HOUSE / address.path)
    return Imap(address)


def check(url: str) -> str:
    """Return what the mailbox says of itself.

    Raises MailError.
    """
    box = opened(url)
    box.close()
    how = "IDLE" if getattr(box, "can_idle", False) else "asked again and again"
    return f"{name_of(url)}: {how}"


def _folder(address: SplitResult) -> str:
    return unquote(address.path.strip("/")) or "INBOX"


class Imap:
    """A folder on an IMAP server."""

    def __init__(self, address: SplitResult) -> None:
        with _told():
            self._client = _client(address)
            try:
                self._client.login(unquote(address.username or ""), unquote(address.password or ""))
                found = self._client.select_folder(_folder(address))
                self._can = set(self._client.capabilities())
            except BaseException:
                self._client.shutdown()
                raise
        self.validity = int(found[b"UIDVALIDITY"])
        self.can_idle = b"IDLE" in self._can

    def after(self, number: int, most: int) -> list[Item]:
        with _told():
            found = self._client.search(["UID", f"{number + 1}:*"])
            numbers = sorted(one for one in found if one > number)[:most]
            if not numbers:
                return []
            sizes = self._client.fetch(numbers, ["RFC822.SIZE"])
            whole = [one for one in numbers if _size(sizes, one) <= LARGEST]
            large = [one for one in numbers if one in sizes and one not in whole]
            raws = self._bytes(whole, "BODY.PEEK[]") | self._bytes(
                large, f"BODY.PEEK[HEADER]<0.{HEADER}>"
            )
        return [
            Item(one, f"{self.validity}:{one}", raws.get(one, b""), one in whole) for one in numbers
        ]

    def _bytes(self, numbers: list[int], what: str) -> dict[int, bytes]:
        if not numbers:
            return {}
        found: dict[int, bytes] = {}
        for number, answer in self._client.fetch(numbers, [what]).items():
            bodies = [value for key, value in answer.items() if key.startswith(b"BODY[")]
            found[number] = bodies[0] if bodies and bodies[0] else b""
        return found

    def unmarked(self, number: int) -> list[Item]:
        if number < 1:
            return []
        with _told():
            found = self._client.search(["UNSEEN", "UID", f"1:{number}"])
        return [Item(one, f"{self.validity}:{one}", b"") for one in sorted(found) if one <= number]

    def done(self, items: Sequence[Item]) -> None:
        if items:
            with _told():
                self._client.add_flags([one.number for one in items], [rb"\Seen"], silent=True)

    def quarantine(self, items: Sequence[Item]) -> None:
        if not items:
            return
        numbers = [one.number for one in items]
        with _told():
            if not self._client.folder_exists(QUARANTINE):
                self._client.create_folder(QUARANTINE)
            if b"MOVE" in self._can:
                self._client.move(numbers, QUARANTINE)
                return
            self._client.copy(numbers, QUARANTINE)
            self._client.add_flags(numbers, [rb"\Seen", rb"\Deleted"], silent=True)
            self._client.expunge()

    def wait(self, seconds: float) -> bool:
        if not self.can_idle:
            return False
        with _told():
            self._client.idle()
            answers = self._client.idle_check(timeout=seconds)
            self._client.idle_done()
        return any(len(one) > 1 and one[1] == b"EXISTS" for one in answers)

    def close(self) -> None:
        with suppress(IMAPClientError, OSError):
            self._client.logout()


def _size(sizes: dict[int, dict[bytes, int]], number: int) -> int:
    return sizes.get(number, {}).get(b"RFC822.SIZE", LARGEST + 1)


def _client(address: SplitResult) -> IMAPClient:
    is_safe = address.scheme == "imaps"
    return IMAPClient(
        address.hostname,
        port=address.port,
        ssl=is_safe,
        ssl_context=ssl.create_default_context() if is_safe else None,
        timeout=PATIENCE,
    )


@contextmanager
def _told() -> Iterator[None]:
    """Turn what the library raises into a MailError."""
    try:
        yield
    except (IMAPClientError, OSError) as error:
        raise MailError(f"the mailbox does not answer: {error}", server=True) from error


class Maildir:
    """A folder of files; what is in `new` has not been worked on."""

    validity = 0

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            for part in ("tmp", "new", "cur", f".{QUARANTINE}/new", f".{QUARANTINE}/cur"):
                (folder / part).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MailError(f"the mail folder cannot be used: {error}", server=True) from error

    def after(self, number: int, most: int) -> list[Item]:  # noqa: ARG002
        files = sorted((self._folder / "new").iterdir())[:most]
        found = []
        for file in files:
            is_whole = file.stat().st_size <= LARGEST
            with file.open("rb") as opened_file:
                raw = opened_file.read(LARGEST if is_whole else HEADER)
            found.append(Item(0, file.name, raw, is_whole))
        return found

    def unmarked(self, number: int) -> list[Item]:  # noqa: ARG002
        return []  # what was worked on and lies in `new` still is found there, and known

    def done(self, items: Sequence[Item]) -> None:
        for one in items:
            self._move(one, self._folder / "cur" / f"{one.place}:2,S")

    def quarantine(self, items: Sequence[Item]) -> None:
        for one in items:
            self._move(one, self._folder / f".{QUARANTINE}" / "new" / one.place)

    def _move(self, item: Item, there: Path) -> None:
        with suppress(FileNotFoundError):  # somebody else has moved it already
            (self._folder / "new" / item.place).replace(there)

    def wait(self, seconds: float) -> bool:  # noqa: ARG002
        return False

    def close(self) -> None:
        pass
