"""Minimum variance portfolios, long only, and a proof with each of how good it is.

::

    minimize w'Sigma w   over   sum w = 1,  0 <= w <= cap,  mean'w >= floor

**Solvers.** First the active set method (`active_set.py`), which is exact and needs specific
variances d. Else, as with the sample covariance, PIQP (Schwan, Jiang, Kuhn and Jones 2023, arXiv
2304.00290), directly: it sees ``||y||^2 + w'diag(d) w``, ``y = A w``, or the N x N matrix where
the rank is so high that this is cheaper. Last Clarabel, through cvxpy.

**Units.** The variance of monthly returns is near 1e-6 for a good portfolio, below the absolute
tolerances of every solver: they stop early and call it optimal. Here the unit is the variance of a
feasible portfolio near the optimum (inverse variances, moved within the constraints), so that the
tolerance is relative to the answer, even if a money market fund is among hedge funds. Interior
points see a few of many funds; the covariance of all others with that portfolio says which should
enter, and so on until none should.

**Certificate.** The variance is convex, so that for every feasible v and ``g = 2 Sigma w`` ::

    w'Sigma w - v'Sigma v <= g'(w - v)

and the largest value of the right side (the Frank-Wolfe gap) bounds what is missing. It is computed
from the returned weights, with the floor through its dual: whatever a solver says, it holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import piqp
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from finembed_core.errors import InputError, NoRiskError, SolverError
from finembed_core.panel import FloatArray
from finembed_core.portfolio.active_set import active_set
from finembed_core.portfolio.covariance import RiskModel
from finembed_core.portfolio.orders import BoolArray
from finembed_core.portfolio.simplex import ROUNDING, check_caps, project_simplex

ACCEPTED = 1e-6  # largest certified excess variance that counts as solved
AIM = 1e-8  # certified excess at which the working set stops growing
SOLVER_TOLERANCE = 1e-10  # absolute, in units of nearly the variance sought
RISKLESS = 1e-10  # share of the mean variance of the funds below which a portfolio has no risk
START = 500  # funds of the first working set; smaller problems are solved whole
ROUNDS, LEAVING = 20, 5  # of the working set; in the first of them funds may leave it
DENSE_FROM = 7  # funds per row of A up to which the N x N matrix is faster, measured

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Solution:
    """Weights, and how far they may be from the best ones.

    Attributes
    ----------
    weights : ndarray, shape (N,)
        Within ``[0, cap]`` exactly; sum and floor up to rounding.
    solver, status : str
        A name of `SOLVERS`, and its own word of its last run.
    iterations : int
        Over all runs.
    budget_error : float
        ``|sum w - 1|``.
    kkt_residual : float
        Largest component of ``w - clip(w - r, 0, cap)``, where r is what a fund's beta to the
        portfolio exceeds that of the funds held freely, less its part in the floor; and of the
        smaller of the floor's slack and its multiplier. 0 at the optimum.
    excess : float
        Upper bound on the variance above the smallest possible, as a share of the variance of the
        portfolio, or of `RISKLESS` times the mean variance of the funds where that is more.
    """

    weights: FloatArray
    solver: str
    status: str
    iterations: int
    budget_error: float
    kkt_residual: float
    excess: float


def minimum_variance(
    model: RiskModel,
    *,
    cap: ArrayLike = 1.0,
    mean: FloatArray | None = None,
    floor: float | None = None,
) -> Solution:
    """Solve for the long-only portfolio of least variance.

    Parameters
    ----------
    model : RiskModel
        Covariance of N funds.
    cap : array_like, scalar or shape (N,)
        Largest weights; 1 caps nothing.
    mean : ndarray, shape (N,), optional
        Expected returns, in any unit.
    floor : float, optional
        Least ``mean'w``, in the unit of `mean`; given together with it.

    Returns
    -------
    Solution
        Certified to be within `ACCEPTED` of the least variance.

    Raises
    ------
    InputError
        A number is missing, the caps sum to less than 1, or no portfolio reaches the floor.
    NoRiskError
        No fund varies.
    SolverError
        No solver found weights that could be certified.

    Examples
    --------
    >>> model = RiskModel(np.zeros((1, 3)), np.array([1.0, 2.0, 4.0]))
    >>> minimum_variance(model).weights.round(6)  # in proportion to 1 / variance
    array([0.571429, 0.285714, 0.142857])
    """
    problem = _Problem.of(model, cap, mean, floor)
    failures = []
    for name, solver in SOLVERS.items():
        found, iterations, status = _solve(problem, solver)
        if found is not None and found.excess <= ACCEPTED:
            off = abs(float(found.weights.sum()) - 1.0)
            return Solution(
                found.weights, name, status, iterations, off, found.residual, found.excess
            )
        reached = "no weights" if found is None else f"excess variance up to {found.excess:.1e}"
        failures.append(f"{name}: {status}, {reached}")
    raise SolverError(
        f"no solver found the minimum variance portfolio ({'; '.join(failures)})",
        where=f"{len(model.specific)} funds, covariance of rank {len(model.loadings)}",
        remedy="keep the last weights, or take another covariance estimator",
    )


@dataclass(frozen=True)
class _Certified:
    """Feasible weights and what is proved of them.

    `cost` is the beta of each fund to the portfolio less its part in the floor, shape (N,), `level`
    that of the funds held freely: more of a fund below it would lower the variance. `held`, shape
    (N,), leaves out the dust of an interior point, which holds a little of everything: funds whose
    excess cost is more than what their weight adds to it, so that they stay too expensive without.
    """

    weights: FloatArray
    cost: FloatArray
    level: float
    held: BoolArray
    residual: float
    excess: float


@dataclass(frozen=True)
class _Problem:
    """The problem in its units; the floor as ``tilt'w >= 0``, which is the same as sum w = 1."""

    model: RiskModel
    caps: FloatArray
    tilt: FloatArray | None
    riskless: float

    @classmethod
    def of(
        cls, model: RiskModel, cap: ArrayLike, mean: FloatArray | None, floor: float | None
    ) -> _Problem:
        variances = model.diagonal
        if not (np.isfinite(variances).all() and (model.specific >= 0.0).all()):
            raise InputError("a variance is missing, infinite or negative", where="risk model")
        level = float(variances.mean())
        if not level > 0.0:
            raise NoRiskError(
                "no fund varies, so that every portfolio has the least variance",
                where="risk model",
            )
        caps = check_caps(cap, variances.shape)
        tilt = _tilt(mean, floor, caps)
        problem = cls(model, caps, tilt, RISKLESS * level)
        unit = max(model.variance(problem.near()), problem.riskless)
        return cls(model.scaled(unit), caps, tilt, problem.riskless / unit)

    def of_funds(self, funds: Index) -> _Problem:
        """The problem of some funds only."""
        return _Problem(
            RiskModel(self.model.loadings[:, funds], self.model.specific[funds]),
            self.caps[funds],
            None if self.tilt is None else self.tilt[funds],
            self.riskless,
        )

    def is_possible(self) -> bool:
        """Whether any weights keep the constraints."""
        if self.caps.sum() < 1.0:
            return False
        return self.tilt is None or float(_cheapest(-self.tilt, self.caps)[1] @ self.tilt) >= 0.0

    def near(self) -> FloatArray:
        """Feasible weights near inverse variances."""
        inverse = 1.0 / np.maximum(self.model.diagonal, self.riskless)
        return self.feasible(inverse / inverse.sum())

    def feasible(self, weights: FloatArray) -> FloatArray:
        """The nearest weights within caps, moved towards the largest mean if the floor asks."""
        weights = project_simplex(weights, self.caps)
        if self.tilt is None or (missing := -float(self.tilt @ weights)) <= 0.0:
            return weights
        best = _cheapest(-self.tilt, self.caps)[1]
        share = missing / max(missing + float(self.tilt @ best), missing)
        return np.clip(weights + share * (best - weights), 0.0, self.caps)

    def certified(self, weights: FloatArray, multiplier: float) -> _Certified:
        """Certificate of feasible weights; any multiplier of the floor >= 0 gives a bound."""
        variance = self.model.variance(weights)
        unit = max(variance, self.riskless)
        beta = self.model.times(weights) / unit
        multiplier /= 2.0 * unit
        cost, slack = beta, 0.0
        if self.tilt is not None:
            cost = beta - multiplier * self.tilt
            slack = min(multiplier, max(float(self.tilt @ weights), 0.0))
        level, vertex = _cheapest(cost, self.caps)
        gap = 2.0 * (float(beta @ weights) - float(cost @ vertex))
        moved = np.clip(weights - (cost - level), 0.0, self.caps)
        residual = max(float(np.abs(weights - moved).max()), slack)
        excess = min(max(gap, 0.0), variance / unit)  # for no variance is below 0
        held = weights * self.model.diagonal / unit > cost - level
        return _Certified(weights, cost, level, held, residual, excess)


def _tilt(mean: FloatArray | None, floor: float | None, caps: FloatArray) -> FloatArray | None:
    """``(mean - floor) / max |mean - floor|``; None where every portfolio keeps the floor."""
    if mean is None and floor is None:
        return None
    if mean is None or floor is None:
        raise InputError("a floor of the mean return needs both: `mean` and `floor`")
    gain = (mean := np.asarray(mean, dtype=float)) - floor
    if gain.shape != caps.shape or not np.isfinite(gain).all():
        raise InputError(
            f"expected returns must be {len(caps)} finite numbers, one for each fund",
            remedy="leave out the funds without an expected return",
        )
    if (gain >= 0.0).all():
        return None
    reach = float(gain @ _cheapest(-gain, caps)[1])
    if reach < -ROUNDING * np.abs(mean).max():
        raise InputError(
            f"no portfolio within the caps has a mean of {floor:.6g}; the largest one is "
            f"{floor + reach:.6g}",
            remedy="lower the floor or raise the caps",
        )
    return gain / np.abs(gain).max()


def _cheapest(cost: FloatArray, caps: FloatArray) -> tuple[float, FloatArray]:
    """Minimize ``cost'v`` over sum v = 1, 0 <= v <= caps: cost of the last fund bought, and v."""
    order = np.argsort(cost, kind="stable")
    bought = np.cumsum(caps[order])
    last = min(int(np.searchsorted(bought, 1.0 - ROUNDING)), len(cost) - 1)
    vertex = np.zeros_like(cost)
    vertex[order[:last]] = caps[order[:last]]
    vertex[order[last]] = 1.0 - vertex.sum()
    return float(cost[order[last]]), vertex


Solver = Callable[[_Problem], tuple[FloatArray | None, float, int, str]]
"""Raw weights or None, multiplier of the floor, iterations, status."""


def _solve(problem: _Problem, solver: Solver) -> tuple[_Certified | None, int, str]:
    """Solve over some funds, let in those that would lower the variance, until none would.

    Those not held leave, in the first rounds only, so that it ends. A last run over the funds held
    gives the others a weight of exactly 0.
    """
    everything = solver is _active_set  # it finds the funds itself
    funds = np.arange(len(problem.caps)) if everything else _first_funds(problem)
    iterations, best, status = 0, None, "not started"
    for attempt in range(ROUNDS):
        found, inside, steps, status = _run(problem, funds, solver)
        iterations += steps
        if found is None or inside is None:
            break
        if best is None or found.excess < best.excess:
            best = found
        outside = np.setdiff1d(np.flatnonzero(found.cost < inside.level), funds)
        if found.excess <= AIM or not len(outside):
            break
        cheap = outside[np.argsort(found.cost[outside], kind="stable")][: len(funds) // 2 + 1]
        funds = np.union1d(funds[inside.held] if attempt < LEAVING else funds, cheap)
    if best is not None and best.weights[~best.held].any():
        held = np.flatnonzero(best.held)
        if problem.of_funds(held).is_possible():
            lean, _, steps, word = _run(problem, held, solver)
            if lean is not None and lean.excess <= max(best.excess, AIM):
                return lean, iterations + steps, word
    return best, iterations, status


def _run(
    problem: _Problem, funds: Index, solver: Solver
) -> tuple[_Certified | None, _Certified | None, int, str]:
    """Solve over some funds: certificates over all and among these, iterations, status."""
    part = problem.of_funds(funds)
    raw, multiplier, steps, status = solver(part)
    if raw is None:
        return None, None, steps, status
    inside = part.certified(part.feasible(raw), multiplier)
    weights = np.zeros(len(problem.caps))
    weights[funds] = inside.weights
    return problem.certified(weights, multiplier), inside, steps, status


def _first_funds(problem: _Problem) -> Index:
    """Funds of lowest beta to all of them, so many that they can be and can reach the floor."""
    count = len(problem.caps)
    cheap = np.argsort(problem.certified(problem.near(), 0.0).cost, kind="stable")
    enough = int(np.searchsorted(np.cumsum(problem.caps[cheap]), 2.0)) + 1
    size = max(START, enough)
    if size >= count:
        return np.arange(count)
    funds = cheap[:size]
    if problem.tilt is not None:
        funds = np.union1d(funds, np.flatnonzero(_cheapest(-problem.tilt, problem.caps)[1]))
    return np.sort(funds)


def _active_set(problem: _Problem) -> tuple[FloatArray | None, float, int, str]:
    """All funds at once, by linear algebra."""
    return active_set(problem.model, problem.caps, problem.tilt, _first_funds(problem))


def _piqp(problem: _Problem) -> tuple[FloatArray | None, float, int, str]:
    """Weights alone with the dense matrix, or with the factors y = A w beside them."""
    loadings, specific = problem.model.loadings, problem.model.specific
    rank, count = loadings.shape
    dense = count <= DENSE_FROM * rank
    pad = np.zeros(0 if dense else rank)  # the factors are free, and in neither budget nor floor
    lower = np.append(np.zeros(count), pad - np.inf)
    upper = np.append(np.where(problem.caps < 1.0, problem.caps, np.inf), pad + np.inf)
    budget = np.append(np.ones(count), pad)[None]
    floor = None if problem.tilt is None else -np.append(problem.tilt, pad)[None]
    solver: Any  # the two take matrices of other kinds
    if dense:
        solver = piqp.DenseSolver()
        quadratic, equal, right = 2.0 * problem.model.dense(), budget, np.ones(1)
    else:
        solver = piqp.SparseSolver()
        quadratic = sparse.diags_array(np.append(2.0 * specific, pad + 2.0), format="csc")
        factors = np.hstack([loadings, -np.eye(rank)])
        equal, right = sparse.csc_array(np.vstack([factors, budget])), np.append(pad, 1.0)
        floor = None if floor is None else sparse.csc_array(floor)
    settings = solver.settings
    settings.eps_abs = settings.eps_duality_gap_abs = SOLVER_TOLERANCE
    settings.eps_rel = settings.eps_duality_gap_rel = 0.0  # funds that vary much would loosen it
    limit = None if floor is None else np.zeros(1)
    solver.setup(quadratic, np.zeros(len(lower)), equal, right, floor, None, limit, lower, upper)
    status = solver.solve().name.removeprefix("PIQP_").lower()
    result, steps = solver.result, int(solver.result.info.iter)
    weights = np.array(result.x[:count])
    if not np.isfinite(weights).all():
        return None, 0.0, steps, status
    return weights, 0.0 if floor is None else max(float(result.z_u[0]), 0.0), steps, status


def _clarabel(problem: _Problem) -> tuple[FloatArray | None, float, int, str]:
    """The problem as it is written, through cvxpy."""
    import cvxpy as cp  # seconds to load, and hardly ever needed

    loadings, specific = problem.model.loadings, problem.model.specific
    weights = cp.Variable(len(specific))
    spread = cp.sum_squares(loadings @ weights)
    spread += cp.sum_squares(cp.multiply(np.sqrt(specific), weights))
    limits = [cp.sum(weights) == 1.0, weights >= 0.0, weights <= problem.caps]
    if problem.tilt is not None:
        limits.append(problem.tilt @ weights >= 0.0)
    task = cp.Problem(cp.Minimize(spread), limits)
    tolerances = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), SOLVER_TOLERANCE)
    try:
        task.solve(solver=cp.CLARABEL, **tolerances)
    except cp.SolverError:
        return None, 0.0, 0, "failed"
    steps = int(task.solver_stats.num_iters or 0)
    if weights.value is None:
        return None, 0.0, steps, str(task.status)
    multiplier = 0.0 if problem.tilt is None else max(float(limits[-1].dual_value), 0.0)
    return np.asarray(weights.value), multiplier, steps, str(task.status)


SOLVERS: dict[str, Solver] = {"active_set": _active_set, "piqp": _piqp, "clarabel": _clarabel}
"""In the order in which they are tried."""
