"""The proof on real data: the packaged panel with its embeddings, and a slice of India's funds."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finembed_core.calendar import Month
from finembed_core.proof.compare import Comparison
from finembed_core.proof.future import another_future
from finembed_core.proof.prove import BEYOND, compare
from finembed_core.proof.rebuild import rebuild
from finembed_core.settings import Settings, load_settings
from finembed_core.sources import InputTables, load
from finembed_core.store import PartStore
from tests.embeddings.small_store import SMALL
from tests.shared_data import needs_shared

INDIA = Path(__file__).resolve().parents[2] / "examples" / "funds_india" / "finembed.yaml"
FUNDS = 60

COMMON: dict[str, Any] = {
    "polymodel": {"selection": "absolute", "alpha": 0.1, "shuffles": 99},
    "learning": {
        "models": ["majority", "logistic", "lightgbm"],
        "min_train_months": 12,
        "valid_months": 6,
        "seeds": [1],
        "lightgbm": {"max_rounds": 10},
    },
    "portfolio": {"strategies": ["sa", "topk_drop", "gmv_oas", "equal_weight_universe", "index"]},
    "execution": {"mode": "processes", "workers": 2},
}
FILLED = {
    *("fund_observations", "series_observations", "universe", "polymodel_selected"),
    *("trend_model_lightgbm", "predictions", "target_weights", "returns", "metrics"),
}


def proved(
    tables: InputTables, settings: Settings, months: Sequence[str], folder: Path
) -> list[Comparison]:
    """Comparisons up to some months, and that the other futures did arrive."""
    cuts = [Month.parse(text) for text in months]
    true = rebuild(PartStore(folder / "true"), tables, settings, cuts[-1] + BEYOND)
    found = []
    for cut in cuts:
        future = another_future(tables, settings, cut, seed=1)
        other = rebuild(PartStore(folder / str(cut)), future, settings, cut + BEYOND)
        found.append(compare(true, other, settings, cut, folder))
        later = [s.manifest("predictions", str(cut + BEYOND)) for s in (true, other)]
        assert later[0] != later[1]
    return found


def told(found: Sequence[Comparison]) -> None:
    """Print what docs/point_in_time.md quotes."""
    for one in found:
        parts, rows = (sum(c[k] for c in one.compared.values()) for k in (0, 1))
        print(f"up to {one.month}: {parts} parts and tables, {rows} rows")


@pytest.mark.slow
def test_the_packaged_panel(tmp_path: Path) -> None:
    embeddings = SMALL | {
        "lookback": 64,
        "horizon": 21,
        "every_sessions": 64,
        "size": 8,
        "seeds": [1],
        "encoders": ["rlinear"],
        "first_decision": "2014-06-01",
        "last_decision": "2016-12-31",
        "training": SMALL["training"] | {"train_sessions": 256, "valid_sessions": 64},
    }
    span = {"source": "packaged", "first_month": "2010-01", "last_month": "2016-12"}
    settings = Settings.model_validate(COMMON | {"dataset": span, "embeddings": embeddings})
    found = proved(load(settings.dataset), settings, ["2014-12", "2015-09", "2016-05"], tmp_path)
    told(found)
    assert [leak for one in found for leak in one.differences] == []
    whole = {*FILLED, "daily_panel", "fund_model_rlinear", "embeddings", "fund_predictions"}
    assert not {asset for asset in whole if found[-1].compared[asset][1] == 0}


@pytest.mark.slow
@needs_shared
def test_a_slice_of_indias_funds(tmp_path: Path) -> None:
    tree = load_settings(INDIA).model_dump(exclude_unset=True)
    tree["dataset"] |= {"first_month": "2008-01", "last_month": "2013-12"}
    settings = Settings.model_validate(tree | COMMON)
    tables = slice_of(load(settings.dataset), FUNDS)
    found = proved(tables, settings, ["2011-06", "2012-05", "2013-03"], tmp_path)
    told(found)
    assert [leak for one in found for leak in one.differences] == []
    assert not {asset for asset in FILLED if found[-1].compared[asset][1] == 0}


def slice_of(tables: InputTables, count: int) -> InputTables:
    """Every so many-th fund by id, whatever became of it."""
    ids = tables.fund_observations["fund_id"].unique().sort()
    chosen = ids.gather_every(len(ids) // count).head(count)
    kept = pl.col("fund_id").is_in(chosen.implode())
    return replace(
        tables,
        fund_observations=tables.fund_observations.filter(kept),
        funds=tables.funds.filter(kept),
    )
