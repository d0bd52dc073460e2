"""Samples made in memory."""

from __future__ import annotations

import numpy as np

from finembed_core.learning.channels import ChannelScaler
from finembed_core.learning.models import Labelled
from finembed_core.learning.samples import FEATURES, SampleSet


def random_samples(
    months: int = 30, funds: int = 10, lookback: int = 6, factors: int = 4, seed: int = 0
) -> SampleSet:
    """Complete samples of every fund and month, AUM absent."""
    rng = np.random.default_rng(seed)
    n = months * funds

    def normal(*shape: int):
        return rng.normal(size=shape).astype(np.float32)

    own = normal(n, lookback, 3) * 0.03
    own[:, :, 1:] = np.nan
    return SampleSet(
        first=360,
        lookback=lookback,
        fund_ids=tuple(f"fund{k}" for k in range(funds)),
        features=normal(months + lookback - 1, funds, len(FEATURES)),
        own=own,
        factor_ids=tuple(f"factor{k}" for k in range(factors)),
        factors=normal(months, lookback, factors),
        macro=normal(months, lookback, 2),
        month_index=np.repeat(np.arange(months), funds),
        fund_index=np.tile(np.arange(funds), months),
    )


def random_labelled(classes: tuple[int, ...] = (-1, 0, 1), seed: int = 0, **size: int) -> Labelled:
    """Random samples with random classes out of `classes`."""
    samples = random_samples(seed=seed, **size)
    scaler = ChannelScaler.fit(samples, 8)
    drawn = np.random.default_rng(seed).choice(classes, len(samples))
    return Labelled(scaler.view(samples), drawn, 0.01)
