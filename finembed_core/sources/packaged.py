"""Real data that travels inside installed dependencies: no account, no download.

========================  ==========================================================  ============
package                   content                                                     months
========================  ==========================================================  ============
linearmodels ``french``   12 industry, 18 style portfolios; MktRF, SMB, HML, Mom, RF  1949 to 2017
skfolio                   20 US large caps and the S&P 500, daily                     1990 to 2022
skfolio ``factors``       5 factor ETFs, daily                                        2014 to 2022
arch ``default``          Moody's AAA and BAA yields                                  1919 to 2018
arch ``core_cpi``         CPI less food and energy                                    1957 to 2018
arch ``crude``            Brent and WTI, monthly averages                             1987 to 2020
arch ``wti``              WTI, daily                                                  1986 to 2019
arch ``sp500, nasdaq``    index prices, daily                                         1999 to 2018
arch ``vix``              VIX, daily                                                  2014 to 2019
statsmodels               ``macrodata``, US national accounts, quarterly              1959 to 2009
========================  ==========================================================  ============

The files are read where the packages put them: importing linearmodels, skfolio and statsmodels
for a few tables would take longer than everything else here. The shares and ETFs are also the daily
panel beside every dataset. Macro series are as revised later
(no vintages are packaged), so they carry some hindsight that publication lags cannot remove.
"""

from __future__ import annotations

import bz2
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import polars as pl

from finembed_core.calendar import Month
from finembed_core.errors import InputError, SettingsError
from finembed_core.settings import DatasetSettings
from finembed_core.sources.packaged_firms import ETFS, SHARES
from finembed_core.sources.tables import InputTables, conform

INDUSTRIES = {
    "NoDur": "Consumer non-durables",
    "Durbl": "Consumer durables",
    "Manuf": "Manufacturing",
    "Enrgy": "Energy",
    "Chems": "Chemicals",
    "BusEq": "Business equipment",
    "Telcm": "Telecoms",
    "Utils": "Utilities",
    "Shops": "Retail",
    "Hlth": "Health care",
    "Money": "Finance",
    "Other": "Other industries",
}
SIZES = {"S1": "Small firms", "S3": "Medium firms", "S5": "Large firms"}
TILTS = {
    "V1": "low value",
    "V3": "medium value",
    "V5": "high value",
    "M1": "losers",
    "M3": "neutral momentum",
    "M5": "winners",
}
STYLES = {s + t: f"{size}, {tilt}" for s, size in SIZES.items() for t, tilt in TILTS.items()}


@dataclass(frozen=True)
class PackagedSeries:
    """One series of the catalog.

    Attributes
    ----------
    name : str
    kind : str
        ``return``, ``level``, ``yield`` or ``index``.
    roles : tuple of str
    read : callable
        Yields a frame (date, value).
    transform : str, optional
        Stationarity transform; the default of its kind when None.
    frequency : str
    """

    name: str
    kind: str
    roles: tuple[str, ...]
    read: Callable[[], pl.DataFrame]
    transform: str | None = None
    frequency: str = "monthly"


@dataclass(frozen=True)
class PackagedDataset:
    """Funds and series that make a study, and the months for which it makes sense.

    ``market`` is the daily series beside which the daily panel is read.
    """

    first_month: Month
    last_month: Month
    funds: Callable[[], tuple[pl.DataFrame, pl.DataFrame]]  # observations, attributes
    series: tuple[str, ...]
    market: str


@cache
def _table(package: str, path: str) -> pl.DataFrame:
    """A CSV file of an installed package, dates as `date`."""
    spec = importlib.util.find_spec(package)  # finds the package without importing it
    folders = (spec.submodule_search_locations if spec else None) or []
    file = next((f for f in (Path(folder) / path for folder in folders) if f.exists()), None)
    if file is None:
        raise InputError(
            f"the installed package {package} has no file {path}",
            where="packaged source",
            remedy="install the versions of requirements.lock",
        )
    content = bz2.decompress(file.read_bytes()) if file.suffix == ".bz2" else file
    frame = pl.read_csv(content, infer_schema_length=None, null_values=["", "NA", "NaN", "."])
    stamp = next((c for c in ("Date", "dates", "date") if c in frame.columns), None)
    if stamp is None:
        return frame
    text = pl.col(stamp).cast(pl.String)
    day = pl.coalesce(
        text.str.to_date("%Y-%m-%d", strict=False), text.str.to_date("%m/%d/%Y", strict=False)
    )
    return frame.with_columns(day.alias("date"))


def _column(package: str, path: str, *columns: str) -> Callable[[], pl.DataFrame]:
    """Reader of one column, or of the sum of several."""

    def read() -> pl.DataFrame:
        value = sum((pl.col(c).cast(pl.Float64) for c in columns[1:]), pl.col(columns[0]))
        return _table(package, path).select("date", value.cast(pl.Float64).alias("value"))

    return read


def _french(*columns: str) -> Callable[[], pl.DataFrame]:
    return _column("linearmodels", "datasets/french/french.csv.bz2", *columns)


def _arch(path: str, column: str) -> Callable[[], pl.DataFrame]:
    return _column("arch", f"data/{path}.csv.gz", column)


def _skfolio(path: str, column: str) -> Callable[[], pl.DataFrame]:
    return _column("skfolio", f"datasets/data/{path}.csv.gz", column)


def _credit_spread() -> pl.DataFrame:
    table = _table("arch", "data/default/default.csv.gz")
    return table.select("date", (pl.col("BAA") - pl.col("AAA")).alias("value"))


def _macrodata(column: str) -> Callable[[], pl.DataFrame]:
    def read() -> pl.DataFrame:
        table = _table("statsmodels", "datasets/macrodata/macrodata.csv")
        month = (pl.col("quarter") * 3).cast(pl.Int32)
        return table.select(
            pl.date(pl.col("year").cast(pl.Int32), month, 1).alias("date"),
            pl.col(column).cast(pl.Float64).alias("value"),
        )

    return read


def _market_index(name: str, read: Callable[[], pl.DataFrame], *roles: str) -> PackagedSeries:
    return PackagedSeries(name, "index", roles or ("risk_factor",), read, frequency="daily")


def _quarterly(name: str, column: str, transform: str, kind: str = "level") -> PackagedSeries:
    return PackagedSeries(name, kind, ("macro",), _macrodata(column), transform, "quarterly")


_BOTH = ("risk_factor", "macro")

CATALOG: dict[str, PackagedSeries] = {
    "mkt_rf": PackagedSeries("Market excess return", "return", ("risk_factor",), _french("MktRF")),
    "smb": PackagedSeries("Small minus big", "return", ("risk_factor",), _french("SMB")),
    "hml": PackagedSeries("High minus low value", "return", ("risk_factor",), _french("HML")),
    "mom": PackagedSeries("Momentum", "return", ("risk_factor",), _french("Mom")),
    "rf": PackagedSeries("One-month Treasury bill", "return", ("risk_free",), _french("RF")),
    "market": PackagedSeries(
        "US stock market, total return", "return", ("benchmark",), _french("MktRF", "RF")
    ),
    "sp500": _market_index("S&P 500, price index", _skfolio("sp500_index", "SP500")),
    "sp500_benchmark": _market_index(
        "S&P 500, price index", _skfolio("sp500_index", "SP500"), "benchmark", "risk_factor"
    ),
    "sp500_since_1999": PackagedSeries(  # no role: the same index again, to check the first by
        "S&P 500, price index (second source)",
        "index",
        (),
        _arch("sp500/sp500", "Adj Close"),
        frequency="daily",
    ),
    "nasdaq": _market_index("Nasdaq composite", _arch("nasdaq/nasdaq", "Adj Close")),
    "mtum": _market_index("Momentum ETF", _skfolio("factors_dataset", "MTUM")),
    "qual": _market_index("Quality ETF", _skfolio("factors_dataset", "QUAL")),
    "size": _market_index("Size ETF", _skfolio("factors_dataset", "SIZE")),
    "usmv": _market_index("Minimum volatility ETF", _skfolio("factors_dataset", "USMV")),
    "vlue": _market_index("Value ETF", _skfolio("factors_dataset", "VLUE")),
    "wti": PackagedSeries(
        "WTI crude", "index", _BOTH, _arch("wti/wti", "DCOILWTICO"), "log_diff", "daily"
    ),
    "wti_average": PackagedSeries(
        "WTI crude, monthly average", "index", ("macro",), _arch("crude/crude", "WTI"), "log_diff"
    ),
    "brent": PackagedSeries(
        "Brent crude, monthly average", "index", _BOTH, _arch("crude/crude", "Brent"), "log_diff"
    ),
    "vix": PackagedSeries("VIX", "index", _BOTH, _arch("vix/vix", "vix"), "log_diff", "daily"),
    "aaa": PackagedSeries(
        "Moody's AAA yield", "yield", _BOTH, _arch("default/default", "AAA"), "diff"
    ),
    "baa": PackagedSeries(
        "Moody's BAA yield", "yield", _BOTH, _arch("default/default", "BAA"), "diff"
    ),
    "credit_spread": PackagedSeries("BAA less AAA yield", "yield", _BOTH, _credit_spread, "diff"),
    "core_cpi": PackagedSeries(
        "Core CPI", "level", ("macro",), _arch("core_cpi/core-cpi", "CPILFESL"), "log_diff2"
    ),
    "real_gdp": _quarterly("Real GDP", "realgdp", "log_diff"),
    "real_consumption": _quarterly("Real consumption", "realcons", "log_diff"),
    "real_investment": _quarterly("Real private investment", "realinv", "log_diff"),
    "real_government": _quarterly("Real federal expenditure", "realgovt", "log_diff"),
    "real_income": _quarterly("Real disposable income", "realdpi", "log_diff"),
    "cpi": _quarterly("CPI, all items", "cpi", "log_diff2"),
    "m1": _quarterly("Money stock M1", "m1", "log_diff2"),
    "tbill": _quarterly("Three-month Treasury bill", "tbilrate", "diff", "yield"),
    "unemployment": _quarterly("Unemployment rate", "unemp", "diff"),
    "population": _quarterly("Population", "pop", "log_diff2"),
    "inflation": _quarterly("Inflation rate", "infl", "diff"),
    "real_rate": _quarterly("Real interest rate", "realint", "diff"),
}
"""Every packaged series; a dataset names those that it takes."""

_MACRO = (
    *("core_cpi", "wti_average", "real_gdp", "real_consumption", "real_investment"),
    *("real_government", "real_income", "cpi", "m1", "tbill", "unemployment", "population"),
    *("inflation", "real_rate"),
)
_MARKETS = ("nasdaq", "wti", "brent", "vix", "aaa", "baa", "credit_spread")


def _french_portfolios() -> tuple[pl.DataFrame, pl.DataFrame]:
    names = INDUSTRIES | STYLES
    table = _table("linearmodels", "datasets/french/french.csv.bz2")
    observations = table.unpivot(
        on=list(names), index="date", variable_name="fund_id", value_name="ret"
    )
    categories = ["industry"] * len(INDUSTRIES) + ["style"] * len(STYLES)
    attributes = {"fund_id": list(names), "name": list(names.values()), "category": categories}
    return (
        observations.with_columns(source=pl.lit("linearmodels french")),
        _us_dollar(pl.DataFrame(attributes)),
    )


def _us_large_caps() -> tuple[pl.DataFrame, pl.DataFrame]:
    table = _table("skfolio", "datasets/data/sp500_dataset.csv.gz")
    tickers = [name for name in table.columns if name not in ("Date", "date")]
    observations = table.unpivot(
        on=tickers, index="date", variable_name="fund_id", value_name="nav"
    )
    attributes = {"fund_id": tickers, "name": tickers, "category": ["us_large_cap"] * len(tickers)}
    return (
        observations.with_columns(source=pl.lit("skfolio sp500")),
        _us_dollar(pl.DataFrame(attributes)),
    )


def _daily_panel() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Adjusted closing prices of the shares and ETFs, the same beside every dataset."""
    prices = [
        _table("skfolio", f"datasets/data/{file}.csv.gz").unpivot(
            on=list(firms), index="date", variable_name="fund_id", value_name="nav"
        )
        for file, firms in (("sp500_dataset", SHARES), ("factors_dataset", ETFS))
    ]
    firms = pl.DataFrame([{"fund_id": k, **f._asdict()} for k, f in (SHARES | ETFS).items()])
    return pl.concat(prices), _us_dollar(firms)


def _us_dollar(attributes: pl.DataFrame) -> pl.DataFrame:
    return attributes.with_columns(domicile=pl.lit("US"), currency=pl.lit("USD"))


DATASETS: dict[str, PackagedDataset] = {
    "french_monthly": PackagedDataset(
        first_month=Month.parse("1990-01"),
        last_month=Month.parse("2017-03"),
        funds=_french_portfolios,
        series=(
            *("mkt_rf", "smb", "hml", "mom", "rf", "market", "sp500", "sp500_since_1999"),
            *("mtum", "qual", "size", "usmv", "vlue"),
            *_MARKETS,
            *_MACRO,
        ),
        market="sp500",
    ),
    "us_large_caps_daily": PackagedDataset(
        first_month=Month.parse("1995-01"),
        last_month=Month.parse("2022-11"),
        funds=_us_large_caps,
        series=(
            *("mkt_rf", "smb", "hml", "mom", "sp500_benchmark"),
            *("mtum", "qual", "size", "usmv", "vlue"),
            *_MARKETS,
            *_MACRO,
        ),
        market="sp500_benchmark",
    ),
}


def dataset(name: str) -> PackagedDataset:
    """A packaged dataset by name.

    Raises
    ------
    SettingsError
        There is none of that name.
    """
    if name not in DATASETS:
        raise SettingsError(
            f"there is no packaged dataset {name!r}",
            where="settings, dataset.name",
            remedy=f"use one of {', '.join(DATASETS)}, or source: files for your own data",
        )
    return DATASETS[name]


def load(settings: DatasetSettings) -> InputTables:
    """Read a packaged dataset: all its history, also from before its first month."""
    chosen = dataset(settings.name)
    observations, attributes = chosen.funds()
    daily, firms = _daily_panel()
    values = [CATALOG[name].read().with_columns(series_id=pl.lit(name)) for name in chosen.series]
    series = pl.DataFrame(
        {
            "series_id": list(chosen.series),
            "name": [CATALOG[name].name for name in chosen.series],
            "roles": [list(CATALOG[name].roles) for name in chosen.series],
            "kind": [CATALOG[name].kind for name in chosen.series],
            "transform": [CATALOG[name].transform for name in chosen.series],
            "frequency": [CATALOG[name].frequency for name in chosen.series],
            "aliases": [[] for _ in chosen.series],
        },
        schema_overrides={"transform": pl.String, "aliases": pl.List(pl.String)},
    )
    return InputTables(
        conform("fund_observations", observations),
        conform("funds", attributes),
        conform("series_observations", pl.concat(values)),
        conform("series", series),
        daily_observations=conform("daily_observations", daily),
        daily_funds=conform("daily_funds", firms),
        market=chosen.market,
    )


def month_bounds(settings: DatasetSettings) -> tuple[Month, Month]:
    """First and last month that the dataset decides, without reading it."""
    chosen = dataset(settings.name)
    return chosen.first_month, chosen.last_month
