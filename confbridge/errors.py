"""Everything confbridge can refuse.

Services raise these; doors (web, api, cli, jobs) turn them into pages,
problem documents, exit codes and log lines. Nothing below a door knows HTTP.
"""

from __future__ import annotations


class Phrase:
    """A sentence for a user: English with named places, translated at the door."""

    def __init__(self, text: str, **values: object) -> None:
        self.text = text
        self.values = values

    def __str__(self) -> str:
        return self.text % self.values if self.values else self.text

    def __repr__(self) -> str:
        return f"Phrase({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Phrase) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


class ConfbridgeError(Exception):
    """Base of all expected refusals. `phrase` is fit for a user to read."""

    def __init__(self, phrase: Phrase | str) -> None:
        super().__init__(str(phrase))
        self.phrase = phrase if isinstance(phrase, Phrase) else Phrase(phrase)


class BadConfig(ConfbridgeError):
    """A setting is missing or makes no sense. Raised only while starting."""


class NotFound(ConfbridgeError):
    """No such thing, or none that this account may see."""


class NotAllowed(ConfbridgeError):
    """The account may see it, but may not do this to it."""


class NotSignedIn(ConfbridgeError):
    """Nobody, or nobody we know, is asking."""


class Invalid(ConfbridgeError):
    """The input does not make sense. `problems` maps field to what is wrong with it."""

    def __init__(self, **problems: Phrase) -> None:
        super().__init__("; ".join(f"{field}: {text}" for field, text in problems.items()))
        self.problems = problems


class Conflict(ConfbridgeError):
    """The request made sense, but the world has moved on."""


class Clash(Conflict):
    """An endpoint is taken, or no bridge has the ports, at the time wanted.

    Which and why is found out afterwards and outside the transaction, by
    `services.refusals.explain`: whoever holds the write lock is brief.
    """

    def __init__(self) -> None:
        super().__init__(Phrase("An endpoint or a bridge is not free at that time."))


class Crossed(Conflict):
    """Two changes were in each other's way, and this one was undone; it may be tried again."""

    def __init__(self) -> None:
        super().__init__(Phrase("Others are changing the same thing. Try again in a moment."))


class StaleVersion(ConfbridgeError):
    """Somebody else changed it since it was read."""

    def __init__(self) -> None:
        super().__init__(
            Phrase("Somebody else changed this meanwhile. Look at it again, then repeat.")
        )


class DriverError(ConfbridgeError):
    """A bridge did not do as asked. `permanent`: trying again will not help."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class RoomGone(DriverError):
    """The bridge has no such room, or not any more."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=True)


class MailError(ConfbridgeError):
    """A mail was not taken. `permanent`: this address; `server`: none would be."""

    def __init__(self, message: str, *, permanent: bool = False, server: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.server = server
