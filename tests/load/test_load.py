"""Small sizes of what `python -m benchmarks.load` holds at full size (docs/load.md)."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

import pytest

from benchmarks.load import ingest as load_ingest
from benchmarks.load import readers as load_readers
from benchmarks.load.backfill import backfill
from benchmarks.load.ingest import ingest
from benchmarks.load.readers import WAYS, readers

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def this_checkout_in_every_process() -> None:
    os.environ["PYTHONPATH"] = str(ROOT)


def test_no_shape_of_the_files_costs_memory_beyond_the_bound() -> None:
    shapes = ("parquet, rows shuffled", "csv, a file per fund", "csv, wide")
    found = ingest(500, 200, 4, shapes)
    assert all(own["rows"]["fund_observations"] > 99_000 for own in found.values())
    assert {own["written"] for own in found.values()} == {2 * 201 + 4}


def test_memory_beyond_the_bound_fails() -> None:
    with (
        mock.patch.object(load_ingest, "MOST_COLUMNS", 0),
        mock.patch.object(load_ingest, "FIXED", 1),
        pytest.raises(SystemExit, match="more memory than"),
    ):
        ingest(20, 60, 4, ("csv",))


def test_readers_see_whole_states_while_the_warehouse_is_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load_readers, "PAUSE", 0.1)
    seen, _, among = readers(number=3, publications=4, funds=50, months=6)
    assert {own.kind for own in seen} == set(WAYS)
    assert len(among) == 4
    assert len({state for own in seen for state in own.states}) > 1


@pytest.mark.slow
def test_a_backfill_from_the_running_page() -> None:
    first, second = backfill(funds=20, months=60)
    assert first["failed"] == second["failed"] == 0
    assert second["run"] < first["run"]
