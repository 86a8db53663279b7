"""Words of the directory: what an endpoint is, where an organisation stands."""

from __future__ import annotations

from enum import StrEnum


class EndpointKind(StrEnum):
    """A fixed room with its equipment, or a program on somebody's computer."""

    ROOM = "room"
    SOFT = "soft"


class Level(StrEnum):
    """Where an organisation stands; a label, the tree itself is free."""

    CENTRAL = "central"
    PROVINCE = "province"
    PARTY = "party"
    DISTRICT = "district"
    DEPARTMENT = "department"
    COMMUNE = "commune"
