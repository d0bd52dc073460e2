"""The usual experiment on ETTh1, without luck: one split, one scaling, linear maps in closed form.

ETTh1 (Zhou et al., *Informer*, 2021) is hourly, seven series. The first 8,640 hours are for
training, the next 2,880 for validation, the 2,880 after those for the test; scaled by mean and
population deviation of the first. A test window may look back into the validation hours; all of
them are used, where the reference repositories drop the last, smaller batch.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.lib.stride_tricks import sliding_window_view

HOURS = (8_640, 2_880, 2_880)
LOOKBACK, HORIZON = 336, 96


class Windows(NamedTuple):
    """Pasts (n, C, L) and futures (n, C, H): views, nothing is copied."""

    past: np.ndarray
    future: np.ndarray


class Scores(NamedTuple):
    mse: float
    mae: float


@dataclass(frozen=True)
class Experiment:
    """Scaled windows of the three sets."""

    train: Windows
    valid: Windows
    test: Windows

    @classmethod
    def of(cls, values, steps=HOURS, lookback=LOOKBACK, horizon=HORIZON):
        """From values (T, C)."""
        first, second, third = np.cumsum(steps)
        seen = values[:first]
        scaled = (values - seen.mean(axis=0)) / seen.std(axis=0)

        def windows(start, end):
            cut = sliding_window_view(scaled[start:end], lookback + horizon, axis=0)
            return Windows(cut[..., :lookback], cut[..., lookback:])

        return cls(
            windows(0, first), windows(first - lookback, second), windows(second - lookback, third)
        )


def read(path: Path) -> np.ndarray:
    """Values (T, 7) of ETTh1.csv."""
    return pl.read_csv(path).drop("date").to_numpy().astype(np.float64)


def least_squares(windows):
    """Weight (H, L) and bias (H,) of the best y = W x + b over all windows and channels."""
    past, future = (part.reshape(-1, part.shape[-1]) for part in windows)
    features = np.hstack([past, np.ones((len(past), 1))])
    found = np.linalg.lstsq(features, future, rcond=None)[0]
    return found[:-1].T, found[-1]


def reversible_least_squares(windows, epsilon):
    """The same of y = m + s (W (x - m) / s + b), m and s of each past: y - m on x - m and s."""
    past, future = (part.reshape(-1, part.shape[-1]) for part in windows)
    mean = past.mean(axis=1, keepdims=True)
    spread = np.sqrt(past.var(axis=1, keepdims=True) + epsilon)
    found = np.linalg.lstsq(np.hstack([past - mean, spread]), future - mean, rcond=None)[0]
    return found[:-1].T, found[-1]


def scores(encoder, windows, batch=256) -> Scores:
    """Of an encoder's forecasts over all windows."""
    squared, absolute, dtype = 0.0, 0.0, next(encoder.parameters()).dtype
    with torch.no_grad():
        for start in range(0, len(windows.past), batch):
            past, future = (
                torch.from_numpy(part[start : start + batch].copy()).to(dtype) for part in windows
            )
            error = encoder.eval()(past, torch.ones_like(past, dtype=torch.bool)).forecast - future
            squared += error.square().sum().item()
            absolute += error.abs().sum().item()
    return Scores(squared / windows.future.size, absolute / windows.future.size)


def train(encoder, experiment, epochs=10, batch=64, rate=2e-3):
    """AdamW on the mean squared error, the rate halved every epoch, the best epoch kept."""
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    best, kept = np.inf, {}
    for _ in range(epochs):
        for rows in torch.randperm(len(experiment.train.past)).split(batch):
            past, future = (torch.from_numpy(part[rows]).float() for part in experiment.train)
            found = encoder.train()(past, torch.ones_like(past, dtype=torch.bool))
            loss = (found.forecast - future).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        found = scores(encoder, experiment.valid).mse
        if found < best:
            best = found
            kept = {name: value.clone() for name, value in encoder.state_dict().items()}
    encoder.load_state_dict(kept)
