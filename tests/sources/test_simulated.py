import numpy as np
import polars as pl
import pytest

from finembed_core.calendar import Month
from finembed_core.ingest.contracts import check
from finembed_core.settings import DatasetSettings, SimulatedSource
from finembed_core.sources import load, month_bounds

SETTINGS = DatasetSettings(
    source="simulated", simulated=SimulatedSource(funds=300, months=180, factors=10, seed=7)
)


@pytest.fixture(scope="module")
def tables():
    return load(SETTINGS)


def test_same_seed_same_universe(tables):
    again = load(SETTINGS)
    for table in ("fund_observations", "funds", "series_observations", "series"):
        assert getattr(tables, table).equals(getattr(again, table))
    other = SETTINGS.model_copy(
        update={"simulated": SETTINGS.simulated.model_copy(update={"seed": 8})}
    )
    assert not load(other).fund_observations.equals(tables.fund_observations)


def test_it_is_labeled_and_fits_the_contract(tables):
    assert tables.simulated
    check(tables)
    assert tables.daily_observations.is_empty()
    first, last = month_bounds(SETTINGS)
    assert (first, last) == (Month.parse("1990-01"), Month.parse("1990-01") + 179)
    assert tables.fund_observations["date"].min() == first.end
    assert tables.fund_observations["date"].max() == last.end


def _regression(tables, fund: str, shape):
    """Least squares of a fund's true return on its planted terms; coefficients and R2."""
    own = tables.truth["returns"].filter(pl.col("fund_id") == fund)
    planted = tables.truth["exposures"].filter(pl.col("fund_id") == fund)
    wide = tables.series_observations.pivot(on="series_id", index="date", values="value")
    joined = own.join(wide, on="date").sort("date")
    terms = shape(planted, joined)
    design = np.column_stack([np.ones(joined.height), *terms])
    y = joined["ret"].to_numpy()
    coefficients, *_ = np.linalg.lstsq(design, y, rcond=None)
    residual = y - design @ coefficients
    return coefficients[1:], 1 - residual.var() / y.var(), planted


def test_planted_linear_exposures_are_found_again(tables):
    truth = tables.truth["funds"]
    linear = truth.filter(
        (pl.col("type") == "linear")
        & pl.col("death").is_null()
        & (pl.col("birth") < pl.date(1992, 1, 1))
    )["fund_id"][:20]
    for fund in linear:
        found, _, planted = _regression(
            tables, fund, lambda p, j: [j[name].to_numpy() for name in p["factor_id"]]
        )
        np.testing.assert_allclose(found, planted["beta"].to_numpy(), atol=0.2)


def test_option_funds_lose_below_the_strike(tables):
    truth = tables.truth["funds"]
    option = truth.filter((pl.col("type") == "option") & pl.col("death").is_null())
    explained = []
    for fund in option["fund_id"][:15]:

        def payoff(planted, joined):
            terms = []
            for row in planted.to_dicts():
                f = joined[row["factor_id"]].to_numpy()
                put = row["strike"] is not None
                terms.append(np.maximum(row["strike"] - f, 0.0) if put else f)
            return terms

        found, r2, planted = _regression(tables, fund, payoff)
        bent = planted["strike"].is_not_null().to_numpy()
        explained.append(r2)
        assert found[bent][0] == pytest.approx(-2.0, abs=1.0)
    assert np.median(explained) > 0.5


def test_smoothing_shows_in_what_is_reported_and_not_in_the_truth(tables):
    funds = tables.truth["funds"].filter(pl.col("death").is_null())
    smooth = funds.filter(pl.col("theta0") < 0.7)["fund_id"].to_list()

    def autocorrelation(frame: pl.DataFrame) -> float:
        frame = frame.filter(pl.col("fund_id").is_in(smooth)).sort("fund_id", "date")
        lagged = frame.with_columns(before=pl.col("ret").shift(1).over("fund_id")).drop_nulls(
            "before"
        )
        by_fund = lagged.group_by("fund_id").agg(pl.corr("ret", "before").alias("rho"))
        return float(by_fund["rho"].median())  # pyright: ignore

    assert autocorrelation(tables.fund_observations.drop("nav", "aum")) > 0.2
    assert abs(autocorrelation(tables.truth["returns"])) < 0.15


def test_deaths_end_the_reports_and_only_told_ones_have_dates(tables):
    truth = tables.truth["funds"].join(
        tables.fund_observations.group_by("fund_id").agg(last=pl.col("date").max()), on="fund_id"
    )
    liquidated = truth.filter(pl.col("reason") == "liquidated")
    assert (liquidated["last"] == liquidated["death"]).all()
    silent = truth.filter(pl.col("reason") == "stopped_reporting")
    assert (silent["last"] < silent["death"]).all()
    told = tables.funds.filter(pl.col("death_date").is_not_null())
    assert set(told["death_reason"]) == {"liquidated", "merged"}
    bad = tables.truth["returns"].join(
        liquidated.select("fund_id", date="death"), on=["fund_id", "date"]
    )
    assert (bad["ret"] <= -0.05).all()


def test_backfilled_history_was_not_known_before_listing(tables):
    joined = tables.fund_observations.join(tables.truth["funds"], on="fund_id")
    backfilled = joined.filter(pl.col("date") < pl.col("listed"))
    assert backfilled.height > 0
    assert (backfilled["available_at"] >= backfilled["listed"]).all()
    regular = joined.filter(pl.col("date") >= pl.col("listed"))
    lag = (regular["available_at"] - regular["date"]).dt.total_days()
    assert (lag == regular["lag_days"]).all()


def test_flows_chase_performance(tables):
    rows = tables.fund_observations.drop_nulls("aum").sort("fund_id", "date")
    own = rows.with_columns(
        flow=pl.col("aum") / pl.col("aum").shift(1).over("fund_id") / (1 + pl.col("ret")) - 1,
        year=pl.col("ret").rolling_sum(12).shift(1).over("fund_id"),
    ).drop_nulls(["flow", "year"])
    assert own.select(pl.corr("flow", "year")).item() > 0.3
    assert (rows["aum"] > 0).all()
