"""Vintages of FRED-MD: transform within each, then splice; nothing of a later one shows before."""

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from finembed_core.calendar import Month
from finembed_core.histories import ingested_months, macro_series
from finembed_core.ingest.stage import ingest
from finembed_core.macro.stage import TABLES, macro_stage
from finembed_core.settings import Settings
from finembed_core.sources import fred_md
from finembed_core.stage import build
from finembed_core.store import PartStore
from tests.shared_data import SHARED, needs_shared
from tests.sources.fred_md_files import INDPRO, study, write_vintage

MACRO = SHARED / "macro"
OLD, BOTH = MACRO / "fredmd_2019-10.csv", MACRO / "fredmd_*.csv"
MONTHS = {"old": ("2019-08", "2019-12"), "new": ("2023-05", "2023-07")}


def log(x: pd.Series) -> pd.Series:
    return pd.Series(np.log(x.where(x > 0)), index=x.index)


def growth(x: pd.Series) -> pd.Series:
    """Nonborrowed reserves were negative in 2008: from there nothing grows by a share."""
    return x.where(x.shift() > 0).div(x.shift()) - 1.0


PANDAS = {
    "1": lambda x: x,
    "2": lambda x: x.diff(),
    "3": lambda x: x.diff().diff(),
    "4": log,
    "5": lambda x: log(x).diff(),
    "6": lambda x: log(x).diff().diff(),
    "7": lambda x: growth(x).diff(),
}
"""The codes of McCracken and Ng (2016), appendix, in the words of another library."""


def transformed(file: Path) -> pd.DataFrame:
    """A file by pandas alone, under the names of the successors: month ends x series."""
    raw = pd.read_csv(file)
    codes, raw = raw.iloc[0, 1:], raw.iloc[1:].dropna(subset=["sasdate"])
    months = pd.to_datetime(raw["sasdate"], format="%m/%d/%Y") + pd.offsets.MonthEnd(0)
    columns = {
        fred_md.SUCCESSORS.get(name, name): PANDAS[str(int(float(code)))](raw[name].astype(float))
        for name, code in codes.items()
    }
    return pd.DataFrame(columns).set_index(pd.DatetimeIndex(months).as_unit("us"))


def known(store: PartStore, settings: Settings, month: str) -> pd.DataFrame:
    """The stationary series as the study knows them in a month."""
    panel = macro_series(store, settings.dataset.calendar).as_of(Month.parse(month)).observed()
    return pd.DataFrame(panel.values, pd.DatetimeIndex(panel.dates).as_unit("us"), list(panel.ids))


def ingested(folder: Path, path: Path, months: tuple[str, str]) -> tuple[PartStore, Settings]:
    folder.mkdir(exist_ok=True)
    settings = study(folder, path, *months)
    store = PartStore(folder / "store")
    ingest(store, settings)
    return store, settings


def contents(store: PartStore, settings: Settings) -> dict[tuple[str, str], str]:
    """Hash of every macro part, by table and month, after building them all."""
    keys = [str(month) for month in ingested_months(store)]
    parts = build(macro_stage(store, settings), keys, store)
    return {(table, p.key): p.manifests[table].content for p in parts for table in TABLES}


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert sorted(found) == sorted(expected)
    expected = expected.replace([np.inf, -np.inf], np.nan).reindex(found.index)[list(found)]
    pd.testing.assert_frame_equal(
        found, expected, check_freq=False, check_names=False, rtol=1e-9, atol=1e-12
    )
    assert found.notna().sum().sum() > 0


@pytest.mark.parametrize("code", PANDAS)
def test_each_code_within_each_vintage(tmp_path, code):
    """Both vintages in full, before and after the second can be had."""
    for name, values in INDPRO.items():
        write_vintage(tmp_path / "v", name, {"INDPRO": code}, {"INDPRO": values}, "2019-04")
    store, settings = ingested(tmp_path / "s", tmp_path / "v/*.csv", ("2019-07", "2023-07"))
    for month, name in (("2023-05", "2019-10"), ("2023-06", "2023-06")):
        own = known(store, settings, month)
        same(own, transformed(tmp_path / "v" / f"{name}.csv"))
        reach = {"1": 0, "4": 0, "2": 1, "5": 1}.get(code, 2)
        assert own["INDPRO"].notna().sum() == len(INDPRO[name]) - reach


def test_what_only_one_vintage_holds_joins_without_a_jump(tmp_path):
    """The old vintage ends in September, the new one begins in August: 109 becomes 102."""
    old, new = INDPRO["2019-10"], INDPRO["2023-06"][4:]
    write_vintage(tmp_path / "v", "2019-10", {"INDPRO": 5}, {"INDPRO": old}, "2019-04")
    write_vintage(tmp_path / "v", "2023-06", {"INDPRO": 5}, {"INDPRO": new}, "2019-08")
    store, settings = ingested(tmp_path / "s", tmp_path / "v/*.csv", ("2019-07", "2023-07"))
    spliced = known(store, settings, "2023-06")["INDPRO"].dropna()
    raw = np.diff(np.log([*old[:4], *new]))  # levels laid over each other, then transformed
    assert abs(raw).max() > 0.05
    assert abs(spliced).max() < 0.01
    assert len(spliced) == len(raw)
    np.testing.assert_allclose(spliced.iloc[-2:], np.diff(np.log(new)), rtol=1e-12)
    np.testing.assert_allclose(spliced.iloc[:4], np.diff(np.log(old))[:4], rtol=1e-12)


def test_a_series_that_a_later_vintage_begins_is_unknown_before_it(tmp_path):
    folder, codes = tmp_path / "v", {"INDPRO": 5, "NEW": 1}
    write_vintage(folder, "2019-10", codes, {"INDPRO": INDPRO["2019-10"]}, "2019-04")
    both = {"INDPRO": INDPRO["2023-06"], "NEW": range(7)}
    write_vintage(folder, "2023-06", codes, both, "2019-04")
    store, settings = ingested(tmp_path / "s", folder / "*.csv", ("2019-07", "2023-07"))
    assert list(known(store, settings, "2023-05")) == ["INDPRO"]
    assert list(known(store, settings, "2023-06")) == ["INDPRO", "NEW"]


@needs_shared
def test_one_month_has_two_levels(tmp_path):
    """INDPRO of July 2019: 109.1 in the one vintage, 102.0 in the other (spec, Vintages)."""
    store, _ = ingested(tmp_path, BOTH, MONTHS["new"])
    rows = store.read_many("series_observations")
    july = rows.filter(pl.col("series_id") == "INDPRO", pl.col("date") == dt.date(2019, 7, 31))
    assert july.select("vintage", "value", "available_at", "assumed").rows() == [
        (dt.date(2019, 10, 31), 109.1045, dt.date(2019, 8, 30), True),
        (dt.date(2023, 6, 30), 102.0236, dt.date(2023, 6, 30), False),
    ]


@needs_shared
def test_both_files_agree_with_pandas_and_splice_without_a_jump(tmp_path):
    store, settings = ingested(tmp_path, BOTH, MONTHS["new"])
    old, new = transformed(OLD), transformed(MACRO / "fredmd_2023-06.csv")
    same(known(store, settings, "2023-05"), old)
    found = known(store, settings, "2023-06")
    same(found, new.combine_first(old))
    assert (old.shape[1], new.shape[1], found.shape[1]) == (128, 127, 128)
    last, following = (
        pd.read_csv(file)["INDPRO"].iloc[1:].dropna().astype(float).iloc[place]
        for file, place in ((OLD, -1), (MACRO / "fredmd_2023-06.csv", old["INDPRO"].size))
    )
    assert np.log(following / last) < -0.06  # September's old level to October's new one
    assert abs(found.loc["2019-09-30":"2019-10-31", "INDPRO"]).max() < 0.01


@needs_shared
def test_a_later_vintage_changes_no_factor_before_its_day(tmp_path):
    alone = contents(*ingested(tmp_path / "alone", OLD, MONTHS["old"]))
    both = contents(*ingested(tmp_path / "both", BOTH, MONTHS["old"]))
    assert len(alone) == 5 * len(TABLES)
    assert both == alone
    old = contents(*ingested(tmp_path / "old", OLD, MONTHS["new"]))
    new_store = ingested(tmp_path / "new", BOTH, MONTHS["new"])
    new = contents(*new_store)
    assert {month for table, month in new if new[table, month] != old[table, month]} == {
        "2023-06",
        "2023-07",
    }
    factors = new_store[0].read("macro_factors", "2023-06")
    assert factors["date"].max() == dt.date(2023, 5, 31)
    assert sorted(factors["factor"].unique()) == ["F1", "F2", "F3"]
