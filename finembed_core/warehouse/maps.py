"""Maps of funds: two principal components of the embeddings of a date, made at publication."""

from __future__ import annotations

import duckdb
import numpy as np
import polars as pl

from finembed_core.panel import FloatArray

MODULES = ("finembed_core.warehouse.maps",)
SCHEMA = {
    "date": pl.Date,
    "encoder": pl.String,
    "mode": pl.String,
    "fund_id": pl.String,
    "x": pl.Float64,
    "y": pl.Float64,
    "explained_x": pl.Float64,
    "explained_y": pl.Float64,
    "n_seeds": pl.Int64,
}
MAPS = "SELECT DISTINCT date, encoder, mode FROM embeddings ORDER BY ALL"
VECTORS = """
SELECT fund_id, list(vector ORDER BY seed) AS vectors, count(*) AS n_seeds
FROM embeddings WHERE date = ? AND encoder = ? AND mode = ?
    AND array_inner_product(vector, vector) > 0
GROUP BY fund_id ORDER BY fund_id
"""


def principal_map(vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The plane that shows most of how funds differ.

    The vectors of each seed are scaled to unit length and laid side by side, so that the squared
    distance of two funds is the sum of 2 (1 - cosine) over seeds: their principal components are
    the classical scaling (Torgerson 1952) of the mean cosine similarity.

    Parameters
    ----------
    vectors : ndarray, shape (N, S, d)
        Of N funds and S seeds, none of length 0.

    Returns
    -------
    places : ndarray, shape (N, 2)
        Centered. The longest coordinate of each component's axis is positive; a component that
        explains nothing is 0.
    explained : ndarray, shape (2,)
        Share of the variance of each component.
    """
    n, n_seeds, _ = vectors.shape
    unit = vectors / np.linalg.norm(vectors, axis=2, keepdims=True)
    side_by_side = unit.reshape(n, -1) / np.sqrt(n_seeds)
    centered = side_by_side - side_by_side.mean(axis=0)
    variances, axes = np.linalg.eigh(centered.T @ centered)
    variances, axes = np.maximum(variances[::-1][:2], 0.0), axes[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    total = np.square(centered).sum()
    seen = variances > np.finfo(np.float64).eps * n * max(float(total), 1.0)
    places, explained = np.zeros((n, 2)), np.zeros(2)
    places[:, : len(seen)] = np.where(seen, centered @ axes, 0.0)
    explained[: len(seen)] = np.where(seen, variances, 0.0) / (total if seen.any() else 1.0)
    return places, explained


def embedding_map_rows(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Rows of table `embedding_map` from table `embeddings`.

    Funds that lack a seed that others of the date have are left out.
    """
    maps = [pl.DataFrame(schema=SCHEMA)]
    for key in connection.execute(MAPS).fetchall():
        found = connection.sql(VECTORS, params=key).to_arrow_table()
        frame = pl.DataFrame(found).filter(pl.col("n_seeds") == pl.col("n_seeds").max())
        if frame.height:
            maps.append(_map(frame, key))
    return pl.concat(maps)


def _map(frame: pl.DataFrame, key: tuple) -> pl.DataFrame:
    rows = frame["vectors"].explode().to_numpy().astype(np.float64)  # (N S, d)
    vectors = rows.reshape(frame.height, -1, rows.shape[1])
    places, explained = principal_map(vectors)
    named = dict(zip(("date", "encoder", "mode"), key, strict=True))
    made = frame.select(
        **{name: pl.lit(value) for name, value in named.items()},
        fund_id="fund_id",
        x=pl.Series(places[:, 0]),
        y=pl.Series(places[:, 1]),
        explained_x=pl.lit(explained[0]),
        explained_y=pl.lit(explained[1]),
        n_seeds="n_seeds",
    )
    return made.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
