"""Planted leaks: macro factors, features, learning, portfolios, what is published."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from finembed_core import histories
from finembed_core.backtest import study
from finembed_core.calendar import Month, retraining_in_force, walk_forward_split
from finembed_core.learning import stage as learning
from finembed_core.learning.channels import ChannelScaler
from finembed_core.learning.samples import SampleReader
from finembed_core.macro import stage as macro
from finembed_core.panel import History, Panel
from finembed_core.polymodel.history import LongHistory
from finembed_core.polymodel.stage import InformationSets
from finembed_core.portfolio import signals
from finembed_core.warehouse import sources
from tests.leakage.planting import leak
from tests.leakage.whole_world import CUT, LAST


@dataclass(frozen=True)
class _Rewritten:
    """A history whose every view is changed with a look at what is known months later."""

    history: History
    change: Callable[[Panel, Panel], np.ndarray]
    ahead: int

    def as_of(self, month: Month, months: int | None = None) -> Panel:
        shown = self.history.as_of(month, months)
        return replace(
            shown, values=self.change(shown, self.history.as_of(min(month + self.ahead, LAST)))
        )


def _rewrite_macro(
    patch: pytest.MonkeyPatch, change: Callable[[Panel, Panel], np.ndarray], ahead: int
) -> None:
    def series(store, calendar):
        return _Rewritten(histories.macro_series(store, calendar), change, ahead)

    patch.setattr(macro, "macro_series", series)


@leak("macro_factors", "macro_factors", "2000-03")  # the first with 24 months of macro series
def full_sample_scaler(patch: pytest.MonkeyPatch) -> None:
    """Series are standardized by their mean and deviation over all months."""

    def standardized(shown: Panel, whole: Panel) -> np.ndarray:
        return (shown.values - np.nanmean(whole.values, axis=0)) / np.nanstd(whole.values, axis=0)

    _rewrite_macro(patch, standardized, ahead=LAST - Month.parse("1998-01"))


@leak("macro_factors", "macro_factors", CUT)
def centered_moving_average(patch: pytest.MonkeyPatch) -> None:
    """Series are smoothed with the month before and the month after."""

    def smoothed(shown: Panel, whole: Panel) -> np.ndarray:
        n = len(shown.dates)
        beside = whole.values[: n + 1]
        mean = shown.values.copy()
        mean[1:] = (beside[: n - 1] + beside[1:n] + beside[2 : n + 1]) / 3.0
        return np.where(np.isnan(shown.values) | np.isnan(mean), shown.values, mean)

    _rewrite_macro(patch, smoothed, ahead=1)


@leak("polymodel_features", "polymodel_features", "1998-12")  # the first with 12 returns
def stress_range_of_all_months(patch: pytest.MonkeyPatch) -> None:
    """StressVaR and LTA read the quantiles of a factor's whole history."""
    real = InformationSets.gather

    def gather(self, key: str):
        inputs = real(self, key)
        whole = self._factors.as_of(LAST).select(inputs.factors.ids)
        return replace(inputs, history=LongHistory.of(whole.values, self._settings))

    patch.setattr(InformationSets, "gather", gather)


@leak("polymodel_features", "polymodel_features", CUT)
def significance_with_a_future_month(patch: pytest.MonkeyPatch) -> None:
    """P-value scores rest on a window that ends a month later."""
    real = InformationSets.gather

    def gather(self, key: str):
        inputs, later = real(self, key), Month.parse(key) + 1
        funds = self._funds.as_of(later, self._settings.window).select(inputs.funds.ids)
        factors = self._factors.as_of(later, self._settings.window).select(inputs.factors.ids)
        return replace(inputs, funds=replace(inputs.funds, values=funds.values), factors=factors)

    patch.setattr(InformationSets, "gather", gather)


@leak("polymodel_features", "polymodel_features", "1999-12")  # the first with factors
def factors_selected_on_all_months(patch: pytest.MonkeyPatch) -> None:
    """Only the factor that moves most with the funds over all months is tested."""
    real = InformationSets.gather

    def gather(self, key: str):
        inputs = real(self, key)
        mean = np.nanmean(self._funds.as_of(LAST, 12).values, axis=1)
        whole = np.nan_to_num(self._factors.as_of(LAST, 12).select(inputs.factors.ids).values)
        best = [int(np.abs(mean @ whole).argmax())] if inputs.factors.ids else []
        factors = inputs.factors.select([inputs.factors.ids[k] for k in best])
        return replace(inputs, factors=factors, history=inputs.history.select(np.array(best, int)))

    patch.setattr(InformationSets, "gather", gather)


# -- learning ------------------------------------------------------------------------------------


@leak("trend_model_majority", "trend_model_majority", CUT + 1)
def labels_not_purged(patch: pytest.MonkeyPatch) -> None:
    """A model learns from the label that it is about to predict."""

    def later(retraining, *rest):
        return walk_forward_split(retraining + 1, *rest)

    patch.setattr(learning, "walk_forward_split", later)


@leak("trend_model_majority", "trend_model_majority", "2000-10")  # the first with enough history
def band_of_all_returns(patch: pytest.MonkeyPatch) -> None:
    """What counts as unchanged is a quantile of the returns of all months."""
    real, seen = learning._training_inputs, {}

    def inputs(reader, *rest):
        seen["returns"] = reader.fund_returns.as_of(LAST).values
        return real(reader, *rest)

    def band(returns, settings) -> float:
        whole = seen["returns"]
        return float(np.quantile(np.abs(whole[~np.isnan(whole)]), 0.3))

    patch.setattr(learning, "_training_inputs", inputs)
    patch.setattr(learning, "unchanged_band", band)


@leak("trend_model_logistic", "trend_model_logistic", "2000-10")
def channels_scaled_over_all_months(patch: pytest.MonkeyPatch) -> None:
    """Channels are scaled by the medians of all months, not of the training months."""
    real, fit, seen = learning._training_inputs, ChannelScaler.fit, {}

    def inputs(reader, settings, retraining):
        seen["samples"] = reader.read(CUT - 6, LAST)
        return real(reader, settings, retraining)

    patch.setattr(learning, "_training_inputs", inputs)
    patch.setattr(ChannelScaler, "fit", lambda samples, most: fit(seen["samples"], most))


@leak("trend_model_lightgbm", "trend_model_lightgbm", CUT + 1)
def stopped_early_on_later_months(patch: pytest.MonkeyPatch) -> None:
    """Boosting stops where it does best in months after the retraining."""
    real = learning._training_inputs

    def inputs(reader, settings, retraining):
        now = real(reader, settings, retraining)
        if now.samples is None:
            return now
        later = real(reader, settings, retraining + 2)
        last = now.samples.months[~now.valid].max()
        rows = np.flatnonzero(later.valid | (later.samples.months <= last))
        return replace(
            later,
            samples=later.samples.take(rows),
            returns=later.returns[rows],
            valid=later.valid[rows],
        )

    patch.setattr(learning, "_training_inputs", inputs)


@leak("predictions", "predictions", "1999-01")  # the first with funds to predict
def last_checkpoint_predicts_all_months(patch: pytest.MonkeyPatch) -> None:
    """Every month is predicted by the model trained last."""
    last = retraining_in_force(LAST, 3)
    patch.setattr(learning, "retraining_in_force", lambda month, every: last)


@leak("predictions", "predictions", CUT)
def features_of_the_next_month_read(patch: pytest.MonkeyPatch) -> None:
    """A stage reads part t + 1 of another table from the store."""
    real = SampleReader.read
    patch.setattr(SampleReader, "read", lambda self, *span: real(self, *(m + 1 for m in span)))


# -- portfolios ----------------------------------------------------------------------------------


@leak("backtest", "target_weights", CUT.end)
def weights_from_next_months_returns(patch: pytest.MonkeyPatch) -> None:
    """The rule ranks funds by the return that they are about to earn."""
    real = study.read_signals

    def clairvoyant(store, first, through, ids, models, calendar, **rest):
        table = real(store, first, through, ids, models, calendar, **rest)
        earned = histories.fund_returns(store, calendar)
        later = [month + 1 for month in table.months]
        rows = [earned.as_of(month, 1).select(ids).at(month) for month in later]
        score = np.where(np.isnan(rows), np.nan, 1.0 / (1.0 + np.exp(-np.clip(rows, -9, 9))))
        return replace(table, p_up=dict.fromkeys(table.p_up, score))

    patch.setattr(study, "read_signals", clairvoyant)


@leak("backtest", "target_weights", "2000-10-31")  # the first decision of the backtest
def covariance_of_all_months(patch: pytest.MonkeyPatch) -> None:
    """Least variance is sought for the covariance of the last months that there are."""
    real = signals.KnownReturns.__call__

    def call(self, month, months):
        return np.nan_to_num(real(self, LAST, months))

    patch.setattr(signals.KnownReturns, "__call__", call)


@leak("publish", "warehouse.universe", (CUT + 1).end)
def later_parts_published(patch: pytest.MonkeyPatch) -> None:
    """The warehouse of a month holds what was computed for later ones."""
    patch.setattr(sources, "_not_in_force", lambda *args: "")
