"""Rows of `embedding_evaluations`: each portfolio against its benchmarks, and all together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from finembed_core.backtest.inference import batch_metrics
from finembed_core.backtest.resampling import CONSTANT
from finembed_core.backtest.superiority import superiority
from finembed_core.embeddings.evaluation.paired import (
    SESSIONS_PER_YEAR,
    Moments,
    PairedDraws,
    moments,
)
from finembed_core.embeddings.evaluation.portfolios import AGAINST, Benchmark, Label, Portfolios
from finembed_core.embeddings.evaluation.simulation import DailyLedger, Held
from finembed_core.embeddings.evaluation.wins import count_wins
from finembed_core.panel import FloatArray
from finembed_core.settings import InferenceSettings

EVALUATIONS: dict[str, pl.DataType | type[pl.DataType]] = {
    "evaluation": pl.String,
    "encoder": pl.String,
    "mode": pl.String,
    "loss": pl.String,
    "fund_group": pl.String,
    "k": pl.Int64,
    "seed": pl.Int64,
    "metric": pl.String,
    "value": pl.Float64,
    "benchmark": pl.String,
    "benchmark_value": pl.Float64,
    "difference": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "n": pl.Int64,
    "note": pl.String,
}
TESTED = ("mean_return", "annual_return", "volatility", "sharpe")
LOWER_IS_BETTER = {"volatility"}
WON_BY = {"gmv": ("volatility", "sharpe"), "weights": ("annual_return", "sharpe")}
WON_BY["ranking"] = WON_BY["weights"]
SUPERVISED = "supervised"
HALF = "half"  # benchmark of a count of wins
CHUNK = 500  # series whose statistics are computed at once

Row = dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """All portfolios of one evaluation, and their benchmarks, on the same draws.

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

    def rows(self) -> Iterator[Row]:
        """All rows of the evaluation."""
        yield from self._pairs()
        yield from self._wins()
        yield from self._deflated()
        yield from self._against_supervised()

    @cached_property
    def _benchmarks(self) -> list[Benchmark]:
        found = (b for label in self.labels for b in self.portfolios.against(label))
        return list(dict.fromkeys(found))

    @cached_property
    def _place(self) -> dict[Label | Benchmark, int]:
        return {one: k for k, one in enumerate([*self.labels, *self._benchmarks])}

    @cached_property
    def _held(self) -> list[Held]:
        own = [self.portfolios.candidates[label] for label in self.labels]
        return own + [self.portfolios.benchmarks[b] for b in self._benchmarks]

    @cached_property
    def _net(self) -> FloatArray:
        return np.column_stack([held.net for held in self._held])

    @cached_property
    def _values(self) -> Moments:
        """Statistics of every portfolio, shape (P,)."""
        return statistics(self._held, self.risk_free)

    @cached_property
    def _draws(self) -> Moments:
        return self.paired.moments(self._net, self.risk_free)

    def _pairs(self) -> Iterator[Row]:
        for label in self.labels:
            for benchmark in self.portfolios.against(label):
                yield from self._pair(label, benchmark)

    def _pair(self, label: Label, benchmark: Benchmark) -> Iterator[Row]:
        ours, theirs = self._place[label], self._place[benchmark]
        held = self._held[ours]
        missing = held.decisions - held.decided
        aside = f"held on at {missing} of {held.decisions} decisions" if missing else ""
        for metric, values in self._values.items():
            value, other = float(values[ours]), float(values[theirs])
            low, high = np.nan, np.nan
            note = ""
            if metric in TESTED:
                drawn = self._draws[metric][:, ours] - self._draws[metric][:, theirs]
                low, high = self.paired.interval(metric, value - other, drawn)
                note = verdict(low, high, self.paired.silence)
            yield {
                **label._asdict(),
                "metric": metric,
                "value": value,
                "benchmark": benchmark.name,
                "benchmark_value": other,
                "difference": value - other,
                "ci_low": low,
                "ci_high": high,
                "n": len(self._net),
                "note": "; ".join(part for part in (note, aside) if part),
            }

    @cached_property
    def _contests(self) -> list[tuple[Label, Benchmark]]:
        """Candidates of all seeds mixed, each with its first benchmark."""
        mixes = (label for label in self.labels if label.seed is None)
        return [(label, found[0]) for label in mixes if (found := self.portfolios.against(label))]

    def _wins(self) -> Iterator[Row]:
        if not self._contests:
            return
        evaluation = self.labels[0].evaluation
        modes = dict.fromkeys(label.mode for label, _ in self._contests)
        for mode in (*modes, None):
            chosen = [pair for pair in self._contests if mode in (None, pair[0].mode)]
            for metric in WON_BY[evaluation]:
                yield from self._win(Label(evaluation, mode=mode), metric, chosen)

    def _win(
        self, label: Label, metric: str, contests: Sequence[tuple[Label, Benchmark]]
    ) -> Iterator[Row]:
        ours = [self._place[one] for one, _ in contests]
        theirs = [self._place[benchmark] for _, benchmark in contests]
        better = -1.0 if metric in LOWER_IS_BETTER else 1.0
        found = better * (self._values[metric][ours] - self._values[metric][theirs])
        drawn = better * (self._draws[metric][:, ours] - self._draws[metric][:, theirs])
        wins = count_wins(found, drawn, self.paired)
        beaten = contests[0][1].name
        common = {**label._asdict(), "n": wins.n}
        luck = verdict(wins.low - 0.5, wins.high - 0.5, self.paired.silence)
        yield {
            **common,
            "metric": f"wins_{metric}",
            "value": float(wins.won),
            "benchmark": HALF,
            "benchmark_value": wins.n / 2,
            "difference": wins.won - wins.n / 2,
            "note": f"{wins.won} of {wins.n} against {beaten}: portfolios are dependent",
        }
        yield {
            **common,
            "metric": f"win_share_{metric}",
            "value": wins.share,
            "benchmark": HALF,
            "benchmark_value": 0.5,
            "difference": wins.share - 0.5,
            "ci_low": wins.low,
            "ci_high": wins.high,
            "note": luck,
        }
        for name, p, note in (
            ("sign_test", wins.sign_p, "binomial, two-sided, as if independent"),
            ("dependent_test", wins.dependent_p, "on draws of days that all portfolios share"),
        ):
            yield {
                **common,
                "metric": f"{name}_{metric}",
                "value": p,
                "benchmark": beaten,
                "note": f"p-value; {note}; {self._judged(p)}",
            }

    def _judged(self, p: float) -> str:
        return "significant" if p <= self.inference.size else "not significant"

    def _deflated(self) -> Iterator[Row]:
        """SPA over all candidates of the evaluation, StepM for each of them."""
        contests = [
            (label, benchmark, self._active(label, benchmark))
            for label, benchmark in self._contests
        ]
        contests = [c for c in contests if np.ptp(c[2]) > CONSTANT]
        if not contests or not len(self.paired.counts):
            return
        found = superiority(
            [label.portfolio for label, _, _ in contests],
            np.column_stack([active for *_, active in contests]),
            seed=self.inference.seed,
            draws=self.inference.draws,
            size=self.inference.size,
            block=round(self.paired.block),
        )
        beaten, judged = contests[0][1].name, self._judged(found.p_value)
        yield {
            **Label(self.labels[0].evaluation)._asdict(),
            "metric": "spa",
            "value": found.p_value,
            "benchmark": beaten,
            "n": len(contests),
            "note": f"p-value that none of {len(contests)} is better; {judged}",
        }
        for (label, benchmark, _), p in zip(contests, found.p_values.tolist(), strict=True):
            yield {
                **label._asdict(),
                "metric": "stepm",
                "value": p,
                "benchmark": benchmark.name,
                "n": len(contests),
                "note": f"p-value, adjusted for {len(contests)} tried; {self._judged(p)}",
            }

    def _active(self, label: Label, benchmark: Benchmark) -> FloatArray:
        return self._net[:, self._place[label]] - self._net[:, self._place[benchmark]]

    def _against_supervised(self) -> Iterator[Row]:
        """Each mode against supervised training, encoder by encoder, and all encoders together."""
        mixes = [label for label in self.labels if label.seed is None]
        encoders = dict.fromkeys(label.encoder for label in mixes)
        modes = dict.fromkeys(label.mode for label in mixes if label.mode != SUPERVISED)
        for encoder in (*encoders, None):
            for mode in modes:
                paired = _same_but_mode(mixes, encoder, mode)
                if paired:
                    yield from self._mode_pair(encoder, mode, paired)

    def _mode_pair(
        self, encoder: str | None, mode: str | None, pairs: Sequence[tuple[Label, Label]]
    ) -> Iterator[Row]:
        net = np.column_stack(
            [
                self._net[:, [self._place[label] for label in side]].mean(axis=1)
                for side in zip(*pairs, strict=True)
            ]
        )
        found = moments(np.full((1, len(net)), 1.0 / len(net)), net, self.risk_free)
        drawn = self.paired.moments(net, self.risk_free)
        label = Label(self.labels[0].evaluation, encoder, mode)
        for metric in TESTED:
            value, other = found[metric][0].tolist()
            difference = drawn[metric][:, 0] - drawn[metric][:, 1]
            low, high = self.paired.interval(metric, value - other, difference)
            note = verdict(low, high, self.paired.silence)
            yield {
                **label._asdict(),
                "metric": metric,
                "value": value,
                "benchmark": SUPERVISED,
                "benchmark_value": other,
                "difference": value - other,
                "ci_low": low,
                "ci_high": high,
                "n": len(net),
                "note": f"mean of {len(pairs)} portfolios a side; {note}",
            }


def evaluation_table(
    portfolios: Portfolios, ledger: DailyLedger, inference: InferenceSettings, holding: int
) -> pl.DataFrame:
    """Table `embedding_evaluations`."""
    labels = list(portfolios.candidates)
    contests = [(label, b) for label in labels for b in portfolios.against(label)[:1]]
    rows: list[Row] = []
    if contests:
        active = np.column_stack(
            [
                portfolios.candidates[label].net - portfolios.benchmarks[b].net
                for label, b in contests
                if label.seed is None
            ]
        )
        paired = PairedDraws.of(active, holding, draws=inference.draws, seed=inference.seed)
        for evaluation in AGAINST:
            own = tuple(label for label in labels if label.evaluation == evaluation)
            if own:
                risk_free = ledger.earned_risk_free
                rows += Comparison(portfolios, own, risk_free, paired, inference).rows()
    rows += [
        {**label._asdict(), "metric": "annual_return", "note": reason}
        for label, reason in portfolios.absent.items()
    ]
    return pl.DataFrame(rows, schema=EVALUATIONS, orient="row").with_columns(
        pl.selectors.float().fill_nan(None)
    )


def statistics(held: Sequence[Held], risk_free: FloatArray) -> Moments:
    """Statistics of portfolios as `metrics.metrics` defines them, shape (P,)."""
    found: dict[str, list[FloatArray]] = {}
    for start in range(0, len(held), CHUNK):
        part = held[start : start + CHUNK]
        net = np.array([one.net for one in part])
        own = batch_metrics(net, np.broadcast_to(risk_free, net.shape), SESSIONS_PER_YEAR)
        traded = np.array([one.turnover[1:] for one in part])
        chunk = {
            "mean_return": net.mean(axis=1) * SESSIONS_PER_YEAR,
            **{name: own[name] for name in ("annual_return", "volatility", "sharpe")},
            "max_drawdown": own["max_drawdown"],
            "turnover": traded.mean(axis=1) * SESSIONS_PER_YEAR,
        }
        for name, values in chunk.items():
            found.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in found.items()}


def verdict(low: float, high: float, silence: str = "") -> str:
    """What an interval of a difference says in words."""
    if np.isnan(low):
        return silence or "no interval: the difference does not vary"
    return "not significant" if low <= 0.0 <= high else "significant"


def _same_but_mode(
    labels: Sequence[Label], encoder: str | None, mode: str | None
) -> list[tuple[Label, Label]]:
    """Portfolios of a mode, each with the supervised one that differs in nothing else."""
    known = set(labels)
    ours = [one for one in labels if one.mode == mode and encoder in (None, one.encoder)]
    pairs = [(one, one._replace(mode=SUPERVISED)) for one in ours]
    return [pair for pair in pairs if pair[1] in known]
