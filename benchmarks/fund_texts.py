"""What names alone tell of Indian funds, and what the other modalities cost.

``python -m benchmarks.fund_texts FUNDS.parquet [--funds 10000]``, with the extra `text`.
The file has the columns ``scheme`` and ``asset``, the second guessed from the first. Every scheme
votes with the five schemes of *other* fund houses (column ``amc``) whose names are nearest by
cosine; how often the right category wins is set against naming the largest one, and chance.

Then the time per name, and that of the characteristics of ``--funds`` simulated funds at a session:
seconds of the wall, of the processor, and the load of the machine.
"""

import argparse
import os
import time

import numpy as np
import polars as pl

from finembed_core.embeddings.characteristics import characteristics
from finembed_core.embeddings.text import TABLE, TextVectors, fund_texts, text_vectors
from finembed_core.sources.tables import conform
from tests.daily_worlds import panel

NEIGHBORS = 5
SERIES = 9  # the market among them


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--funds", type=int, default=10_000)
    given = parser.parse_args()
    names(pl.read_parquet(given.file))
    numbers(given.funds)


def names(table):
    rows = {"fund_id": table["fund_id"].cast(pl.String), "name": table["scheme"]}
    texts = fund_texts(conform("funds", pl.DataFrame(rows)))
    part = timed(f"{len(set(texts.texts))} names", lambda: text_vectors(texts)[TABLE])
    print(part.notes)
    vectors = TextVectors.of(part.frame).vectors
    close = vectors @ vectors.T
    house = table["amc"].to_numpy()
    close[house[:, None] == house] = -np.inf
    kinds, category = np.unique(table["asset"].to_numpy().astype(str), return_inverse=True)
    nearest = category[np.argpartition(-close, NEIGHBORS, axis=1)[:, :NEIGHBORS]]
    votes = np.stack([(nearest == k).sum(axis=1) for k in range(len(kinds))], axis=1)
    right = votes.argmax(axis=1) == category
    counts = np.bincount(category)
    recall = np.bincount(category, right) / counts
    print(f"category from the names of others: {right.mean():.3f} of the funds are right")
    print(f"  always the largest category: {counts.max() / counts.sum():.3f}")
    print(
        f"  mean over the {len(kinds)} categories: {recall.mean():.3f}; chance {1 / len(kinds):.3f}"
    )
    print(
        "  "
        + ", ".join(f"{k} {r:.2f} ({c})" for k, r, c in zip(kinds, recall, counts, strict=True))
    )


def numbers(funds):
    draw = np.random.default_rng(0)
    days = np.busday_offset("2015-01-05", np.arange(1000)).astype("datetime64[D]")
    returns = draw.normal(0, 0.01, (len(days), funds)).astype(np.float32)
    series = draw.normal(0, 0.01, (len(days), SERIES)).astype(np.float32)
    ids = tuple(f"f{k:05d}" for k in range(funds))
    names = tuple(f"s{k}" for k in range(SERIES))
    world = panel(returns, days=days, market=series, ids=ids, series_ids=names)
    table = conform("funds", pl.DataFrame({"fund_id": ids}))
    name = f"characteristics of {funds} funds at a session"
    timed(name, lambda: characteristics(world, table, len(days) - 1, np.arange(funds), "s0"))


def timed(name, work):
    """What some work makes; prints what it took."""
    wall, processor = time.perf_counter(), time.process_time()
    made = work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"{name}: {wall:.2f} s, {processor:.2f} of processor, load {os.getloadavg()[0]:.1f}")
    return made


if __name__ == "__main__":
    main()
