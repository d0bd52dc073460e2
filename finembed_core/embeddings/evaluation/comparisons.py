"""Each portfolio of an evaluation against its benchmarks, all on the same draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from finembed_core.backtest.inference import batch_metrics
from finembed_core.backtest.metrics import after_purchase
from finembed_core.embeddings.evaluation.paired import Moments, PairedDraws
from finembed_core.embeddings.evaluation.portfolios import Benchmark, Label, Portfolios
from finembed_core.embeddings.evaluation.simulation import Held
from finembed_core.panel import FloatArray
from finembed_core.sessions import SESSIONS_PER_YEAR
from finembed_core.settings import InferenceSettings

TESTED = ("mean_return", "annual_return", "volatility", "sharpe")
CHUNK = 500  # portfolios whose statistics are computed at once

Row = dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """All portfolios of one evaluation, and their benchmarks.

    Attributes
    ----------
    portfolios : Portfolios
    labels : tuple of Label
        Candidates of the evaluation.
    risk_free : ndarray, shape (n,)
    paired : PairedDraws
    inference : InferenceSettings
    """

    portfolios: Portfolios
    labels: tuple[Label, ...]
    risk_free: FloatArray
    paired: PairedDraws
    inference: InferenceSettings

    @cached_property
    def _benchmarks(self) -> list[Benchmark]:
        found = (b for label in self.labels for b in self.portfolios.against(label))
        return list(dict.fromkeys(found))

    @cached_property
    def place(self) -> dict[Label | Benchmark, int]:
        """Column of each portfolio."""
        return {one: k for k, one in enumerate([*self.labels, *self._benchmarks])}

    @cached_property
    def held(self) -> list[Held]:
        """What each column holds."""
        own = [self.portfolios.candidates[label] for label in self.labels]
        return own + [self.portfolios.benchmarks[b] for b in self._benchmarks]

    @cached_property
    def net(self) -> FloatArray:
        """Returns after costs, shape (n, P)."""
        return np.column_stack([held.net for held in self.held])

    @cached_property
    def values(self) -> Moments:
        """Statistics of every portfolio, shape (P,)."""
        return statistics(self.held, self.risk_free)

    @cached_property
    def draws(self) -> Moments:
        """Those with intervals on every draw, shape (B, P)."""
        return self.paired.moments(self.net, self.risk_free)

    @cached_property
    def contests(self) -> list[tuple[Label, Benchmark]]:
        """Candidates of all seeds mixed, each with its first benchmark."""
        mixes = (label for label in self.labels if label.seed is None)
        return [(label, found[0]) for label in mixes if (found := self.portfolios.against(label))]

    def pairs(self) -> Iterator[Row]:
        """Every candidate against every benchmark of its own, statistic by statistic."""
        for label in self.labels:
            for benchmark in self.portfolios.against(label):
                yield from self._pair(label, benchmark)

    def _pair(self, label: Label, benchmark: Benchmark) -> Iterator[Row]:
        ours, theirs = self.place[label], self.place[benchmark]
        asides = [_held_on(self.held[ours]), _held_on(self.held[theirs], "the benchmark ")]
        for metric, values in self.values.items():
            tested = metric in TESTED
            drawn = self.draws[metric][:, ours] - self.draws[metric][:, theirs] if tested else None
            row = self.difference(
                label, metric, float(values[ours]), benchmark.name, float(values[theirs]), drawn
            )
            row["note"] = "; ".join(part for part in (row["note"], *asides) if part)
            yield row

    def difference(
        self,
        label: Label,
        metric: str,
        value: float,
        benchmark: str,
        other: float,
        drawn: FloatArray | None,
    ) -> Row:
        """A row of what one side has over the other; with an interval where there are draws."""
        low, high, note = np.nan, np.nan, ""
        if drawn is not None:
            low, high = self.paired.interval(metric, value - other, drawn)
            note = verdict(low, high, self.paired.silence)
        return {
            **label._asdict(),
            "metric": metric,
            "value": value,
            "benchmark": benchmark,
            "benchmark_value": other,
            "difference": value - other,
            "ci_low": low,
            "ci_high": high,
            "n": self.paired.periods,
            "note": note,
        }


def statistics(held: Sequence[Held], risk_free: FloatArray) -> Moments:
    """Statistics of portfolios as `metrics.metrics` defines them, shape (P,)."""
    found: dict[str, list[FloatArray]] = {}
    for start in range(0, len(held), CHUNK):
        part = held[start : start + CHUNK]
        net = np.array([one.net for one in part])
        own = batch_metrics(net, np.broadcast_to(risk_free, net.shape), SESSIONS_PER_YEAR)
        traded = [after_purchase(one.turnover) for one in part]
        chunk = {
            "mean_return": net.mean(axis=1) * SESSIONS_PER_YEAR,
            "annual_return": own["annual_return"],
            "volatility": own["volatility"],
            "sharpe": own["sharpe"],
            "max_drawdown": own["max_drawdown"],
            "turnover": np.array([_mean(each) for each in traded]) * SESSIONS_PER_YEAR,
        }
        for name, values in chunk.items():
            found.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in found.items()}


def verdict(low: float, high: float, silence: str = "") -> str:
    """What an interval of a difference says in words."""
    if np.isnan(low):
        return silence or "no interval: the difference does not vary"
    return "not significant" if low <= 0.0 <= high else "significant"


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if len(values) else np.nan


def _held_on(held: Held, who: str = "") -> str:
    """When a portfolio was in cash, and how often it held on; empty where it always decided."""
    waited = int(np.argmax(held.decided))
    kept, decisions = int(np.sum(~held.decided[waited:])), len(held.decided)
    said = [
        f"{who}in cash at the first {waited} of {decisions} decisions" if waited else "",
        f"{who}held on at {kept} of {decisions} decisions" if kept else "",
    ]
    told = ", ".join(part for part in said if part)
    return f"{told} ({held.reason})" if told and held.reason else told
