"""Pairs whose p-values are known: real funds and factors, and planted ones."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from benchmarks.panels import universes
from benchmarks.polymodel_significance.laws import (
    EXPOSURES,
    SETTINGS,
    SHAPES,
    START,
    exposed,
    students,
)
from benchmarks.polymodel_significance.tables import progress
from finembed_core.calendar import Month
from finembed_core.polymodel.basis import is_flat
from finembed_core.polymodel.history import LongHistory
from finembed_core.polymodel.pairs import fit_pairs
from finembed_core.polymodel.shuffling import TargetShuffling, shuffled_rows

MONTHS = {
    "french": ["1974-12", "1987-12", "2002-09", "2009-03", "2017-03"],
    "india": ["2006-06", "2009-03", "2012-06", "2016-02"],
    "edhec": ["2000-12", "2009-03", "2015-12", "2020-06"],
    "managers": ["2000-12", "2003-12", "2006-12"],
}
FUNDS, FACTORS = 60, 40  # drawn at most per panel and month
FEWEST = 8  # pairs that share their months; smaller groups are left out
TRUTH, CHUNK, TRUTH_SEED = 1_000_000, 10_000, 99
COUNTABLE = 10  # exceedances of TRUTH from which a p-value counts as known


@dataclass(frozen=True)
class Tested:
    """Funds against factors of one panel and month that share their months.

    ``raw`` is U as the ridge has it, ``count`` the exceedances among `TRUTH` shuffles (J, N).
    """

    panel: str
    month: str
    funds: list
    factors: list
    shuffling: TargetShuffling
    raw: np.ndarray
    count: np.ndarray

    @property
    def months(self):
        """How many are shared."""
        return len(self.shuffling.unit)

    def rows(self, shuffles, seed):
        """Shuffles of the month."""
        return shuffled_rows(self.months, shuffles, seed, Month.parse(self.month))


@lru_cache
def known_pairs(shape):
    """Real and planted pairs with their exceedances among `TRUTH` shuffles."""
    tests = [*real_tests(shape), *planted_tests(shape)]
    for k in progress(range(TRUTH // CHUNK), f"{TRUTH:,} shuffles, {shape}"):
        for test in tests:
            rows = shuffled_rows(test.months, CHUNK, TRUTH_SEED, START + k)
            np.add(test.count, test.shuffling.exceedances(rows), out=test.count)
    return tests


@lru_cache(maxsize=1)
def panels():
    return universes()


def real_tests(shape):
    return [
        test
        for universe in panels()
        for month in MONTHS[universe.name]
        for test in month_tests(universe, Month.parse(month), FACTORS, shape)
    ]


def month_tests(universe, month, most, shape):
    """Some funds against at most so many factors in the window of a month."""
    generator = np.random.default_rng(abs(month.ordinal))
    funds, factors = universe.funds.window(month, 36), universe.factors.as_of(month.end)
    history = LongHistory.of(factors.values, SETTINGS)
    with np.errstate(invalid="ignore", divide="ignore"):
        x = history.standardize(factors.window(month, 36).values)
    some = drawn(generator, funds.values, FUNDS)
    known = history.count >= SETTINGS.min_factor_history
    others = drawn(generator, np.where(known, x, np.nan), most)
    named = [funds.ids[i] for i in some], [factors.ids[j] for j in others]
    label = universe.name, str(month)
    return tests_of(label, funds.values[:, some], x[:, others], *named, shape)


def drawn(generator, values, most):
    """Columns with enough months, the last among them, that move."""
    enough = np.isfinite(values).sum(axis=0) >= SETTINGS.min_obs
    there = np.flatnonzero(enough & np.isfinite(values[-1]) & ~is_flat(values))
    return np.sort(generator.permutation(there)[:most])


def tests_of(label, returns, factors, fund_names, factor_names, shape):
    settings = SHAPES[shape]
    for group in fit_pairs(returns, factors, settings).groups:
        if len(group.funds) * len(group.factors) >= FEWEST:
            raw = group.tested.factor(settings.ridge)
            shuffling = TargetShuffling.of(raw, group.unit)
            names = [fund_names[i] for i in group.funds], [factor_names[j] for j in group.factors]
            count = np.zeros(shuffling.observed.shape, dtype=np.int64)
            yield Tested(*label, *names, shuffling, raw, count)


def planted_tests(shape):
    """Exposures of every kind in Student noise; and a month in which fund and factor both jump."""
    for seed in range(3):
        generator = np.random.default_rng(seed)
        month = str(START + seed)
        x, y = students(generator, (36, 10), 5), students(generator, (36, 48), 4)
        for i in range(36):  # the other 12 have no exposure
            kind, share = list(EXPOSURES)[i % 3], (0.1, 0.2, 0.3, 0.5)[i % 4]
            y[:, i] = exposed(kind, share, x[:, i % 10], y[:, i])
        yield from tests_of(("planted", month), y, x, range(48), range(10), shape)
        x, y = students(generator, (36, 10), 3), generator.standard_normal((36, 48))
        jump = np.where(np.arange(48) % 2, np.abs(x).argmax(axis=0)[np.arange(48) % 10], 0)
        y[jump, np.arange(48)] += 6.0
        yield from tests_of(("jumps", month), y, x, range(48), range(10), shape)
