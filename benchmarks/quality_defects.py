"""Defects put into sound NAVs at known places, and what the gates make of them.

A world is a matrix of monthly returns without a defect, months x funds: of the simulated source, or
of Indian schemes that no gate minds. Every kind of defect goes into funds of its own, so that what
is kept aside elsewhere is a false alarm.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from finembed_core.calendar import Month, month_ends, month_ordinals
from finembed_core.ingest.funds import fund_months
from finembed_core.ingest.stage import prepare
from finembed_core.settings import DatasetSettings, Settings, load_settings
from finembed_core.sources import load, month_bounds
from finembed_core.sources.tables import InputTables, conform, empty

ROOT = Path(__file__).resolve().parent.parent
INDIA = ROOT / "examples" / "funds_india" / "embeddings.yaml"
MONTHS, PER_KIND, UNTOUCHED = 72, 2, 20
FIRST = Month.parse("2005-01")
EARLIEST, LATEST = 24, 46  # months in which a defect begins: with a history, and time to be seen


@dataclass
class World:
    """Months x funds: NAVs, or returns of funds that quote those; which reports come, and early.

    ``died`` (N,) is the row of a fund's recorded death, -1 without one.
    """

    nav: np.ndarray
    ret: np.ndarray
    aum: np.ndarray
    present: np.ndarray
    early: np.ndarray
    died: np.ndarray


@dataclass(frozen=True)
class Kind:
    """A defect: ``inject(world, fund, month, random)`` returns the faulty months.

    ``by_design`` says why the gates let it pass, where they are meant to.
    """

    name: str
    inject: Callable[[World, int, int, np.random.Generator], range]
    by_design: str = ""


def scaled(factor: float, months: int | None):
    """NAVs times a factor, for some months or for good."""

    def inject(world, fund, month, random):
        world.nav[month : None if months is None else month + months, fund] *= factor
        return range(month, month + (1 if months is None else months + 1))

    return inject


def restarted(world, fund, month, random):
    """A new face value of 10 after a NAV between 20 and 90."""
    path = world.nav[:, fund]
    path *= random.uniform(20.0, 90.0) / path[month - 1]
    path[month:] *= 10.0 / path[month]
    return range(month, month + 1)


def stale(months: int):
    def inject(world, fund, month, random):
        kept = world.nav[month - 1, fund] / world.nav[month + months - 1, fund]
        world.nav[month : month + months, fund] = world.nav[month - 1, fund]
        world.nav[month + months :, fund] *= kept
        return range(month, month + months)

    return inject


def quote(world: World, *funds: int) -> None:
    """Let funds report returns, to a millionth, instead of NAVs."""
    for fund in funds:
        path = world.nav[:, fund]
        world.ret[:, fund] = np.r_[0.0, np.round(path[1:] / path[:-1] - 1.0, 6)]
        world.nav[:, fund] = np.nan


def copied(months: int | None):
    """The returns of the fund before it: all, or some months."""

    def inject(world, fund, month, random):
        quote(world, fund - 1, fund)
        rows = range(MONTHS) if months is None else range(month, month + months)
        world.ret[rows, fund] = world.ret[rows, fund - 1]
        return rows

    return inject


def quoted(change: Callable[[float], float], months: int = 1):
    """Quoted returns, some of them changed."""

    def inject(world, fund, month, random):
        quote(world, fund)
        rows = range(month, month + months)
        world.ret[rows, fund] = [change(value) for value in world.ret[rows, fund]]
        return rows

    return inject


def single(field: str, value: float):
    def inject(world, fund, month, random):
        getattr(world, field)[month, fund] = value
        return range(month, month + 1)

    return inject


def after_death(world, fund, month, random):
    world.died[fund] = month
    return range(month + 1, len(world.nav))


def gap(months: int):
    def inject(world, fund, month, random):
        world.present[month : month + months, fund] = False
        return range(month, month + months)

    return inject


SMALL = "below the threshold"
LOSS = "a loss, for all one can know; counted as fall_by_face_factor"
LIKE_ANY = "a return like any other"
THIN = "thin data: counted, not kept aside"
KINDS = (
    Kind("decimal point, up, one month", scaled(10.0, 1)),
    Kind("decimal point, down, one month", scaled(0.1, 1)),
    Kind("two decimal points, down, one month", scaled(0.01, 1)),
    Kind("face value, up tenfold", scaled(10.0, None)),
    Kind("face value, up fivefold", scaled(5.0, None)),
    Kind("split, up twofold", scaled(2.1, None)),
    Kind("face value, down to a tenth", scaled(0.1, None), LOSS),
    Kind("restart at a face value", restarted),
    Kind("spike of +70%, undone", scaled(1.7, 1)),
    Kind("spike of -45%, undone", scaled(0.55, 1)),
    Kind("spike of +30%, undone", scaled(1.3, 1), SMALL),
    Kind("spike of +70%, undone after two", scaled(1.7, 2), "undone later than a month after"),
    Kind("NAV unchanged for 6 months", stale(6)),
    Kind("NAV unchanged for 5 months", stale(5), SMALL),
    Kind("another fund's returns, all", copied(None)),
    Kind("another fund's returns, 24", copied(24)),
    Kind("another fund's returns, 18", copied(18), SMALL),
    Kind("wrong sign", quoted(lambda r: -r), LIKE_ANY),
    Kind("percent for decimals, one month", quoted(lambda r: 100.0 * r), "caught from 1% on"),
    Kind("percent for decimals, a year", quoted(lambda r: 100.0 * r, 12)),
    Kind("loses 150%", quoted(lambda r: -1.5)),
    Kind("NaN", quoted(lambda r: np.nan)),
    Kind("infinite NAV", single("nav", np.inf)),
    Kind("NAV of 0", single("nav", 0.0)),
    Kind("negative assets", single("aum", -5.0)),
    Kind("available before its date", single("early", True)),
    Kind("reports after death", after_death),
    Kind("gap of 2 months", gap(2), THIN),
    Kind("gap of 5 months", gap(5), THIN),
)
FUNDS = (2 * len(KINDS)) * PER_KIND + UNTOUCHED  # a copy needs the fund before it


@cache
def sound_returns(base: str, seed: int) -> np.ndarray:
    """Returns (MONTHS, FUNDS) without a known defect.

    ``simulated`` draws a universe by the seed; ``india`` takes spells of 72 months of schemes
    without a verdict or gap that no gate minds, by the seed.
    """
    if base == "india":
        settings = load_settings(INDIA)
        first, last = month_bounds(settings.dataset)
    else:
        simulated = {"funds": 3 * FUNDS, "months": 140, "factors": 4, "seed": seed}
        dataset = DatasetSettings(source="simulated", simulated=simulated)  # pyright: ignore
        settings = Settings(dataset=dataset)
        first, last = month_bounds(dataset)
    tables = load(settings.dataset)
    found = prepare(tables, settings, first, last)
    funds, _ = fund_months(tables.fund_observations.sort("fund_id", "date"), 0, settings.ingest)
    aside = set(found.whole["quarantine"]["id"].to_list())
    clean = np.array([name not in aside for name in funds.ids])
    returns = np.where(funds.span == 1, funds.returns, np.nan)[:, clean]
    return _spells(returns, np.random.default_rng(seed))


def _spells(returns: np.ndarray, random: np.random.Generator) -> np.ndarray:
    whole = np.lib.stride_tricks.sliding_window_view(~np.isnan(returns), MONTHS, axis=0)
    moving = np.abs(np.nan_to_num(returns)) > 0.0
    still = ~np.lib.stride_tricks.sliding_window_view(moving, 4, axis=0).any(axis=2)
    chosen = []
    for fund in random.permutation(returns.shape[1]):
        begins = np.flatnonzero(whole[:, fund].all(axis=1))
        begins = [b for b in begins if not still[b : b + MONTHS - 3, fund].any()]
        if begins:
            begin = int(random.choice(begins))
            chosen.append(returns[begin : begin + MONTHS, fund])
        if len(chosen) == FUNDS:
            return np.stack(chosen, axis=1)
    raise ValueError(f"{len(chosen)} sound spells, {FUNDS} are needed")


@dataclass(frozen=True)
class Injection:
    """One defect: its kind, fund (column) and faulty months (rows)."""

    kind: Kind
    fund: int
    months: range


def defective(base: str, seed: int) -> tuple[InputTables, list[Injection]]:
    """A world with `PER_KIND` defects of each kind in known places, as input tables."""
    random = np.random.default_rng([seed, 7])
    returns = sound_returns(base, seed)
    start = random.uniform(11.0, 90.0, FUNDS)
    nav = start * np.cumprod(1.0 + returns, axis=0)
    shape = nav.shape
    world = World(
        nav,
        ret=np.full(shape, np.nan),
        aum=np.full(shape, 50.0),
        present=np.full(shape, True),
        early=np.full(shape, False),
        died=np.full(FUNDS, -1),
    )
    plan = []
    for number, kind in enumerate(kind for kind in KINDS for _ in range(PER_KIND)):
        fund, month = 2 * number + 1, int(random.integers(EARLIEST, LATEST))
        plan.append(Injection(kind, fund, kind.inject(world, fund, month, random)))
    return _tables(world), plan


def _tables(world: World) -> InputTables:
    days = month_ends(FIRST.ordinal + np.arange(MONTHS))
    row, column = np.nonzero(world.present)
    quotes = pl.Series(np.isnan(world.nav).all(axis=0)[column])
    frame = pl.DataFrame(
        {
            "fund_id": [f"F{c:04d}" for c in column],
            "date": days[row],
            "nav": world.nav[row, column],
            "ret": world.ret[row, column],
            "aum": world.aum[row, column],
            "early": world.early[row, column],
        }
    ).with_columns(
        nav=pl.when(~quotes).then("nav"),
        ret=pl.when(quotes).then("ret"),
        available_at=pl.when("early").then(pl.col("date").dt.offset_by("-20d")).otherwise("date"),
    )
    dead = np.flatnonzero(world.died >= 0)
    funds = pl.DataFrame(
        {"fund_id": [f"F{c:04d}" for c in dead], "death_date": days[world.died[dead]]}
    )
    return InputTables(
        conform("fund_observations", frame),
        conform("funds", funds),
        empty("series_observations"),
        empty("series"),
    )


@dataclass(frozen=True)
class Outcome:
    """What became of one injection: found or not, by which rules, months until it was known."""

    kind: Kind
    found: bool
    rules: tuple[str, ...]
    delay: int | None


def judged(base: str, seed: int) -> tuple[list[Outcome], int, int]:
    """Outcomes of all injections, false alarms, and the cells in which there could be some."""
    tables, plan = defective(base, seed)
    settings = Settings(dataset=DatasetSettings(source="files"))
    aside = prepare(tables, settings, FIRST, None).whole["quarantine"]
    fund = aside["id"].str.slice(1).cast(pl.Int64).to_numpy()
    month = month_ordinals(aside["date"].to_numpy()) - FIRST.ordinal
    known = month_ordinals(aside["known_at"].to_numpy()) - FIRST.ordinal
    explained = np.zeros(len(aside), dtype=bool)
    outcomes = []
    for injection in plan:
        months = injection.months
        pair = [injection.fund]
        if injection.kind.name.startswith("another"):
            pair.append(injection.fund - 1)  # either of two equal series may be the copy
        own = np.isin(fund, pair) & (month >= months.start) & (month <= months.stop)
        explained |= own
        rules = tuple(sorted(set(aside["rule"].to_numpy()[own])))
        delay = int(known[own].min() - months.start) if own.any() else None
        outcomes.append(Outcome(injection.kind, bool(own.any()), rules, delay))
    return outcomes, int((~explained).sum()), tables.fund_observations.height
