"""One table: entropy of inputs and of embeddings, and what the two have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from finembed_core.embeddings.information.bounds import infonce_cap
from finembed_core.embeddings.information.critics import BOUNDS, Recipe, held_out_bounds
from finembed_core.embeddings.information.gaussian import gaussian_entropy, gaussian_information
from finembed_core.embeddings.information.neighbors import kozachenko_leonenko, ksg
from finembed_core.embeddings.information.reduction import Reduction
from finembed_core.errors import InputError
from finembed_core.learning.loop import reproducible
from finembed_core.panel import FloatArray

MOST_ROWS = 4_000
FEWEST_ROWS = 100
REPEATS = 3
RECIPE = Recipe()
VALIDATION = 0.2
"""Share of the rows to learn from that only says when a critic was at its best."""
FEWEST_VALID = 5
NOISE = 0.5
"""Standard deviations of an embedding's column. Small noise means much information, which no
estimator can tell from a few thousand rows."""

ENTROPIES: dict[str, Callable[[FloatArray], float]] = {
    "kozachenko_leonenko": kozachenko_leonenko,
    "gaussian": gaussian_entropy,
}
ENTROPY_ROWS = [(q, e) for q in ("entropy_input", "entropy_embedding") for e in ENTROPIES]
ESTIMATES = [
    *ENTROPY_ROWS,
    *(("mutual_information", e) for e in (*BOUNDS, "ksg", "gaussian")),
]
"""(quantity, estimator) of each row, in order."""
WITHOUT_ENTROPY = {
    "kozachenko_leonenko": "points coincide: the entropy is -infinity",
    "gaussian": "the covariance is singular: the entropy is -infinity",
}
WITHOUT_INFORMATION = {
    **dict.fromkeys(BOUNDS, "the critic ran off to infinity before it had learned anything"),
    "gaussian": "a combination of one side is one of the other: the information is infinite",
}
"""Why an estimator gave no number."""
SCHEMA = {
    "quantity": pl.String,
    "estimator": pl.String,
    "value": pl.Float64,
    "std": pl.Float64,
    "n": pl.Int64,
    "dimension": pl.Int64,
    "noise": pl.Float64,
    "unit": pl.String,
    "note": pl.String,
}


class _Split(NamedTuple):
    """Rows to learn from, and those among them that say when to stop; the values are of the rest.

    Groups stay whole in both: a critic that is chosen on near copies of what it learned from is
    chosen for what it knows by heart.
    """

    learn: NDArray[np.bool_]
    valid: NDArray[np.bool_]

    def possible(self) -> bool:
        """Whether every part has rows enough."""
        halves = np.bincount(self.learn, minlength=2)
        return min(halves) >= FEWEST_ROWS // 4 and self.valid.sum() >= FEWEST_VALID


class _Sample(NamedTuple):
    """One split: values by (quantity, estimator), and what they were computed from."""

    values: dict[tuple[str, str], float]
    n: int
    sizes: dict[str, int]
    shares: tuple[float, float]


def information(
    inputs: FloatArray,
    embeddings: FloatArray,
    *,
    seed: int,
    noise: float = NOISE,
    groups: NDArray | None = None,
    repeats: int = REPEATS,
) -> pl.DataFrame:
    """Entropies and mutual information of rows of inputs and their embeddings.

    An encoder is a function of its input, so that embeddings share infinitely many nats with it;
    what is reported is I(X; Z + noise). Each of `repeats` draws splits the rows in halves: one fits
    the reductions (standardized columns, at most ten principal components) and the critics, a fifth
    of it saying when these were at their best; all values are of the other. Entropies are those of
    the coordinates, in standard deviations of a column; mutual information does not depend on
    units. Runs on one thread.

    Parameters
    ----------
    inputs : ndarray, shape (n, p)
        What the encoder saw, hidden cells filled. Of more than `MOST_ROWS` rows that many are
        drawn; rows that repeat another are left out.
    embeddings : ndarray, shape (n, d)
    seed : int
    noise : float
        Standard deviation of the Gaussian noise, in those of an embedding's column.
    groups : ndarray, shape (n,), optional
        Rows of one group (a fund, say) stay together in every split.
    repeats : int
        Draws; with one there is no std.

    Returns
    -------
    DataFrame
        Columns quantity, estimator, value (mean over the draws), std (over the draws), n (rows that
        the value comes from), dimension, noise, unit, note. A value that cannot be is null, and the
        note says why.

    Raises
    ------
    InputError
        Different numbers of rows, a NaN or an infinity, or noise that is not positive.
    """
    x, z = (np.asarray(part, dtype=np.float64) for part in (inputs, embeddings))
    labels = np.arange(len(x)) if groups is None else np.unique(groups, return_inverse=True)[1]
    _check(x, z, labels, noise)
    rng = np.random.default_rng(seed)
    rows, remark = _rows(x, rng)
    if len(rows) < FEWEST_ROWS:
        return _absent(len(rows), noise, f"too few rows: {len(rows)}, {FEWEST_ROWS} are needed")
    x, z, labels = x[rows], z[rows], labels[rows]
    samples = []
    with threadpool_limits(1):
        for _ in range(repeats):
            split = _split(labels, rng)
            if not split.possible():
                return _absent(len(x), noise, "too few groups: they cannot be split in halves")
            samples.append(_estimate(x, z, split, noise, rng))
    return _table(samples, noise, remark)


def _check(x: FloatArray, z: FloatArray, labels: NDArray, noise: float) -> None:
    if x.ndim != 2 or z.ndim != 2 or not len(x) == len(z) == len(labels):
        raise InputError(
            f"inputs {x.shape}, embeddings {z.shape} and groups ({len(labels)},) do not match",
            remedy="give two tables and their groups with as many rows each",
        )
    for name, values in (("inputs", x), ("embeddings", z)):
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(bad):
            raise InputError(
                f"{len(bad)} of {len(values)} rows of the {name} hold NaN or infinity",
                where=f"first in row {bad[0]}",
                remedy="fill hidden cells, or leave out funds without an embedding",
            )
    if not noise > 0:
        raise InputError(
            f"noise is {noise}: without noise the information is infinite",
            remedy=f"give a positive noise, such as {NOISE}",
        )


def _rows(x: FloatArray, rng: np.random.Generator) -> tuple[NDArray[np.intp], list[str]]:
    """Rows to use, in order, and what to say about it."""
    distinct = np.sort(np.unique(x, axis=0, return_index=True)[1])
    said = [f"{len(x) - len(distinct)} repeated rows left out"] * (len(distinct) < len(x))
    if len(distinct) > MOST_ROWS:
        said.append(f"{MOST_ROWS} of {len(distinct)} rows drawn")
        distinct = np.sort(rng.choice(distinct, MOST_ROWS, replace=False))
    return distinct, said


def _split(labels: NDArray, rng: np.random.Generator) -> _Split:
    learn = _drawn(labels, 0.5, rng)
    valid = np.zeros(len(labels), dtype=bool)
    valid[learn] = _drawn(labels[learn], VALIDATION, rng)
    return _Split(learn, valid)


def _drawn(labels: NDArray, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """True for whole groups, drawn until they hold this share of the rows."""
    names, own, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    order = rng.permutation(len(names))
    middle = np.cumsum(sizes[order]) - sizes[order] / 2
    chosen = np.zeros(len(names), dtype=bool)
    chosen[order[middle <= share * len(labels)]] = True
    return chosen[own]


def _estimate(
    x: FloatArray, z: FloatArray, split: _Split, noise: float, rng: np.random.Generator
) -> _Sample:
    first = split.learn
    reduce_x, reduce_z = Reduction.fit(x[first]), Reduction.fit(z[first])
    x, z = reduce_x.apply(x), reduce_z.apply(z)
    sizes = {"entropy_input": x.shape[1], "entropy_embedding": z.shape[1]}
    sizes["mutual_information"] = z.shape[1] if x.shape[1] else 0
    values: dict[tuple[str, str], float] = {}
    for quantity, coordinates in (("entropy_input", x), ("entropy_embedding", z)):
        for estimator, entropy in ENTROPIES.items():
            if coordinates.shape[1]:
                values[quantity, estimator] = _or_nothing(entropy, coordinates[~first])
    if x.shape[1] and z.shape[1]:
        noisy = z + noise * rng.standard_normal(z.shape)  # a rotation leaves such noise as it is
        x, noisy = x / x[first].std(axis=0), noisy / noisy[first].std(axis=0)
        for estimator, value in _mutual(x, noisy, split, int(rng.integers(2**31))).items():
            values["mutual_information", estimator] = value
    return _Sample(values, int((~first).sum()), sizes, (reduce_x.share, reduce_z.share))


def _or_nothing(entropy: Callable[[FloatArray], float], values: FloatArray) -> float:
    """-inf where points coincide: they have no density."""
    try:
        return entropy(values)
    except InputError:
        return -math.inf


def _mutual(x: FloatArray, z: FloatArray, split: _Split, seed: int) -> dict[str, float]:
    learn, valid, held_out = (
        (torch.from_numpy(x[rows]).float(), torch.from_numpy(z[rows]).float())
        for rows in (split.learn & ~split.valid, split.valid, ~split.learn)
    )
    with reproducible(seed):
        values = held_out_bounds(learn, valid, held_out, RECIPE)
    values["ksg"] = ksg(x[~split.learn], z[~split.learn])
    values["gaussian"] = gaussian_information(x[~split.learn], z[~split.learn])
    return values


def _table(samples: Sequence[_Sample], noise: float, remark: Sequence[str]) -> pl.DataFrame:
    n = min(sample.n for sample in samples)
    shares = np.mean([sample.shares for sample in samples], axis=0)
    rows = []
    for quantity, estimator in ESTIMATES:
        values = np.array([sample.values.get((quantity, estimator), np.nan) for sample in samples])
        size = min(sample.sizes[quantity] for sample in samples)
        said = _remarks(quantity, estimator, values, n, shares) if size else ["no column varies"]
        there = np.isfinite(values).all()
        rows.append(
            {
                "quantity": quantity,
                "estimator": estimator,
                "value": values.mean() if there else None,
                "std": values.std(ddof=1) if there and len(values) > 1 else None,
                "n": n,
                "dimension": size,
                "noise": noise if quantity == "mutual_information" else None,
                "unit": "nats",
                "note": "; ".join([*said, *remark]),
            }
        )
    return pl.DataFrame(rows, schema=SCHEMA)


def _remarks(
    quantity: str, estimator: str, values: FloatArray, n: int, shares: FloatArray
) -> list[str]:
    """What one must know to read the value, and why there is none."""
    if not np.isfinite(values).all():
        own = WITHOUT_INFORMATION if quantity == "mutual_information" else WITHOUT_ENTROPY
        return [own[estimator]]
    if quantity != "mutual_information":
        share = shares[0] if quantity == "entropy_input" else shares[1]
        return [f"in standard deviations of a column; components keep {share:.0%} of the variance"]
    most = infonce_cap(n)
    if estimator == "infonce":
        near = ", nearly reached" if values.mean() > 0.9 * most else ""
        return [f"lower bound, at most ln {n} = {most:.2f}{near}"]
    said = {
        "mine": "lower bound",
        "smile": "not a bound",
        "ksg": "too small where dimension and information are large",
        "gaussian": "linear dependence only",
    }
    doubtful = [f"above ln {n} = {most:.2f}: not to be trusted"]
    high = estimator in ("mine", "smile") and values.mean() > most
    return [said[estimator], *(doubtful if high else [])]


def _absent(rows: int, noise: float, note: str) -> pl.DataFrame:
    """The table without values."""
    return pl.DataFrame(
        [
            {"quantity": q, "estimator": e, "n": rows, "noise": noise, "unit": "nats", "note": note}
            for q, e in ESTIMATES
        ],
        schema=SCHEMA,
    ).with_columns(noise=pl.when(quantity="mutual_information").then("noise"))
