"""What is written down is true: settings, translations, links between documents."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from babel.messages import pofile

from confbridge.config import Settings
from confbridge.drivers import DRIVERS
from confbridge.models import LetterKind
from deploy import words

HOUSE = Path(__file__).parent.parent
DOCUMENTS = sorted([*HOUSE.glob("*.md"), *(HOUSE / "docs").rglob("*.md")])
PLACES = re.compile(r"%\((\w+)\)[sd]|\{(\w+)\}")


def test_every_setting_is_documented():
    text = (HOUSE / "docs" / "settings.md").read_text(encoding="utf-8")
    for field in dataclasses.fields(Settings):
        assert f"CONFBRIDGE_{field.name.upper()}" in text


def test_every_driver_has_a_page():
    for kind in DRIVERS:
        assert (HOUSE / "docs" / "drivers" / f"{kind}.md").exists()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (path.parent / target).exists(), target


def test_decisions_are_short():
    for path in (HOUSE / "docs" / "decisions").glob("*.md"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 30, path.name


def test_every_text_is_translated_and_keeps_its_places():
    path = words.TRANSLATIONS / "vi" / "LC_MESSAGES" / "messages.po"
    with path.open("rb") as file:
        known = {str(entry.id): entry for entry in pofile.read_po(file, locale="vi")}
    for entry in words.collected():
        if not entry.id:
            continue
        assert str(entry.id) in known, f"make words: {entry.id}"
        translated = known[str(entry.id)].string
        text = translated if isinstance(translated, str) else translated[0]
        assert text, f"not translated: {entry.id}"
        source = entry.id if isinstance(entry.id, str) else entry.id[0]
        assert set(PLACES.findall(text)) == set(PLACES.findall(source)), entry.id


def test_every_letter_is_described():
    text = (HOUSE / "docs" / "invitations.md").read_text(encoding="utf-8")
    for kind in LetterKind:
        assert f"`{kind}`" in text
