"""The tree of organisations."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Select, select
from sqlalchemy.orm import aliased

from confbridge import clock
from confbridge.database import db
from confbridge.errors import NotFound, Phrase
from confbridge.models import Organisation


def listed(*, after: int = 0, limit: int = 50) -> Sequence[tuple[Organisation, str | None]]:
    """Return organisations, each with its parent's code, in the order of the directory."""
    asked = _with_parent().where(Organisation.id > after).order_by(Organisation.id).limit(limit)
    return [(one, parent) for one, parent in db.session.execute(asked)]


def by_code(code: str) -> tuple[Organisation, str | None]:
    """Return who has this code today, and the code of its parent.

    Raises NotFound.
    """
    today = clock.now().date()
    for one, parent in db.session.execute(_with_parent().where(Organisation.code == code)):
        if one.is_valid(today):
            return one, parent
    raise NotFound(Phrase("There is no such organisation."))


def _with_parent() -> Select[Organisation, str]:
    parent = aliased(Organisation)
    return select(Organisation, parent.code).outerjoin(parent, parent.id == Organisation.parent_id)
