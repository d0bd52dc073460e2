"""A hedge-fund universe of any size as the files of a user, in several shapes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from finembed_core.settings import DatasetSettings, FilesSource, Settings, TableFiles
from finembed_core.sources import load

LIVED_PER_SEAT = 5  # simulated funds that live one after the other under one name


@dataclass(frozen=True)
class World:
    """Where the tables of a universe lie; observations once per shape.

    Attributes
    ----------
    folder : Path
    funds, months, rows : int
        Of the fund observations, and rows of the series observations with them.
    """

    folder: Path
    funds: int
    months: int
    rows: int

    @property
    def column(self) -> int:
        """Bytes of one dense float64 matrix of months x funds."""
        return 8 * self.months * self.funds

    def settings(self, shape: str) -> Settings:
        """Settings that read this shape."""
        kind = "parquet" if shape.startswith("parquet") else "csv"
        seen = TableFiles(path=str(self.folder / SHAPES[shape]))
        if shape == "csv, wide":
            seen = seen.model_copy(update={"layout": "wide", "value_column": "ret"})
        rest = {
            name: TableFiles(path=str(self.folder / f"{name}.{kind}"))
            for name in ("funds", "series_observations", "series")
        }
        source = FilesSource(
            fund_observations=[seen],
            funds=rest["funds"],
            series_observations=[rest["series_observations"]],
            series=rest["series"],
        )
        dataset = DatasetSettings(source="files", profile="hedge_funds", files=source)
        return Settings(dataset=dataset)


SHAPES = {
    "parquet": "fund_observations.parquet",
    "parquet, rows shuffled": "shuffled.parquet",
    "parquet, but the last month": "earlier.parquet",
    "csv": "fund_observations.csv",
    "csv, a file per fund": "by_fund",
    "csv, wide": "wide.csv",
}


def write_world(folder: Path, funds: int, months: int, factors: int) -> World:
    """Simulate and write; every fund reports every month.

    Funds of the simulated source are born and die, so that of five a fifth lives at a time. Here
    the n-th living fund of each month reports under the n-th name: the returns, assets and lags
    are those of the simulation, the matrix is full.
    """
    simulated = Settings.model_validate(
        {
            "dataset": {
                "source": "simulated",
                "profile": "hedge_funds",
                "simulated": {
                    "funds": LIVED_PER_SEAT * funds,
                    "months": months,
                    "factors": factors,
                },
            }
        }
    )
    tables = load(simulated.dataset)
    seat = pl.col("fund_id").rank("ordinal").over("date")
    names = pl.format("sim{}", pl.col("seat").cast(pl.String).str.zfill(5))
    seen = (
        tables.fund_observations.with_columns(seat=seat)
        .filter(pl.col("seat") <= funds)
        .with_columns(fund_id=names)
        .drop("seat")
        .sort("fund_id", "date")
    )
    attributes = tables.funds.head(funds).with_columns(
        pl.lit(None, pl.Date).alias("death_date"), pl.lit(None, pl.String).alias("death_reason")
    )
    _write_both(folder, "fund_observations", seen)
    _write_both(folder, "funds", attributes)
    _write_both(folder, "series_observations", tables.series_observations)
    _write_both(folder, "series", tables.series)
    seen.sample(fraction=1.0, shuffle=True, seed=1).write_parquet(folder / "shuffled.parquet")
    seen.filter(pl.col("date") < pl.col("date").max()).write_parquet(folder / "earlier.parquet")
    (folder / "by_fund").mkdir()
    for (name,), own in seen.partition_by("fund_id", as_dict=True).items():
        own.write_csv(folder / "by_fund" / f"{name}.csv")
    seen.pivot("fund_id", index="date", values="ret").sort("date").write_csv(folder / "wide.csv")
    return World(folder, funds, months, seen.height + tables.series_observations.height)


def _write_both(folder: Path, table: str, frame: pl.DataFrame) -> None:
    frame.write_parquet(folder / f"{table}.parquet")
    lists = [name for name, kind in frame.schema.items() if isinstance(kind, pl.List)]
    frame.with_columns(pl.col(lists).list.join("|")).write_csv(folder / f"{table}.csv")


def read_plainly(world: World, shape: str) -> None:
    """The same files to typed frames by polars alone: read, dates, numbers, wide to long."""
    kind = "parquet" if shape.startswith("parquet") else "csv"
    read = pl.read_parquet if kind == "parquet" else _read_csv
    target = world.folder / SHAPES[shape]
    observations = read(target / f"*.{kind}" if target.is_dir() else target)
    if shape == "csv, wide":
        observations = observations.unpivot(index="date", variable_name="fund_id").drop_nulls()
    for name in ("funds", "series_observations", "series"):
        read(world.folder / f"{name}.{kind}")


def _read_csv(file: Path) -> pl.DataFrame:
    days = ("date", "available_at", "vintage", "inception", "death_date", "closed_date")
    numbers = ("ret", "nav", "aum", "value")
    header = pl.read_csv(file, n_rows=0).columns
    kinds = dict.fromkeys(days, pl.Date) | dict.fromkeys(numbers, pl.Float64)
    return pl.read_csv(file, schema_overrides={k: v for k, v in kinds.items() if k in header})
