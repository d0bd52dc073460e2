"""Units of the channels: one constant per channel, from what training sees."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finembed_core.panel import FloatArray

Floats32 = NDArray[np.float32]


@dataclass(frozen=True)
class ChannelScale:
    """Divides each channel by a constant; all funds share one, so that their levels compare.

    Attributes
    ----------
    scale : ndarray, shape (C,)
        Median over the training windows of a channel's root mean square deviation within a window,
        1 for one that never moves.
    """

    scale: FloatArray

    @classmethod
    def fit(cls, windows: Iterable[tuple[Floats32, NDArray[np.bool_]]]) -> ChannelScale:
        """Fit on training windows.

        Parameters
        ----------
        windows : iterable of (ndarray of shape (n, C, L), ndarray of bool)
            By date, looked at one after the other: values, and which of them are visible.
        """
        spreads = np.concatenate([_spread(values, seen) for values, seen in windows])  # (n, C)
        moving = [channel[channel > 0.0] for channel in spreads.T]  # NaN is not
        return cls(np.array([np.median(own) if len(own) else 1.0 for own in moving]))

    @property
    def fund(self) -> float:
        """Of the fund's own channel."""
        return float(self.scale[0])

    def apply(self, values: Floats32) -> Floats32:
        """Values of the first channels, shape (n, C', L), in units of the scale."""
        used = self.scale[: values.shape[1], None]
        return (values / used).astype(np.float32)


def _spread(values: Floats32, seen: NDArray[np.bool_]) -> FloatArray:
    """Root mean square deviation of visible steps, (n, C); NaN where none is."""
    count = np.maximum(seen.sum(axis=2), 1)
    mean = np.where(seen, values, 0.0).sum(axis=2, dtype=np.float64) / count
    residual = np.where(seen, values - mean[:, :, None], 0.0)
    variance = (residual**2).sum(axis=2, dtype=np.float64) / count
    return np.where(seen.any(axis=2), np.sqrt(variance), np.nan)
