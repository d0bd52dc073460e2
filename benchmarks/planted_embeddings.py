"""Planted clusters and betas: embeddings of windows against principal components of the same.

    python -m benchmarks.planted_embeddings [--encoders NAME ...] [--levels NAME ...] [--worlds N]

Simulated daily funds of six hidden clusters: a beta to the market, a loading on the cluster's own
factor, noise of their own, births, deaths and missing days. Encoders learn on the sessions before
the last window to guess hidden steps (self-supervised) or the next ones (supervised), beside the
market and two macro factors, each the sum of three clusters' factors and noise. The last window of
the living funds is what everybody is judged by:

retrieval: mean average precision of funds of the same cluster by cosine. rand: adjusted Rand index
of six means. beta, volatility: R2 of a ridge regression for the true values (volatility is that of
a fund's own noise), out of fold.

Differences are paired over worlds, with 95% intervals of Student's t.
"""

import argparse
import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits
from torch import nn

from finembed_core.embeddings.baseline import principal_vectors, standardized_returns
from finembed_core.embeddings.checks import (
    linear_probe,
    market_beta,
    retrieval_scores,
    trailing_volatility,
)
from finembed_core.encoders import build
from finembed_core.learning import masks, objectives
from finembed_core.learning.loop import LoopOptions, Loss, reproducible, train_network

CLUSTERS, FUNDS, SESSIONS, HORIZON = 6, 200, 800, 16
SIZE = {"width": 32, "feed_forward": 64, "layers": 2, "heads": 4, "dropout": 0.1}
OPTIONS = LoopOptions(1e-3, 1e-2, 128, 5, 2, 5_120)
HIDDEN, STEPS = 0.4, 12
MEASURES = ("retrieval", "rand", "beta", "volatility")


class Level(NamedTuple):
    """How hard it is: days that a fund sees, missing days, a cluster's share of the variance."""

    lookback: int
    missing: float
    cluster: float


LEVELS = {
    "plain": Level(128, 0.0, 0.2),
    "missing days": Level(128, 0.3, 0.2),
    "short windows": Level(32, 0.0, 0.2),
    "all three": Level(32, 0.3, 0.05),
}


@dataclass(frozen=True)
class World:
    """Returns (T, N) in percent, NaN where there is none; channels (T, 3); what is hidden, (N,)."""

    returns: np.ndarray
    channels: np.ndarray
    cluster: np.ndarray
    beta: np.ndarray
    volatility: np.ndarray

    @classmethod
    def drawn(cls, level, seed):
        """Another world for each seed."""
        rng = np.random.default_rng(seed)
        cluster = rng.integers(CLUSTERS, size=FUNDS)
        beta, volatility = rng.uniform(0.3, 1.5, FUNDS), rng.uniform(0.5, 2.0, FUNDS)
        market, own = rng.standard_t(5, SESSIONS), rng.standard_t(5, (SESSIONS, CLUSTERS))
        loading = np.sqrt(level.cluster / (1.0 - level.cluster)) * volatility
        noise = volatility * rng.standard_normal((SESSIONS, FUNDS))
        returns = beta * market[:, None] + loading * own[:, cluster] + noise
        mixed = own.reshape(SESSIONS, 2, -1).sum(axis=2) + rng.standard_normal((SESSIONS, 2))
        returns[rng.random(returns.shape) < level.missing] = np.nan
        days = np.arange(SESSIONS)[:, None]
        born = rng.integers(-SESSIONS, SESSIONS - 200, FUNDS)
        dead = born + rng.integers(300, 3 * SESSIONS, FUNDS)
        returns[(days < born) | (days >= dead)] = np.nan
        return cls(returns, np.column_stack([market, mixed]), cluster, beta, volatility)

    def windows(self, session, lookback):
        """Windows (n, 4, L) up to a session, what is visible, and the funds they are of."""
        own = self.returns[session - lookback + 1 : session + 1]
        funds = np.flatnonzero(np.isfinite(own).mean(axis=0) > 0.5)
        shared = self.channels[session - lookback + 1 : session + 1].T
        copies = np.broadcast_to(shared, (len(funds), *shared.shape))
        windows = np.concatenate([own.T[funds, None], copies], axis=1).astype(np.float32)
        visible = np.isfinite(windows)
        return np.where(visible, windows, np.float32(0.0)), visible, funds


class Examples:
    """Windows of many sessions, with what follows; steps are hidden anew with each draw."""

    def __init__(self, world, sessions, lookback, mode):
        parts = [world.windows(session, lookback) for session in sessions]
        self.windows, self.visible = (
            torch.from_numpy(np.concatenate([part[k] for part in parts])) for k in (0, 1)
        )
        self.after = torch.from_numpy(
            np.concatenate(
                [
                    world.returns[session + 1 : session + 1 + HORIZON, part[2]].T
                    for session, part in zip(sessions, parts, strict=True)
                ]
            ).astype(np.float32)
        )
        self.mode, self.generator = mode, torch.Generator().manual_seed(0)

    def __len__(self):
        return len(self.windows)

    def batch(self, rows):
        """What is seen, and what is to be guessed where."""
        windows, visible = self.windows[rows], self.visible[rows]
        if self.mode == "supervised":
            truth = self.after[rows]
            return (windows, visible), (truth.nan_to_num(), truth.isfinite())
        shown = masks.hide_steps(visible, HIDDEN, STEPS, self.generator)
        return (windows, shown), (windows[:, 0], visible[:, 0] & ~shown[:, 0])


class Guess(nn.Module):
    """The fund's channel, hidden steps or next ones."""

    def __init__(self, encoder, mode):
        super().__init__()
        self.encoder, self.mode = encoder, mode

    def forward(self, inputs):
        """Windows and what is visible of them, to (B, steps)."""
        encoding = self.encoder(*inputs)
        return (encoding.forecast if self.mode == "supervised" else encoding.reconstruction)[:, 0]


def error(guess, target):
    truth, where = target
    return Loss(objectives.masked_error(guess, truth, where, 1.5))


def embedded(name, mode, world, level, seed):
    """Vectors of the last window's funds; mode `untrained` leaves random weights."""
    lookback = level.lookback
    with reproducible(seed):
        patches = {"patch": lookback // 8, "stride": lookback // 16, "trend_window": 25}
        encoder = build.build_encoder(name, lookback, HORIZON, **SIZE, **patches)
        if mode != "untrained":
            last = SESSIONS - 1 - HORIZON
            split = last - 2 * lookback  # windows that say when to stop share no day with those
            learn = Examples(world, range(lookback - 1, split - HORIZON, 8), lookback, mode)
            valid = Examples(world, range(split + lookback, last, 8), lookback, mode)
            train_network(Guess(encoder, mode), learn, valid, error, OPTIONS, lambda epoch: None)
        windows, visible, _ = world.windows(SESSIONS - 1, lookback)
        encoder.eval()
        with torch.no_grad():
            tokens = encoder(torch.from_numpy(windows), torch.from_numpy(visible)).tokens
    return tokens[:, 0].double().numpy()


def judged(vectors, world, funds, seed):
    labels = world.cluster[funds]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    means = KMeans(CLUSTERS, n_init=10, random_state=seed).fit_predict(unit)
    return (
        retrieval_scores(vectors, labels, np.arange(len(funds)))[0],
        adjusted_rand_score(labels, means),
        linear_probe(vectors, world.beta[funds], seed),
        linear_probe(vectors, world.volatility[funds], seed),
    )


def one_world(level, encoders, seed):
    """Measures of everybody in one world."""
    world = World.drawn(level, seed)
    windows, visible, funds = world.windows(SESSIONS - 1, level.lookback)
    own = (trailing_volatility(windows, visible), market_beta(windows, visible))
    found = {
        "PCA of returns": principal_vectors(windows, visible, SIZE["width"]),
        "returns themselves": standardized_returns(windows, visible),
        "volatility and beta": np.column_stack(own),
    }
    for name in encoders:
        for mode in ("untrained", "self-supervised", "supervised"):
            found[f"{name}, {mode}"] = embedded(name, mode, world, level, seed)
    return {name: judged(vectors, world, funds, seed) for name, vectors in found.items()}


def table(name, worlds):
    """Markdown: means over worlds, and what each has over PCA."""
    print(f"\n**{name}**: {LEVELS[name]}, {len(worlds)} worlds\n")
    print("| vectors |", " | ".join(f"{m} | over PCA" for m in MEASURES), "|")
    print("|---|" + "---:|---|" * len(MEASURES))
    base = np.array([world["PCA of returns"] for world in worlds])
    for who in worlds[0]:
        own = np.array([world[who] for world in worlds])
        cells = [c for k in range(len(MEASURES)) for c in compared(own[:, k], base[:, k])]
        print(f"| {who} |", " | ".join(cells), "|")


def compared(own, base):
    over = own - base
    half = stats.t.ppf(0.975, len(over) - 1) * over.std(ddof=1) / np.sqrt(len(over))
    less, more = over.mean() - half, over.mean() + half
    verdict = "better" if less > 0 else "worse" if more < 0 else "="
    return f"{own.mean():.2f}", "" if not over.any() else f"{verdict} [{less:+.2f}, {more:+.2f}]"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoders", nargs="+", default=["rlinear", "patchtst", "itransformer"])
    parser.add_argument("--levels", nargs="+", default=list(LEVELS), choices=LEVELS)
    parser.add_argument("--worlds", type=int, default=4)
    given = parser.parse_args()
    for name in given.levels:
        start = time.perf_counter()
        with threadpool_limits(1):
            seeds = range(given.worlds)
            table(name, [one_world(LEVELS[name], given.encoders, seed) for seed in seeds])
        print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
