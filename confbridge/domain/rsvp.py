"""Answers to invitations (RFC 5545 section 3.2.12)."""

from __future__ import annotations

from enum import StrEnum


class Partstat(StrEnum):
    """What an attendee has said."""

    NEEDS_ACTION = "NEEDS-ACTION"
    ACCEPTED = "ACCEPTED"
    DECLINED = "DECLINED"
    TENTATIVE = "TENTATIVE"


class Role(StrEnum):
    """What an endpoint is to a meeting."""

    MAIN = "main"
    REQUIRED = "required"
    OPTIONAL = "optional"


class Via(StrEnum):
    """The way an answer came."""

    LINK = "link"
    PHONE = "phone"
    API = "api"
