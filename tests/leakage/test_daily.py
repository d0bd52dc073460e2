"""Windows and labels as known at a session: the future may be replaced, thinned out or grow."""

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from finembed_core.calendar import Month, month_range
from finembed_core.embeddings.windows import Windows
from finembed_core.histories import ingested_months
from finembed_core.ingest import stage
from finembed_core.ingest.stage import ingest
from finembed_core.learning.forward import forward_labels
from finembed_core.macro.stage import macro_stage
from finembed_core.settings import Settings
from finembed_core.sources.tables import InputTables, conform
from finembed_core.stage import build
from finembed_core.store import PartStore
from tests.ingest.worlds import tables

DAYS = np.busday_offset(np.datetime64("2000-01-03"), np.arange(240))
CUT = 130
NOW: dt.date = DAYS[CUT].item()
FIRST = Month.parse("2000-01")
SETTINGS = Settings.model_validate(
    {
        "dataset": {"source": "files"},
        "macro": {"min_months": 24, "n_components": 2},
        "embeddings": {"lookback": 32, "horizon": 10, "every_sessions": 16, "max_abs_return": 0.3},
    }
)


def world() -> InputTables:
    """Funds of different lives and delays, with weekends, gaps, revisions and misprints."""
    draw = np.random.default_rng(4)
    every_day = np.arange(DAYS[0], DAYS[-1] + 1)
    rows: list[dict] = []
    for k in range(8):
        days = every_day if k % 3 == 0 else DAYS
        days = days[draw.random(len(days)) > 0.05][20 * (k % 4) :]
        path = 10.0 * np.cumprod(1.0 + draw.normal(0.0, 0.01, len(days)))
        path[draw.random(len(days)) < 0.02] *= 10.0
        for at, nav in zip(days.tolist(), path.tolist(), strict=True):
            delay = int(draw.choice([0, 1, 3, 40], p=[0.8, 0.1, 0.08, 0.02]))
            name = "ret" if k == 5 else "nav"
            value = nav / 1000.0 if k == 5 else nav
            row = {"fund_id": f"f{k}", "date": at, name: value}
            rows.append(row | {"available_at": at + dt.timedelta(days=delay)})
            if draw.random() < 0.03:  # revised a month later
                later = at + dt.timedelta(days=delay + 30)
                rows.append(row | {name: 1.1 * value, "available_at": later})
    daily = conform("daily_observations", pl.DataFrame(rows, infer_schema_length=None))
    months = month_range(FIRST - 36, FIRST + 10)
    macro = [
        {
            "series_id": f"m{k}",
            "date": month.end,
            "value": draw.normal(),
            "available_at": month.end + dt.timedelta(days=20),
        }
        for month in months
        for k in range(5)
    ]
    market = [
        {"series_id": "MARKET", "date": at, "value": 100.0 + draw.normal()} for at in DAYS.tolist()
    ]
    described = [
        {"series_id": f"m{k}", "roles": ["macro"], "kind": "level", "frequency": "monthly"}
        for k in range(5)
    ]
    for row in described:
        row["transform"] = "none"
    described.append(
        {"series_id": "MARKET", "roles": ["benchmark"], "kind": "index", "frequency": "daily"}
    )
    funds = [{"fund_id": "M", "date": month.end, "ret": draw.normal(0.0, 0.01)} for month in months]
    monthly = tables(
        pl.DataFrame(funds), series=pl.DataFrame(described), values=pl.DataFrame(macro + market)
    )
    return replace(monthly, daily_observations=daily)


def with_another_future(known: InputTables) -> InputTables:
    """What is known after the cut is replaced by noise, a third of it is gone, a fund is born."""
    draw = np.random.default_rng(9)

    def scrambled(frame: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
        later = pl.col("available_at").fill_null(pl.col("date")) > NOW
        noise = pl.Series(draw.uniform(0.5, 1.5, frame.height))
        gone = pl.Series(draw.random(frame.height) < 1 / 3)
        return frame.with_columns(
            pl.when(later).then(pl.col(c) * noise).otherwise(pl.col(c)).alias(c) for c in columns
        ).filter(~(later & gone))

    after = DAYS[CUT + 1 :].tolist()
    born = pl.DataFrame({"fund_id": "a_new_one", "date": after, "nav": np.ones(len(after))})
    return replace(
        known,
        daily_observations=pl.concat(
            [
                scrambled(known.daily_observations, ["ret", "nav"]),
                conform("daily_observations", born),
            ]
        ),
        series_observations=scrambled(known.series_observations, ["value"]),
    )


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> list[Windows]:
    """The same history with two different futures."""
    found = []
    known = world()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "month_bounds", lambda dataset: (FIRST, FIRST + 10))
        for name, future in (("true", known), ("noise", with_another_future(known))):
            store = PartStore(tmp_path_factory.mktemp(name))
            patch.setattr(stage, "load", lambda dataset, future=future: future)
            ingest(store, SETTINGS)
            keys = [str(month) for month in ingested_months(store)]
            list(build(macro_stage(store, SETTINGS), keys, store))
            found.append(Windows.read(store, SETTINGS))
    return found


def columns(windows: Windows, ids: list[str]) -> np.ndarray:
    return np.array([windows.panel.ids.index(name) for name in ids])


SESSIONS = [31, 60, CUT - 20, CUT - 1, CUT]


@pytest.mark.parametrize("session", SESSIONS)
def test_windows_and_listings_are_identical(pair, session):
    names, reasons, contents = [], [], []
    for windows in pair:
        listing = windows.listed(session)
        names.append([windows.panel.ids[k] for k in listing.columns])
        reasons.append(listing.excluded)
        every = columns(windows, [f"f{k}" for k in range(8)])
        contents.append([array.tobytes() for array in windows.at(session, every)])
    assert names[0] == names[1]
    assert len(names[0]) >= 2
    assert reasons[0] == reasons[1]
    assert contents[0] == contents[1]


@pytest.mark.parametrize("session", SESSIONS)
def test_digests_are_identical(pair, session):
    assert pair[0].as_of(session, 1000).digest() == pair[1].as_of(session, 1000).digest()


def test_there_is_something_to_see(pair):
    values, visible = pair[0].at(CUT, np.arange(8))
    assert visible.any(axis=2).all()  # every fund, the market, both factors
    assert (values[:, 1:].std(axis=2) > 0).all()


def test_decisions_up_to_now_are_identical(pair):
    one, other = (windows.decisions() for windows in pair)
    assert one[one <= CUT].tolist() == other[other <= CUT].tolist()
    assert (one <= CUT).sum() >= 5


def test_labels_known_by_now_are_identical(pair):
    told = 0
    for session in range(30, CUT):
        found = []
        for windows in pair:
            every = columns(windows, [f"f{k}" for k in range(8)])
            label = forward_labels(windows.panel, session, every, lag=1, horizon=10, known=CUT)
            values = (label.path, label.total, label.volatility, label.sharpe, label.drawdown)
            found.append([array.tobytes() for array in values])
            told += int(np.isfinite(label.total).sum())
        assert found[0] == found[1]
    assert told > 800


def test_the_noise_did_reach_what_comes_later(pair):
    one, other = pair
    assert one.panel.ids != other.panel.ids
    assert one.as_of(CUT + 1, 1000).digest() != other.as_of(CUT + 1, 1000).digest()
    later = [w.at(CUT + 40, columns(w, ["f1", "f2"]))[0] for w in pair]
    for channel in range(4):  # fund, market and both factors
        assert not np.array_equal(later[0][:, channel], later[1][:, channel])
