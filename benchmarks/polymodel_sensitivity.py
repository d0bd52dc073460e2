"""How far PolyModel's selected factors and StressVaR move with its settings, on real panels.

Every variant changes one setting and is held against the default on the fund-months in which both
could be tested. ``Jaccard``: of the factors that either selects, the share that both do. ``rank``:
correlation of StressVaR with the default's, across the funds of a month (the mean over months) and
over all fund-months. ``[ ]``: 95% intervals of a stationary bootstrap over months, mean block three
years. The first rows are yardsticks, with no setting changed: the default one and twelve months
earlier, and 1,000 shuffles instead of their moments.

    python -m benchmarks.polymodel_sensitivity [PART ...] [--panels PANEL ...]

Parts: yardsticks, window, degree, lambda, rule, units, lags. Quarter ends; of the Indian funds a
sample of 300.
"""

import argparse
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from rich.console import Console
from rich.progress import track
from scipy.stats import spearmanr

from benchmarks.panels import universes
from benchmarks.polymodel_var.forecasts import month_inputs
from benchmarks.polymodel_var.parts import MIN_FUNDS
from benchmarks.polymodel_var.scores import with_interval
from finembed_core.calendar import Month, month_range
from finembed_core.panel import Panel
from finembed_core.polymodel.features import polymodel_features
from finembed_core.polymodel.history import SortedHistories
from finembed_core.settings import PolyModelSettings

PANELS = ("french", "india", "edhec")
SAMPLE, LEAST, SEED = 300, 36, 1  # Indian funds, months that each has at least
FIRST = Month.parse("1970-01")  # shuffles are seeded by months since then
LONGEST, EVERY = 60, 3  # months: before the first that is computed, and between them
PAPER = PolyModelSettings(
    significance="moments", degree=4, ridge=1.0, selection="absolute", alpha=0.01
)
KEY = ["month", "fund_id"]


@dataclass(frozen=True)
class Variant:
    """A row: settings that change, and how the month's inputs do."""

    part: str
    name: str
    changes: dict = field(default_factory=dict)
    months_late: int = 0  # yardstick: the default, so many months before
    lags: int = 0
    window_units: bool = False

    @property
    def settings(self):
        """The default's, changed."""
        return PAPER.model_copy(update=self.changes)


VARIANTS = [
    Variant("", "default"),
    Variant("yardsticks", "a month before", months_late=1),
    Variant("yardsticks", "a year before", months_late=12),
    Variant("yardsticks", "1,000 shuffles", {"significance": "exact"}),
    *(
        Variant("window", f"window {window}", {"window": window, "min_obs": window * 2 // 3})
        for window in (24, 60)
    ),
    *(Variant("degree", f"degree {degree}", {"degree": degree}) for degree in (1, 2, 3)),
    *(Variant("lambda", f"lambda {ridge:g}", {"ridge": ridge}) for ridge in (0.1, 10.0, 100.0)),
    Variant("lambda", "lambda cross-validated", {"cross_validated": True}),
    *(Variant("rule", f"p <= {alpha:g}", {"alpha": alpha}) for alpha in (0.05, 0.001)),
    Variant("rule", "half of the best score", {"selection": "relative"}),
    *(
        Variant(
            "rule",
            f"Benjamini-Hochberg {alpha:g}",
            {"selection": "benjamini_hochberg", "alpha": alpha},
        )
        for alpha in (0.05, 0.01)
    ),
    Variant("units", "window's mean and sd", window_units=True),
    *(Variant("lags", f"and {lags} month{'s' * (lags > 1)} late", lags=lags) for lags in (1, 2)),
]


def sampled(universe):
    """The same funds each time, where there are too many."""
    months = np.isfinite(universe.funds.values).sum(axis=0)
    funds = [f for f, n in zip(universe.funds.ids, months, strict=True) if n >= LEAST]
    if len(funds) <= SAMPLE:
        return universe
    chosen = np.random.default_rng(SEED).choice(len(funds), SAMPLE, replace=False)
    return replace(universe, funds=universe.funds.select([funds[k] for k in sorted(chosen)]))


def with_lags(factors, lags):
    """Every factor also as funds see it that react late."""
    columns, ids = [factors.values], list(factors.ids)
    for lag in range(1, lags + 1):
        late = np.full_like(factors.values, np.nan)
        late[lag:] = factors.values[:-lag]
        columns.append(late)
        ids += [f"{name}_lag{lag}" for name in factors.ids]
    return Panel(factors.dates, tuple(ids), np.concatenate(columns, axis=1))


def in_window_units(inputs):
    """Factors measured by the mean and sd of their window; the stress range stays where it is."""
    window = inputs.factors.values
    seen = np.isfinite(window).sum(axis=0)
    mean = np.nansum(window, axis=0) / np.maximum(seen, 1)
    square = np.nansum(np.square(window - mean), axis=0) / np.maximum(seen - 1, 1)
    return replace(inputs, history=replace(inputs.history, mean=mean, sd=np.sqrt(square)))


def months_of(universe):
    first, last = (Month.of(day.item()) for day in universe.funds.dates[[0, -1]])
    start = max(first + (LONGEST - 1), FIRST)
    return [month for month in month_range(start, last) if (month.ordinal + 1) % EVERY == 0]


def compute(universe, variants):
    """Features and selected pairs of every variant, over all months."""
    panels = {v.lags: with_lags(universe.factors, v.lags) for v in variants}
    settled = {lags: replace(universe, factors=factors) for lags, factors in panels.items()}
    features, pairs = ({v.name: [] for v in variants} for _ in range(2))
    histories = {(v.lags, v.months_late): SortedHistories(PAPER) for v in variants}
    for month in track(months_of(universe), universe.name, console=Console(stderr=True)):
        known = {
            (lags, late): kept.summarize(panels[lags].as_of((month - late).end))
            for (lags, late), kept in histories.items()
        }
        for v in variants:
            history = known[v.lags, v.months_late]
            then, window = month - v.months_late, v.settings.window
            inputs = month_inputs(settled[v.lags], then, window, history)
            found = polymodel_features(
                in_window_units(inputs) if v.window_units else inputs, v.settings
            )
            stamp = pl.lit(month.end).alias("month")
            tested = found.features.filter(pl.col("n_factors") > 0)
            features[v.name].append(tested.select(stamp, "fund_id", "svar", "n_selected"))
            pairs[v.name].append(found.selected.select(stamp, "fund_id", "factor_id"))
    return {name: (pl.concat(features[name]), pl.concat(pairs[name])) for name in features}


def compare(default, variant):
    """A row of the table: the variant against the default where both were tested."""
    (base, base_pairs), (own, own_pairs) = default, variant
    both = base.join(own, on=KEY, suffix="_own").sort(KEY)
    shared = base_pairs.join(own_pairs, on=[*KEY, "factor_id"]).group_by(KEY).len("shared")
    sets = both.join(shared, on=KEY, how="left").with_columns(pl.col("shared").fill_null(0))
    either = pl.col("n_selected") + pl.col("n_selected_own") - pl.col("shared")
    jaccard = sets.filter(either > 0).group_by("month").agg((pl.col("shared") / either).mean())
    svar = both.drop_nulls(["svar", "svar_own"])
    middle, high = both["svar_own"].drop_nulls().quantile(0.5), both["svar_own"].quantile(0.95)
    within = [
        spearmanr(month["svar"], month["svar_own"]).statistic
        for month in svar.partition_by("month")
        if month.height >= MIN_FUNDS and month["svar"].n_unique() > 1 < month["svar_own"].n_unique()
    ]
    return [
        f"{both.height:,}",
        f"{both['n_selected_own'].mean():.2f}",
        with_interval(jaccard.sort("month")["shared"].to_numpy()),
        f"{both['svar_own'].is_null().mean():.1%}",
        f"{middle:.1%}",
        f"{high:.1%}",
        with_interval(np.array(within)),
        f"{spearmanr(svar['svar'], svar['svar_own']).statistic:.2f}",
    ]


HEADER = [
    "variant",
    "fund-months",
    "selected",
    "Jaccard",
    "null",
    "median SVaR",
    "95th percentile",
    "rank in month",
    "rank overall",
]


def print_table(universe, variants):
    found = compute(universe, variants)
    months, funds = len(months_of(universe)), len(universe.funds.ids)
    size = f"{funds} funds, {len(universe.factors.ids)} factors, {months} months"
    print(f"\n**{universe.name}**: {size}\n\n| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}")
    for name, table in found.items():
        print(f"| {' | '.join([name, *compare(found['default'], table)])} |")


def main():
    parts = list(dict.fromkeys(v.part for v in VARIANTS if v.part))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(parts)}; all by default")
    parser.add_argument("--panels", nargs="+", choices=PANELS, default=PANELS)
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(parts):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    variants = [v for v in VARIANTS if v.part in ("", *(chosen.parts or parts))]
    for universe in universes():
        if universe.name in chosen.panels:
            print_table(sampled(universe), variants)


if __name__ == "__main__":
    main()
