"""Collects the texts to translate, and compiles the translations.

`collect` merges new texts into translations/vi; `compile` makes the binary
catalogue if it is older than its source.
"""

from __future__ import annotations

import sys
from pathlib import Path

from babel.messages import mofile, pofile
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir

HOUSE = Path(__file__).resolve().parent.parent
TRANSLATIONS = HOUSE / "confbridge" / "translations"
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "Phrase": None}


def collected() -> Catalog:
    """Return every text that code and templates show."""
    catalog = Catalog(project="confbridge", charset="utf-8")
    for folder in ("confbridge", "templates"):
        found = extract_from_dir(
            HOUSE / folder,
            [("**.py", "python"), ("**.html", "jinja2"), ("**.txt", "jinja2")],
            options_map={
                "**.html": {"extensions": "jinja2.ext.i18n", "silent": "false"},
                "**.txt": {"extensions": "jinja2.ext.i18n", "silent": "false"},
            },
            keywords=KEYWORDS,
        )
        for _file, _line, text, _comments, _context in found:
            catalog.add(text)
    return catalog


def _catalogue(path: Path) -> Catalog:
    with path.open("rb") as file:
        return pofile.read_po(file, locale=path.parent.parent.name, charset="utf-8")


def collect() -> None:
    for path in TRANSLATIONS.glob("*/LC_MESSAGES/messages.po"):
        catalogue = _catalogue(path)
        catalogue.update(collected(), no_fuzzy_matching=True)
        catalogue.obsolete.clear()
        with path.open("wb") as file:
            pofile.write_po(
                file, catalogue, no_location=True, sort_output=True, width=0, omit_header=True
            )
        missing = [entry.id for entry in catalogue if entry.id and not entry.string]
        print(f"{path.parent.parent.name}: {len(missing)} texts without a translation")


def compile_() -> None:
    for path in TRANSLATIONS.glob("*/LC_MESSAGES/messages.po"):
        binary = path.with_suffix(".mo")
        if not binary.exists() or binary.stat().st_mtime < path.stat().st_mtime:
            with binary.open("wb") as file:
                mofile.write_mo(file, _catalogue(path))


if __name__ == "__main__":
    {"collect": collect, "compile": compile_}[sys.argv[1]]()
