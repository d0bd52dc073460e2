"""What a strategy's returns were made of, as tables of a run: factors, funds, months, windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from finembed_core import histories
from finembed_core.backtest import contributions as by_fund
from finembed_core.backtest import exposures as by_factor
from finembed_core.backtest import periods as by_period
from finembed_core.backtest.market import Market
from finembed_core.backtest.metrics import Series
from finembed_core.backtest.track import Track
from finembed_core.calendar import Month, month_ends
from finembed_core.panel import Panel
from finembed_core.settings import Settings
from finembed_core.store import PartStore

SCHEMAS = {**by_factor.SCHEMAS, **by_fund.SCHEMAS, **by_period.SCHEMAS}
MACRO = "macro_factors"
FUNDED = "index"  # kind of the series that are returns on money invested


@dataclass(frozen=True)
class Attribution:
    """Factors that the strategies of a run are explained by.

    Attributes
    ----------
    risk, macro : Panel
        Months x risk factors, months x macro factors; known in the last month.
    funded : frozenset of str
        Risk factors that are returns on money invested.
    """

    risk: Panel
    macro: Panel
    funded: frozenset[str]

    @classmethod
    def read(cls, store: PartStore, settings: Settings, through: Month) -> Self:
        """Read the factors as they are known in `through`; macro factors where they were built."""
        risk = histories.risk_factors(store, settings.dataset.calendar).as_of(through).observed()
        macro = Panel(month_ends(np.array([], dtype=np.int64)), (), np.empty((0, 0)))
        if store.manifest(MACRO, str(through)) is not None:
            macro = Panel.from_long(store.read(MACRO, str(through)), id="factor", value="value")
        chosen = histories.series_with_role(store, "risk_factor").filter(pl.col("kind") == FUNDED)
        return cls(risk, macro, frozenset(chosen["series_id"]))

    def tables(
        self, name: str, track: Track, market: Market, own: Series, against: Series | None
    ) -> dict[str, pl.DataFrame]:
        """The tables of one strategy, without run_id.

        Parameters
        ----------
        name : str
            Strategy id.
        track : Track
        market : Market
            The one that the track went through.
        own, against : Series
            Its returns, and those over the months that the benchmark covers
            (`tables.return_series`). Betas and exposures are of the latter, where there are any.
        """
        covered = own if against is None else against
        factors = by_factor.choose_factors(covered, self.risk, self.macro)
        found = by_factor.exposures(covered, factors, self.funded)
        rolling = by_period.rolling(name, own)
        betas = by_period.rolling(name, covered).select("date", "beta")
        return {
            "exposures": by_factor.exposure_table(name, found),
            "contributions": by_fund.contribution_table(name, by_fund.contributions(track, market)),
            "calendar_returns": by_period.calendar_returns(name, own),
            "rolling": rolling.drop("beta")
            .join(betas, on="date", how="left", maintain_order="left")
            .select(rolling.columns),
        }
