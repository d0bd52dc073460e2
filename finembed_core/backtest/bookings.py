"""Fund returns as the ledger books them: what was paid, whatever was later learned from it.

Ingest takes a return back when a later verdict says so. For the money that matters less:

* `stale_nav`: it was reported, and one dealt at that price until the verdict came; after it no
  report is believed, and the fund cannot be dealt.
* `duplicate_fund`: a verdict on whose return it is, not on whether it was paid. It is booked
  before and after, or a fund bought before it was found out could never be sold again.
* `nav_jump_undone`: the price was wrong. Nobody deals at it, and when it is put right the fund has
  earned what both months together make.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from finembed_core import histories
from finembed_core.calendar import Month, month_ordinals
from finembed_core.panel import FloatArray, Panel
from finembed_core.settings import Settings
from finembed_core.store import PartStore

TWIN, UNDONE = "duplicate_fund", "nav_jump_undone"


def booked_returns(store: PartStore, settings: Settings, through: Month, months: int) -> Panel:
    """Monthly returns of the last `months` months; NaN where there was no price to deal at.

    Parameters
    ----------
    store : PartStore
    settings : Settings
    through : Month
        Reports and verdicts that became known later do not count.
    months : int
    """
    panel = histories.reported_returns(store, settings.dataset.calendar).as_of(through, months)
    values = panel.values.copy()
    verdicts = verdicts_on_money(store, settings, through)
    place = {name: column for column, name in enumerate(panel.ids)}
    inside = verdicts.filter(
        pl.col("id").is_in(panel.ids) & (pl.col("date") > (through - months).end)
    )
    for (rule, fund), rows in inside.group_by("rule", "id", maintain_order=True):
        column = place[str(fund)]
        at = month_ordinals(rows["date"].to_numpy()) - (through.ordinal - months + 1)
        given = rows["value"].to_numpy()
        if rule == TWIN:
            values[at, column] = np.where(np.isnan(values[at, column]), given, values[at, column])
        else:
            values[at, column] = _put_right(at, given)
    return _reported(Panel(panel.dates, panel.ids, values))


def verdicts_on_money(store: PartStore, settings: Settings, through: Month) -> pl.DataFrame:
    """Quarantined returns (rule, id, date, value) that the ledger looks at, known in `through`."""
    columns = ["rule", "id", "date", "value"]
    if store.manifest("quarantine", "all") is None:
        schema = {"rule": pl.String, "id": pl.String, "date": pl.Date, "value": pl.Float64}
        return pl.DataFrame(schema=schema)
    day = settings.dataset.calendar.decision_day(through)
    known = (pl.col("known_at") <= day) & (pl.col("date") <= through.end)
    return (
        store.read("quarantine", "all")
        .filter(pl.col("rule").is_in([TWIN, UNDONE]) & known)
        .drop_nulls("value")
        .select(columns)
        .sort("rule", "id", "date")
    )


def _put_right(at: np.ndarray, returns: FloatArray) -> FloatArray:
    """Consecutive months as one return in the last of them, NaN before."""
    booked = np.full(len(at), np.nan)
    ends = np.flatnonzero(np.append(np.diff(at) > 1, True))
    growth = np.multiply.reduceat(1.0 + returns, np.append(0, ends[:-1] + 1))
    booked[ends] = growth - 1.0
    return booked


def _reported(panel: Panel) -> Panel:
    """Only the funds that reported in these months: later ones must not even move a rounding."""
    seen = np.flatnonzero(~np.isnan(panel.values).all(axis=0))
    return Panel(panel.dates, tuple(panel.ids[k] for k in seen), panel.values[:, seen])
