"""Real panels that the PolyModel studies share: funds, risk factors and cash, all monthly.

``french`` comes with the installed packages; ``india``, ``edhec`` and ``managers`` need the
development data in ``../shared/data`` and are absent without them.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.macro_filling import fred_md
from finembed_core.calendar import Month, month_ends
from finembed_core.histories import fund_returns, risk_factors, risk_free
from finembed_core.ingest.stage import ingest
from finembed_core.panel import Panel
from finembed_core.settings import load_settings
from finembed_core.store import PartStore

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"


@dataclass(frozen=True)
class Universe:
    """Funds, factors and cash as known at the end, in the last month of all three."""

    name: str
    funds: Panel
    factors: Panel
    cash: np.ndarray
    classes: dict  # fund to its asset class


def universes():
    found = [ingested("french", None)]
    if SHARED.exists():
        found.append(ingested("india", ROOT / "examples" / "funds_india" / "finembed.yaml"))
        found += [oracle("edhec", "edhec_full.csv"), oracle("managers", "managers.csv")]
    return found


def ingested(name, settings_file):
    settings = load_settings(settings_file)
    calendar = settings.dataset.calendar
    with tempfile.TemporaryDirectory() as folder:
        store = PartStore(Path(folder))
        last = ingest(store, settings).months[-1]
        funds = fund_returns(store, calendar).as_of(last).observed()
        factors = risk_factors(store, calendar).as_of(last).observed()
        cash = risk_free(store, calendar)
        rate = None if cash is None else cash.as_of(last, len(funds.dates)).values[:, 0]
        table = store.read("funds", "all")
    classes = dict(table.select("fund_id", "category").iter_rows())
    length = len(funds.dates)
    rate = np.zeros(length) if rate is None else np.nan_to_num(rate)
    return Universe(name, funds, factors.window(last, length), rate, classes)


def oracle(name, file):
    """Hedge-fund returns against asset classes and the FRED-MD series."""
    table = pl.read_csv(SHARED / "oracles" / file, try_parse_dates=True, null_values="NA")
    funds = _panel(table)
    factors = _panel(pl.read_csv(SHARED / "assets" / "asset_panel_monthly_1971.csv"))
    macro = fred_md(SHARED / "macro" / "fredmd_2023-06.csv")
    last, length = Month.of(funds.dates[-1].item()), len(funds.dates)
    cash = factors.select(["CASH"]).window(last, length).values[:, 0]
    known = [p.window(last, last - Month.parse("1971-02") + 1) for p in (factors, macro)]
    ids = (*known[0].ids, *(f"FRED_{k}" for k in known[1].ids))
    both = Panel(known[0].dates, ids, np.concatenate([p.values for p in known], axis=1))
    return Universe(name, funds, both, cash, {})


def _panel(table):
    """First column dates anywhere in the month, the others a series each."""
    days = table.to_series(0).cast(pl.String).str.to_date("%Y-%m-%d")
    ordinals = np.array([Month.of(day).ordinal for day in days])
    values = table[:, 1:].cast(pl.Float64).to_numpy()
    return Panel(month_ends(ordinals), tuple(table.columns[1:]), np.array(values))
