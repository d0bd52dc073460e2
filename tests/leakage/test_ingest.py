"""What lies after t changes nothing that was known in t: not a byte of any part."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from finembed_core.calendar import Month
from finembed_core.ingest import stage
from finembed_core.ingest.deaths import fund_deaths
from finembed_core.ingest.stage import ingest
from finembed_core.ingest.universe import universe_stage
from finembed_core.settings import DatasetSettings, IngestSettings, Settings, SimulatedSource
from finembed_core.sources import load
from finembed_core.sources.tables import InputTables, conform
from finembed_core.stage import build
from finembed_core.store import PartStore

SIMULATED = DatasetSettings(
    source="simulated",
    profile="hedge_funds",
    simulated=SimulatedSource(funds=40, months=72, factors=4, seed=3),
)
SETTINGS = Settings(
    dataset=SIMULATED,
    ingest=IngestSettings(duplicate_months=8, stale_months=3, drop_first_months=2),
)
CUT = Month.parse("1993-06")


def faulty_world() -> InputTables:
    """Simulated funds with every fault that takes later months to see, on both sides of the cut."""
    world = load(SIMULATED)
    rows = world.fund_observations
    twin = rows.filter(pl.col("fund_id") == rows["fund_id"].mode().sort()[0])
    extra = [twin.with_columns(fund_id=pl.lit("twin"))]
    months = [CUT + k for k in range(-30, 20)]
    draw = np.random.default_rng(5)
    for k, at in enumerate((-9, -3, -1, 0, 1, 4)):
        path = 10.7 * np.cumprod(1 + draw.normal(0.0, 0.01, len(months)))
        jumps, stale = path.copy(), path.copy()
        jumps[30 + at] *= 1.8
        stale[30 + at : 35 + at] = stale[29 + at]
        late = [m.end + dt.timedelta(days=int(draw.choice([9, 99]))) for m in months]
        for name, navs, known in (
            ("jump", jumps, None),
            ("stale", stale, None),
            ("stale_twin", stale, None),
            ("late", path, late),
        ):
            frame = {"fund_id": f"{name}{k}", "date": [m.end for m in months], "nav": navs}
            extra.append(
                conform("fund_observations", pl.DataFrame(frame | {"available_at": known}))
            )
    every = pl.concat([rows, *extra])
    stands = _late_steps(draw)
    described = {"series_id": ["rate"], "roles": [["risk_factor"]], "kind": ["yield"]}
    series = conform("series", pl.DataFrame(described | {"frequency": ["on_change"]}))
    return InputTables(
        every,
        world.funds,
        pl.concat([world.series_observations, stands]),
        pl.concat([world.series, series]),
        True,
    )


def _late_steps(draw: np.random.Generator) -> pl.DataFrame:
    """A rate whose changes are published up to half a year later."""
    days = [(CUT + k).start + dt.timedelta(days=11) for k in range(-40, 40, 3)]
    known = [day + dt.timedelta(days=int(draw.choice([5, 170]))) for day in days]
    frame = {"series_id": "rate", "date": days, "available_at": known}
    return conform(
        "series_observations", pl.DataFrame(frame | {"value": draw.normal(4, 1, len(days))})
    )


def with_noise_after(world: InputTables, cut: Month) -> InputTables:
    """Every number that nobody could know by the decision of `cut`, replaced."""
    day = SIMULATED.calendar.decision_day(cut)
    draw = np.random.default_rng(11)

    def scrambled(frame: pl.DataFrame, columns: list[str], lag: pl.Expr) -> pl.DataFrame:
        known = pl.col("available_at").fill_null(pl.col("date") + pl.duration(days=lag))
        late = (known > pl.lit(day)) | (pl.col("date") > pl.lit(cut.end))
        return frame.with_columns(
            pl.when(late & pl.col(c).is_not_null())
            .then(pl.Series(np.abs(draw.normal(1.0, 0.2, frame.height))))
            .otherwise(pl.col(c))
            .alias(c)
            for c in columns
        )

    published = pl.col("series_id").str.starts_with("macro")
    series_lag = pl.when(published).then(SIMULATED.macro_lag_days).otherwise(0)
    dead_later = pl.col("death_date") > pl.lit(cut.end)
    funds = world.funds.with_columns(
        death_date=pl.when(dead_later)
        .then(pl.lit(cut.end + dt.timedelta(days=99)))
        .otherwise(pl.col("death_date")),
        death_reason=pl.when(dead_later).then(pl.lit("merged")).otherwise(pl.col("death_reason")),
    )
    return InputTables(
        scrambled(world.fund_observations, ["ret", "nav", "aum"], pl.lit(SIMULATED.fund_lag)),
        funds,
        scrambled(world.series_observations, ["value"], series_lag),
        world.series,
        True,
    )


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """The same history with two different futures, ingested and judged."""
    world = faulty_world()
    made = []
    with pytest.MonkeyPatch.context() as patch:
        for name, future in (("true", world), ("noise", with_noise_after(world, CUT))):
            store = PartStore(tmp_path_factory.mktemp(name))
            patch.setattr(stage, "load", lambda dataset, future=future: future)
            report = ingest(store, SETTINGS)
            keys = [str(m) for m in report.months if m <= CUT + 2]
            list(build(universe_stage(store, SETTINGS), keys, store))
            made.append(store)
    return made


@pytest.mark.parametrize("table", ["fund_observations", "series_observations", "universe"])
def test_parts_up_to_t_are_identical(stores, table):
    true, noise = (
        {m.key: m.files for m in store.manifests(table) if m.key <= str(CUT)} for store in stores
    )
    assert len(true) >= 40
    assert true == noise


def test_the_noise_did_reach_later_parts(stores):
    for table in ("fund_observations", "series_observations", "universe"):
        later = [store.manifest(table, str(CUT + 2)) for store in stores]
        assert later[0] != later[1]


def test_verdicts_known_by_t_are_identical(stores):
    day = SIMULATED.calendar.decision_day(CUT)
    true, noise = (
        store.read("quarantine", "all").filter(pl.col("known_at") <= day) for store in stores
    )
    assert set(true["rule"]) >= {
        "nav_jump_undone",
        "stale_nav",
        "duplicate_fund",
        "instant_history",
    }
    assert true.equals(noise)


def test_deaths_known_by_t_are_identical(stores):
    known = ["fund_id", "last_observation", "reason", "known_month"]
    true, noise = (
        fund_deaths(store, SETTINGS).filter(pl.col("known_month") <= CUT.end).select(known)
        for store in stores
    )
    assert true.height > 0
    assert true.equals(noise)
