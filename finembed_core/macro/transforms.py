"""Stationarity transforms: one table, by name or by FRED-MD code.

Source: McCracken and Ng (2016), *FRED-MD: A Monthly Database for Macroeconomic Research*,
Journal of Business & Economic Statistics 34(4), appendix (codes 1 to 7).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finembed_core.errors import InputError

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Transform:
    """A map of a series, and how many observations back it looks.

    Attributes
    ----------
    function : callable
        (values of shape (T, ...), lag in rows) to values of the same shape; NaN where one of the
        observations that it needs is missing or where it is not defined.
    reach : int
        Earlier observations used, each `lag` rows apart.
    """

    function: Callable[[FloatArray, int], FloatArray]
    reach: int


def lagged(values: FloatArray, lag: int) -> FloatArray:
    """Values of `lag` rows before; NaN at the start."""
    shifted = np.full_like(values, np.nan)
    shifted[lag:] = values[: max(len(values) - lag, 0)]
    return shifted


def _level(x: FloatArray, lag: int) -> FloatArray:
    return x


def _diff(x: FloatArray, lag: int) -> FloatArray:
    return x - lagged(x, lag)


def _diff2(x: FloatArray, lag: int) -> FloatArray:
    return _diff(_diff(x, lag), lag)


def _log(x: FloatArray, lag: int) -> FloatArray:
    return np.log(np.where(x > 0, x, np.nan))


def _log_diff(x: FloatArray, lag: int) -> FloatArray:
    return _diff(_log(x, lag), lag)


def _log_diff2(x: FloatArray, lag: int) -> FloatArray:
    return _diff2(_log(x, lag), lag)


def _pct_change(x: FloatArray, lag: int) -> FloatArray:
    base = lagged(x, lag)
    return x / np.where(base > 0, base, np.nan) - 1.0  # growth needs a positive base


def _pct_change_diff(x: FloatArray, lag: int) -> FloatArray:
    return _diff(_pct_change(x, lag), lag)


TRANSFORMS: dict[str, Transform] = {
    "none": Transform(_level, 0),
    "diff": Transform(_diff, 1),
    "diff2": Transform(_diff2, 2),
    "log": Transform(_log, 0),
    "log_diff": Transform(_log_diff, 1),
    "log_diff2": Transform(_log_diff2, 2),
    "pct_change": Transform(_pct_change, 1),
    "pct_change_diff": Transform(_pct_change_diff, 2),
}

FRED_MD_CODES: dict[str, str] = {
    "1": "none",
    "2": "diff",
    "3": "diff2",
    "4": "log",
    "5": "log_diff",
    "6": "log_diff2",
    "7": "pct_change_diff",
}


def transform_name(name: str) -> str:
    """Name of a transform given by name or FRED-MD code.

    Raises
    ------
    InputError
        There is no such transform.

    Examples
    --------
    >>> transform_name("5"), transform_name("diff")
    ('log_diff', 'diff')
    """
    plain = name.strip().removesuffix(".0")
    plain = FRED_MD_CODES.get(plain, plain)
    if plain not in TRANSFORMS:
        raise InputError(
            f"there is no transform {name!r}",
            where="series, column transform",
            remedy=f"use one of {', '.join(TRANSFORMS)} or a FRED-MD code from 1 to 7",
        )
    return plain
