"""The worked example of docs/polymodel.md, computed with scipy and scikit-learn alone.

python -m tests.oracles.test_polymodel_example      # prints the documented table
"""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.special import eval_hermitenorm, ndtri
from sklearn.linear_model import Ridge

from finembed_core.polymodel.features import polymodel_features
from finembed_core.polymodel.history import LongHistory
from finembed_core.polymodel.longterm import quadrature_weights
from finembed_core.polymodel.pairs import fit_pairs, fitted_curves
from finembed_core.polymodel.shuffling import shuffled_rows
from tests.polymodel.months import MONTH, month_inputs, paper_settings

DOCS = Path(__file__).resolve().parents[2] / "docs" / "polymodel.md"
SETTINGS = paper_settings(significance="exact", shuffles=999)
RF = 0.002

T = np.arange(1, 301)
G = ndtri(37 * T % 301 / 301)
X = 0.005 + 0.04 * (G - 0.15 * (G**2 - 1))  # skewed to the left
Y = (0.008 + 0.25 * X - 3 * X**2 + 0.02 * ndtri(59 * T % 301 / 301))[-36:]


def basis(z):
    return np.column_stack(
        [eval_hermitenorm(k, z) / math.sqrt(math.factorial(k)) for k in range(5)]
    )


def pareto_quantile(values):
    """99% quantile: threshold at 90%, probability-weighted moments of Hosking and Wallis."""
    threshold = np.quantile(values, 0.9)
    y = sorted(v - threshold for v in values if v > threshold)
    n = len(y)
    a0 = sum(y) / n
    a1 = sum((n - i) / (n - 1) * v for i, v in enumerate(y, start=1)) / n
    xi, sigma = 2 - a0 / (a0 - 2 * a1), 2 * a0 * a1 / (a0 - 2 * a1)
    return threshold + stats.genpareto(xi, scale=sigma).isf(0.01 / (n / len(values)))


def nearest_weights(start, theta):
    """Minimize ||w - start||^2 under sum w = 1 and sum w theta = 0 by its Lagrange system."""
    constraints = np.stack([np.ones(5), theta])
    system = np.block([[np.eye(5), constraints.T], [constraints, np.zeros((2, 2))]])
    return np.linalg.solve(system, np.r_[start, 1.0, 0.0])[:5]


def worked_example():
    """Every intermediate number by name."""
    mean, sd = X.mean(), X.std(ddof=1)
    z = (X - mean) / sd
    window = z[-36:]
    h = basis(window)
    model = Ridge(alpha=1.0, solver="svd").fit(h[:, 1:], Y)
    rss = np.square(Y - model.predict(h[:, 1:])).sum()
    r2 = 1 - rss / np.square(Y - Y.mean()).sum()
    shuffled = Y[shuffled_rows(36, 999, 1, MONTH)].T
    refit = Ridge(alpha=1.0, solver="svd").fit(h[:, 1:], shuffled)
    luck = 1 - np.square(shuffled - refit.predict(h[:, 1:])).sum(axis=0) / (
        np.square(Y - Y.mean()).sum()
    )
    p = (1 + (luck >= r2).sum()) / 1000
    s = math.sqrt(rss / (36 - 5))

    inner = np.quantile(z, [0.16, 0.50, 0.84])
    theta = np.array([-pareto_quantile(-z), *inner, pareto_quantile(z)])
    grid = np.linspace(theta[0], theta[-1], 100_001)
    beta = np.r_[model.intercept_, model.coef_]
    y_max = max(0.0, -(basis(grid) @ beta).min())
    seen = np.clip(grid, window.min(), window.max())
    y_max_clamped = max(0.0, -(basis(seen) @ beta).min())
    svar = math.hypot(y_max, stats.norm.ppf(0.99) * s)
    start = np.array([0.047951, 0.260847, 0.382405, 0.260847, 0.047951])
    weights = nearest_weights(start, theta)
    lta = weights @ basis(theta) @ beta

    excess = Y - RF
    sharpe = excess.mean() / excess.std(ddof=1)
    mrar = np.mean(((1 + Y) / (1 + RF)) ** -2.0) ** (-12 / 2) - 1
    numbers = {"factor mean": mean, "factor sd": sd}
    numbers |= {"last standardized factor": window[-1]}
    numbers |= {f"H_{k}(last)": h[-1, k] for k in range(5)}
    numbers |= {f"beta_{k}": beta[k] for k in range(5)}
    numbers |= {"R2": r2, "p": p, "score": -math.log(p), "s": s}
    names = ("01", "16", "50", "84", "99")
    numbers |= {f"theta_{name}": v for name, v in zip(names, theta, strict=True)}
    numbers |= {"window low": window.min(), "window high": window.max()}
    numbers |= {"Ymax": y_max, "Ymax clamped": y_max_clamped, "SVaR": svar}
    numbers |= {"SVaR clamped": math.hypot(y_max_clamped, stats.norm.ppf(0.99) * s)}
    numbers |= {f"w_{name}": v for name, v in zip(names, weights, strict=True)}
    numbers |= {"LTA": lta, "LTR": lta / svar, "LTS": lta - 0.05 * svar}
    return numbers | {"Sharpe": sharpe, "Sharpe annual": sharpe * math.sqrt(12), "MRAR": mrar}


@pytest.fixture(scope="module")
def numbers():
    return worked_example()


def test_documented_numbers(numbers):
    rows = re.findall(r"^\| `([^`]+)` \| (-?[\d.]+) \|$", DOCS.read_text(), re.MULTILINE)
    documented = {name: float(value) for name, value in rows}
    assert documented.keys() == numbers.keys()
    for name, value in documented.items():
        assert value == pytest.approx(numbers[name], abs=5.1e-7), name


def test_intermediate_numbers(numbers):
    history = LongHistory.of(X[:, None], SETTINGS)
    fits = fit_pairs(Y[:, None], history.standardize(X[-36:, None]), SETTINGS)
    curves = fitted_curves(fits, np.ones((1, 1), dtype=bool), SETTINGS)
    beta = [numbers[f"beta_{k}"] for k in range(5)]
    np.testing.assert_allclose(curves.coefficients[0], beta, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(curves.residual_sd[0], numbers["s"], rtol=1e-10)
    theta = history.nodes()
    names = ("01", "16", "50", "84", "99")
    np.testing.assert_allclose(theta[:, 0], [numbers[f"theta_{n}"] for n in names], rtol=1e-10)
    weights = quadrature_weights(theta)[:, 0]
    np.testing.assert_allclose(weights, [numbers[f"w_{n}"] for n in names], atol=2e-6)


def test_features(numbers):
    inputs = month_inputs(Y[:, None], X[:, None], np.full(36, RF))
    result = polymodel_features(inputs, SETTINGS)
    pair, fund = result.selected.row(0, named=True), result.features.row(0, named=True)
    for column, name in {"r2": "R2", "p_value": "p", "score": "score"}.items():
        assert pair[column] == pytest.approx(numbers[name], rel=1e-10)
    assert pair["y_max"] == pytest.approx(numbers["Ymax"], abs=1e-5)  # the grid's step
    for column, name in {
        "svar": "SVaR",
        "svar_clamped": "SVaR clamped",
        "lta": "LTA",
        "lts": "LTS",
        "sharpe": "Sharpe",
        "sharpe_annual": "Sharpe annual",
        "mrar": "MRAR",
    }.items():
        assert fund[column] == pytest.approx(numbers[name], abs=1e-6), name
    assert fund["ltr"] == pytest.approx(numbers["LTR"], abs=1e-4)
    outside = numbers["theta_01"] < numbers["window low"]
    assert outside and fund["extrapolated"]


if __name__ == "__main__":
    for label, number in worked_example().items():
        print(f"| `{label}` | {number:.6f} |")
