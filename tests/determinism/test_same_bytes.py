"""Same lock, settings and data: same bytes, wherever and however they are computed."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import polars as pl
import pytest

from benchmarks.determinism import LEARNED, TOLERANCE, apart
from tests.determinism.variants import (
    EVERYTHING_ELSE,
    MACHINES,
    VARIANTS,
    Variant,
    compute,
    differing,
    parts,
)
from tests.embedding_study import write_study
from tests.study_runs import SETTINGS, finembed

MONTH = "1994-11"  # one with orders
SHORT = 150


@pytest.fixture(scope="module")
def expected(finished_study: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the study of this session holds, with the orders of its last month."""
    home = tmp_path_factory.mktemp("expected") / "home"
    shutil.copytree(finished_study / "home", home)
    settings = finished_study / "finembed.yaml"
    assert finembed("rebalance", "--month", MONTH, "--home", home, "--settings", settings) == 0
    return parts(home)


def test_nothing_around_a_run_shows_in_it(expected: dict[str, str], tmp_path: Path) -> None:
    """All at once: processes, threads, hashes, time zone, locale, paths."""
    found = parts(compute(tmp_path, SETTINGS, EVERYTHING_ELSE, MONTH))
    assert differing(expected, found) == []
    assert {name.partition("/")[0] for name in found} == {"store", "warehouse", "reports"}
    assert len(found) > 1000


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_no_single_circumstance_shows(
    expected: dict[str, str], tmp_path: Path, variant: Variant
) -> None:
    assert differing(expected, parts(compute(tmp_path, SETTINGS, variant, MONTH))) == []


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study with logistic regression and LightGBM, on the kernels of this machine."""
    return compute(tmp_path_factory.mktemp("learned"), LEARNED, Variant())


@pytest.mark.slow
@pytest.mark.parametrize("variant", MACHINES.values(), ids=MACHINES)
def test_other_kernels_move_numbers_by_little_and_no_decision(
    learned: Path, tmp_path: Path, variant: Variant
) -> None:
    largest, of_other_rows = apart(learned, compute(tmp_path, LEARNED, variant))
    assert of_other_rows == 0
    assert largest <= TOLERANCE


def test_one_bit_shows(finished_study: Path, expected: dict[str, str], tmp_path: Path) -> None:
    """Without this the tests above would say nothing."""
    home = shutil.copytree(finished_study / "home", tmp_path / "home")
    with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
        connection.execute(
            "UPDATE returns SET net = nextafter(net, 1) WHERE net = (SELECT max(net) FROM returns)"
        )
    page = next((home / "reports").glob("report-*.html"))
    page.write_text(page.read_text() + " ")
    changed = [name for name in differing(expected, parts(home)) if "rebalance" not in name]
    assert f"reports/{page.name}" in changed and "warehouse/returns" in changed


def shuffled(folder: Path, seed: int) -> None:
    """Permute rows and columns of every table, and cut the observations into three files."""
    for file in folder.glob("*.csv"):
        frame = pl.read_csv(file, infer_schema=False)
        mixed = frame.sample(fraction=1.0, shuffle=True, seed=seed)
        mixed.select(sorted(frame.columns, reverse=True)).write_csv(file)
    whole = pl.read_csv(folder / "nav.csv", infer_schema=False)
    (folder / "nav.csv").unlink()
    for k in range(3):
        whole.gather_every(3, k).write_csv(folder / "navs" / f"{'cab'[k]}.csv")


@pytest.mark.slow
def test_the_order_of_the_input_shows_nowhere_nor_in_embeddings(tmp_path: Path) -> None:
    """Rows, columns and files permuted; with daily returns, hence with embeddings."""
    found = []
    for folder in (tmp_path / "given", tmp_path / "permuted"):
        (folder / "navs").mkdir(parents=True)
        text = write_study(folder, length=SHORT).read_text()
        text = text.replace("path: nav.csv", "path: navs/*.csv")
        if folder.name == "permuted":
            shuffled(folder, 5)
        else:
            (folder / "nav.csv").rename(folder / "navs" / "nav.csv")
        text = text.replace("mode: serial\n  workers: 1", "{mode: serial, workers: 1}")
        found.append(parts(compute(folder, text, Variant())))
    assert differing(*found) == []
