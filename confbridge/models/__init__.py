"""Tables, constraints, and facts of one row."""

from confbridge.models.account import Account, ApiToken, IdempotentAnswer, Role
from confbridge.models.attendance import (
    BridgeEvents,
    EventKey,
    EventStream,
    Gap,
    Leg,
    LegSource,
    RollCall,
)
from confbridge.models.audit import AuditEntry
from confbridge.models.bridge import (
    Allocation,
    Bridge,
    BridgeBlock,
    Pool,
    RoomStep,
    StateChange,
)
from confbridge.models.endpoint import Endpoint
from confbridge.models.feed import Feed
from confbridge.models.letter import Letter, LetterKind, Mail, MailState
from confbridge.models.live import DialOut, Duty, Exclusion, Incident, IncidentKind, Notice
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
from confbridge.models.readiness import LineTest, SignOff
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
    "DialOut",
    "Duty",
    "Endpoint",
    "EventKey",
    "EventStream",
    "Exclusion",
    "Exdate",
    "Feed",
    "Gap",
    "IdempotentAnswer",
    "Incident",
    "IncidentKind",
    "Leg",
    "LegSource",
    "Letter",
    "LetterKind",
    "LineTest",
    "Mail",
    "MailState",
    "Mailbox",
    "Meeting",
    "Notice",
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
    "RollCall",
    "RoomStep",
    "SignOff",
    "Standing",
    "StateChange",
    "SubstituteState",
    "Task",
    "TaskKind",
    "Why",
]
