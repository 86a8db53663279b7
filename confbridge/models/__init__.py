"""Tables, constraints, and facts of one row."""

from confbridge.models.account import Account, ApiToken, IdempotentAnswer, Role
from confbridge.models.attendance import BridgeEvents, Gap, Leg, LegSource
from confbridge.models.audit import AuditEntry
from confbridge.models.bridge import Allocation, Bridge, BridgeBlock, Pool
from confbridge.models.endpoint import Endpoint
from confbridge.models.feed import Feed
from confbridge.models.letter import Letter, LetterKind, Mail, MailState
from confbridge.models.meeting import (
    Attendee,
    Counter,
    Exdate,
    Meeting,
    Occurrence,
    OccurrenceAnswer,
    Offer,
    Reservation,
    Standing,
    SubstituteState,
)
from confbridge.models.organisation import Organisation
from confbridge.models.reply import (
    Mailbox,
    Outcome,
    Received,
    Reminder,
    Reply,
    ReplyKind,
    ReplyState,
    Task,
    TaskKind,
    Why,
)
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
    "Feed",
    "Gap",
    "IdempotentAnswer",
    "Leg",
    "LegSource",
    "Letter",
    "LetterKind",
    "Mail",
    "MailState",
    "Mailbox",
    "Meeting",
    "Occurrence",
    "OccurrenceAnswer",
    "Offer",
    "Organisation",
    "Outcome",
    "Pool",
    "RankWeight",
    "Received",
    "Reminder",
    "Reply",
    "ReplyKind",
    "ReplyState",
    "Reservation",
    "Role",
    "Standing",
    "SubstituteState",
    "Task",
    "TaskKind",
    "Why",
]
