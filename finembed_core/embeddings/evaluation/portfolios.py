"""All portfolios of the study: candidates by encoder, mode and seed, and what each is held against.

::

    gmv       minimum variance from forecasts       against that of past returns
    weights   the model's own weights               against market, equal weight, minimum variance
    ranking   the k best of a group by a score      against those of the last horizon, the group
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import polars as pl

from finembed_core.daily_panel import DailyPanel
from finembed_core.embeddings.evaluation.books import (
    equal_weight,
    least_variance,
    mean_ranks,
    mixed,
    predicted_weights,
    top,
)
from finembed_core.embeddings.evaluation.predictions import (
    SCORES,
    Model,
    Predictions,
    previous_returns,
)
from finembed_core.embeddings.evaluation.simulation import DailyLedger, Held
from finembed_core.panel import FloatArray
from finembed_core.portfolio.covariance import ESTIMATORS
from finembed_core.portfolio.orders import BoolArray
from finembed_core.progress import Progress, Silent

ALL = "all"
SIZES = (5, 10)
MARKET, EQUAL, PREVIOUS = "market", "equal_weight", "previous_ranking"
WINDOW_GMV = {"gmv_ledoit_wolf": "ledoit_wolf", "gmv_sample": "sample"}
HISTORY_GMV = "gmv_history"
"""Over all sessions that a forecast's residuals come from, which are many more than a window's."""
AGAINST = {
    "gmv": (HISTORY_GMV, *WINDOW_GMV),
    "weights": (MARKET, EQUAL, "gmv_ledoit_wolf"),
    "ranking": (PREVIOUS, EQUAL),
}
"""Benchmarks of each evaluation; tests over all candidates take the first that there is."""


class Label(NamedTuple):
    """Which portfolio; None where a column does not apply.

    ``seed`` None: all seeds together, weights in equal parts, rankings by their mean rank.
    """

    evaluation: str
    encoder: str | None = None
    mode: str | None = None
    loss: str | None = None
    fund_group: str | None = None
    k: int | None = None
    seed: int | None = None

    @property
    def portfolio(self) -> str:
        """Its name."""
        head = f"top{self.k}" if self.k else self.evaluation
        parts = (head, self.loss, self.encoder, self.mode, self.fund_group)
        return "_".join(part for part in parts if part)


class Benchmark(NamedTuple):
    """Which benchmark."""

    name: str
    fund_group: str | None = None
    k: int | None = None


@dataclass
class Portfolios:
    """What every portfolio earned, over the same sessions.

    Attributes
    ----------
    candidates : dict of Label to Held
    benchmarks : dict of Benchmark to Held
    absent : dict of Label to str
        Candidates that never decide, and why.
    """

    candidates: dict[Label, Held] = field(default_factory=dict)
    benchmarks: dict[Benchmark, Held] = field(default_factory=dict)
    absent: dict[Label, str] = field(default_factory=dict)

    def against(self, label: Label) -> list[Benchmark]:
        """Benchmarks of a candidate, those that there are."""
        wanted = [Benchmark(name, label.fund_group, label.k) for name in AGAINST[label.evaluation]]
        return [benchmark for benchmark in wanted if benchmark in self.benchmarks]


def fund_groups(
    predictions: Predictions, funds: pl.DataFrame, sizes: Sequence[int] = SIZES
) -> dict[tuple[str, int], BoolArray]:
    """Listed funds of each group and size of portfolio, shape (D, N).

    All funds, and each category; those in which 2k funds are listed at half of the decisions or
    more.
    """
    category = dict(funds.select("fund_id", "category").iter_rows())
    own = np.array([category.get(fund) or "" for fund in predictions.ids], dtype=object)
    members = {ALL: np.ones(len(own), dtype=bool)}
    members |= {name: own == name for name in sorted(set(own)) if name}
    groups: dict[tuple[str, int], BoolArray] = {}
    for name, belongs in members.items():
        listed = predictions.listed & belongs
        for k in sizes:
            if np.mean(listed.sum(axis=1) >= 2 * k) >= 0.5:
                groups[name, k] = listed
    return groups


def simulate_all(
    panel: DailyPanel,
    predictions: Predictions,
    groups: dict[tuple[str, int], BoolArray],
    ledger: DailyLedger,
    *,
    lookback: int,
    history: int,
    horizon: int,
    progress: Progress | None = None,
) -> Portfolios:
    """Simulate every candidate and every benchmark.

    Parameters
    ----------
    panel : DailyPanel
    predictions : Predictions
    groups : dict
        Of `fund_groups`.
    ledger : DailyLedger
    lookback, history, horizon : int
        Sessions of the covariances of a window and of all history, and of the previous ranking.
    progress : Progress, optional
    """
    progress, made = progress or Silent(), Portfolios()
    windows = {"lookback": lookback, "history": history, "horizon": horizon}
    for benchmark, book, reason in _benchmark_books(panel, predictions, groups, **windows):
        held = ledger.hold(book, reason)
        if held is not None:
            made.benchmarks[benchmark] = held
    first, market = int(ledger.decisions[0]), panel.market
    series = panel.series[first : ledger.last + 1, panel.series_ids.index(market)]
    made.benchmarks[Benchmark(MARKET)] = ledger.hold_series(market, series.astype(np.float64))
    progress.start("evaluation", len(predictions.models))
    for encoder, mode in predictions.models:
        for labels, book in _model_books(predictions, groups, encoder, mode):
            held = ledger.hold(book)
            if held is None:
                made.absent |= dict.fromkeys(labels, "no prediction at any decision")
            else:
                made.candidates |= dict.fromkeys(labels, held)
        progress.advance(f"{encoder} {mode}")
    progress.finish()
    return made


def _benchmark_books(
    panel: DailyPanel,
    predictions: Predictions,
    groups: dict[tuple[str, int], BoolArray],
    *,
    lookback: int,
    history: int,
    horizon: int,
) -> Iterator[tuple[Benchmark, FloatArray, str]]:
    """Books, and why one does not always decide."""
    listed, shrunk = predictions.listed, ESTIMATORS["ledoit_wolf"]
    yield Benchmark(EQUAL), equal_weight(listed), ""
    for name, kind in WINDOW_GMV.items():
        found = least_variance(panel, predictions, lookback, ESTIMATORS[kind], listed)
        yield Benchmark(name), *found
    found = least_variance(panel, predictions, history, shrunk, predictions.weighed)
    yield Benchmark(HISTORY_GMV), *found
    known = previous_returns(panel, predictions.sessions, horizon, predictions.columns)
    for (group, k), members in groups.items():
        yield Benchmark(PREVIOUS, group, k), top(known, k, members), ""
        decided = members & (members.sum(axis=1, keepdims=True) >= 2 * k)
        yield Benchmark(EQUAL, group, k), equal_weight(decided), ""


def _model_books(
    predictions: Predictions,
    groups: dict[tuple[str, int], BoolArray],
    encoder: str,
    mode: str,
) -> Iterator[tuple[list[Label], FloatArray]]:
    """Books of every seed of a model and of all seeds together, with those whose they are."""
    seeds = predictions.seeds(encoder, mode)
    for label in _labels(groups, encoder, mode):
        own = [label._replace(seed=seed) for seed in seeds]
        books = [_book(predictions, one, groups) for one in own]
        if len(seeds) == 1:
            yield [*own, label], books[0]
            continue
        yield from (([one], book) for one, book in zip(own, books, strict=True))
        yield [label], _of_all_seeds(predictions, own, groups, books)


def _labels(groups: dict[tuple[str, int], BoolArray], encoder: str, mode: str) -> Iterator[Label]:
    yield Label("gmv", encoder, mode)
    yield Label("weights", encoder, mode)
    for group, k in groups:
        for loss in SCORES:
            yield Label("ranking", encoder, mode, loss, group, k)


def _of_all_seeds(
    predictions: Predictions,
    labels: Sequence[Label],
    groups: dict[tuple[str, int], BoolArray],
    books: Sequence[FloatArray],
) -> FloatArray:
    """Weights in equal parts; of rankings the k best by mean rank, as many as the benchmark has."""
    one = labels[0]
    if one.evaluation != "ranking":
        return mixed(books)
    members = groups[one.fund_group or "", one.k or 0]
    scores = [_values(predictions, label)[label.loss or ""] for label in labels]
    return top(mean_ranks(scores, members), one.k or 0, members)


def _book(
    predictions: Predictions, label: Label, groups: dict[tuple[str, int], BoolArray]
) -> FloatArray:
    values = _values(predictions, label)
    if label.evaluation == "ranking":
        return top(
            values[label.loss or ""], label.k or 0, groups[label.fund_group or "", label.k or 0]
        )
    column = "gmv" if label.evaluation == "gmv" else "weight"
    name = f"{column} of {label.encoder}, {label.mode}, seed {label.seed}"
    return predicted_weights(values[column], name, predictions.days)


def _values(predictions: Predictions, label: Label) -> Mapping[str, FloatArray]:
    return predictions.values[Model(label.encoder or "", label.mode or "", label.seed or 0)]
