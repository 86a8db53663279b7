"""The rules of docs/architecture.md that a machine can check."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
PACKAGE = HOUSE / "confbridge"

# Higher rooms may import lower ones; rooms on one floor do not know each other.
FLOORS = [
    {"errors", "clock"},
    {"config"},
    {"domain"},
    {"inputs", "database"},
    {"models", "drivers", "mail"},
    {"services"},
    {"doors"},
    {"web", "api", "jobs", "cli"},
    {"__init__"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
MODULES = sorted(PACKAGE.rglob("*.py"))

# What only some rooms may know: library -> where.
ONLY_IN = {
    "flask": {"doors", "web", "api", "jobs", "cli", "__init__"},
    "flask_babel": {"doors", "web", "api"},
    "httpx": {"drivers/http.py"},
    "smtplib": {"mail/delivery.py"},
    "pydantic": {"inputs"},
    "apscheduler": {"jobs/__init__.py"},
    "os": {"config.py"},
    "icalendar": {"domain/itip.py", "domain/itip_reading.py"},
    "imapclient": {"mail/mailbox.py"},
    "dkim": {"mail/delivery.py"},
    "defusedxml": {"drivers/xml.py"},
    "jwt": {"drivers/jitsi.py"},
}
MAY_IMPORT_LATE = {"drivers/__init__.py"}
LONGEST_MODULE, LONGEST_FUNCTION, MOST_PARAMETERS = 500, 50, 5


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def place_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> Iterator[str]:
    """Yield the full name of everything a module imports."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def named(path: Path) -> str:
    return place_of(path)


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_imports_only_go_down(path):
    here = room_of(path)
    rooms = {name.split(".")[1] for name in imported(path) if name.startswith("confbridge.")}
    for room in (rooms & FLOOR.keys()) - {here}:
        assert FLOOR[room] < FLOOR[here], f"{here} must not know {room}"


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_libraries_stay_in_their_rooms(path):
    for library in {name.split(".")[0] for name in imported(path)} & ONLY_IN.keys():
        allowed = ONLY_IN[library]
        assert room_of(path) in allowed or place_of(path) in allowed, f"{library} here"


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_only_services_use_the_session(path):
    if room_of(path) in {"services", "database"} or place_of(path) in {"api/__init__.py", "cli.py"}:
        return  # the last two ask whether the database answers at all
    assert "db.session" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted((PACKAGE / "services").glob("*.py")), ids=named)
def test_services_do_not_commit(path):
    text = path.read_text(encoding="utf-8")
    for word in (".commit(", ".rollback(", "transaction()"):
        assert word not in text


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_modules_and_functions_stay_readable(path):
    assert path.read_text(encoding="utf-8").count("\n") <= LONGEST_MODULE
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or 0) - node.lineno
            assert length < LONGEST_FUNCTION, f"{node.name} is too long"
            arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
            assert len(arguments) <= MOST_PARAMETERS, f"{node.name} wants too much"


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_imports_stand_at_the_top(path):
    if place_of(path) in MAY_IMPORT_LATE:
        return
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef):
            late = [one for one in ast.walk(node) if isinstance(one, ast.Import | ast.ImportFrom)]
            assert not late, node.name


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_every_module_says_what_it_is_for(path):
    said = ast.get_docstring(tree_of(path))
    assert said, "no docstring"
    assert len(said.splitlines()[0]) <= 100


def test_services_do_not_import_in_circles():
    known = {
        path.stem: {
            name.split(".")[2] for name in imported(path) if name.startswith("confbridge.services.")
        }
        for path in (PACKAGE / "services").glob("*.py")
    }
    seen: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, f"a circle: {' -> '.join((*above, module))}"
        if module not in seen:
            for one in known.get(module, ()):
                visit(one, (*above, module))
            seen.add(module)

    for module in known:
        visit(module, ())


def test_there_is_no_room_for_odds_and_ends():
    odd = {"utils", "helpers", "common", "base", "manager", "handler", "processor", "misc"}
    assert not [path for path in MODULES if path.stem in odd]
