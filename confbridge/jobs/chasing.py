"""Reminds of meetings that are near, and of answers that are missing."""

from __future__ import annotations

from confbridge.database import attempt
from confbridge.services import chasing


def chase_one() -> bool:
    """Look after one occurrence whose time has come; say whether there was one."""
    return attempt(chasing.chase_one)
