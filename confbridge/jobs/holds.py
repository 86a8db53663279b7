"""Gives back what was held for a while, and offers room to who waits."""

from __future__ import annotations

from confbridge.database import attempt
from confbridge.services import holds


def release_one() -> bool:
    """Give back one hold that has run out; say whether there was one."""
    return attempt(holds.release_one)


def serve_one() -> bool:
    """Look whether there is room for the next who waits; say whether there was anybody."""
    return attempt(holds.serve_one)
