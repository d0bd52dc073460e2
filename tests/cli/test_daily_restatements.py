"""A restated daily NAV: what status announces of a study with embeddings comes true."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from finembed_core.calendar import Month
from finembed_core.chain import chain
from finembed_core.outlook import outlook
from finembed_core.settings import load_settings
from finembed_core.store import PartStore
from tests.embedding_study import write_study
from tests.restatements import stamps
from tests.study_runs import finembed, store_bytes

pytestmark = pytest.mark.slow

MIDDLE, END = "2000-08-16", "2000-08-31"
MONTHLY = {"polymodel_features", "predictions"}
DAILY = {"fund_model_rlinear", "fund_predictions", "embeddings"}
CASES: dict[str, tuple[str, pl.Expr, set[str]]] = {
    "within a month": (MIDDLE, pl.col("nav") * 1.004, DAILY),
    "at the end of a month": (END, pl.col("nav") * 1.004, MONTHLY | DAILY),
    "taken back": (MIDDLE, pl.lit(None), DAILY),
}


def run(study: Path) -> dict[str, str]:
    home, settings = study / "home", study / "finembed.yaml"
    assert finembed("run", "--home", home, "--settings", settings) == 0
    return store_bytes(home)


def restate(file: Path, day: str, nav: pl.Expr) -> None:
    """Another NAV of F3 on a day; no row where it is missing."""
    frame = pl.read_csv(file)
    where = (pl.col("date") == day) & (pl.col("fund_id") == "F3")
    assert frame.filter(where).height == 1
    changed = frame.with_columns(nav=pl.when(where).then(nav).otherwise("nav"))
    changed.drop_nulls().write_csv(file)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    write_study(folder)
    run(folder)
    return folder


@pytest.mark.parametrize("case", CASES)
def test_status_names_what_a_run_computes_and_the_store_is_that_of_a_fresh_home(
    case: str, finished: Path, tmp_path: Path
) -> None:
    day, nav, opened = CASES[case]
    study = shutil.copytree(finished, tmp_path / "study")
    restate(study / "nav.csv", day, nav)
    store, settings = PartStore(study / "home" / "store"), load_settings(study / "finembed.yaml")
    before = stamps(store)
    found = outlook(store, settings)
    assert stamps(store) == before, "to look changes nothing"
    assert found.decided_anew == Month.parse("2000-08")
    announced = {s.name: {k for k, v in s.keys.items() if v != "current"} for s in found.states}
    assert {name for name, keys in announced.items() if keys} == opened
    restated = run(study)
    after = stamps(store)
    touched = {(f.parent.name, f.stem) for f in after if after[f] != before.get(f)}
    links = chain(store, settings)
    for name, keys in announced.items():
        for table in links[name].stage.tables:
            assert {key[:7] for at, key in touched if at == table} <= keys, name
    assert {"embeddings", "fund_predictions"} <= {table for table, _ in touched}

    fresh = shutil.copytree(study, tmp_path / "fresh", ignore=shutil.ignore_patterns("home"))
    anew = run(fresh)
    assert anew.items() <= restated.items()
    left = {Path(name).name[:16] for name in restated.keys() - anew.keys()}
    assert len(left) <= 1, "beside it only the backtest of what was said before"
