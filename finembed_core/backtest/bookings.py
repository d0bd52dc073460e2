"""Fund returns as the ledger books them: what was paid, whatever was later learned from it.

Ingest takes a return back when a later verdict says so. For the money that matters less:

* `stale_nav`: it was reported, and one dealt at that price until the verdict came; after it no
  report is believed, and the fund cannot be dealt.
* `duplicate_fund`: a verdict on whose return it is, not on whether it was paid. It is booked
  before and after, or a fund bought before it was found out could never be sold again.
* `nav_jump_undone`: the price was wrong. Nobody deals at it, and when it is put right the fund has
  earned what both months together make. One of the two may have been judged at once, by the size
  of its return.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finembed_core import histories
from finembed_core.calendar import Month, month_ordinals
from finembed_core.panel import FloatArray, Panel
from finembed_core.settings import Settings
from finembed_core.store import PartStore

TWIN, UNDONE = "duplicate_fund", "nav_jump_undone"
BY_SIZE = ("face_value_change", "return_above_limit")


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
    for (fund,), rows in inside.group_by("id", maintain_order=True):
        column = place[str(fund)]
        at = month_ordinals(rows["date"].to_numpy()) - (through.ordinal - months + 1)
        given, rule = rows["value"].to_numpy(), rows["rule"].to_numpy()
        twin, undone = at[rule == TWIN], rule == UNDONE
        values[twin, column] = np.where(
            np.isnan(values[twin, column]), given[rule == TWIN], values[twin, column]
        )
        values[at[undone], column] = np.nan
        for month, earned in _put_right(
            at[rule != TWIN], given[rule != TWIN], undone[rule != TWIN], settings.ingest.nav.undone
        ):
            values[month, column] = earned
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
        .filter(pl.col("table") == "fund_observations", known)
        .filter(pl.col("rule").is_in([TWIN, UNDONE, *BY_SIZE]))
        .drop_nulls("value")
        .select(columns)
        .sort("id", "date")
    )


def _put_right(
    at: NDArray[np.int64], returns: FloatArray, undone: NDArray[np.bool_], within: float
) -> Iterator[tuple[int, float]]:
    """Months in which a wrong price was put right, and what both months together earned."""
    growth = 1.0 + returns
    k = 0
    while k + 1 < len(at):
        both = growth[k] * growth[k + 1]
        taken_back = both > 0.0 and abs(np.log(both)) < within
        if at[k + 1] == at[k] + 1 and undone[k : k + 2].any() and taken_back:
            yield int(at[k + 1]), both - 1.0
            k += 1
        k += 1


def _reported(panel: Panel) -> Panel:
    """Only the funds that reported in these months: later ones must not even move a rounding."""
    seen = np.flatnonzero(~np.isnan(panel.values).all(axis=0))
    return Panel(panel.dates, tuple(panel.ids[k] for k in seen), panel.values[:, seen])
