"""Answers to invitations (RFC 5545 section 3.2.12)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from confbridge.domain.search import folded


class Partstat(StrEnum):
    """What an attendee has said."""

    NEEDS_ACTION = "NEEDS-ACTION"
    ACCEPTED = "ACCEPTED"
    DECLINED = "DECLINED"
    TENTATIVE = "TENTATIVE"
    DELEGATED = "DELEGATED"


class Role(StrEnum):
    """What an endpoint is to a meeting."""

    MAIN = "main"
    REQUIRED = "required"
    OPTIONAL = "optional"


class Via(StrEnum):
    """The way an answer came."""

    MAIL = "mail"
    LINK = "link"
    PHONE = "phone"
    API = "api"


class Verdict(StrEnum):
    """What a reply is worth, seen beside what was said before."""

    COUNTS = "counts"
    EARLIER = "earlier"
    OUTDATED = "outdated"


@dataclass(frozen=True, order=True)
class Order:
    """Where a reply stands among all replies of one attendee to one occurrence.

    SEQUENCE first, then DTSTAMP (RFC 5546 section 2.1.5); the key, which has no meaning
    of its own, makes the same one of two win in whatever order they arrive. Who has
    delegated speaks no more beside the delegate, hence the `depth` of the delegation:
    the clocks of two people are not compared.
    """

    sequence: int
    depth: int
    stamped: datetime
    key: str


def judged(reply: Order, last: Order | None, *, asked: int) -> Verdict:
    """Say what a reply is worth; `asked` is the SEQUENCE since which the question is the same."""
    if reply.sequence < asked:
        return Verdict.OUTDATED
    return Verdict.COUNTS if last is None or reply > last else Verdict.EARLIER


# How plain answers begin, folded. The longer first, for "không đồng ý" is no agreement.
OPENINGS = {
    Partstat.DECLINED: (
        *("khong tham du", "khong dong y", "khong the", "khong du", "xin vang", "bao vang"),
        *("tu choi", "vang mat", "declined", "decline", "we cannot", "cannot", "no,"),
    ),
    Partstat.TENTATIVE: ("co the", "tentative", "maybe"),
    Partstat.ACCEPTED: (
        *("dong y", "xac nhan", "chap nhan", "se tham du", "tham du", "accepted", "accept"),
        *("yes", "we will"),
    ),
}


def worded(text: str) -> Partstat | None:
    """Return what a plain-text answer begins with, None if that is no answer."""
    start = folded(text).strip(" .,:;!-*>\n\t")
    for partstat, openings in OPENINGS.items():
        for opening in openings:
            rest = start.removeprefix(opening)
            if rest != start and not rest[:1].isalpha():
                return partstat
    return None
