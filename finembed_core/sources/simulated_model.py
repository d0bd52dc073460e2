"""The model behind the simulated universe: factors, funds, and how they fare.

For fund i in month t, with factor returns f, the true return is

    r*(i,t) = alpha(i) + beta(i) . f(t) + shape(i, f(t)) + e(i,t)

where ``shape`` is 0 (linear), ``gamma (f^2 - E f^2)`` (convex) or, with negative gamma,
``premium + gamma max(strike - f, 0)`` (a written put: option). What is reported is smoothed as in
Getmansky, Lo and Makarov (2004), equation 21:

    r(t) = theta0 r*(t) + theta1 r*(t-1) + theta2 r*(t-2)

Funds are born and die (in part after a last bad month), report with their own lags, come into the
database with a history that was chosen with hindsight (Fung and Hsieh 2000), and their assets chase
performance (Sirri and Tufano 1998).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finembed_core.calendar import Month
from finembed_core.settings import SimulatedSource

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

FIRST = Month.parse("1990-01")
FACTOR_HISTORY = 120
"""Months of factor history before the first fund: tails need a long sample."""
TYPES = ("none", "linear", "convex", "option")
TYPE_SHARES = (0.15, 0.45, 0.20, 0.20)
LAGS = (10, 15, 25, 40)
LAG_SHARES = (0.25, 0.45, 0.20, 0.10)
REASONS = ("liquidated", "merged", "stopped_reporting")
REASON_SHARES = (0.45, 0.10, 0.45)
HAZARD = 0.006  # deaths a month: about 7% a year, as in TASS (Getmansky, Lee and Lo 2015)
SMOOTHED_SHARE = 0.3
BACKFILLED_SHARE = 0.4
BACKFILL_BONUS = 0.004  # a month, while only winners ask to be listed
WARM_UP = 2  # months before the first, so that smoothing has something to smooth


@dataclass(frozen=True)
class FundTruth:
    """Everything that defines the funds; arrays of length N unless said otherwise.

    Attributes
    ----------
    kind : ndarray of int64
        Position in `TYPES`.
    betas : ndarray of float64, shape (N, K)
    bent : ndarray of int64
        Factor that ``shape`` bends.
    gamma, strike, premium : ndarray of float64
    alpha, noise : ndarray of float64
        Monthly mean and standard deviation of what the factors do not explain.
    thetas : ndarray of float64, shape (N, 3)
    birth, listed : ndarray of int64
        Row of the first return, and of the month in which the fund entered the database.
    lag : ndarray of int64
        Days after the month's end.
    """

    kind: NDArray[np.int64]
    betas: FloatArray
    bent: NDArray[np.int64]
    gamma: FloatArray
    strike: FloatArray
    premium: FloatArray
    alpha: FloatArray
    noise: FloatArray
    thetas: FloatArray
    birth: NDArray[np.int64]
    listed: NDArray[np.int64]
    lag: NDArray[np.int64]


@dataclass(frozen=True)
class Lives:
    """How the funds fared; arrays of shape (T, N) unless said otherwise.

    Attributes
    ----------
    alive : ndarray of bool
    true, aum : ndarray of float64
        True returns and assets at the month's end; NaN outside a fund's life.
    death : ndarray of int64, shape (N,)
        Row of the last month; -1 for a survivor.
    reason : ndarray of int64, shape (N,)
        Position in `REASONS`.
    """

    alive: BoolArray
    true: FloatArray
    aum: FloatArray
    death: NDArray[np.int64]
    reason: NDArray[np.int64]


def factor_returns(
    draw: np.random.Generator, size: SimulatedSource
) -> tuple[FloatArray, FloatArray]:
    """Factor returns with fat tails, volatility in regimes and a common part; cash returns."""
    months = FACTOR_HISTORY + size.months
    calm = np.exp(autoregression(draw, months, 1, 0.9)[:, 0] * 0.3)
    common = draw.standard_t(5, size=(months, 1)) * np.sqrt(3 / 5)
    own = draw.standard_t(5, size=(months, size.factors)) * np.sqrt(3 / 5)
    share = draw.uniform(0.1, 0.7, size.factors)
    share[0] = 0.95  # the first factor is the market
    scale = draw.uniform(0.02, 0.06, size.factors)
    mean = draw.uniform(0.0, 0.005, size.factors)
    mixed = np.sqrt(share) * common + np.sqrt(1 - share) * own
    returns = mean + scale * np.clip(calm[:, None] * mixed, -5.0, 5.0)
    level = 0.003 + 0.0015 * autoregression(draw, months, 1, 0.98)[:, 0]
    return returns, np.maximum(level, 0.0)


def autoregression(
    draw: np.random.Generator, months: int, width: int, persistence: float
) -> FloatArray:
    """Stationary AR(1) paths of unit variance, shape (months, width)."""
    shocks = draw.standard_normal((months, width)) * np.sqrt(1 - persistence**2)
    paths = np.empty_like(shocks)
    state = draw.standard_normal(width)
    for t, shock in enumerate(shocks):
        state = persistence * state + shock
        paths[t] = state
    return paths


def draw_funds(draw: np.random.Generator, size: SimulatedSource, factors: FloatArray) -> FundTruth:
    """What defines each fund."""
    n, k = size.funds, size.factors
    kind = draw.choice(len(TYPES), size=n, p=TYPE_SHARES)
    ranks = np.argsort(draw.random((n, k)), axis=1)
    count = np.where(kind == 0, 0, draw.integers(1, min(3, k) + 1, size=n))
    chosen = ranks < count[:, None]
    signs = np.where(draw.random((n, k)) < 0.75, 1.0, -1.0)
    betas = np.where(chosen, signs * draw.uniform(0.3, 1.0, (n, k)), 0.0)
    bent = np.argmin(np.where(chosen, ranks, k), axis=1)
    spread = factors.std(axis=0)[bent]
    option = kind == TYPES.index("option")
    strike = np.where(option, -draw.uniform(0.5, 1.0, n) * spread, np.nan)
    payoff = np.maximum(strike - factors[:, bent], 0.0).mean(axis=0)
    betas[option, bent[option]] = 0.0  # a writer of options holds nothing else of that factor
    gamma = np.where(
        kind == TYPES.index("convex"),
        draw.uniform(0.15, 0.5, n) / spread,
        np.where(option, -2.0, 0),
    )
    smoothed = draw.random(n) < SMOOTHED_SHARE
    weights = draw.dirichlet((6.0, 3.0, 1.5), size=n)
    thetas = np.where(smoothed[:, None], weights, np.array([1.0, 0.0, 0.0]))
    birth = np.where(draw.random(n) < 0.4, 0, draw.integers(0, size.months - 12, n))
    wait = draw.integers(6, 37, n)
    listed = np.where(draw.random(n) < BACKFILLED_SHARE, birth + wait, birth)
    return FundTruth(
        kind=kind,
        betas=betas,
        bent=bent,
        gamma=gamma,
        strike=strike,
        premium=np.where(option, -gamma * np.nan_to_num(payoff) + 0.001, 0.0),
        alpha=draw.normal(0.001, 0.002, n),
        noise=draw.uniform(0.005, 0.02, n),
        thetas=thetas,
        birth=birth,
        listed=np.minimum(listed, size.months - 1),
        lag=draw.choice(LAGS, size=n, p=LAG_SHARES),
    )


def live(draw: np.random.Generator, truth: FundTruth, factors: FloatArray) -> Lives:
    """Run the months: returns, flows that chase them, deaths."""
    months, n = len(factors), len(truth.kind)
    true = truth.alpha + factors @ truth.betas.T
    moved = factors[:, truth.bent]
    mean_square = (moved**2).mean(axis=0)
    convex = truth.kind == TYPES.index("convex")
    true[:, convex] += (truth.gamma * (moved**2 - mean_square))[:, convex]
    option = truth.kind == TYPES.index("option")
    short_put = truth.premium + truth.gamma * np.maximum(truth.strike - moved, 0.0)
    true[:, option] += short_put[:, option]
    true += truth.noise * draw.standard_normal((months, n))
    row = np.arange(-WARM_UP, months - WARM_UP)[:, None]
    true += BACKFILL_BONUS * ((row >= truth.birth) & (row < truth.listed))
    true = np.clip(true, -0.95, 0.95)
    death, reason = _deaths(draw, truth, true, row)
    last = death >= 0
    bad = last & (reason != REASONS.index("merged"))
    true[death[bad] + WARM_UP, bad] = -draw.uniform(0.05, 0.4, int(bad.sum()))
    alive = (row >= truth.birth) & (~last | (row <= death))
    true = np.where(
        row < truth.birth - WARM_UP, np.nan, np.where(last & (row > death), np.nan, true)
    )
    return Lives(alive, true, _assets(draw, true, alive), death, reason)


def _deaths(
    draw: np.random.Generator, truth: FundTruth, true: FloatArray, row: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Last months: the hazard doubles in a bad year and halves in a good one."""
    wealth = np.cumsum(np.log1p(true), axis=0)
    year = wealth.copy()
    year[12:] -= wealth[:-12]
    hazard = HAZARD * np.exp2(-np.clip(year / 0.1, -1.5, 1.5))
    at_risk = (row >= truth.listed + 6) & (row < len(true) - WARM_UP - 1)
    dies = at_risk & (draw.random(true.shape) < hazard)
    death = np.where(dies.any(axis=0), dies.argmax(axis=0) - WARM_UP, -1)
    return death, draw.choice(len(REASONS), size=len(death), p=REASON_SHARES)


def _assets(draw: np.random.Generator, true: FloatArray, alive: BoolArray) -> FloatArray:
    """Assets grow with returns and flows: up to 3% a month after a good year, less for giants."""
    months, n = true.shape
    assets = np.full((months, n), np.nan)
    now = np.exp(draw.normal(np.log(5e7), 1.2, n))
    momentum = np.zeros(n)
    noise = draw.normal(0.0, 0.01, (months, n))
    for t in range(months):
        earned = np.nan_to_num(true[t])
        flow = 0.03 * np.tanh(momentum / 0.1) - 0.005 * np.log(now / 5e7) + noise[t]
        now = np.where(alive[t], now * (1.0 + earned) * (1.0 + flow), now)
        momentum = np.where(alive[t], momentum * 11 / 12 + earned, momentum)
        assets[t] = np.where(alive[t], now, np.nan)
    return assets


def smooth(true: FloatArray, thetas: FloatArray) -> FloatArray:
    """Reported returns; the terms before a fund's first months are its first months."""
    reported = true * thetas[:, 0]
    for back in (1, 2):
        earlier = np.full_like(true, np.nan)
        earlier[back:] = true[:-back]
        reported += np.where(np.isnan(earlier), true, earlier) * thetas[:, back]
    return reported


def after_warm_up(lives: Lives) -> Lives:
    """Lives from the first month on."""
    alive = lives.alive[WARM_UP:]
    true = np.where(alive, lives.true[WARM_UP:], np.nan)
    return Lives(alive, true, lives.aum[WARM_UP:], lives.death, lives.reason)
