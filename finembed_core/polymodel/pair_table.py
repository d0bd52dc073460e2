"""Statistics of every pair of fund and factor of a month, for those who want to look at them all.

Factors are chosen after all of them have been tested, since how far a pair is shuffled depends on
the fund's other factors; funds before, since no fund depends on another. The p-values are therefore
those that `polymodel_features` selects by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finembed_core.panel import FloatArray
from finembed_core.polymodel.features import FittedBlock, MonthInputs, ScreenedMonth, fund_blocks
from finembed_core.polymodel.pairs import fitted_curves, stress_pairs
from finembed_core.polymodel.selection import scores
from finembed_core.settings import ExecutionSettings, PairChoice, PolyModelSettings

Mask = NDArray[np.bool_]
PAIRS_AT_ONCE = 2**14  # whose curves are stressed together: some 3 KB of each, for a moment
NOWHERE = -1


def pair_table(
    inputs: MonthInputs,
    settings: PolyModelSettings,
    choice: PairChoice,
    execution: ExecutionSettings | None = None,
) -> pl.DataFrame:
    """One row per tested pair of the chosen funds and factors.

    Parameters
    ----------
    inputs : MonthInputs
    settings : PolyModelSettings
    choice : PairChoice
        Names that the month does not have are passed over.
    execution : ExecutionSettings, optional
        Device and memory, as for `polymodel_features`; the table itself comes on top.

    Returns
    -------
    polars.DataFrame
        month, fund_id, factor_id and `PairChoice.statistics`, by fund_id and factor_id. Statistics
        are Float32: seven digits, at half the size.

    Notes
    -----
    ``r2``, ``adjusted_r2 = 1 - (1 - r2) (n - 1)/(n - p)`` and ``p_value`` refer to the fit with a
    free intercept and the settings' ``ridge``; ``beta_k``, ``residual_sd`` and what follows from
    them to the curve in use. ``svar`` is not capped.
    """
    month = ScreenedMonth.of(_with_funds(inputs, choice.funds), settings)
    execution = execution or ExecutionSettings()
    funds, factors = sorted(month.funds.ids), sorted(_chosen(month.factors.ids, choice.factors))
    column = _places(month.factors.ids, factors)
    names = choice.statistics(settings.degree)
    tested = np.zeros((len(funds), len(factors)), dtype=bool)
    table = {name: np.empty(tested.shape, dtype=np.float32) for name in names}
    for ids in fund_blocks(month, execution.memory_mb):
        block, row = FittedBlock.of(month, ids, settings, execution), _places(ids, funds)
        wanted = ~np.isnan(block.p_values) & (column != NOWHERE)[:, None]
        for some in _portions(wanted):
            factor, fund = np.nonzero(some)
            cells = row[fund], column[factor]
            tested[cells] = True
            found = _statistics(month, block, some, settings)
            for name in names:
                table[name][cells] = found[name]
    fund, factor = np.nonzero(tested)
    frame = pl.DataFrame(
        {
            "fund_id": pl.Series(funds, dtype=pl.String).gather(fund),
            "factor_id": pl.Series(factors, dtype=pl.String).gather(factor),
            **{name: table.pop(name)[tested] for name in names},
        }
    )
    return frame.select(pl.lit(inputs.month.end).alias("month"), pl.all())


def _with_funds(inputs: MonthInputs, chosen: list[str] | None) -> MonthInputs:
    return replace(inputs, funds=inputs.funds.select(_chosen(inputs.funds.ids, chosen)))


def _chosen(ids: Sequence[str], chosen: list[str] | None) -> list[str]:
    kept = set(ids if chosen is None else chosen)
    return [name for name in ids if name in kept]


def _places(ids: Sequence[str], among: list[str]) -> NDArray[np.int64]:
    """Where each of `ids` stands `among` others; `NOWHERE` if not among them."""
    place = {name: k for k, name in enumerate(among)}
    return np.array([place.get(name, NOWHERE) for name in ids], dtype=np.int64)


def _portions(wanted: Mask) -> Iterator[Mask]:
    """A mask as the sum of masks with few pairs each."""
    cells = np.flatnonzero(wanted)
    for first in range(0, len(cells), PAIRS_AT_ONCE):
        some = np.zeros(wanted.size, dtype=bool)
        some[cells[first : first + PAIRS_AT_ONCE]] = True
        yield some.reshape(wanted.shape)


def _statistics(
    month: ScreenedMonth, block: FittedBlock, some: Mask, settings: PolyModelSettings
) -> dict[str, FloatArray]:
    """All statistics of the pairs of a mask (J, N), by factor, then fund."""
    returns = block.funds.values
    curves = fitted_curves(block.fits, some, settings)
    stress = stress_pairs(curves, returns, block.factors, month.history, settings)
    shared = np.isfinite(block.factors)[:, curves.factor] & np.isfinite(returns)[:, curves.fund]
    r2, p_value, n = block.fits.r2[some], block.p_values[some], shared.sum(axis=0)
    return {
        "r2": r2,
        "adjusted_r2": 1.0 - (1.0 - r2) * (n - 1.0) / (n - settings.degree - 1.0),
        "p_value": p_value,
        "score": scores(p_value),
        **{f"beta_{k}": beta for k, beta in enumerate(curves.coefficients.T)},
        "residual_sd": curves.residual_sd,
        "y_max": stress.y_max,
        "y_max_clamped": stress.y_max_clamped,
        "svar": stress.svar,
        "svar_clamped": stress.svar_clamped,
        "lta": stress.lta,
    }
