"""From a month's information set to its PolyModel features: one pure function.

window of funds, long history of factors -> fits -> selection -> StressVaR, LTA -> features
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finembed_core.calendar import Month
from finembed_core.fingerprint import digest
from finembed_core.panel import FloatArray, Panel
from finembed_core.polymodel.basis import is_flat
from finembed_core.polymodel.device import Device
from finembed_core.polymodel.fit import patterns
from finembed_core.polymodel.history import LongHistory
from finembed_core.polymodel.pairs import PairFits, fit_pairs, fitted_curves, stress_pairs
from finembed_core.polymodel.performance import MONTHS_PER_YEAR, morningstar_return, sharpe_ratio
from finembed_core.polymodel.selection import select_factors
from finembed_core.polymodel.significance import p_values
from finembed_core.settings import ExecutionSettings, PolyModelSettings

FEATURES_SCHEMA = {
    "month": pl.Date,
    "fund_id": pl.String,
    "sharpe": pl.Float64,
    "sharpe_annual": pl.Float64,
    "mrar": pl.Float64,
    "svar": pl.Float64,
    "svar_clamped": pl.Float64,
    "svar_factor": pl.String,
    "extrapolated": pl.Boolean,
    "lta": pl.Float64,
    "ltr": pl.Float64,
    "lts": pl.Float64,
    "best_score": pl.Float64,
    "n_selected": pl.Int64,
    "n_factors": pl.Int64,
    "n_obs": pl.Int64,
    "expected_false": pl.Float64,
    "reason": pl.String,
}
SELECTED_COLUMNS = [
    "month",
    "fund_id",
    "factor_id",
    "r2",
    "p_value",
    "score",
    "y_max",
    "svar",
    "lta",
]
Codes = NDArray[np.object_]
PATTERN = 10  # funds that weigh as much as the bases of one more missing pattern
BYTES_PER_PAIR = 400  # at the peak of a block: projections, moments and what they are made from


@dataclass(frozen=True)
class MonthInputs:
    """What month t is computed from, all of it known on t's decision day.

    Attributes
    ----------
    month : Month
    funds : Panel, T x N
        Returns over the window; funds with one observation at least.
    risk_free : ndarray, shape (T,)
        Monthly return of cash; 0 where no series has that role.
    factors : Panel, T x J
        The risk factors in the same months.
    history : LongHistory
        Of the J factors, everything known at t.
    """

    month: Month
    funds: Panel
    risk_free: FloatArray
    factors: Panel
    history: LongHistory

    def digest(self) -> str:
        """Hash of all values."""
        return digest(self)


@dataclass(frozen=True)
class ScreenedMonth:
    """What of a month can be fitted, and why the rest cannot.

    Attributes
    ----------
    month : Month
    funds, factors : Panel
        T x N and T x J.
    history : LongHistory
        Of the J factors.
    fund_codes, factor_codes : ndarray of str
        Of all funds and factors of the month, see `polymodel_features`; "" where they can.
    """

    month: Month
    funds: Panel
    factors: Panel
    history: LongHistory
    fund_codes: Codes
    factor_codes: Codes

    @classmethod
    def of(cls, inputs: MonthInputs, settings: PolyModelSettings) -> ScreenedMonth:
        """Screen the funds and factors of a month."""
        fund_codes = screen_funds(inputs.funds.values, settings)
        factor_codes = screen_factors(inputs.factors.values, inputs.history, settings)
        able, usable = np.flatnonzero(fund_codes == ""), np.flatnonzero(factor_codes == "")
        return cls(
            inputs.month,
            inputs.funds.select([inputs.funds.ids[k] for k in able]),
            inputs.factors.select([inputs.factors.ids[k] for k in usable]),
            inputs.history.select(usable),
            fund_codes,
            factor_codes,
        )


@dataclass(frozen=True)
class FittedBlock:
    """Some funds of a month, each fitted on all its factors and tested against them.

    Attributes
    ----------
    funds : Panel, T x N
    factors : ndarray, shape (T, J)
        Standardized.
    fits : PairFits
    p_values : ndarray, shape (J, N)
        NaN where not tested.
    """

    funds: Panel
    factors: FloatArray
    fits: PairFits
    p_values: FloatArray

    @classmethod
    def of(
        cls,
        month: ScreenedMonth,
        ids: list[str],
        settings: PolyModelSettings,
        execution: ExecutionSettings,
    ) -> FittedBlock:
        """Fit and test the funds `ids`, one of the blocks of `fund_blocks`."""
        funds = month.funds.select(ids)
        factors = month.history.standardize(month.factors.values)
        fits = fit_pairs(funds.values, factors, settings)
        device = Device.named(execution.device)
        return cls(funds, factors, fits, p_values(fits, month.month, settings, device))


@dataclass(frozen=True)
class MonthFeatures:
    """What a month yields.

    Attributes
    ----------
    features : polars.DataFrame
        One row per fund of the window, columns `FEATURES_SCHEMA`, by fund_id.
    selected : polars.DataFrame
        One row per selected pair, columns `SELECTED_COLUMNS`, by fund_id and factor_id.
    excluded_factors : mapping of str to list of str
        Reason code to the factors that could not be used.
    """

    features: pl.DataFrame
    selected: pl.DataFrame
    excluded_factors: Mapping[str, list[str]]


def polymodel_features(
    inputs: MonthInputs, settings: PolyModelSettings, execution: ExecutionSettings | None = None
) -> MonthFeatures:
    """Features of every fund of one month, by settings of the `polymodel` section.

    Parameters
    ----------
    inputs : MonthInputs
    settings : PolyModelSettings
    execution : ExecutionSettings, optional
        Device and memory; they change no number.

    Notes
    -----
    Reason codes of a fund, the first that holds: ``not_reported`` (no return this month),
    ``too_few_months`` (fewer than ``min_obs`` in the window), ``constant_returns``: all features
    are null. ``no_risk_free`` (cash unknown in too many of its months): no Sharpe ratio and MRAR.
    ``no_factors`` (none could be tested), ``no_selection`` (none passed): no StressVaR, LTA, LTR
    and LTS. ``constant_excess`` (the same over cash every month): no Sharpe ratio. Of a factor:
    ``not_reported``, ``too_few_months``, ``short_history``, ``constant``.
    """
    funds, month = inputs.funds, ScreenedMonth.of(inputs, settings)
    execution = execution or ExecutionSettings()
    blocks = [
        _relations(month, ids, settings, execution)
        for ids in fund_blocks(month, execution.memory_mb)
    ]
    relations = pl.concat([block for block, _ in blocks])
    pairs = pl.concat([block for _, block in blocks]).sort("fund_id", "factor_id")
    performance = _performance(month.funds, inputs.risk_free, settings)
    everyone = pl.DataFrame(
        {
            "month": np.full(len(funds.ids), np.datetime64(inputs.month.end)),
            "fund_id": list(funds.ids),
            "n_obs": np.isfinite(funds.values).sum(axis=0),
            "code": month.fund_codes.tolist(),
        },
        schema={"month": pl.Date, "fund_id": pl.String, "n_obs": pl.Int64, "code": pl.String},
    )
    features = (
        everyone.join(performance, on="fund_id", how="left", maintain_order="left")
        .join(relations, on="fund_id", how="left", maintain_order="left")
        .with_columns(
            pl.col("n_factors", "n_selected").fill_null(0),
            sharpe_annual=pl.col("sharpe") * MONTHS_PER_YEAR**0.5,
            ltr=pl.col("lta") / pl.col("svar"),
            lts=pl.col("lta") - settings.stability_kappa * pl.col("svar"),
        )
        .with_columns(reason=_reason())
        .select(pl.col(name).cast(kind) for name, kind in FEATURES_SCHEMA.items())
    )
    selected = pairs.select(
        pl.lit(inputs.month.end).alias("month"), *(pl.col(name) for name in SELECTED_COLUMNS[1:])
    )
    return MonthFeatures(features, selected, _by_code(inputs.factors.ids, month.factor_codes))


def screen_funds(returns: FloatArray, settings: PolyModelSettings) -> Codes:
    """Why funds of the window (T, N) cannot be fitted, shape (N,); "" where they can."""
    observed = np.isfinite(returns)
    codes = ["not_reported", "too_few_months", "constant_returns"]
    too_few = observed.sum(axis=0) < settings.min_obs
    return np.select([~observed[-1], too_few, is_flat(returns)], codes, "").astype(object)


def screen_factors(window: FloatArray, history: LongHistory, settings: PolyModelSettings) -> Codes:
    """Why factors of the window (T, J) cannot be used, shape (J,); "" where they can.

    A factor whose stress quantiles coincide has nothing to stress with and counts as constant.
    """
    observed = np.isfinite(window)
    constant = is_flat(window) | history.stands_still()
    too_few = observed.sum(axis=0) < settings.min_obs
    too_short = history.count < settings.min_factor_history
    codes = ["not_reported", "too_few_months", "short_history", "constant"]
    return np.select([~observed[-1], too_few, too_short, constant], codes, "").astype(object)


def fund_blocks(month: ScreenedMonth, memory_mb: int) -> list[list[str]]:
    """Funds in blocks that `memory_mb` holds, those with the same missing months together."""
    funds, factors = month.funds, len(month.factors.ids)
    size = max(int(memory_mb * 2**20 / (BYTES_PER_PAIR * max(factors, 1))), 1)
    groups = [columns for _, columns in patterns(funds.values)]
    weight = [np.r_[1 + PATTERN, np.ones(len(group) - 1, dtype=int)] for group in groups]
    block = np.cumsum(np.concatenate([[0], *weight]))[1:] // size
    ordered = [funds.ids[k] for group in groups for k in group]
    cuts = np.flatnonzero(np.diff(block)) + 1
    return [part.tolist() for part in np.split(np.array(ordered, dtype=object), cuts)]


def _relations(
    month: ScreenedMonth,
    ids: list[str],
    settings: PolyModelSettings,
    execution: ExecutionSettings,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Per fund what its factors say, and the selected pairs that say it."""
    block = FittedBlock.of(month, ids, settings, execution)
    selection = select_factors(block.p_values, settings)
    curves = fitted_curves(block.fits, selection.chosen, settings)
    factor, fund = curves.factor, curves.fund
    stress = stress_pairs(curves, block.funds.values, block.factors, month.history, settings)
    pairs = pl.DataFrame(
        {
            "fund_id": [ids[i] for i in fund],
            "factor_id": [month.factors.ids[j] for j in factor],
            "r2": block.fits.r2[factor, fund],
            "p_value": block.p_values[factor, fund],
            "score": selection.score[factor, fund],
            "y_max": stress.y_max,
            "svar": stress.svar,
            "svar_clamped": stress.svar_clamped,
            "extrapolated": stress.extrapolated,
            "lta": stress.lta,
        },
        schema_overrides={"fund_id": pl.String, "factor_id": pl.String},
    ).sort("fund_id", "factor_id")
    worst = pl.col("svar").arg_max()
    exposed = pairs.group_by("fund_id", maintain_order=True).agg(
        pl.col("svar", "svar_clamped").max().clip(upper_bound=1.0),
        pl.col("factor_id").get(worst).alias("svar_factor"),
        pl.col("extrapolated").get(worst),
        pl.col("lta").median(),
    )
    tested = pl.DataFrame(
        {
            "fund_id": ids,
            "best_score": selection.best,
            "n_factors": selection.tested,
            "n_selected": selection.selected,
            "expected_false": selection.expected_false,
        },
        schema_overrides={"fund_id": pl.String},
        nan_to_null=True,
    )
    return tested.join(exposed, on="fund_id", how="left", maintain_order="left"), pairs


def _performance(funds: Panel, risk_free: FloatArray, settings: PolyModelSettings) -> pl.DataFrame:
    """Sharpe ratio and MRAR of the funds whose cash return is known in enough months."""
    priced = np.isfinite(funds.values - risk_free[:, None]).sum(axis=0) >= settings.min_obs
    returns = funds.values[:, priced]
    return pl.DataFrame(
        {
            "fund_id": [f for f, known in zip(funds.ids, priced, strict=True) if known],
            "sharpe": sharpe_ratio(returns, risk_free),
            "mrar": morningstar_return(
                returns, risk_free, settings.mrar_gamma, settings.mrar_exponent
            ),
        },
        schema_overrides={"fund_id": pl.String},
        nan_to_null=True,
    )


def _reason() -> pl.Expr:
    return (
        pl.when(pl.col("code") != "")
        .then("code")
        .when(pl.col("mrar").is_null())
        .then(pl.lit("no_risk_free"))
        .when(pl.col("n_factors") == 0)
        .then(pl.lit("no_factors"))
        .when(pl.col("n_selected") == 0)
        .then(pl.lit("no_selection"))
        .when(pl.col("sharpe").is_null())
        .then(pl.lit("constant_excess"))
        .otherwise(pl.lit(""))
    )


def _by_code(ids: tuple[str, ...], codes: Codes) -> dict[str, list[str]]:
    return {
        code: [name for name, own in zip(ids, codes, strict=True) if own == code]
        for code in sorted(set(codes) - {""})
    }
