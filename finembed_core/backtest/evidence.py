"""Is it luck? Intervals of every statistic, differences from doing less, tests over all strategies.

All strategies of a run are resampled by the same draws. Where nothing can be said - a short record,
a single strategy, a strategy that is the benchmark - there is a row that says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from finembed_core.backtest.inference import Bootstrap
from finembed_core.backtest.metrics import MONTHLY, Series, relative_metrics
from finembed_core.backtest.resampling import CONSTANT, MIN_PERIODS
from finembed_core.backtest.selection import overfitting
from finembed_core.backtest.superiority import Superiority, superiority
from finembed_core.errors import InputError
from finembed_core.panel import FloatArray
from finembed_core.settings import InferenceSettings

STUDY = ""  # strategy of rows about all of them
BASELINE = "equal_weight_universe"
SPA = ("spa", "spa_lower", "spa_upper")
STEPM, PBO = "stepm", "pbo"
NO_RETURNS = Series(np.array([], dtype="datetime64[D]"), np.empty(0), np.empty(0), None, MONTHLY)
RELATIVE = [metric.name for metric in relative_metrics(NO_RETURNS)]

SCHEMAS: dict[str, dict[str, pl.DataType | type[pl.DataType]]] = {
    "significance": {
        "strategy": pl.String,
        "test": pl.String,
        "statistic": pl.Float64,
        "p_value": pl.Float64,
        "n": pl.Int64,
        "n_trials": pl.Int64,
        "note": pl.String,
    },
    "differences": {
        "strategy": pl.String,
        "against": pl.String,
        "metric": pl.String,
        "value": pl.Float64,
        "ci_low": pl.Float64,
        "ci_high": pl.Float64,
        "n": pl.Int64,
    },
}


@dataclass
class Evidence:
    """Returns of the strategies of a run, and what can be said of them together.

    Attributes
    ----------
    settings : InferenceSettings
    benchmark : str or None
        Series that statistics are measured against.
    own : dict of str to Series
        By strategy, over all months.
    against : dict of str to Series
        Over the months that the benchmark covers; empty without one.
    indices : dict of str to str
        Strategies that hold a benchmark series, and which: nobody's idea, so no candidates.
    """

    settings: InferenceSettings
    benchmark: str | None
    own: dict[str, Series] = field(default_factory=dict)
    against: dict[str, Series] = field(default_factory=dict)
    indices: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, own: Series, against: Series | None, index: str | None) -> None:
        """Take in a strategy: its returns (`tables.return_series`), and the series it holds."""
        self.own[name] = own
        if against is not None:
            self.against[name] = against
        if index is not None:
            self.indices[name] = index

    @property
    def months(self) -> int:
        """Months on record."""
        return max((len(series.returns) for series in self.own.values()), default=0)

    @property
    def covered(self) -> bool:
        """Whether the benchmark has a return in every month."""
        lengths = {len(series.returns) for series in self.against.values()}
        return lengths == {self.months}

    @property
    def candidates(self) -> list[str]:
        """Strategies that somebody might choose: all but holdings of a series."""
        return [name for name in self.own if name not in self.indices]

    @property
    def warnings(self) -> list[str]:
        """What to know before believing what is not there."""
        if not 0 < self.months < MIN_PERIODS:
            return []
        return [f"no intervals and no tests: {self.months} months, {MIN_PERIODS} are needed"]

    def tables(self) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
        """Compute everything.

        Returns
        -------
        DataFrame
            Intervals: strategy, metric, ci_low, ci_high.
        dict of str to DataFrame
            Tables `significance` and `differences`, without run_id.
        """
        if not self.own:
            empty = {table: pl.DataFrame(schema=schema) for table, schema in SCHEMAS.items()}
            schema = {"strategy": pl.String, "metric": pl.String}
            ends = dict.fromkeys(("ci_low", "ci_high"), pl.Float64)
            return pl.DataFrame(schema=schema | ends), empty
        whole = self._drawn(self.against if self.covered else self.own)
        found = whole.intervals()
        if self.against and not self.covered:
            relative = pl.col("metric").is_in(RELATIVE)
            part = self._drawn(self.against).intervals()
            found = pl.concat([found.filter(~relative), part.filter(relative)])
        intervals = found.select("strategy", "metric", pl.col("ci_low", "ci_high").fill_nan(None))
        return intervals, {"significance": self._tests(), "differences": self._differences(whole)}

    def _drawn(self, series: Mapping[str, Series]) -> Bootstrap:
        return Bootstrap.of(series, seed=self.settings.seed, draws=self.settings.draws)

    def _differences(self, drawn: Bootstrap) -> pl.DataFrame:
        holders = [name for name, series in self.indices.items() if series == self.benchmark]
        frames = [
            drawn.differences(baseline).with_columns(against=pl.lit(baseline))
            for baseline in (BASELINE, *holders)
            if baseline in self.own
        ]
        return _conform(frames, "differences")

    def _tests(self) -> pl.DataFrame:
        names = self.candidates
        if not names:
            return pl.DataFrame(schema=SCHEMAS["significance"])
        excess = np.column_stack([self.own[name].excess for name in names])
        rows = [*self._superiority(names), self._overfitting(names, excess)]
        frame = pl.DataFrame(rows, infer_schema_length=None)
        frame = frame.with_columns(n=pl.lit(self.months), n_trials=pl.lit(len(names)))
        return _conform([frame], "significance")

    def _superiority(self, names: Sequence[str]) -> list[dict[str, object]]:
        label, returns = self._reference()
        if returns is None:
            return _absent((*SPA, STEPM), label)
        active = np.column_stack([self.own[name].returns - returns for name in names])
        differs = np.array([len(d) < 2 or np.ptp(d) > CONSTANT for d in active.T])
        asked = [name for name, other in zip(names, differs, strict=True) if other]
        same = [
            _row(name, STEPM, None, None, f"absent: does not differ from {label}")
            for name in names
            if name not in asked
        ]
        if not asked:
            return [*_absent(SPA, f"no strategy differs from {label}"), *same]
        try:
            found = superiority(
                asked,
                active[:, differs],
                seed=self.settings.seed,
                draws=self.settings.draws,
                size=self.settings.size,
            )
        except InputError as error:
            return _absent((*SPA, STEPM), error.what)
        return [*_spa(found, label), *_stepm(asked, found, label), *same]

    def _reference(self) -> tuple[str, FloatArray | None]:
        """What all are held against, in words, and its returns; why there is nothing, and None."""
        if self.covered:
            benchmark = next(iter(self.against.values())).benchmark
            return f"the benchmark {self.benchmark}", benchmark
        why = "there is no benchmark series"
        if self.benchmark is not None:
            why = f"the benchmark {self.benchmark} does not cover all months"
        if BASELINE in self.own:
            return f"{BASELINE}, as {why}", self.own[BASELINE].returns
        return f"{why} and no {BASELINE}", None

    def _overfitting(self, names: Sequence[str], excess: FloatArray) -> dict[str, object]:
        blocks = self.settings.split_blocks
        try:
            found = overfitting(names, excess, blocks)
        except InputError as error:
            return _row(STUDY, PBO, None, None, f"absent: {error.what}")
        note = (
            f"CSCV, {blocks} blocks: share of {len(found.logits):,} splits in which the best by "
            "Sharpe ratio in one half is no better than the median in the other; there it loses "
            f"in {found.loss_probability:.0%} of them"
        )
        return _row(STUDY, PBO, found.probability, None, note)


def _spa(found: Superiority, label: str) -> list[dict[str, object]]:
    note = f"against {label}; largest mean over its error, mean block of {found.block} months"
    values = (found.p_value, found.p_lower, found.p_upper)
    best = float(found.statistics.max())
    return [_row(STUDY, test, best, p, note) for test, p in zip(SPA, values, strict=True)]


def _stepm(names: Sequence[str], found: Superiority, label: str) -> list[dict[str, object]]:
    rows = []
    for name, statistic, p in zip(names, found.statistics, found.p_values, strict=True):
        verdict = "better than" if name in found.superior else "not shown to be better than"
        note = f"{verdict} {label}, at {found.size:.0%} over all strategies; p is adjusted for all"
        rows.append(_row(name, STEPM, float(statistic), float(p), note))
    return rows


def _absent(tests: Sequence[str], why: str) -> list[dict[str, object]]:
    return [_row(STUDY, test, None, None, f"absent: {why}") for test in tests]


def _row(
    strategy: str, test: str, statistic: float | None, p_value: float | None, note: str
) -> dict[str, object]:
    return {
        "strategy": strategy,
        "test": test,
        "statistic": statistic,
        "p_value": p_value,
        "note": note,
    }


def _conform(frames: Sequence[pl.DataFrame], table: str) -> pl.DataFrame:
    schema = SCHEMAS[table]
    if not frames:
        return pl.DataFrame(schema=schema)
    return (
        pl.concat(frames)
        .select(pl.col(column).cast(kind) for column, kind in schema.items())
        .with_columns(pl.selectors.float().fill_nan(None))
    )
