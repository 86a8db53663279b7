"""Text as people search for it."""

from __future__ import annotations

import unicodedata


def folded(text: str) -> str:
    """Return `text` without case and accents: "Điểm cầu" is found by "diem cau"."""
    bare = unicodedata.normalize("NFD", text.casefold().replace("đ", "d"))
    return "".join(letter for letter in bare if not unicodedata.combining(letter))
