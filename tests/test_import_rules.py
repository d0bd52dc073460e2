"""Who may know whom: dependencies point one way, and nothing in the library reads the clock."""

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache, partial
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

import finembed_core
from finembed_core.backtest.run import MODULES as BACKTEST_MODULES
from finembed_core.chain import chain
from finembed_core.settings import Settings
from finembed_core.store import PartStore

ROOT = Path(finembed_core.__file__).parent
CORE = "finembed_core"
BASICS = {"errors", "files", "progress", "fingerprint", "calendar", "panel", "settings"}
READING = {"store", "stage", "histories"}
ALLOWED = {
    "errors": set[str](),
    "files": set[str](),
    "progress": set[str](),
    "fingerprint": set[str](),
    "calendar": {"errors"},
    "sessions": {"calendar", "errors"},
    "panel": {"calendar"},
    "settings_file": {"errors"},
    "settings": {"calendar", "errors", "settings_file"},
    "execution_ray": {"errors"},
    "execution": {"errors", "settings", "execution_ray"},
    "sources": BASICS,
    "store": {"errors", "files"},
    "daily_panel": {"errors", "files", "fingerprint", "store"},
    "home": {"errors", "files", "store"},
    "stage": BASICS | {"execution", "store"},
    "ingest": BASICS | {"sources", "store", "stage", "daily_panel"},
    "macro.transforms": {"errors"},
    "histories": BASICS | {"store", "macro.transforms"},
    "macro": BASICS | READING | {"macro.transforms"},
    "polymodel": BASICS | READING,
    "encoders": set[str](),
    "learning": BASICS | READING | {"encoders", "daily_panel"},
    "portfolio": BASICS | READING,
    "backtest": BASICS | READING | {"ingest", "learning", "portfolio", "version"},
    "embeddings": BASICS
    | READING
    | {"daily_panel", "sessions", "encoders", "ingest", "learning", "portfolio", "backtest"},
    "warehouse": BASICS | {"backtest", "store"},
    "report": BASICS | READING | {"macro.transforms", "polymodel", "warehouse"},
    "chain": BASICS
    | READING
    | {"sources", "ingest", "macro", "polymodel", "learning", "embeddings"},
    "outlook": BASICS | READING | {"ingest", "embeddings", "chain"},
    "proof": BASICS
    | READING
    | {"chain", "sources", "ingest", "daily_panel", "embeddings", "backtest", "warehouse"},
    "repair": BASICS | {"store", "home", "chain", "ingest", "backtest", "warehouse"},
}
"""What each room may know besides itself; a room stands after all that it may know.

A room is a package or a single module of the library. ``macro.transforms`` is one of its own:
formulas without data, which histories apply before there are factors.
"""

PLUMBING = {
    f"{CORE}.{name}"
    for name in (
        *("errors", "files", "progress", "fingerprint", "settings_file", "settings", "execution"),
        "store",
    )
} | {CORE, f"{CORE}.stage"}
CONTAINERS = {
    f"{CORE}.{name}" for name in ("calendar", "panel", "daily_panel", "histories", "sources")
}
"""A change in how inputs are read or held shows in their values, which a stage hashes."""

CLOCKS = {
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "localtime", "gmtime"},
    "Timestamp": {"now", "today", "utcnow"},
}
LUCK = {"random", "uuid", "secrets"}


def _sources() -> dict[str, Path]:
    """Module name to file."""
    names = {
        file: ".".join((CORE, *file.relative_to(ROOT).with_suffix("").parts))
        for file in sorted(ROOT.rglob("*.py"))
    }
    return {name.removesuffix(".__init__"): file for file, name in names.items()}


FILES = _sources()
PACKAGES = {module for module in FILES if FILES[module].name == "__init__.py"}
KEEPS_PAIRS = Settings.model_validate({"pairs": {"first_month": "2000-01"}})
LINKS = chain(PartStore(Path("none")), KEEPS_PAIRS)


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text(encoding="utf-8"))


def _statements(tree: ast.Module, lazy: bool) -> Iterator[ast.AST]:
    """Every node, or only those that run when the module is imported."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if lazy or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            waiting.extend(ast.iter_child_nodes(node))


@cache
def _imports(module: str, lazy: bool = True) -> frozenset[str]:
    """Modules that a module imports, by full name; also inside functions unless not `lazy`."""
    found: set[str] = set()
    for node in _statements(_tree(module), lazy):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively: write the full name"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found.update(name if name in FILES else str(node.module) for name in names)
    return frozenset(found)


def _closure(starts: Iterable[str], *, lazy: bool = True, past: Iterable[str] = ()) -> set[str]:
    """All modules that these need, themselves included; what `past` needs is not followed."""
    seen: set[str] = set()
    waiting, halts = list(starts), set(past)
    while waiting:
        module = waiting.pop()
        if module in seen or module in halts:
            continue
        seen.add(module)
        if module in FILES:
            package = module.rpartition(".")[0]
            waiting.extend([*_imports(module, lazy), *([package] if package else [])])
    return seen


def _inside(packages: Iterable[str]) -> set[str]:
    """Modules that are, or lie under, one of these names."""
    return {
        module
        for module in FILES
        for package in packages
        if module == package or module.startswith(f"{package}.")
    }


def _room(module: str) -> str:
    inner = module.removeprefix(f"{CORE}.")
    if module == CORE:
        return "version"
    return inner if inner in ALLOWED else inner.partition(".")[0]


def _rooms() -> dict[str, set[str]]:
    """Rooms that each room knows, itself not counted."""
    rooms: dict[str, set[str]] = {}
    for module in FILES:
        known = {_room(name) for name in _imports(module) if name.partition(".")[0] == CORE}
        rooms.setdefault(_room(module), set()).update(known - {_room(module)})
    return rooms


def _outside(modules: Iterable[str]) -> set[str]:
    """Packages from outside among these modules, without the standard library."""
    tops = {module.partition(".")[0] for module in modules} - {CORE}
    return tops - sys.stdlib_module_names


@pytest.fixture
def rooms() -> dict[str, set[str]]:
    return _rooms()


def test_imports_inside_functions_are_seen() -> None:
    lazily = _imports(f"{CORE}.learning.models") - _imports(f"{CORE}.learning.models", lazy=False)
    assert f"{CORE}.learning.trend" in lazily
    assert "torch" in _closure([f"{CORE}.learning.models"])
    assert "torch" not in _closure([f"{CORE}.learning.models"], lazy=False)


def test_every_room_knows_only_what_the_table_allows(rooms: dict[str, set[str]]) -> None:
    assert set(rooms) - {"version"} <= set(ALLOWED), "a new room: say in ALLOWED what it may know"
    faults = {room: known - ALLOWED.get(room, set()) for room, known in rooms.items()}
    assert {room: extra for room, extra in faults.items() if extra} == {}


def test_the_table_points_one_way() -> None:
    before: set[str] = {"version"}
    for room, allowed in ALLOWED.items():
        assert allowed <= before, room
        before.add(room)


def test_no_room_knows_itself_through_others(rooms: dict[str, set[str]]) -> None:
    order = TopologicalSorter(rooms).static_order()  # CycleError names the circle
    assert set(order) >= set(rooms)


@pytest.mark.parametrize("module", FILES)
def test_the_library_knows_no_dagster(module: str) -> None:
    tops = {name.partition(".")[0] for name in _imports(module)}
    assert not {top for top in tops if top.startswith(("dagster", "finembed_dagster", "tests"))}
    called = {_dotted(node.func) for node in ast.walk(_tree(module)) if isinstance(node, ast.Call)}
    assert not {name for name in called if name.endswith(("import_module", "__import__"))}


def test_encoders_know_no_finance() -> None:
    modules = _inside([f"{CORE}.encoders"])
    needed = _closure(modules)
    assert {name for name in needed if name.startswith(CORE)} <= modules | {CORE}
    assert _outside(needed) <= {"torch", "numpy"}


def test_portfolios_know_no_torch() -> None:
    needed = _closure(_inside([f"{CORE}.portfolio"]))
    assert f"{CORE}.panel" in needed
    assert not _outside(needed) & {"torch", "lightgbm", "sklearn"}


def test_the_ledger_knows_no_strategy() -> None:
    needed = _closure([f"{CORE}.backtest.ledger"])
    rooms = {f"{CORE}.backtest", f"{CORE}.backtest.ledger"}
    rooms |= {f"{CORE}.portfolio{name}" for name in ("", ".orders", ".costs", ".resets")}
    assert {name for name in needed if ".backtest" in name or ".portfolio" in name} == rooms


@pytest.mark.parametrize("name", LINKS)
def test_a_stage_names_every_module_that_it_computes_with(name: str) -> None:
    """Its parts become stale when a formula changes, wherever the formula stands."""
    stage = LINKS[name].stage
    compute: Any = stage.compute
    own = (compute.func if isinstance(compute, partial) else compute).__module__
    named = _inside(stage.modules)
    past = PLUMBING | _inside(CONTAINERS)
    lazy = name == "predictions"  # which loads models of every kind
    needed = {n for n in _closure([own, *named], lazy=lazy, past=past) if n in FILES}
    assert own in named
    assert needed - PACKAGES <= named


def test_a_run_names_every_module_that_it_computes_with() -> None:
    """Its identity holds the hash of stored parts, so reading them is code of its own."""
    named = _inside(BACKTEST_MODULES)
    needed = {n for n in _closure([f"{CORE}.backtest.run"], past=PLUMBING) if n in FILES}
    assert needed - PACKAGES <= named


def _dotted(node: ast.AST) -> str:
    """``a.b.c`` of an attribute of an attribute of a name; the last names of anything else."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{_dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def _clock_readings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner, name = _dotted(node.value).rpartition(".")[2], node.attr
            if name in CLOCKS.get(owner, ()):
                yield f"{owner}.{name}"
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            yield from (f"time.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and _dotted(node.func).endswith("datetime64"):
            words = {str(word.value) for word in node.args if isinstance(word, ast.Constant)}
            yield from words & {"now", "today"}


def _draws_by_luck(tree: ast.AST) -> Iterator[str]:
    """Generators that nobody seeded, and the global ones."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                names = [str(node.module)]
            yield from LUCK.intersection(names)
        elif isinstance(node, ast.Call):
            called = _dotted(node.func)
            generator = called.endswith("default_rng")
            seeds = [seed for seed in node.args if getattr(seed, "value", seed) is not None]
            if (generator and not seeds) or ("np.random." in called and not generator):
                yield called


@pytest.mark.parametrize("module", FILES)
def test_the_library_reads_no_clock_and_draws_with_a_seed(module: str) -> None:
    assert [*_clock_readings(_tree(module)), *_draws_by_luck(_tree(module))] == []


@pytest.mark.parametrize(
    "source",
    [
        "dt.datetime.now(dt.UTC)",
        "datetime.utcnow()",
        "dt.date.today()",
        "def f():\n    return time.perf_counter()",
        "from time import time",
        "np.datetime64('today')",
        "stamp = field(default_factory=datetime.now)",
    ],
)
def test_a_reading_of_the_clock_would_be_seen(source: str) -> None:
    assert list(_clock_readings(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "import random",
        "from uuid import uuid4",
        "np.random.default_rng()",
        "np.random.default_rng(None)",
        "np.random.seed(1)",
    ],
)
def test_a_draw_by_luck_would_be_seen(source: str) -> None:
    assert list(_draws_by_luck(ast.parse(source)))


def test_sql_reads_no_clock() -> None:
    words = ("current_", "now(", "today(", "get_current", "random(", "uuid(")
    for file in ROOT.rglob("*.sql"):
        text = file.read_text(encoding="utf-8").lower()
        assert not [word for word in words if word in text], file.name
