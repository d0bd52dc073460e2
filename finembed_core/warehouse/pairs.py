"""Pair statistics in the warehouse: a view over the store's Parquet files, which are not copied.

The month is read from a file's name, so that a filter on it opens the files of its months alone.
Paths start at the root: the warehouse is opened from any folder.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from finembed_core.errors import WarehouseError
from finembed_core.settings import Settings
from finembed_core.warehouse.quoting import literal
from finembed_core.warehouse.sources import PAIRS, Part

TEXTS = {
    "month": "month end; a filter on it opens no file of another month",
    "fund_id": "rows lie in its order: a filter on it reads few of them",
    "factor_id": "risk factor",
    "r2": "share explained, of the fit with a free intercept",
    "adjusted_r2": "1 - (1 - r2) (n - 1)/(n - p), n months, p coefficients",
    "p_value": "share of shuffled histories that fit as well",
    "score": "-ln p_value, nats",
    "residual_sd": "unexplained standard deviation, decimal per month",
    "y_max": "worst predicted loss over the factor's long history, decimal",
    "y_max_clamped": "the same over what the window has seen of it",
    "svar": "StressVaR of the pair, not capped, decimal",
    "svar_clamped": "the same with y_max_clamped",
    "lta": "long-term alpha, decimal per month",
}
COEFFICIENT = "coefficient of the scaled Hermite polynomial of this degree, decimal per month"
MONTH = "last_day((parse_filename(filename)[1:7] || '-01')::DATE)"


def create_pairs_view(
    connection: duckdb.DuckDBPyConnection, parts: Sequence[Part], settings: Settings
) -> None:
    """Make the view `polymodel_pairs` if the settings keep pair statistics.

    Parameters
    ----------
    connection : DuckDBPyConnection
        On the new warehouse.
    parts : sequence of Part
        All parts of the store; those of pair statistics that are in force are shown.
    settings : Settings

    Raises
    ------
    WarehouseError
        A file is damaged, or of another version.
    """
    if settings.pairs is None:
        return
    names = settings.pairs.statistics(settings.polymodel.degree)
    files = [p.path for p in parts if p.manifest.table == PAIRS and p.path and not p.left_out]
    if files:
        paths = ", ".join(literal(path.resolve()) for path in files)
        rows = (
            f"SELECT {', '.join([f'{MONTH} AS month', 'fund_id', 'factor_id', *names])}"
            f" FROM read_parquet([{paths}], filename = true)"
        )
    else:
        given = {"month": "DATE", "fund_id": "VARCHAR", "factor_id": "VARCHAR"}
        given |= dict.fromkeys(names, "FLOAT")
        rows = f"SELECT {', '.join(f'NULL::{k} AS {n}' for n, k in given.items())} WHERE false"
    try:
        connection.execute(f"CREATE VIEW {PAIRS} AS {rows}")
    except (duckdb.BinderException, duckdb.InvalidInputException) as error:
        raise WarehouseError(
            f"{PAIRS} cannot be shown: {str(error).splitlines()[0]}",
            where=str(files[0].parent),
            remedy="delete the parts of this folder and run again: they are then rebuilt",
        ) from None
    connection.execute(
        f"COMMENT ON VIEW {PAIRS} IS 'Every tested pair of the months, funds and factors that the"
        " settings keep, read from the files in publication.pairs_folder.'"
    )
    for name in ("month", "fund_id", "factor_id", *names):
        text = literal(TEXTS.get(name, COEFFICIENT))
        connection.execute(f"COMMENT ON COLUMN {PAIRS}.{name} IS {text}")
