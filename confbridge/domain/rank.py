"""The precedence of convening authorities, and who may displace whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from confbridge.domain.directory import Level


class Rank(StrEnum):
    """In whose name a meeting is convened; which is above which, the administrator says."""

    EMERGENCY = "emergency"
    CENTRAL = "central"
    PARTY = "party"
    PROVINCE = "province"
    DEPARTMENT = "department"
    DISTRICT = "district"
    COMMUNE = "commune"


# The order on the day of installation; a higher number goes first.
WEIGHTS: Mapping[str, int] = {
    Rank.EMERGENCY: 100,
    Rank.CENTRAL: 90,
    Rank.PARTY: 80,
    Rank.PROVINCE: 70,
    Rank.DEPARTMENT: 50,
    Rank.DISTRICT: 40,
    Rank.COMMUNE: 30,
}
# Whose secretariats also convene for the Government, and in an emergency.
PROVINCIAL = {Level.CENTRAL, Level.PARTY, Level.PROVINCE}


def own(level: str) -> Rank:
    """Return the rank that an organisation of this level has of itself."""
    return Rank(level) if level in set(Rank) else Rank.COMMUNE


def may_use(rank: Rank, level: str, weights: Mapping[str, int]) -> bool:
    """Say whether an organisation of this level may convene with that rank: its own or less.

    The provincial bodies also pass on meetings of the Government, and call emergencies.
    """
    if level in PROVINCIAL and rank in {Rank.EMERGENCY, Rank.CENTRAL}:
        return True
    return weights[rank] <= weights[own(level)]


@dataclass(frozen=True)
class Precedence:
    """The order in force, and how long before its start a meeting is safe."""

    weights: Mapping[str, int]
    notice: timedelta

    def may_displace(self, higher: str, lower: str, *, starts: datetime, now: datetime) -> bool:
        """Say whether a meeting of one rank may take what another holds.

        Never an equal or higher one, never one that has begun, and never
        shortly before its start unless in an emergency.
        """
        if self.weights[higher] <= self.weights[lower] or starts <= now:
            return False
        return higher == Rank.EMERGENCY or starts - now > self.notice
