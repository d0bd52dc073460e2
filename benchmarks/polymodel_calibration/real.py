"""Parts on real panels, and on real factors with shuffled funds."""

from dataclasses import replace

import numpy as np
from scipy.special import ndtri

from benchmarks.panels import universes
from benchmarks.polymodel_calibration.grid import BASE, LABELS, PANEL_GRID, label
from benchmarks.polymodel_calibration.outcomes import Sample, outcomes
from benchmarks.polymodel_calibration.simulated import fund_row
from benchmarks.polymodel_calibration.tables import markdown, progress, quantiles, share, spread
from benchmarks.polymodel_calibration.universe import WINDOW
from finembed_core.calendar import Month
from finembed_core.polymodel.features import screen_factors, screen_funds
from finembed_core.polymodel.history import LongHistory

PANEL_MONTHS = 240
MARKET = "mkt_rf"


def windows(universe):
    """The last months of a panel as samples, with the columns that could be used."""
    last = Month.of(universe.funds.dates[-1].item())
    length = min(PANEL_MONTHS, len(universe.funds.dates) - WINDOW + 1)
    for step in range(length):
        month = last - (length - 1 - step)
        y, x = (part.window(month, WINDOW).values for part in (universe.funds, universe.factors))
        long = LongHistory.of(universe.factors.as_of(month.end).values, BASE)
        funds = np.flatnonzero(screen_funds(y, BASE) == "")
        factors = np.flatnonzero(screen_factors(x, long, BASE) == "")
        if not len(funds) or not len(factors):
            continue
        y, long = y[:, funds], long.select(factors)
        none = np.zeros((len(factors), len(funds)), dtype=bool)
        market = none | (np.array(universe.factors.ids)[factors, None] == MARKET)
        gaussian = ndtri(0.99) * np.nanstd(y, axis=0, ddof=1)
        kind = np.array([universe.classes.get(universe.funds.ids[k], "") for k in funds])
        known = (long, market, none, kind, gaussian, np.zeros(len(funds)))
        yield step, funds, factors, Sample(month, y, long.standardize(x[:, factors]), *known)


def followed(universe, grid):
    """Per settings SVaR and what goes with it, months x funds, and the chosen pairs."""
    shape = (min(PANEL_MONTHS, len(universe.funds.dates) - WINDOW + 1), len(universe.funds.ids))
    names = ("svar", "clamped", "best", "extrapolated", "own", "usual")
    records = [{name: np.full(shape, np.nan) for name in names} for _ in grid]
    for record in records:
        record["chosen"] = np.zeros((shape[0], len(universe.factors.ids), shape[1]), dtype=bool)
    for step, funds, factors, sample in windows(universe):
        progress(universe.name, step, shape[0])
        for record, found in zip(records, outcomes(sample, grid), strict=True):
            for name in names[:-1]:
                record[name][step, funds] = getattr(found, name)
            record["usual"][step, funds] = sample.var
            record["chosen"][step][np.ix_(factors, funds)] = found.chosen
    return records


def panels():
    print("\n## Real panels\n")
    grid = PANEL_GRID
    table, market = [], []
    for universe in universes():
        for settings, record in zip(grid, followed(universe, grid), strict=True):
            table.append([universe.name, *label(settings), *panel_row(universe, record)])
            if MARKET in universe.factors.ids and settings.selection == "absolute":
                industry = [universe.classes[name] == "industry" for name in universe.funds.ids]
                pair = record["own"][:, industry]
                market.append([*label(settings), *quantiles(pair, [0.5, 0.95])])
    names = ["no selection", "selected", "SVaR, median", "95th", "over 2.33 sd", "clamped", "best"]
    more = ["extrapolated", "exceeded", "clamped exceeded", "Jaccard", "change, median", "95th"]
    markdown(["panel", *LABELS, *names, *more], table)
    print("\nStressVaR of industry portfolios against the market\n")
    markdown([*LABELS, "median", "95th percentile"], market)


def panel_row(universe, record):
    svar, usual = record["svar"], record["usual"]
    tested, known = np.isfinite(usual), np.isfinite(svar)
    following = universe.funds.values[-len(svar) + 1 :]
    change = np.abs(svar[1:] / svar[:-1] - 1.0)
    counts = record["chosen"].sum(axis=1)[tested]
    return [
        f"{(counts == 0).mean():.0%}",
        f"{np.median(counts[counts > 0]):.0f}",
        *quantiles(svar, [0.5, 0.95]),
        *(spread((record[name] / usual)[known]) for name in ("svar", "clamped", "best")),
        f"{np.nanmean(record['extrapolated']):.0%}",
        exceeded(following, svar),
        exceeded(following, record["clamped"]),
        jaccard(record["chosen"]),
        *quantiles(change, [0.5, 0.95], "{:.1%}"),
    ]


def exceeded(following, svar):
    """Share of the months after that lost more."""
    judged = np.isfinite(following) & np.isfinite(svar[:-1])
    return f"{(following < -svar[:-1])[judged].mean():.2%}"


def jaccard(chosen):
    """Mean overlap of the selected sets of one month and the next, where either has any."""
    both = (chosen[1:] & chosen[:-1]).sum(axis=1)
    either = (chosen[1:] | chosen[:-1]).sum(axis=1)
    return f"{(both[either > 0] / either[either > 0]).mean():.2f}"


def placebo():
    """Real factors, funds with the months of their windows shuffled: exposed to nothing."""
    print("\n## Real factors, shuffled funds\n")
    grid, table = PANEL_GRID, []
    for universe in universes():
        records = [{} for _ in grid]
        for step, _, _, sample in windows(universe):
            if step % 6:
                continue
            progress(f"{universe.name}, shuffled", step, PANEL_MONTHS)
            mixed = replace(sample, returns=shuffled(sample.returns, step))
            for record, found in zip(records, outcomes(mixed, grid), strict=True):
                for name, values in fund_row(mixed, found).items():
                    record.setdefault(name, []).append(values)
        for settings, record in zip(grid, records, strict=True):
            joined = {name: np.concatenate(values) for name, values in record.items()}
            table.append([universe.name, *label(settings), *placebo_row(joined)])
    names = ["no selection", "false", "published", "over 2.33 sd", "over 2", "clamped", "best"]
    markdown(["panel", *LABELS, *names], table)


def shuffled(returns, seed):
    """Every column with its observed months in another order."""
    rng, mixed = np.random.default_rng(seed), returns.copy()
    for column in mixed.T:
        seen = np.isfinite(column)
        column[seen] = rng.permutation(column[seen])
    return mixed


def placebo_row(record):
    times = {name: record[name] / record["var"] for name in ("svar", "clamped", "best")}
    return [
        f"{(record['selected'] == 0).mean():.0%}",
        *(f"{record[name].mean():.2f}" for name in ("false", "expected_false")),
        spread(times["svar"]),
        share(times["svar"] > 2.0, np.isfinite(times["svar"])),
        *(spread(times[name]) for name in ("clamped", "best")),
    ]
