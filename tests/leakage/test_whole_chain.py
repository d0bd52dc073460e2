"""The whole chain, from files to orders: what lies after t changes no byte of any part up to t.

The other leakage tests take one stage each, with inputs that are clean up to t. Here nothing but
the files differs, so whatever one stage lets through shows in all that follow.
"""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from finembed_core.backtest.run import backtest
from finembed_core.proof.compare import compare_parts
from finembed_core.proof.prove import compare
from finembed_core.settings import Settings
from finembed_core.store import PartStore
from tests.leakage.conftest import Futures
from tests.leakage.whole_world import CUT, LAST

FILLED = {
    *("fund_observations", "series_observations", "quarantine", "universe", "macro_loadings"),
    *("polymodel_selected", "polymodel_pairs", "predictions", "target_weights", "trades"),
    *("returns", "metrics", "differences", "warehouse.leaderboard", "warehouse.latest_rebalance"),
}
MONTHLY = {"fund_observations", "series_observations", "universe", "predictions"}


@pytest.mark.parametrize("profile", ["liquid", "hedge_funds"])
def test_what_comes_after_t_changes_no_byte_up_to_t(
    futures: Callable[[str], Futures], profile: str, tmp_path: Path
) -> None:
    found = futures(profile)
    true, other = found.stores
    comparison = compare(true, other, found.settings, CUT, tmp_path)
    assert comparison.differences == ()
    compared = comparison.compared
    assert all(compared[asset][1] > 0 for asset in FILLED)
    assert compared["trend_model_logistic"][0] == len(
        [k for k in true.keys("trend_model_logistic") if k <= str(CUT + 1)]
    )
    later = {
        leak.asset: leak for leak in compare_parts(true, other, found.settings, LAST).differences
    }
    assert set(later) >= MONTHLY
    assert all(leak.first > str(CUT) for leak in later.values())
    _a_longer_run_keeps_the_past(true, found.settings)


def _a_longer_run_keeps_the_past(store: PartStore, settings: Settings) -> None:
    """Also where a later verdict withdraws returns that were dealt on.

    Two months back, because fund F6 reports late: its reports count in their own months.
    """
    short, long = (backtest(store, settings, month).run_id for month in (CUT, LAST))
    withdrawn = store.read("quarantine", "all").filter(pl.col("known_at") > CUT.end)
    assert {"stale_nav", "duplicate_fund"} <= set(withdrawn["rule"])
    for table, day in (("returns", "date"), ("holdings", "date"), ("trades", "dealing")):
        settled = pl.col(day) <= (CUT - 2).end
        past, again = (
            store.read(table, run).drop("run_id").filter(settled) for run in (short, long)
        )
        assert past.height > 0, table
        assert past.equals(again), table
