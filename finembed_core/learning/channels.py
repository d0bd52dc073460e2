"""Channels as models see them: scaled with training data, missing values filled and marked.

A channel x becomes ``clip((x - median) / s, -5, 5)`` with the median and the robust deviation
``s = IQR / 1.349`` of its training values (the standard deviation where the IQR is zero). The
levels of a channel survive: nothing is normalized per window. A missing value becomes 0, the
training median; beside the values stands one mask channel per group of channels, the share of
the group that is missing in each month. Channels that do not vary in training are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finembed_core.learning.samples import FEATURES, OWN, Floats32, Indices, SampleSet
from finembed_core.panel import FloatArray

CLIP = 5.0  # robust deviations; fund features have wild tails
NORMAL_IQR = 1.349  # interquartile range of a standard normal
NOISE = 1e-6  # a spread below this share of the level is rounding of float32, not variation
FIT_ROWS = 5000  # medians and quartiles need no more samples than this
BLOCK_ROWS = 16384  # samples whose windows are cut at a time

STRESS = ("svar", "lta", "ltr", "lts")  # missing together, where no factor is selected
State = tuple[dict[str, NDArray], dict[str, Any]]
Groups = dict[str, tuple[str, ...]]
FEATURE_GROUPS: Groups = {
    "profile": tuple(name for name in FEATURES if name not in STRESS),
    "stress": STRESS,
}
OWN_GROUPS: Groups = {"returns": ("ret",), "assets": ("log_aum", "flow")}


@dataclass(frozen=True)
class FactorBasis:
    """The risk factors as a bounded number of channels.

    Attributes
    ----------
    ids : tuple of str, length J
        Factors seen in training; others are ignored.
    center, scale : ndarray, shape (J,)
    components : ndarray, shape (P, J)
        Leading principal components of the standardized factors; (0, J) where the factors are few
        enough to be channels themselves.
    """

    ids: tuple[str, ...]
    center: FloatArray
    scale: FloatArray
    components: FloatArray

    @classmethod
    def fit(cls, factors: Floats32, ids: tuple[str, ...], max_channels: int) -> FactorBasis:
        """Fit on the training months' windows, shape (M, L, J)."""
        months, lookback, width = factors.shape
        values = factors.reshape(months * lookback, width).astype(np.float64)
        alive = ~np.isnan(values).all(axis=0)
        values, ids = values[:, alive], tuple(np.array(ids, dtype=object)[alive].tolist())
        seen = ~np.isnan(values)
        count = np.maximum(seen.sum(axis=0), 1)
        center = np.where(seen, values, 0.0).sum(axis=0) / count
        residual = np.where(seen, values - center, 0.0)
        spread = np.sqrt((residual**2).sum(axis=0) / count)
        scale = np.where(spread > 0, spread, 1.0)
        if len(ids) <= max_channels:
            return cls(ids, center, scale, np.empty((0, len(ids))))
        standard = residual / scale  # a missing value is the mean: zero
        _, vectors = np.linalg.eigh(standard.T @ standard / len(standard))
        leading = vectors[:, ::-1][:, :max_channels].T
        largest = np.abs(leading).argmax(axis=1)
        signs = np.sign(leading[np.arange(len(leading)), largest])
        return cls(ids, center, scale, leading * signs[:, None])

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the channels that come out."""
        if len(self.components) == 0:
            return self.ids
        return tuple(f"factor_pc{k + 1}" for k in range(len(self.components)))

    def apply(self, samples: SampleSet) -> FloatArray:
        """Factor channels, shape (M, L, P or J)."""
        place = {name: k for k, name in enumerate(samples.factor_ids)}
        months, lookback, _ = samples.factors.shape
        values = np.full((months, lookback, len(self.ids)), np.nan)
        for k, name in enumerate(self.ids):
            if name in place:
                values[:, :, k] = samples.factors[:, :, place[name]]
        if len(self.components) == 0:
            return values
        standard = (values - self.center) / self.scale
        scores = np.nan_to_num(standard) @ self.components.T
        return np.where(np.isnan(values).all(axis=2, keepdims=True), np.nan, scores)


@dataclass(frozen=True)
class GroupScaler:
    """Scales channels that lie along an array's last axis and appends their masks.

    Attributes
    ----------
    names : tuple of str, length C
        All raw channels.
    groups : dict
        Group to its channels' names.
    center, scale : ndarray, shape (C,)
        Scale 0 leaves a channel out.
    masked : tuple of str
        Groups whose missing share varies in training.
    """

    names: tuple[str, ...]
    groups: Groups
    center: FloatArray
    scale: FloatArray
    masked: tuple[str, ...]

    @classmethod
    def fit(cls, values: NDArray, names: tuple[str, ...], groups: Groups) -> GroupScaler:
        """Fit on raw training values, shape (..., C)."""
        robust = [_robust(values[..., c]) for c in range(len(names))]
        center, scale = np.array(robust, dtype=np.float64).reshape(-1, 2).T.copy()
        unmasked = cls(names, groups, center, scale, ())
        varying = [name for name in groups if np.ptp(unmasked._missing(values, name)) > 0]
        return cls(names, groups, center, scale, tuple(varying))

    @property
    def channels(self) -> tuple[str, ...]:
        """Channels that come out: scaled values, then masks."""
        kept = [name for name, s in zip(self.names, self.scale, strict=True) if s > 0]
        return (*kept, *(f"missing_{group}" for group in self.masked))

    def apply(self, values: NDArray) -> Floats32:
        """Raw (..., C) to scaled (..., C')."""
        kept = self.scale > 0
        scaled = (values[..., kept] - self.center[kept]) / self.scale[kept]
        filled = np.nan_to_num(np.clip(scaled, -CLIP, CLIP), nan=0.0)
        masks = [self._missing(values, group)[..., None] for group in self.masked]
        return np.concatenate([filled, *masks], axis=-1, dtype=np.float32)

    def _missing(self, values: NDArray, group: str) -> FloatArray:
        """Missing share of a group, shape (...); 0 where the group has no channels."""
        members = [self.names.index(name) for name in self.groups[group]]
        return np.isnan(values[..., members]).sum(axis=-1) / max(len(members), 1)

    def state(self) -> State:
        """Arrays and plain values that `from_state` takes back."""
        plain = {"names": self.names, "groups": self.groups, "masked": self.masked}
        return {"center": self.center, "scale": self.scale}, plain

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray], plain: dict[str, Any]) -> GroupScaler:
        """The scaler whose `state` this was."""
        groups = {name: tuple(members) for name, members in plain["groups"].items()}
        masked, names = tuple(plain["masked"]), tuple(plain["names"])
        return cls(names, groups, arrays["center"], arrays["scale"], masked)


@dataclass(frozen=True)
class ChannelScaler:
    """From raw samples to the channels of a model; fitted once, on training samples.

    Attributes
    ----------
    features, own, shared : GroupScaler
        For PolyModel features, the fund's own series, and what all funds share.
    basis : FactorBasis
    """

    features: GroupScaler
    own: GroupScaler
    shared: GroupScaler
    basis: FactorBasis

    @classmethod
    def fit(cls, samples: SampleSet, max_factor_channels: int) -> ChannelScaler:
        """Fit on training samples only."""
        used = np.unique(samples.month_index)
        basis = FactorBasis.fit(samples.factors[used], samples.factor_ids, max_factor_channels)
        rows = np.arange(len(samples))
        if len(rows) > FIT_ROWS:
            rows = np.linspace(0, len(rows) - 1, FIT_ROWS).astype(np.int64)
        macro = tuple(f"macro_{k + 1}" for k in range(samples.macro.shape[2]))
        return cls(
            GroupScaler.fit(samples.feature_windows(rows), FEATURES, FEATURE_GROUPS),
            GroupScaler.fit(samples.own[rows], OWN, OWN_GROUPS),
            GroupScaler.fit(
                _shared(samples, basis)[used],
                (*basis.names, *macro),
                {"factors": basis.names, "macro": macro},
            ),
            basis,
        )

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels of `View.windows`, in order."""
        return (*self.features.channels, *self.own.channels, *self.shared.channels)

    def view(self, samples: SampleSet) -> View:
        """These samples, scaled."""
        return View(
            samples,
            self.features.apply(samples.features),
            self.own.apply(samples.own),
            self.shared.apply(_shared(samples, self.basis)),
        )

    def state(self) -> State:
        """Arrays and plain values that `from_state` takes back."""
        arrays = {
            "factors.center": self.basis.center,
            "factors.scale": self.basis.scale,
            "factors.components": self.basis.components,
        }
        plain: dict[str, Any] = {"factors": self.basis.ids}
        for name, part in self._parts().items():
            own_arrays, plain[name] = part.state()
            arrays |= {f"{name}.{key}": value for key, value in own_arrays.items()}
        return arrays, plain

    def _parts(self) -> dict[str, GroupScaler]:
        return {"features": self.features, "own": self.own, "shared": self.shared}

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray], plain: dict[str, Any]) -> ChannelScaler:
        """The scaler whose `state` this was."""
        features, own, shared = (
            GroupScaler.from_state(with_prefix(arrays, name), plain[name])
            for name in ("features", "own", "shared")
        )
        return cls(
            features,
            own,
            shared,
            FactorBasis(tuple(plain["factors"]), **with_prefix(arrays, "factors")),
        )


@dataclass(frozen=True)
class View:
    """Samples through the eyes of one scaler: all that a model gets to see.

    Attributes
    ----------
    samples : SampleSet
        Raw.
    features, own, shared : ndarray of float32
        Scaled channels along the last axis: (M + L - 1, N, .), (n, L, .), (M, L, .).
    """

    samples: SampleSet
    features: Floats32
    own: Floats32
    shared: Floats32

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def width(self) -> int:
        """Number of channels, C."""
        return self.features.shape[2] + self.own.shape[2] + self.shared.shape[2]

    def windows(self, rows: Indices) -> Floats32:
        """Scaled windows of these samples, shape (len(rows), C, L)."""
        month, fund = self.samples.month_index[rows], self.samples.fund_index[rows]
        steps = month[:, None] + np.arange(self.samples.lookback)  # (n, L)
        parts = [self.features[steps, fund[:, None]], self.own[rows], self.shared[month]]
        return np.ascontiguousarray(np.concatenate(parts, axis=2).transpose(0, 2, 1))

    def table(self) -> Floats32:
        """Each channel's latest value, then its mean over the look-back, shape (n, 2 C)."""
        table = np.empty((len(self), 2 * self.width), dtype=np.float32)
        for start in range(0, len(self), BLOCK_ROWS):
            rows = np.arange(start, min(start + BLOCK_ROWS, len(self)))
            windows = self.windows(rows)
            table[rows] = np.concatenate([windows[:, :, -1], windows.mean(axis=2)], axis=1)
        return table


def with_prefix(arrays: dict[str, NDArray], prefix: str) -> dict[str, NDArray]:
    """Entries named ``prefix.x``, as ``x``."""
    start = prefix + "."
    return {name[len(start) :]: a for name, a in arrays.items() if name.startswith(start)}


def _shared(samples: SampleSet, basis: FactorBasis) -> FloatArray:
    return np.concatenate([basis.apply(samples), samples.macro.astype(np.float64)], axis=2)


def _robust(values: NDArray) -> tuple[float, float]:
    """Median and robust deviation of the observed values; deviation 0 for a constant."""
    observed = values[~np.isnan(values)].astype(np.float64)
    if len(observed) == 0:
        return 0.0, 0.0
    low, median, high = np.quantile(observed, [0.25, 0.5, 0.75])
    floor = NOISE * abs(median)
    for spread in ((high - low) / NORMAL_IQR, observed.std()):
        if spread > floor:
            return float(median), float(spread)
    return float(median), 0.0
