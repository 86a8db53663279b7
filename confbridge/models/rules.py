"""What an administrator decides: the order of ranks, and days that were swapped."""

from __future__ import annotations

from datetime import date

from sqlalchemy.orm import Mapped, mapped_column

from confbridge.database import Base


class RankWeight(Base):
    """Where a rank stands among the others: a higher weight goes first."""

    __tablename__ = "ranks"

    rank: Mapped[str] = mapped_column(primary_key=True)
    weight: Mapped[int]


class DecidedDay(Base):
    """A day that is worked or off by decision, whatever the law or the calendar says."""

    __tablename__ = "decided_days"

    day: Mapped[date] = mapped_column(primary_key=True)
    worked: Mapped[bool]
    basis: Mapped[str] = mapped_column(default="")  # the document it rests on
