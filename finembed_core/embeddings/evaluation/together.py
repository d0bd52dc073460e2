"""All portfolios of an evaluation together: m of n, tests over all of them, mode against mode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from finembed_core.backtest.resampling import CONSTANT, MIN_PERIODS
from finembed_core.backtest.superiority import superiority
from finembed_core.embeddings.evaluation.comparisons import TESTED, Comparison, Row, verdict
from finembed_core.embeddings.evaluation.portfolios import Benchmark, Label
from finembed_core.embeddings.evaluation.wins import count_wins

WON_BY = {
    "gmv": ("volatility", "sharpe"),
    "weights": ("annual_return", "sharpe"),
    "ranking": ("annual_return", "sharpe"),
}
"""Statistics by which a portfolio of each evaluation wins."""

LOWER_IS_BETTER = {"volatility"}
SUPERVISED = "supervised"
HALF = "half"  # benchmark of a count of wins
AGREED = "no interval: every draw agrees"

Contest = tuple[Label, Benchmark]


def wins(comparison: Comparison) -> Iterator[Row]:
    """Wins (m of n) by mode and over all modes, tests of them, and the mean over the benchmarks."""
    if not comparison.contests:
        return
    evaluation = comparison.contests[0][0].evaluation
    for mode in (*dict.fromkeys(label.mode for label, _ in comparison.contests), None):
        chosen = [pair for pair in comparison.contests if mode in (None, pair[0].mode)]
        for metric in WON_BY[evaluation]:
            yield from _won(comparison, Label(evaluation, mode=mode), metric, chosen)


def _won(
    comparison: Comparison, label: Label, metric: str, contests: Sequence[Contest]
) -> Iterator[Row]:
    ours = [comparison.place[one] for one, _ in contests]
    theirs = [comparison.place[benchmark] for _, benchmark in contests]
    values, draws = comparison.values[metric], comparison.draws[metric]
    drawn = draws[:, ours] - draws[:, theirs]
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    found = count_wins(sign * (values[ours] - values[theirs]), sign * drawn, comparison.paired)
    beaten = _names(contests)
    size = comparison.inference.size
    value, other = float(values[ours].mean()), float(values[theirs].mean())
    average = comparison.difference(label, metric, value, beaten, other, drawn.mean(axis=1))
    average["note"] = f"mean of {len(contests)} portfolios; {average['note']}"
    yield average | {"metric": f"average_{metric}"}
    common = {**label._asdict(), "n": found.n}
    yield {
        **common,
        "metric": f"wins_{metric}",
        "value": float(found.won),
        "benchmark": HALF,
        "benchmark_value": found.n / 2,
        "difference": found.won - found.n / 2,
        "note": f"{found.won} of {found.n} against {beaten}: they are not independent",
    }
    yield {
        **common,
        "metric": f"win_share_{metric}",
        "value": found.share,
        "benchmark": HALF,
        "benchmark_value": 0.5,
        "difference": found.share - 0.5,
        "ci_low": found.low - 0.5,
        "ci_high": found.high - 0.5,
        "n": comparison.paired.periods,
        "note": verdict(found.low - 0.5, found.high - 0.5, comparison.paired.silence or AGREED),
    }
    tests = {
        "sign_test": (found.sign_p, "binomial, two-sided, as if independent"),
        "dependent_test": (found.dependent_p, "from draws of days that all portfolios share"),
    }
    for name, (p, what) in tests.items():
        note = f"p-value; {what}; {_judged(p, size)}"
        yield {
            **common,
            "metric": f"{name}_{metric}",
            "value": p,
            "benchmark": beaten,
            "note": note,
        }


def deflated(comparison: Comparison) -> Iterator[Row]:
    """SPA over all candidates of the evaluation, and StepM's adjusted p-value of each.

    On returns over the benchmark by holding period.
    """
    paired, inference = comparison.paired, comparison.inference
    net, place = paired.by_period(comparison.net), comparison.place
    active = {pair: net[:, place[pair[0]]] - net[:, place[pair[1]]] for pair in comparison.contests}
    tried = [pair for pair, values in active.items() if np.ptp(values) > CONSTANT]
    if not tried:
        return
    spa: Row = {
        **Label(tried[0][0].evaluation)._asdict(),
        "metric": "spa",
        "benchmark": _names(tried),
        "n": len(tried),
    }
    if paired.periods < MIN_PERIODS:
        reason = f"no test: {paired.periods} holding periods, {MIN_PERIODS} are needed"
        yield {**spa, "note": reason}
        return
    found = superiority(
        [label.portfolio for label, _ in tried],
        np.column_stack([active[pair] for pair in tried]),
        seed=inference.seed,
        draws=inference.draws,
        size=inference.size,
        block=max(1, round(paired.block)),
    )
    judged = _judged(found.p_value, inference.size)
    note = f"p-value that none of {len(tried)} is better; {judged}"
    yield {**spa, "value": found.p_value, "note": note}
    for (label, benchmark), p in zip(tried, found.p_values.tolist(), strict=True):
        judged = _judged(p, inference.size)
        yield {
            **label._asdict(),
            "metric": "stepm",
            "value": p,
            "benchmark": benchmark.name,
            "n": len(tried),
            "note": f"p-value, adjusted for the {len(tried)} tried; {judged}",
        }


def against_supervised(comparison: Comparison) -> Iterator[Row]:
    """Each mode against supervised training, encoder by encoder, and all encoders together.

    A side is the mean of the returns of its portfolios, of which the other side has the like.
    """
    mixes = [label for label in comparison.labels if label.seed is None]
    modes = dict.fromkeys(label.mode for label in mixes if label.mode != SUPERVISED)
    for encoder in (*dict.fromkeys(label.encoder for label in mixes), None):
        for mode in modes:
            pairs = _same_but_mode(mixes, encoder, mode)
            if pairs:
                label = Label(mixes[0].evaluation, encoder, mode)
                yield from _mode_pair(comparison, label, pairs)


def _mode_pair(
    comparison: Comparison, label: Label, pairs: Sequence[tuple[Label, Label]]
) -> Iterator[Row]:
    places = np.array([[comparison.place[one] for one in pair] for pair in pairs])
    net = comparison.net[:, places].mean(axis=1)  # (n, 2)
    found = comparison.paired.whole(net, comparison.risk_free)
    drawn = comparison.paired.moments(net, comparison.risk_free)
    for metric in TESTED:
        value, other = found[metric].tolist()
        difference = drawn[metric][:, 0] - drawn[metric][:, 1]
        row = comparison.difference(label, metric, value, SUPERVISED, other, difference)
        yield row | {"note": f"mean of {len(pairs)} portfolios a side; {row['note']}"}


def _same_but_mode(
    labels: Sequence[Label], encoder: str | None, mode: str | None
) -> list[tuple[Label, Label]]:
    """Portfolios of a mode, each with the supervised one that differs in nothing else."""
    known = set(labels)
    ours = [one for one in labels if one.mode == mode and encoder in (None, one.encoder)]
    pairs = [(one, one._replace(mode=SUPERVISED)) for one in ours]
    return [pair for pair in pairs if pair[1] in known]


def _names(contests: Sequence[Contest]) -> str:
    return " or ".join(dict.fromkeys(benchmark.name for _, benchmark in contests))


def _judged(p: float, size: float) -> str:
    if np.isnan(p):
        return "no test"
    return "significant" if p <= size else "not significant"
