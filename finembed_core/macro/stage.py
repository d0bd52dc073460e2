"""The macro stage: one month's factors from the store's series and the month before's loadings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finembed_core.calendar import Month
from finembed_core.errors import MissingPartError
from finembed_core.fingerprint import digest
from finembed_core.histories import ingested_months, macro_series, series_with_role
from finembed_core.macro.alignment import Loadings
from finembed_core.macro.factors import MacroFactors, macro_factors
from finembed_core.panel import History, Panel
from finembed_core.settings import MacroSettings, Settings
from finembed_core.stage import Output, Stage
from finembed_core.store import PartStore

TABLES = ("macro_factors", "macro_loadings", "macro_explained", "macro_excluded")


@dataclass(frozen=True)
class MacroInputs:
    """What one month's factors are made from.

    Attributes
    ----------
    month : Month
    known : Panel
        Stationary series as known in `month`; series that nobody has observed yet are absent.
    steps : ndarray of int
        Months between two observations of each series.
    previous : Loadings or None
        Of the month before; None in the first month.
    """

    month: Month
    known: Panel
    steps: NDArray[np.int64]
    previous: Loadings | None

    def digest(self) -> str:
        """Hash of all of it."""
        return digest(self.month, self.known, self.steps, self.previous)


def macro_stage(store: PartStore, settings: Settings) -> Stage[MacroInputs]:
    """Stage that writes the macro tables, month after month in order.

    ``gather`` raises MissingPartError where the month before has not been built, or where the
    month lies outside the ingested ones.
    """

    @cache
    def series() -> tuple[History, dict[str, int]]:
        chosen = series_with_role(store, "macro")
        steps = dict(zip(chosen["series_id"], chosen["step"], strict=True))
        return macro_series(store, settings.dataset.calendar), steps

    @cache
    def months() -> list[Month]:
        return ingested_months(store)

    def gather(key: str) -> MacroInputs:
        month = Month.parse(key)
        history, steps = series()
        first, last = months()[0], months()[-1]
        if not first <= month <= last:
            raise MissingPartError(
                f"macro factors of {month} cannot be built: the data hold {first} to {last}",
                where=str(store.root),
                remedy="ask for a month in between, or ingest more (dataset.first_month, new data)",
            )
        known = history.as_of(month).observed()
        previous = None if month == first else _loadings(store, month - 1, first)
        return MacroInputs(month, known, np.array([steps[k] for k in known.ids]), previous)

    return Stage(
        name="macro",
        tables=TABLES,
        sections=(settings.macro,),
        modules=("finembed_core.macro",),
        gather=gather,
        compute=partial(compute, settings=settings.macro),
    )


def compute(inputs: MacroInputs, settings: MacroSettings) -> dict[str, Output]:
    """Macro tables of one month."""
    result = macro_factors(inputs.known, inputs.steps, settings, inputs.previous)
    notes = {"reason": result.reason, **result.notes}
    frames = _frames(inputs.month, result)
    return {table: Output(frames[table], notes=notes) for table in TABLES}


def _frames(month: Month, result: MacroFactors) -> dict[str, pl.DataFrame]:
    as_of = pl.lit(month.end).alias("as_of")
    loadings = result.loadings
    factor, series = np.divmod(np.arange(loadings.values.size), max(len(loadings.ids), 1))
    names = np.asarray(loadings.factors, dtype=object)
    return {
        "macro_factors": result.factors.to_long(id="factor", value="value").select(
            as_of, "date", "factor", "value"
        ),
        "macro_loadings": pl.DataFrame(
            {
                "factor": names[factor],
                "series_id": np.asarray(loadings.ids, dtype=object)[series],
                "loading": loadings.values.T.ravel(),
            },
            schema={"factor": pl.String, "series_id": pl.String, "loading": pl.Float64},
        ).select(as_of, "factor", "series_id", "loading"),
        "macro_explained": pl.DataFrame(
            {"factor": loadings.factors, "explained": result.explained},
            schema={"factor": pl.String, "explained": pl.Float64},
        ).select(
            as_of,
            "factor",
            "explained",
            n_series=pl.lit(len(loadings.ids), dtype=pl.Int64),
            n_months=pl.lit(len(result.factors.dates), dtype=pl.Int64),
        ),
        "macro_excluded": pl.DataFrame(
            sorted(result.excluded.items()),
            schema={"series_id": pl.String, "reason": pl.String},
            orient="row",
        ).select(as_of, "series_id", "reason"),
    }


def _loadings(store: PartStore, month: Month, first: Month) -> Loadings | None:
    """Loadings of a month; None where it had no factors."""
    if store.manifest("macro_loadings", str(month)) is None:
        raise MissingPartError(
            f"macro factors of {month} have not been built",
            where="macro_loadings: names and signs of factors follow the month before",
            remedy=f"build the macro factors from {first} on, in order (`finembed run` does)",
        )
    frame = store.read("macro_loadings", str(month))
    if frame.is_empty():
        return None
    factors = frame["factor"].unique(maintain_order=True).to_list()
    ids = frame["series_id"].unique(maintain_order=True).to_list()
    values = frame["loading"].to_numpy().reshape(len(factors), len(ids)).T
    return Loadings(tuple(factors), tuple(ids), values)
