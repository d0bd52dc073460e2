"""From the store's observation tables to point-in-time histories.

Everything downstream looks at data through `History.as_of`. Series that are revised are
transformed *within* a vintage and spliced afterwards: levels differ between vintages by rebasing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finembed_core.calendar import DecisionCalendar, Month, month_ends, month_ordinals, month_range
from finembed_core.errors import InputError
from finembed_core.macro.transforms import TRANSFORMS, Transform, transform_name
from finembed_core.panel import FloatArray, History
from finembed_core.store import PartStore

OBSERVATIONS = ("fund_observations", "series_observations")
STEP_MONTHS = {"monthly": 1, "quarterly": 3}
RISK_FACTOR_DEFAULTS = {
    "return": "none",
    "level": "pct_change",
    "index": "pct_change",
    "yield": "diff",
}
MACRO_DEFAULTS = {"return": "none", "level": "log_diff", "index": "log_diff", "yield": "diff"}
UNKNOWN = np.iinfo(np.int64).min  # month of knowledge of a cell that nobody observed


@dataclass(frozen=True)
class Recipe:
    """How one series becomes a monthly return, change or stationary series.

    Attributes
    ----------
    transform : Transform
    step : int
        Months between two adjacent observations (3 for a quarterly series).
    scale : float
        Applied after the transform.
    shift : int
        Months by which the result is dated after the observation.
    """

    transform: Transform
    step: int
    scale: float = 1.0
    shift: int = 0


RecipeOf = Callable[[str, str | None, int], Recipe]  # (kind, transform, step) -> recipe


def ingested_months(store: PartStore) -> list[Month]:
    """Months that can be decided: those after the opening part, up to the last part."""
    keys = sorted({key for table in OBSERVATIONS for key in store.keys(table)})
    return month_range(Month.parse(keys[0]) + 1, Month.parse(keys[-1])) if keys else []


def fund_returns(store: PartStore, calendar: DecisionCalendar) -> History:
    """Simple monthly total returns of all funds, decimal.

    Raises
    ------
    MissingPartError
        Nothing has been ingested.
    """
    return _fund_history(store, calendar, "ret")


def reported_returns(store: PartStore, calendar: DecisionCalendar) -> History:
    """`fund_returns` as first reported: those that a later verdict took back stand."""
    return _fund_history(store, calendar, "ret", pl.col("ret").is_not_null())


def fund_aum(store: PartStore, calendar: DecisionCalendar) -> History:
    """Assets under management of all funds in the fund's currency; NaN where not reported."""
    return _fund_history(store, calendar, "aum")


def risk_factors(store: PartStore, calendar: DecisionCalendar) -> History:
    """Monthly returns or changes of the series with role ``risk_factor``, decimal.

    Without a transform of its own a return stays as it is, a level or index becomes its
    percentage change, a yield (percent per year) its difference in decimals.
    """

    def recipe(kind: str, transform: str | None, step: int) -> Recipe:
        name = transform_name(transform or RISK_FACTOR_DEFAULTS[kind])
        return Recipe(TRANSFORMS[name], step, 0.01 if kind == "yield" else 1.0)

    return _series_history(store, calendar, series_with_role(store, "risk_factor"), recipe)


def macro_series(store: PartStore, calendar: DecisionCalendar) -> History:
    """Stationary form of the series with role ``macro``, in the units of their transform.

    Without a transform of its own a return stays as it is, a level or index becomes its log
    difference, a yield its difference.
    """

    def recipe(kind: str, transform: str | None, step: int) -> Recipe:
        return Recipe(TRANSFORMS[transform_name(transform or MACRO_DEFAULTS[kind])], step)

    return _series_history(store, calendar, series_with_role(store, "macro"), recipe)


def benchmarks(store: PartStore, calendar: DecisionCalendar) -> History:
    """Simple monthly returns of the series with role ``benchmark``, decimal."""
    return _series_history(store, calendar, series_with_role(store, "benchmark"), _simple_return)


def risk_free(store: PartStore, calendar: DecisionCalendar) -> History | None:
    """Simple monthly return of cash under the id ``rf``, or None where nobody observed it.

    A yield y in percent per year earns y/1200 in the month after the one it was quoted for.

    Raises
    ------
    InputError
        Two series claim the role.
    """
    chosen = series_with_role(store, "risk_free")
    if chosen.height == 0:
        return None
    if chosen.height > 1:
        raise InputError(
            f"{chosen.height} series have the role risk_free: {', '.join(chosen['series_id'])}",
            where="series, column roles",
            remedy="leave the role with one of them",
        )
    history = _series_history(store, calendar, chosen, _simple_return, name="rf")
    return history if history.ids else None


def series_with_role(store: PartStore, role: str) -> pl.DataFrame:
    """Rows of the `series` table with this role, by series_id; ``step`` is added (months)."""
    table = store.read("series", "all")
    chosen = table.filter(pl.col("roles").list.contains(role)).sort("series_id")
    step = pl.col("frequency").replace_strict(STEP_MONTHS, default=1, return_dtype=pl.Int64)
    return chosen.with_columns(step=step)


def _simple_return(kind: str, transform: str | None, step: int) -> Recipe:
    if kind == "yield":  # percent per year, earned in the month after the quotation
        return Recipe(TRANSFORMS["none"], 1, scale=1.0 / 1200.0, shift=1)
    return Recipe(TRANSFORMS["none" if kind == "return" else "pct_change"], step)


def _fund_history(
    store: PartStore, calendar: DecisionCalendar, value: str, among: pl.Expr | None = None
) -> History:
    rows = _observations(store, "fund_observations", calendar, ["fund_id", value])
    rows = rows if among is None else rows.filter(among)
    return History(
        rows["date"].to_numpy().astype("datetime64[D]"),
        rows["fund_id"].to_numpy().astype(str),
        rows[value].cast(pl.Float64).fill_null(np.nan).to_numpy(),
        rows["known"].to_numpy(),
    )


def _observations(
    store: PartStore, table: str, calendar: DecisionCalendar, columns: list[str]
) -> pl.DataFrame:
    """All rows with ``known``, the month from which each counts, in order of the parts.

    That is the part's own month; the opening part holds many months together, so there it is
    worked out again.
    """
    keys = store.keys(table)
    if not keys:
        return store.read_many(table)  # raises: nothing has been ingested
    wanted = [pl.col("date"), *columns]
    frames: list[pl.DataFrame] = []
    for key in keys:
        frame = store.read(table, key)
        known = np.full(frame.height, Month.parse(key).ordinal)
        if not frames:
            early = calendar.information_month(frame["date"], frame["available_at"])
            known = np.minimum(known, early)
        frames.append(frame.select(wanted).with_columns(known=pl.Series(known, dtype=pl.Int64)))
    return pl.concat(frames)


def _series_history(
    store: PartStore,
    calendar: DecisionCalendar,
    chosen: pl.DataFrame,
    recipe_of: RecipeOf,
    name: str | None = None,
) -> History:
    recipes = {
        name or row["series_id"]: recipe_of(row["kind"], row["transform"], row["step"])
        for row in chosen.iter_rows(named=True)
    }
    rows = _raw_series(store, calendar, chosen)
    if name is not None:
        rows = rows.with_columns(series_id=pl.lit(name))
    return spliced(rows, recipes)


def _raw_series(store: PartStore, calendar: DecisionCalendar, chosen: pl.DataFrame) -> pl.DataFrame:
    """Observations of these series in raw units; those under an alias come first, renamed."""
    rows = _observations(
        store, "series_observations", calendar, ["series_id", "vintage", "value"]
    ).rename({"series_id": "name"})
    own = chosen.select("series_id", name="series_id", own=pl.lit(1))
    aliases = chosen.select(
        "series_id", name=pl.col("aliases").cast(pl.List(pl.String)), own=pl.lit(0)
    ).explode("name")
    names = pl.concat([own, aliases.drop_nulls("name")])
    return rows.join(names, on="name", how="inner", maintain_order="left").sort(
        "own", maintain_order=True
    )


def spliced(rows: pl.DataFrame, recipes: Mapping[str, Recipe]) -> History:
    """Transform each vintage by itself, then lay the transformed vintages over each other.

    A transformed value is known once every observation that it needs is known. A date keeps the
    value of the latest vintage that gives one; a withdrawn observation takes along the values
    that were built on it.

    Parameters
    ----------
    rows : DataFrame
        series_id, date, vintage (null: never revised), value (null: withdrawn), known (month
        ordinal); of equal keys known at once the last row counts.
    recipes : mapping of series_id to Recipe
    """
    ids = sorted(recipes)
    if rows.is_empty():
        nothing = np.array([], dtype=np.int64)
        dates = month_ends(nothing)
        return History(dates, np.array([], dtype=str), nothing.astype(float), nothing)
    rows = rows.sort("known", maintain_order=True).with_columns(
        rank=pl.col("vintage").rank("dense").fill_null(0).cast(pl.Int64),
        column=pl.col("series_id").replace_strict(ids, range(len(ids)), return_dtype=pl.Int64),
        value=pl.col("value").cast(pl.Float64).fill_null(np.nan),
    )
    shift = np.array([recipes[name].shift for name in ids])
    months = month_ordinals(rows["date"].to_numpy()) + shift[rows["column"].to_numpy()]
    first = int(months.min())
    rows = rows.with_columns(row=pl.Series(months - first))
    plan = _Plan.of([recipes[name] for name in ids], first, int(months.max()) - first + 1)
    cells = pl.concat(
        [
            edition.with_columns(rank=pl.lit(group["rank"][0], dtype=pl.Int64))
            for group in rows.partition_by("rank")
            for edition in plan.editions(group)
        ]
    )
    place = ["row", "column"]
    cells = (
        cells.sort(*place, "known", "rank")
        .filter(pl.col("rank") >= pl.col("rank").cum_max().over(place))
        .filter(pl.col("value").ne_missing(pl.col("value").shift(1).over(place)))
    )
    return History(
        month_ends(cells["row"].to_numpy() + first),
        np.array(ids)[cells["column"].to_numpy()],
        cells["value"].to_numpy(),
        cells["known"].to_numpy(),
        cells["rank"].to_numpy(),
    )


@dataclass(frozen=True)
class _Plan:
    """The grid of months x series, and which columns share a recipe."""

    months: NDArray[np.int64]
    width: int
    groups: tuple[tuple[Recipe, NDArray[np.int64]], ...]

    @classmethod
    def of(cls, recipes: list[Recipe], first: int, height: int) -> _Plan:
        columns: dict[Recipe, list[int]] = {}
        for column, recipe in enumerate(recipes):
            columns.setdefault(recipe, []).append(column)
        groups = tuple((recipe, np.array(own)) for recipe, own in columns.items())
        return cls(np.arange(first, first + height), len(recipes), groups)

    def editions(self, rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """Transformed cells of one vintage, and again those that a replaced row changed."""
        row, column = rows["row"].to_numpy(), rows["column"].to_numpy()
        value, known = rows["value"].to_numpy(), rows["known"].to_numpy()
        again = np.ones(len(row), dtype=bool)
        again[np.unique(row * self.width + column, return_index=True)[1]] = False
        cuts = [UNKNOWN, *np.unique(known[again]).tolist(), np.iinfo(np.int64).max]
        shape = (len(self.months), self.width)
        before = np.full(shape, np.nan)
        for begin, end in pairwise(cuts):
            seen = known < end
            values, since = np.full(shape, np.nan), np.full(shape, UNKNOWN)
            values[row[seen], column[seen]] = value[seen]
            since[row[seen], column[seen]] = known[seen]
            after, since = self._transformed(values, since)
            changed = np.nonzero((after != before) & ~(np.isnan(after) & np.isnan(before)))
            yield pl.DataFrame(
                {
                    "row": changed[0],
                    "column": changed[1],
                    "value": after[changed],
                    "known": np.maximum(since[changed], begin),
                }
            )
            before = after

    def _transformed(
        self, values: FloatArray, since: NDArray[np.int64]
    ) -> tuple[FloatArray, NDArray[np.int64]]:
        out, known = np.full_like(values, np.nan), np.maximum(since, self.months[:, None])
        for recipe, columns in self.groups:
            with np.errstate(over="ignore", invalid="ignore"):  # not finite becomes missing
                raw = recipe.transform.function(values[:, columns], recipe.step) * recipe.scale
            out[:, columns] = np.where(np.isfinite(raw), raw, np.nan)
            for lag in range(recipe.step, recipe.transform.reach * recipe.step + 1, recipe.step):
                known[lag:, columns] = np.maximum(known[lag:, columns], since[:-lag, columns])
        return out, known
