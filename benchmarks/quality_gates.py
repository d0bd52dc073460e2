"""The quality gates: what they keep aside of real data, and what of planted defects.

    python -m benchmarks.quality_gates review              # verdicts on the Indian panel, with NAVs
    python -m benchmarks.quality_gates injected [SEEDS]    # planted defects: found, missed, false

``review`` prints every verdict of the rare rules and a seeded sample of the others, with the values
around, and the most striking returns that no rule minds: docs/quality.md holds what a reader made
of them.
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import beta

from benchmarks.panels import SHARED
from benchmarks.quality_defects import INDIA, KINDS, judged
from finembed_core.calendar import Month, month_ordinals
from finembed_core.ingest.deaths import fund_deaths
from finembed_core.ingest.funds import fund_months
from finembed_core.ingest.stage import ingest, prepare
from finembed_core.settings import load_settings
from finembed_core.sources import load, month_bounds
from finembed_core.store import PartStore

FUNDS = SHARED / "funds_india" / "funds.parquet"
FREQUENT = ("duplicate_fund", "stale_nav")
SAMPLED, SEED, AROUND = 15, 1, 4
KEPT, LONG, CALM = 12, 24, 0.002  # shown; months that a median needs; least median, in logs
PLENTY = 0.95  # of the interval


def interval(hits, tries):
    """Clopper and Pearson (1934)."""
    tail = (1.0 - PLENTY) / 2.0
    low = beta.ppf(tail, hits, tries - hits + 1) if hits else 0.0
    high = beta.ppf(1.0 - tail, hits + 1, tries - hits) if hits < tries else 1.0
    return float(low), float(high)


def injected(seeds):
    for base in ("simulated", "india") if SHARED.exists() else ("simulated",):
        table(base, seeds)


def table(base, seeds):
    found, tries = Counter(), Counter()
    rules, delays = {}, {}
    alarms = cells = 0
    for seed in range(1, seeds + 1):
        outcomes, false, rows = judged(base, seed)
        alarms, cells = alarms + false, cells + rows
        for outcome in outcomes:
            name = outcome.kind.name
            tries[name] += 1
            found[name] += outcome.found
            rules.setdefault(name, Counter()).update(outcome.rules)
            delays.setdefault(name, []).extend([] if outcome.delay is None else [outcome.delay])
    print(f"\n{base}, {seeds} seeds: {alarms} false alarms in {cells:,} reports\n")
    print("| defect | planted | found | 95% | known after | by | passes because |")
    print("|---|---|---|---|---|---|---|")
    for kind in KINDS:
        n, hits = tries[kind.name], found[kind.name]
        low, high = interval(hits, n)
        after = f"{np.median(delays[kind.name]):.0f} months" if hits else ""
        by = ", ".join(f"`{rule}`" for rule, _ in rules[kind.name].most_common(2))
        print(
            f"| {kind.name} | {n} | {hits / n:.0%} | {low:.0%} to {high:.0%} | {after} | {by} | "
            f"{kind.by_design} |"
        )


def review():
    settings = load_settings(INDIA)
    tables = load(settings.dataset)
    aside = prepare(tables, settings, *month_bounds(settings.dataset)).whole["quarantine"]
    names = dict(tables.funds.select("fund_id", "name").iter_rows())
    random = np.random.default_rng(SEED)
    for (rule,), rows in aside.sort("id", "date").group_by("rule", maintain_order=True):
        chosen = rows
        if rule in FREQUENT:
            picks = np.sort(random.choice(rows.height, min(SAMPLED, rows.height), replace=False))
            chosen = rows[picks]
        print(
            f"\n## {rule}: {rows.height} rows of {rows['id'].n_unique()} schemes, "
            f"{chosen.height} shown"
        )
        for row in chosen.iter_rows(named=True):
            show(row, tables, names)
    thin(tables, settings, names)
    print("\n## duplicate_fund, all schemes")
    houses(tables, settings, aside, names)
    kept(tables, settings, aside, names)
    print(
        "\n## face_value_change with reset_loss 0.25 and face_rounding 0.03: what comes in addition"
    )
    wider = settings.ingest.nav.model_copy(update={"reset_loss": 0.25, "face_rounding": 0.03})
    gates = settings.ingest.model_copy(update={"nav": wider})
    loose = settings.model_copy(update={"ingest": gates})
    more = prepare(tables, loose, *month_bounds(settings.dataset)).whole["quarantine"]
    for row in (
        more.join(aside, on=["id", "date", "rule"], how="anti").sort("id").iter_rows(named=True)
    ):
        show(row, tables, names)


def thin(tables, settings, names):
    """Gaps, and a sample of the schemes that are taken for matured or silent."""
    with tempfile.TemporaryDirectory() as folder:
        store = PartStore(Path(folder))
        ingest(store, settings)
        quality, deaths = store.read("data_quality", "all"), fund_deaths(store, settings)
    print("\n## thin data and deaths")
    for rule, rows, ids in quality.filter(kind="reason").select("rule", "rows", "ids").rows():
        print(f"{rule}: {rows} rows of {ids}")
    random = np.random.default_rng(SEED)
    for (reason,), rows in deaths.group_by("reason", maintain_order=True):
        revived = rows["revived_month"].count()
        print(f"{reason}: {rows.height} ({revived} report again), {SAMPLED} of them:")
        sample = rows[random.choice(rows.height, min(SAMPLED, rows.height), replace=False)]
        for fund, last in sample.select("fund_id", "last_observation").rows():
            print(f"  {fund} {names[fund]}, last report {last:%Y-%m}")


def houses(tables, settings, aside, names):
    """Of every copy the schemes that it equals, by whether the same house runs them."""
    house = dict(
        pl.read_parquet(FUNDS).select(pl.col("fund_id").cast(pl.String), "amc").iter_rows()
    )
    funds, _ = fund_months(tables.fund_observations.sort("fund_id", "date"), 0, settings.ingest)
    window = settings.ingest.duplicate_months
    returns = np.round(funds.returns, settings.ingest.duplicate_decimals)
    own, foreign = Counter(), Counter()
    copies = aside.filter(pl.col("rule") == "duplicate_fund").sort("id", "date")
    for (fund,), rows in copies.group_by("id", maintain_order=True):
        column = funds.ids.index(str(fund))
        equal = np.zeros(len(funds.ids), dtype=bool)
        for end in month_ordinals(rows["date"].to_numpy()) - funds.first + 1:
            spell = returns[max(end - window, 0) : end]
            equal |= (spell == spell[:, [column]]).all(axis=0)
        like = [funds.ids[k] for k in np.flatnonzero(equal) if k != column]
        same = any(house[other] == house[fund] for other in like)
        (own if same else foreign)[str(fund)] = rows.height
        if not same:
            print(f"{fund} {names[fund]} equals only {like} {[names[k] for k in like]}")
    print(
        f"equal to a scheme of its own house: {len(own)} schemes, {own.total()} rows; "
        f"only to another's: {len(foreign)} schemes, {foreign.total()} rows"
    )


def kept(tables, settings, aside, names):
    """Monthly returns that no gate minds and that are the most deviations of their own fund."""
    funds, _ = fund_months(tables.fund_observations.sort("fund_id", "date"), 0, settings.ingest)
    gone = set(zip(aside["id"], month_ordinals(aside["date"].to_numpy()), strict=True))
    log = np.log1p(np.where(funds.returns > -1.0, funds.returns, np.nan))
    months = (~np.isnan(log)).sum(axis=0)
    middle = np.nanmedian(np.abs(log[:, months > LONG]), axis=0)
    columns = np.flatnonzero(months > LONG)
    score = np.abs(log[:, columns]) / np.maximum(middle, CALM)
    order = np.argsort(np.where(np.isnan(score), 0.0, score), axis=None)[::-1]
    print(f"\n## kept: the {KEPT} monthly returns farthest beyond their fund's median")
    shown = 0
    for place in order:
        row, column = np.unravel_index(place, score.shape)
        month, fund = Month(int(funds.ordinals[row])), funds.ids[columns[column]]
        if (fund, month.ordinal) in gone:
            continue
        value = float(funds.returns[row, columns[column]])
        show(
            {
                "table": "fund_observations",
                "id": fund,
                "date": month.end,
                "rule": "kept",
                "value": value,
                "known_at": month.end,
            },
            tables,
            names,
        )
        shown += 1
        if shown == KEPT:
            return


def show(row, tables, names):
    observations = getattr(tables, row["table"]).filter(pl.col("fund_id") == row["id"]).sort("date")
    value = "" if row["value"] is None else f"{row['value']:+.4f}"
    print(f"\n{row['id']} {names.get(row['id'])} {row['date']} {value} known {row['known_at']}")
    near = observations.with_columns(
        away=(pl.col("date") - pl.lit(row["date"])).dt.total_days().abs()
    )
    at = int(near["away"].arg_min() or 0)
    window = near[max(at - AROUND, 0) : at + AROUND + 1]
    print("  " + "  ".join(f"{d:%y-%m-%d} {v:g}" for d, v in window.select("date", "nav").rows()))
    if row["rule"] == "duplicate_fund":
        twins(row, tables, names, observations)


def twins(row, tables, names, own):
    """Schemes with the same NAV growth over the year that ends when the copy was known."""
    around = (pl.col("date") - pl.lit(row["known_at"])).dt.total_days().is_between(-400, 10)
    year = (
        tables.fund_observations.filter(around)
        .sort("fund_id", "date")
        .with_columns(growth=(pl.col("nav") / pl.col("nav").shift(1).over("fund_id")).round(12))
    )
    mine = year.filter(pl.col("fund_id") == row["id"]).select("date", mine="growth").drop_nulls()
    same = (
        year.join(mine, on="date")
        .filter(pl.col("fund_id") != row["id"])
        .group_by("fund_id")
        .agg(equal=(pl.col("growth") == pl.col("mine")).sum(), n=pl.len())
        .filter(pl.col("equal") >= min(8, mine.height))
        .sort("fund_id")
    )
    for fund, equal, n in same.head(3).iter_rows():
        level = tables.fund_observations.filter(pl.col("fund_id") == fund)
        both = own.join(level, on="date", suffix="_other")
        ratio = (both["nav"] / both["nav_other"]).std()
        print(
            f"  like {fund} {names.get(fund)}: {equal} of {n} months equal; "
            f"NAV ratio varies by {ratio:.2g} over {both.height} months"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["review"]:
        review()
    else:
        injected(int(sys.argv[2]) if len(sys.argv) > 2 else 20)
