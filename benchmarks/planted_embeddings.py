"""Planted clusters and betas: embeddings of the trained chain against principal components.

    python -m benchmarks.planted_embeddings [--encoders NAME ...] [--levels NAME ...] [--worlds N]
        [--epochs N]

Simulated daily funds of six hidden clusters: a beta to the market, a loading on the cluster's own
factor, noise of their own, births, deaths and missing days. Each world goes through the chain as a
store would: panel, windows, information set, `fit_models`, embeddings of the funds listed at the
last session. There are no macro factors and no texts, all funds have one category, and nobody is
told the clusters. Only `multi_modal` sees characteristics, the estimated beta among them.

retrieval: mean average precision of funds of the same cluster by cosine. named: accuracy of a
logistic regression for the cluster. rand: adjusted Rand index of six means. beta: R2 of a ridge
regression for the true beta. The regressions are out of fold. All vectors are first centered over
the funds of the date, as scores of principal components are by construction.

Beside PCA of the same windows: PCA after each fund's own regression on the market; PCA of `DATES`
windows in a row, for the vectors that are means over `DATES` dates of one network; networks before
training; volatility and beta by formula; random numbers. Differences from PCA are paired over
worlds, with 95% intervals of Student's t. `--epochs` trains so long without patience; the epoch
with the least validation loss is kept, as always.
"""

import argparse
import time
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import polars as pl
from scipy import stats
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from finembed_core.daily_panel import DailyPanel
from finembed_core.embeddings.baseline import principal_vectors
from finembed_core.embeddings.checks import (
    linear_probe,
    market_beta,
    retrieval_scores,
    trailing_volatility,
)
from finembed_core.embeddings.examples import FundDates
from finembed_core.embeddings.fitting import fit_models
from finembed_core.embeddings.macro_steps import MacroSteps
from finembed_core.embeddings.predictions import embeddings
from finembed_core.embeddings.sheets import Information, SheetMaker
from finembed_core.embeddings.text import TextVectors
from finembed_core.embeddings.training import NetworkName
from finembed_core.embeddings.windows import Windows
from finembed_core.learning.loop import reproducible
from finembed_core.settings import ENCODERS, Settings
from finembed_core.sources.tables import conform
from tests.daily_worlds import panel, sessions

CLUSTERS, SESSIONS, HORIZON, SIZE = 6, 800, 16, 32
CLUSTER_SHARE = 0.2  # of a fund's variance besides the market
DATES = 4
MODES = ("supervised", "probe", "multi_objective", "multi_modal")
MEASURES = ("retrieval", "named", "rand", "beta")
PCA, LONG_PCA = "PCA of returns", f"PCA of {DATES} windows in a row"


class Level(NamedTuple):
    """How hard it is.

    Each of the funds lives `life` sessions at least and three times as many at most. It is listed
    once it shows `min_visible` of a window of `lookback` sessions; a share `missing` has no return.
    """

    funds: int
    lookback: int
    missing: float
    life: int
    min_visible: float


LEVELS = {
    "easy": Level(200, 128, 0.0, 600, 0.75),
    "missing days": Level(200, 128, 0.3, 600, 0.5),
    "short windows and lives": Level(1_000, 32, 0.0, 60, 0.25),
}


@dataclass(frozen=True)
class World:
    """A panel, and what is hidden in it, shape (N,)."""

    panel: DailyPanel
    cluster: np.ndarray
    beta: np.ndarray

    @classmethod
    def drawn(cls, level, seed):
        """Another world for each seed."""
        rng = np.random.default_rng(seed)
        cluster = rng.integers(CLUSTERS, size=level.funds)
        beta, volatility = rng.uniform(0.3, 1.5, level.funds), rng.uniform(0.5, 2.0, level.funds)
        market, own = rng.standard_t(5, SESSIONS), rng.standard_t(5, (SESSIONS, CLUSTERS))
        loading = np.sqrt(CLUSTER_SHARE / (1.0 - CLUSTER_SHARE)) * volatility
        noise = volatility * rng.standard_normal((SESSIONS, level.funds))
        returns = beta * market[:, None] + loading * own[:, cluster] + noise
        returns[rng.random(returns.shape) < level.missing] = np.nan
        days = np.arange(SESSIONS)[:, None]
        life = rng.integers(level.life, 3 * level.life, level.funds)
        born = rng.integers(-level.life, SESSIONS - level.lookback // 2, level.funds)
        returns[(days < born) | (days >= born + life)] = np.nan
        made = panel(returns / 100.0, market=market / 100.0, days=sessions(SESSIONS))
        return cls(made, cluster, beta)

    def information(self, settings):
        """All of it, known at the last session."""
        nothing = MacroSteps((), np.array([], dtype="datetime64[D]"), ())
        funds = pl.DataFrame({"fund_id": self.panel.ids}).with_columns(category=pl.lit("fund"))
        return Information(
            session=SESSIONS - 1,
            windows=Windows(self.panel, settings.embeddings, nothing),
            calendar=settings.dataset.calendar,
            funds=conform("daily_funds", funds),
            texts=TextVectors((), np.empty((0, 0), np.float32), np.empty(0, np.bool_)),
        )


def settings_of(level, encoders, seed, epochs):
    """The defaults, but for the sizes of the world."""
    own = {
        "lookback": level.lookback,
        "horizon": HORIZON,
        "min_visible": level.min_visible,
        "size": SIZE,
        "encoders": encoders,
        "modes": MODES,
        "published_encoder": encoders[0],
        "seeds": [seed],
        "encoder": {"patch": level.lookback // 8, "stride": level.lookback // 16},
        "training": {"train_sessions": 400, "valid_sessions": 96},
    }
    if epochs:
        own["training"] |= {"max_epochs": epochs, "patience": epochs}
    return Settings.model_validate({"embeddings": own})


class Chain:
    """One encoder, trained on a world; vectors of the funds that are listed at the last session."""

    def __init__(self, information, encoder, settings):
        self.maker = SheetMaker(information, settings)
        self.seed = settings.seeds[0]
        fitted = fit_models(information, encoder, settings, "planted")
        assert fitted is not None
        self.models = fitted.models

    def untrained(self):
        """The same before training."""
        with reproducible(self.seed):
            fresh = self.models.shape.build(modalities=False).eval()
        networks = {NetworkName("supervised", "forecast", self.seed): fresh}
        return self.vectors("supervised", replace(self.models, networks=networks))

    def vectors(self, mode, models=None):
        """Of the last session, shape (n, SIZE)."""
        return self._at(SESSIONS - 1, mode, models or self.models)[1]

    def averaged(self, mode):
        """Mean over the dates, a window apart, on which a fund was listed."""
        lookback = self.models.shape.lookback
        funds = len(self.maker.information.windows.panel.ids)
        total, count = np.zeros((funds, SIZE)), np.zeros((funds, 1))
        for session in SESSIONS - 1 - lookback * np.arange(DATES):
            columns, found = self._at(int(session), mode, self.models)
            total[columns] += found
            count[columns] += 1
        listed = self.maker.facts(SESSIONS - 1).columns
        return total[listed] / count[listed]

    def _at(self, session, mode, models):
        """Columns of the listed funds, and their vectors less the mean of the date."""
        facts = self.maker.facts(session)
        sheet = self.maker.sheet(facts, models.characteristics)
        windows, mixed = self.maker.information.windows, models.shape.mixes_channels
        dates = FundDates(windows, [sheet], models.scale, mixed)
        found = embeddings(models, mode, [self.seed], dates, sheet)[self.seed].astype(np.float64)
        return facts.columns, found - found.mean(axis=0)


def without_market(windows, visible):
    """The funds' own channel less beta times the market's."""
    left = windows.astype(np.float64)
    left[:, 0] -= market_beta(windows, visible)[:, None] * left[:, 1]
    return left


def long_windows(world, columns, lookback):
    """The last `DATES` windows of the funds as one."""
    own = world.panel.returns[-DATES * lookback :, columns].T[:, None]
    return np.nan_to_num(own), np.isfinite(own)


def judged(vectors, cluster, beta, seed):
    vectors = vectors - vectors.mean(axis=0)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    means = KMeans(CLUSTERS, n_init=10, random_state=seed).fit_predict(vectors / length)
    return (
        retrieval_scores(vectors, cluster, np.arange(len(cluster)))[0],
        linear_probe(vectors, cluster.astype(str), seed),
        adjusted_rand_score(cluster, means),
        linear_probe(vectors, beta, seed),
    )


def one_world(level, encoders, seed, epochs):
    """Measures of everybody in one world."""
    world = World.drawn(level, seed)
    settings = settings_of(level, encoders, seed, epochs)
    information = world.information(settings)
    columns = information.windows.listed(SESSIONS - 1).columns
    windows, visible = information.windows.at(SESSIONS - 1, columns)
    by_formula = (trailing_volatility(windows, visible), market_beta(windows, visible))
    found = {
        PCA: principal_vectors(windows, visible, SIZE),
        "PCA, market removed": principal_vectors(without_market(windows, visible), visible, SIZE),
        LONG_PCA: principal_vectors(*long_windows(world, columns, level.lookback), SIZE),
        "volatility and beta by formula": np.column_stack(by_formula),
        "random numbers": np.random.default_rng(seed).standard_normal((len(columns), SIZE)),
    }
    for name in encoders:
        chain = Chain(information, name, settings.embeddings)
        found[f"{name}, untrained"] = chain.untrained()
        for mode in MODES[:-1]:
            found[f"{name}, {mode}"] = chain.vectors(mode)
        averaged = f"{name}, multi_objective, mean of {DATES} dates"
        found[averaged] = chain.averaged("multi_objective")
        found[f"{name}, multi_modal (told betas)"] = chain.vectors("multi_modal")
    cluster, beta = world.cluster[columns], world.beta[columns]
    print(f"world {seed}: {len(columns)} funds", flush=True)
    return {name: judged(vectors, cluster, beta, seed) for name, vectors in found.items()}


def table(worlds):
    """Markdown: means over worlds, and what each has over PCA."""
    print("\n| vectors |", " | ".join(f"{m} | over PCA" for m in MEASURES), "|")
    print("|---|" + "---:|---|" * len(MEASURES))
    base = np.array([world[PCA] for world in worlds])
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
    parser.add_argument(
        "--encoders", nargs="+", default=["rlinear", "itransformer"], choices=ENCODERS
    )
    parser.add_argument("--levels", nargs="+", default=list(LEVELS), choices=LEVELS)
    parser.add_argument("--worlds", type=int, default=8)
    parser.add_argument("--epochs", type=int)
    given = parser.parse_args()
    for name in given.levels:
        start = time.process_time()
        print(f"\n**{name}**: {LEVELS[name]}")
        with threadpool_limits(1):
            told = LEVELS[name], given.encoders
            worlds = [one_world(*told, seed, given.epochs) for seed in range(given.worlds)]
        table(worlds)
        print(f"\n{time.process_time() - start:.0f} s of processor", flush=True)


if __name__ == "__main__":
    main()
