"""Tables, constraints, and facts of one row."""

from confbridge.models.account import Account, ApiToken, IdempotentAnswer, Role
from confbridge.models.attendance import BridgeEvents, Gap, Leg, LegSource
from confbridge.models.audit import AuditEntry
from confbridge.models.bridge import Allocation, Bridge, BridgeBlock, Pool
from confbridge.models.endpoint import Endpoint
from confbridge.models.letter import Letter, LetterKind, Mail, MailState
from confbridge.models.meeting import (
    Attendee,
    Counter,
    Exdate,
    Meeting,
    Occurrence,
    Offer,
    Reservation,
)
from confbridge.models.organisation import Organisation
from confbridge.models.rules import DecidedDay, RankWeight

__all__ = [
    "Account",
    "Allocation",
    "ApiToken",
    "Attendee",
    "AuditEntry",
    "Bridge",
    "BridgeBlock",
    "BridgeEvents",
    "Counter",
    "DecidedDay",
    "Endpoint",
    "Exdate",
    "Gap",
    "IdempotentAnswer",
    "Leg",
    "LegSource",
    "Letter",
    "LetterKind",
    "Mail",
    "MailState",
    "Meeting",
    "Occurrence",
    "Offer",
    "Organisation",
    "Pool",
    "RankWeight",
    "Reservation",
    "Role",
]
