"""Why a fund's features are what they are: its factors, their curves, and what they could do.

Nothing here is stored. It is what `features` computes, for one fund, with what a person needs to
see: the window's months, the curve through them, and where on the curve the features come from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from finembed_core.calendar import Month
from finembed_core.errors import MissingPartError
from finembed_core.panel import FloatArray, Panel
from finembed_core.polymodel.basis import hermite_basis
from finembed_core.polymodel.features import (
    FittedBlock,
    MonthInputs,
    ScreenedMonth,
    polymodel_features,
)
from finembed_core.polymodel.history import LEVELS, LongHistory
from finembed_core.polymodel.pairs import PairCurves, fitted_curves, stress_pairs
from finembed_core.polymodel.selection import select_factors
from finembed_core.polymodel.stress import GRID, observed_range
from finembed_core.settings import ExecutionSettings, PolyModelSettings

MOST = 6
LEVEL_NAMES = tuple(f"{level:02.0f}" for level in 100 * LEVELS)
ONE_SIDED = 0.25  # an answer to one side that is smaller than this share of the other's is none

SHAPES = {
    (-1, 1): "moves with it",
    (1, -1): "moves against it",
    (-1, -1): "loses at both ends",
    (1, 1): "gains at both ends",
    (-1, 0): "loses when it falls",
    (1, 0): "gains when it falls",
    (0, -1): "loses when it rises",
    (0, 1): "gains when it rises",
    (0, 0): "does not answer",
}
"""Signs of what the fund does as the factor leaves its median for 1% and for 99%.

Only as far as the window has seen the factor: where a quartic turns beyond that is luck.
"""


@dataclass(frozen=True)
class Explanation:
    """A fund in a month, seen through its factors.

    Attributes
    ----------
    month : Month
    fund_id : str
    features : polars.DataFrame
        The fund's row of `polymodel_features`.
    factors : polars.DataFrame
        One row per factor, best score first: factor_id; selected; p_value, score, r2; shape, in
        the words of `SHAPES`; factor_01 .. factor_99, quantiles of its long history in its own
        units, and fund_01 .. fund_99, the returns that the curve predicts there; y_max, the
        worst predicted loss over stress_low .. stress_high, and y_max_at, the factor's value
        there (null where no loss is predicted); residual_sd; svar and svar_clamped of the pair,
        not capped; lta; seen_low and seen_high, what the factor did in the window; extrapolated.
    points : polars.DataFrame
        The months that were fitted: factor_id, month, factor, fund.
    curves : polars.DataFrame
        factor_id, factor, fund: the fitted curve over all that its window, its quantiles and its
        stress range cover.
    """

    month: Month
    fund_id: str
    features: pl.DataFrame
    factors: pl.DataFrame
    points: pl.DataFrame
    curves: pl.DataFrame


def explain(
    inputs: MonthInputs, settings: PolyModelSettings, fund_id: str, most: int = MOST
) -> Explanation:
    """Explain the features of one fund.

    Parameters
    ----------
    inputs : MonthInputs
        Of the month; see `finembed_core.polymodel.stage.InformationSets.gather`.
    settings : PolyModelSettings
    fund_id : str
    most : int
        Factors to explain: those of the selected that score best, and the one that sets the
        fund's StressVaR in any case; of all that were tested where none was selected.

    Raises
    ------
    MissingPartError
        The fund has no return in the window.
    """
    if fund_id not in inputs.funds.ids:
        raise MissingPartError(
            f"no return of {fund_id} is known in the {settings.window} months to {inputs.month}",
            where=f"fund {fund_id}, month {inputs.month}",
            remedy=f"ask for another: `finembed explain {fund_id}` takes the last there is",
        )
    inputs = replace(inputs, funds=inputs.funds.select([fund_id]))
    features = polymodel_features(inputs, settings).features
    month = ScreenedMonth.of(inputs, settings)
    block = FittedBlock.of(month, [fund_id], settings, ExecutionSettings())
    selection = select_factors(block.p_values, settings)
    tests = pl.DataFrame(
        {
            "factor_id": pl.Series(month.factors.ids, dtype=pl.String),
            "selected": selection.chosen[:, 0],
            "p_value": block.p_values[:, 0],
            "score": selection.score[:, 0],
            "r2": block.fits.r2[:, 0],
        }
    )
    shown = _best(tests, most) | tests["factor_id"].eq_missing(features["svar_factor"][0])
    curves = fitted_curves(block.fits, shown.to_numpy()[:, None], settings)
    returns, x = block.funds.values, block.factors
    stress = stress_pairs(curves, returns, x, month.history, settings)
    seen = observed_range(x, returns, curves.factor, curves.fund)
    history = month.history.select(curves.factor)
    factors = tests[curves.factor].with_columns(
        **_answers(curves, history, *seen),
        **_places(curves, history, *seen),
        residual_sd=curves.residual_sd,
        y_max=stress.y_max,
        svar=stress.svar,
        svar_clamped=stress.svar_clamped,
        lta=stress.lta,
        extrapolated=stress.extrapolated,
    )
    return Explanation(
        inputs.month,
        fund_id,
        features,
        factors.sort("score", "r2", descending=True),
        _points(block.funds, month.factors.select(factors["factor_id"].to_list())),
        _drawn(factors, curves, history),
    )


def _best(tests: pl.DataFrame, most: int) -> pl.Series:
    """Mask of the factors that score best among the selected or, where none is, the tested."""
    among = "selected" if tests["selected"].any() else pl.col("p_value").is_not_nan()
    rows = tests.with_row_index().filter(among).sort("score", "r2", descending=True)
    return tests.with_row_index()["index"].is_in(rows["index"].head(most).to_list())


def _answers(
    curves: PairCurves, history: LongHistory, seen_low: FloatArray, seen_high: FloatArray
) -> dict[str, pl.Series]:
    """What the fund does at the quantiles of each pair's factor, in words and in numbers."""
    phi = _returns_on(curves, history.nodes())
    known = _returns_on(curves, history.nodes().clip(seen_low, seen_high))
    steps = known[[0, -1]] - known[len(LEVELS) // 2]
    signs = np.where(np.abs(steps) >= ONE_SIDED * np.abs(steps).max(axis=0), np.sign(steps), 0.0)
    shapes = [SHAPES[int(down), int(up)] for down, up in signs.T]
    return {
        "shape": pl.Series(shapes, dtype=pl.String),
        **{f"factor_{name}": pl.Series(history.quantiles[q]) for q, name in enumerate(LEVEL_NAMES)},
        **{f"fund_{name}": pl.Series(phi[q]) for q, name in enumerate(LEVEL_NAMES)},
    }


def _places(
    curves: PairCurves, history: LongHistory, seen_low: FloatArray, seen_high: FloatArray
) -> dict[str, pl.Series]:
    """Where on the range of each pair's factor things are, in its own units."""
    low, high = history.stress_range()
    steps = np.linspace(low, high, GRID)  # those of `worst_loss`
    phi = _returns_on(curves, steps)
    worst = steps[phi.argmin(axis=0), np.arange(len(low))]
    places = {
        "y_max_at": np.where(phi.min(axis=0) < 0.0, worst, np.nan),
        "stress_low": low,
        "stress_high": high,
        "seen_low": seen_low,
        "seen_high": seen_high,
    }
    own_units = {name: history.mean + history.sd * x for name, x in places.items()}
    return {name: pl.Series(values, nan_to_null=True) for name, values in own_units.items()}


def _points(fund: Panel, factors: Panel) -> pl.DataFrame:
    """Months in which the fund and a factor were both observed."""
    pairs = factors.to_long(id="factor_id", value="factor", date="month")
    return pairs.join(
        fund.to_long(id="fund_id", value="fund", date="month").drop("fund_id"), on="month"
    ).sort("factor_id", "month")


def _drawn(factors: pl.DataFrame, curves: PairCurves, history: LongHistory) -> pl.DataFrame:
    """Each curve from left to right, over all that has a place on it."""
    low = factors.select(pl.min_horizontal("factor_01", "stress_low", "seen_low")).to_series()
    high = factors.select(pl.max_horizontal("factor_99", "stress_high", "seen_high")).to_series()
    factor = np.linspace(low.to_numpy(), high.to_numpy(), GRID)  # (GRID, M)
    return pl.DataFrame(
        {
            "factor_id": np.repeat(factors["factor_id"].to_numpy(), GRID),
            "factor": factor.T.ravel(),
            "fund": _returns_on(curves, history.standardize(factor)).T.ravel(),
        },
        schema_overrides={"factor_id": pl.String},
    )


def _returns_on(curves: PairCurves, x: FloatArray) -> FloatArray:
    """What M curves predict at standardized values (K, M) of their factors, same shape."""
    basis = hermite_basis(x, curves.coefficients.shape[1] - 1)
    return np.einsum("kmp,mp->km", basis, curves.coefficients)
