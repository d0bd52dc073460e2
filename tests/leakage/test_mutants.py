"""The proof fails on leaks that are planted, and names each by asset and first differing month."""

from collections.abc import Callable
from pathlib import Path

import pytest

from finembed_core.backtest.run import backtest
from finembed_core.calendar import month_range
from finembed_core.chain import chain
from finembed_core.ingest import stage
from finembed_core.ingest.stage import ingest
from finembed_core.proof.compare import Comparison, compare_parts, compare_runs, whole_study
from finembed_core.proof.published import compare_warehouses
from finembed_core.proof.rebuild import linked_copy
from finembed_core.settings import Settings
from finembed_core.store import PartStore
from finembed_core.warehouse.publish import publish
from tests.leakage.conftest import Futures, build_link
from tests.leakage.futures import FIRST
from tests.leakage.mutants import MUTANTS, Mutant

BOOKKEEPING = {"inputs", "notes", "settings", "code"}
PAGE = Path(__file__).resolve().parents[2] / "docs" / "point_in_time.md"


def test_mutants_are_many_and_told_apart() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 20
    assert all(mutant.plant.__doc__ for mutant in MUTANTS)
    told = PAGE.read_text(encoding="utf-8")
    assert f"{len(MUTANTS)} of {len(MUTANTS)}" in told
    for mutant in MUTANTS:
        assert f"| `{mutant.asset}` | {mutant.first} |" in told
        assert f"| {mutant.name.replace('_', ' ')} |" in told


@pytest.fixture
def worlds(futures: Callable[[str], Futures], daily_futures: Futures) -> Callable[[str], Futures]:
    return lambda name: futures("liquid") if name == "monthly" else daily_futures


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_leak_is_caught_and_named(
    mutant: Mutant,
    worlds: Callable[[str], Futures],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = worlds(mutant.world)
    _set_span(mutant, monkeypatch)
    mutant.plant(monkeypatch)
    differences = _spoiled(mutant, found, tmp_path).differences
    assert differences, "not caught"
    first = differences[0]
    assert (first.asset, first.first) == (mutant.asset, mutant.first)
    assert first.what not in BOOKKEEPING, "no number differs"


@pytest.mark.parametrize(
    ("world", "link"),
    [
        *(("monthly", name) for name in ("ingest", "universe", "predictions", "backtest")),
        *(("daily", name) for name in ("ingest", "fund_model_rlinear")),
    ],
)
def test_the_clean_code_raises_no_alarm(
    world: str,
    link: str,
    worlds: Callable[[str], Futures],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clean = Mutant(lambda patch: None, link, "", "", "daily" if world == "daily" else "monthly")
    _set_span(clean, monkeypatch)
    comparison = _spoiled(clean, worlds(world), tmp_path)
    assert comparison.differences == ()
    assert sum(rows for _, rows in comparison.compared.values()) > 300


def _set_span(mutant: Mutant, patch: pytest.MonkeyPatch) -> None:
    """The months of the daily world, which no file tells."""
    if mutant.world == "daily":
        patch.setattr(stage, "month_bounds", lambda dataset: (FIRST, FIRST + 10))


def _spoiled(mutant: Mutant, found: Futures, folder: Path) -> Comparison:
    """Both futures with the stage built again, on copies of the clean parts, and compared."""
    stores: list[PartStore] = []
    runs: list[str] = []
    for name, tables, clean in zip(("true", "other"), found.tables, found.stores, strict=True):
        target = folder / name
        store, run = _built(mutant.stage, tables, clean, found, target)
        stores.append(store)
        runs.append(run)
    true, other = stores
    if mutant.stage == "backtest":
        return compare_runs(true, other, found.cut, (runs[0], runs[1]))
    if mutant.stage == "publish":
        files = [folder / f"{name}.duckdb" for name in ("true", "other")]
        return compare_warehouses(files[0], files[1], found.settings, found.cut)
    return compare_parts(true, other, found.settings, found.cut)


def _built(
    at: str, tables, clean: PartStore, found: Futures, target: Path
) -> tuple[PartStore, str]:
    """A store in which one stage was built by the code as it is now, and the run's id if one."""
    settings, cut = found.settings, found.cut
    if at == "ingest":
        store = PartStore(target)
        ingest(store, settings, tables=tables)
        return store, ""
    if at in ("backtest", "publish"):
        store = linked_copy(clean, target, without=whole_study(clean, settings))
        if at == "publish":
            publish(store, target.with_name(f"{target.name}.duckdb"), settings, cut)
            return store, ""
        return store, backtest(store, _few_strategies(settings), cut).run_id
    link = chain(clean, settings)[at]
    store = linked_copy(clean, target, without=[*link.stage.tables, *whole_study(clean, settings)])
    first = min(store.keys("fund_observations"))
    months = month_range(type(cut).parse(first) + 1, cut + 1)
    build_link(store, settings, months, at)
    return store, ""


def _few_strategies(settings: Settings) -> Settings:
    own = settings.portfolio.model_copy(update={"strategies": ["top_5", "gmv_oas"]})
    varied = settings.backtest.model_copy(
        update={
            "sensitivities": settings.backtest.sensitivities.model_copy(update={"enabled": False})
        }
    )
    return settings.model_copy(update={"portfolio": own, "backtest": varied})
