"""Axes of a picture: where values lie, and ticks at round values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["linear", "log", "date"]
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
YEARS = (1, 2, 5, 10, 20, 50)
MONTHS = (1, 2, 3, 6)
UNITS = ((1e9, "B"), (1e6, "M"))
MOST_DECIMALS = 12
LEAST_SHARE = 1e-12  # a log axis spans 12 decades at most; what is less lies on its floor


@dataclass(frozen=True)
class Scale:
    """Maps values to positions.

    Attributes
    ----------
    kind : {'linear', 'log', 'date'}
        Dates are days since 1970.
    low, high : float
        Values at the two ends of the axis.
    start, end : float
        Positions of the two ends, in pixels.
    tickformat : str or None
        Format of tick labels: a percent format such as ``.0%``, ``d`` for whole numbers (then
        ticks are whole too), or None for short numbers.
    """

    kind: Kind
    low: float
    high: float
    start: float
    end: float
    tickformat: str | None = None

    def __call__(self, values: NDArray | float) -> NDArray[np.float64]:
        """Positions of these values."""
        low, high, given = self.low, self.high, np.asarray(values, dtype=np.float64)
        if self.kind == "log":
            low, high = np.log10(low), np.log10(high)
            given = np.log10(np.where(given > 0, np.maximum(given, self.low), np.nan))
        return self.start + (given - low) / (high - low) * (self.end - self.start)

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """At most about `most` round values on the axis, with their labels."""
        if self.kind == "date":
            return _date_ticks(self.low, self.high, most)
        values = _log_ticks(self.low, self.high, most) if self.kind == "log" else None
        if values is None or len(values) < 3:
            values = _linear_ticks(self.low, self.high, most, whole=self.tickformat == "d")
        return [(float(v), self._label(float(v), values)) for v in values]

    def _label(self, value: float, values: NDArray[np.float64]) -> str:
        value = 0.0 if abs(value) < 1e-12 * max(abs(self.low), abs(self.high)) else value
        step = float(np.min(np.diff(values))) if len(values) > 1 else abs(value) or 1.0
        if self.tickformat is not None and self.tickformat.endswith("%"):
            return f"{value:.{_decimals(step * 100)}%}"
        largest = float(np.max(np.abs(values)))
        unit, suffix = next((u for u in UNITS if largest >= u[0]), (1.0, ""))
        return f"{value / unit:,.{_decimals(step / unit)}f}{suffix}"


def scale_for(
    kind: Kind,
    values: NDArray[np.float64],
    start: float,
    end: float,
    *,
    tickformat: str | None = None,
    margin: float = 0.0,
    from_zero: bool = False,
) -> Scale:
    """The scale that shows all finite `values`, with a margin as a share of their range."""
    finite = values[np.isfinite(values)]
    if kind == "log":
        finite = finite[finite > 0]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (1.0, 2.0)
    if from_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if kind == "log":
        low = max(low, high * LEAST_SHARE)
        grow = (high / low) ** margin if high > low else 1.1
        return Scale(kind, low / grow, high * grow, start, end, tickformat)
    grow = (high - low) * margin
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        grow = abs(high) * 0.1 or 1.0
    bottom = low if from_zero and low == 0.0 else low - grow
    top = high if from_zero and high == 0.0 else high + grow
    return Scale(kind, bottom, top, start, end, tickformat)


def _decimals(step: float) -> int:
    """Decimals that tell multiples of `step` apart."""
    for decimals in range(MOST_DECIMALS):
        scaled = step * 10**decimals
        if abs(scaled - round(scaled)) < 1e-6 * max(scaled, 1e-9) and round(scaled) > 0:
            return decimals
    return MOST_DECIMALS


def _linear_ticks(low: float, high: float, most: int, whole: bool) -> NDArray[np.float64]:
    rough = (high - low) / max(most, 1)
    power = 10.0 ** np.floor(np.log10(rough))
    allowed = [s * power for s in STEPS if not whole or s != 2.5]
    step = next(s for s in allowed if s >= rough * (1 - 1e-9))
    step = max(step, 1.0) if whole else step
    first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
    ticks = np.arange(first, last + 1) * step
    return ticks if len(ticks) > 1 or whole else _linear_ticks(low, high, 2 * most, whole)


def _log_ticks(low: float, high: float, most: int) -> NDArray[np.float64]:
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for digits in ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        values = np.sort(np.outer(powers, digits).ravel())
        values = values[(values >= low * (1 - 1e-9)) & (values <= high * (1 + 1e-9))]
        if len(values) <= most:
            break
    return values[:: max(1, -(-len(values) // most))]


def _date_ticks(low: float, high: float, most: int) -> list[tuple[float, str]]:
    first, last = (np.datetime64(int(day), "D").astype("datetime64[M]") for day in (low, high))
    span = int((last - first).astype(int)) + 1
    steps = [*MONTHS, *(12 * years for years in YEARS)]
    step = next((s for s in steps if span / s <= most), steps[-1])
    months = np.arange(first, last + 1)
    chosen = months[months.astype(int) % step == 0] if step <= 12 else _years(months, step // 12)
    days = chosen.astype("datetime64[D]").astype(float)
    text = [str(month)[:4] if step >= 12 else str(month) for month in chosen]
    return [(d, t) for d, t in zip(days, text, strict=True) if low <= d <= high]


def _years(months: NDArray[np.datetime64], every: int) -> NDArray[np.datetime64]:
    ordinals = months.astype(int)
    return months[(ordinals % 12 == 0) & ((ordinals // 12 + 1970) % every == 0)]
