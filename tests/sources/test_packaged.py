import numpy as np
import polars as pl
import pytest

from finembed_core.calendar import Month
from finembed_core.errors import SettingsError
from finembed_core.settings import DatasetSettings
from finembed_core.sources import load, month_bounds, packaged
from finembed_core.sources.tables import KINDS, ROLES, TRANSFORMS


@pytest.fixture(scope="module")
def french():
    return load(DatasetSettings(name="french_monthly"))


def test_french_is_what_linearmodels_loads(french):
    from linearmodels.datasets import french as original

    theirs = original.load()
    ours = french.fund_observations.filter(pl.col("fund_id") == "BusEq").sort("date")
    np.testing.assert_allclose(ours["ret"].to_numpy(), theirs["BusEq"].to_numpy(), rtol=1e-14)
    market = french.series_observations.filter(pl.col("series_id") == "market").sort("date")
    np.testing.assert_allclose(
        market["value"].to_numpy(), (theirs["MktRF"] + theirs["RF"]).to_numpy(), rtol=1e-14
    )


def test_french_has_thirty_funds_and_every_role(french):
    assert french.funds["category"].value_counts(sort=True).to_dicts() == [
        {"category": "style", "count": 18},
        {"category": "industry", "count": 12},
    ]
    roles = french.series.explode("roles")["roles"].drop_nulls()
    assert set(roles) == set(ROLES)
    assert not french.simulated


def test_two_sources_of_the_sp500_agree(french):
    """skfolio's and arch's index prices are the same index: month ends 1999 to 2017."""
    first, second = (
        french.series_observations.filter(pl.col("series_id") == name).select("date", "value")
        for name in ("sp500", "sp500_since_1999")
    )
    both = first.join(second, on="date", suffix="_second")
    assert both.height > 4000
    gap = (both["value"] / both["value_second"] - 1.0).abs()
    assert gap.quantile(0.99) < 1e-4


@pytest.mark.parametrize("name", packaged.DATASETS)
def test_catalog_speaks_the_vocabulary(name):
    tables = load(DatasetSettings(name=name))
    assert set(tables.series["kind"]) <= set(KINDS)
    assert set(tables.series["transform"].drop_nulls()) <= set(TRANSFORMS)
    assert set(tables.series_observations["series_id"]) == set(tables.series["series_id"])
    assert tables.series_observations["value"].is_finite().all()
    assert tables.series_observations["date"].null_count() == 0


def test_transform_vocabulary_is_that_of_the_macro_room():
    from finembed_core.macro.transforms import FRED_MD_CODES
    from finembed_core.macro.transforms import TRANSFORMS as THEIRS

    assert set(TRANSFORMS) == set(THEIRS) | set(FRED_MD_CODES)


def test_every_packaged_series_of_the_specification_is_in_a_dataset():
    used = {name for dataset in packaged.DATASETS.values() for name in dataset.series}
    assert used == set(packaged.CATALOG)


def test_month_bounds_read_nothing(monkeypatch):
    monkeypatch.setattr(packaged, "_table", None)
    settings = DatasetSettings(name="french_monthly")
    assert month_bounds(settings) == (Month.parse("1990-01"), Month.parse("2017-03"))


def test_bounds_of_the_settings_win():
    settings = DatasetSettings(first_month="1980-05", last_month="1999-12")
    assert month_bounds(settings) == (Month.parse("1980-05"), Month.parse("1999-12"))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"name": "french_daily"}, "no packaged dataset 'french_daily'"),
        ({"last_month": "2018-01"}, "ends with 2017-03"),
        ({"first_month": "2018-01"}, "comes after the last"),
    ],
)
def test_impossible_bounds_are_explained(changes, complaint):
    with pytest.raises(SettingsError, match=complaint):
        month_bounds(DatasetSettings(**changes))


@pytest.mark.parametrize("name", packaged.DATASETS)
def test_every_dataset_brings_the_daily_panel_and_its_market(name):
    """Twenty shares and five ETFs, each with a name, a sector and a sentence."""
    tables = load(DatasetSettings(name=name))
    prices = tables.daily_observations
    assert prices.height == 20 * 8313 + 5 * 2264
    assert prices["nav"].is_finite().all()
    firms = tables.daily_funds
    assert set(firms["fund_id"]) == set(prices["fund_id"])
    assert (firms["category"] == "factor etf").sum() == 5
    assert firms["category"].n_unique() == 8
    assert firms.select(pl.col("name", "description").is_not_null().all()).row(0) == (True, True)
    assert firms["description"].str.ends_with(".").all()
    market = tables.series.filter(pl.col("series_id") == tables.market).row(0, named=True)
    assert (market["name"], market["frequency"]) == ("S&P 500, price index", "daily")


def test_daily_prices_are_those_that_skfolio_loads(french):
    from skfolio.datasets import load_factors_dataset, load_sp500_dataset

    for original, ticker in ((load_sp500_dataset(), "KO"), (load_factors_dataset(), "USMV")):
        ours = french.daily_observations.filter(pl.col("fund_id") == ticker).sort("date")
        np.testing.assert_array_equal(ours["nav"].to_numpy(), original[ticker].to_numpy())
        assert ours["date"].to_list() == [stamp.date() for stamp in original.index]
