"""The register of strategies: one line each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from finembed_core.errors import SettingsError
from finembed_core.portfolio.orders import BoolArray, Signals
from finembed_core.portfolio.policies import Policy, leaning, selection, universe
from finembed_core.portfolio.policies.optimized import least_variance, risk_parity
from finembed_core.settings import PortfolioSettings, Settings

Selection = Callable[[Signals, PortfolioSettings], BoolArray]
RuledOut = Callable[[Settings, Collection[str]], str]
"""``(settings, fund ids)`` to why these leave no room for a strategy, '' where they do."""


def asset_classes(settings: Settings, funds: Collection[str]) -> str:
    """Each asset class needs its fund."""
    named = settings.portfolio.all_weather
    absent = [kind for kind in universe.ALL_WEATHER if kind not in named]
    if absent:
        return f"portfolio.all_weather names no fund for {', '.join(absent)}"
    strange = [name for name in named.values() if name not in funds]
    return f"portfolio.all_weather names {', '.join(strange)}: no such fund" if strange else ""


def base_of_tilt(settings: Settings, funds: Collection[str]) -> str:
    """A tilt of the fixed portfolio needs what that needs."""
    return asset_classes(settings, funds) if settings.portfolio.tilt.base == "all_weather" else ""


@dataclass(frozen=True)
class Strategy:
    """One line of the register.

    Attributes
    ----------
    name : str
        Strategy id, or its beginning where there is one per model or per series.
    policy : callable
    rule : str
        What it does, for people.
    over : {"universe", "models", "benchmarks"}
        One portfolio of the universe, one per model of the settings, or one per benchmark series.
    selects : callable or None
        The funds that the rule picks, whatever is held; None where the weights alone say it.
    needs_aum : bool
        Absent where no AUM is known.
    sells_short : bool
        Absent unless short sales are simulated.
    ruled_out : callable or None
        Why settings and funds leave no room for it, '' where they do.
    """

    name: str
    policy: Policy
    rule: str
    over: Literal["universe", "models", "benchmarks"] = "universe"
    selects: Selection | None = None
    needs_aum: bool = False
    sells_short: bool = False
    ruled_out: RuledOut | None = None

    def selected(self, signals: Signals, settings: PortfolioSettings) -> BoolArray:
        """The funds that the rule picks, shape (N,); none where only the weights say it."""
        if self.selects is None:
            return np.zeros_like(signals.eligible)
        return self.selects(signals, settings)


STRATEGIES: tuple[Strategy, ...] = (
    Strategy(
        "sa",
        selection.simple_average,
        "top share by P(up); keep the held, spread the cash",
        "models",
        selection.top_share,
    ),
    Strategy(
        "wa",
        selection.weighted_average,
        "top share by P(up), reset to AUM weights",
        "models",
        selection.top_share,
        needs_aum=True,
    ),
    Strategy("top_5", selection.best(5), "the 5 of the highest P(up), equal weights", "models"),
    Strategy("top_10", selection.best(10), "the 10 of the highest P(up), equal weights", "models"),
    Strategy("topk_drop", selection.topk_drop, "a fixed number, few replaced at a time", "models"),
    Strategy("simplex", leaning.simplex, "P(up) projected on the simplex", "models"),
    Strategy("long_only", leaning.long_only, "P(up) above its mean, in proportion", "models"),
    Strategy(
        "tilt",
        leaning.tilt,
        "a base portfolio leaned towards P(up)",
        "models",
        ruled_out=base_of_tilt,
    ),
    Strategy(
        "long_short",
        leaning.long_short,
        "P(up) less its mean, in proportion",
        "models",
        sells_short=True,
    ),
    Strategy(
        "equal_weight_universe",
        universe.equal_weight,
        "all eligible funds, reset to equal weights",
        selects=universe.eligible,
    ),
    Strategy(
        "aum_weight_universe",
        universe.aum_weight,
        "all eligible funds by AUM",
        selects=universe.eligible,
        needs_aum=True,
    ),
    Strategy("gmv_sample", least_variance("sample"), "least variance, sample covariance"),
    Strategy("gmv_ledoit_wolf", least_variance("ledoit_wolf"), "least variance, Ledoit-Wolf"),
    Strategy("gmv_oas", least_variance("oas"), "least variance, oracle shrinkage"),
    Strategy("gmv_factor", least_variance("factor"), "least variance, principal components"),
    Strategy("risk_parity", risk_parity, "equal contributions to the risk"),
    Strategy(
        "all_weather",
        universe.all_weather,
        "fixed weights of five asset classes",
        ruled_out=asset_classes,
    ),
    Strategy("index", universe.equal_weight, "holds the benchmark, without costs", "benchmarks"),
)


def chosen_strategies(settings: Settings) -> tuple[Strategy, ...]:
    """Those that ``portfolio.strategies`` names, in the order of the register; else all.

    Raises
    ------
    SettingsError
        One that it names is not registered.
    """
    named = settings.portfolio.strategies
    if named is None:
        return STRATEGIES
    strange = [name for name in named if name not in {s.name for s in STRATEGIES}]
    if strange:
        raise SettingsError(
            f"portfolio.strategies names {', '.join(strange)}, which no strategy is called",
            where=f"strategies: {', '.join(s.name for s in STRATEGIES)}",
            remedy="choose from these",
        )
    return tuple(s for s in STRATEGIES if s.name in named)


def find_strategy(settings: Settings, name: str) -> tuple[Strategy, str | None]:
    """The strategy behind an id, and its model.

    Raises
    ------
    SettingsError
        No such strategy; those that can be rebalanced are named.
    """
    known = dict(_ids(settings))
    if name not in known:
        raise SettingsError(
            f"there is no strategy {name!r} to rebalance",
            where=f"strategies: {', '.join(known)}",
            remedy="choose one of them, or add its model to portfolio.models",
        )
    return known[name]


def _ids(settings: Settings) -> Iterator[tuple[str, tuple[Strategy, str | None]]]:
    for strategy in chosen_strategies(settings):
        if strategy.over == "models":
            for model in settings.portfolio.models:
                yield f"{strategy.name}_{model}", (strategy, model)
        elif strategy.over == "universe":
            yield strategy.name, (strategy, None)
