"""StressVaR of simulated funds against their true 99% VaR, by lambda.

Factors are Student t(5) with sd 4%, funds have Gaussian noise of sd 1.5%: no exposure at all, a
linear one (beta 0.5), or a short put. ``pair`` is the StressVaR against one factor, selected or
not (the fund's own where it has one); ``fund`` is the feature: the worst of the selected factors.

    python -m benchmarks.polymodel_stress
"""

import numpy as np

from finembed_core.calendar import Month, month_ends
from finembed_core.panel import Panel
from finembed_core.polymodel.basis import standardize
from finembed_core.polymodel.features import MonthInputs, polymodel_features
from finembed_core.polymodel.pairs import fit_pairs, stress_pairs
from finembed_core.settings import PolyModelSettings

FUNDS, FACTORS, HISTORY, MONTHS = 400, 100, 300, 10
NOISE = 0.015
KINDS = {
    "none": lambda x: np.zeros_like(x),
    "linear": lambda x: 0.5 * x,
    "short put": lambda x: np.minimum(x + 0.04, 0.0),
}


def draw_factors(rng, shape):
    return rng.standard_t(5, shape) * 0.04 * np.sqrt(3 / 5)


def true_var(exposure, rng):
    x = draw_factors(rng, 1_000_000)
    return -np.quantile(exposure(x) + rng.standard_normal(x.size) * NOISE, 0.01)


def one_month(exposure, settings, seed):
    """StressVaR of the first pair, of the worst of all pairs, and the feature, per fund."""
    rng = np.random.default_rng(seed)
    month = Month.parse("2000-01") + seed
    history = draw_factors(rng, (HISTORY, FACTORS))
    returns = rng.standard_normal((36, FUNDS)) * NOISE + exposure(history[-36:, :1])
    z = standardize(history)
    statistics = fit_pairs(returns, z[-36:], month, settings)
    factor, fund = np.divmod(np.arange(FACTORS * FUNDS), FUNDS)
    svar = stress_pairs(statistics, returns, z, factor, fund, settings).svar
    svar = svar.reshape(FACTORS, FUNDS)
    dates = month_ends(np.arange(month.ordinal - HISTORY + 1, month.ordinal + 1))
    inputs = MonthInputs(
        month,
        Panel(dates[-36:], tuple(f"fund{k:03d}" for k in range(FUNDS)), returns),
        np.zeros(36),
        Panel(dates, tuple(f"factor{k:03d}" for k in range(FACTORS)), history),
    )
    features = polymodel_features(inputs, settings).features
    feature = features["svar"].fill_null(np.nan).to_numpy()
    return svar[0], svar.max(axis=0), feature, features["n_selected"].to_numpy()


def main():
    print(f"{FUNDS} funds x {FACTORS} factors x {MONTHS} months, medians, ratio to the true VaR")
    header = f"{'lambda':>7} {'exposure':>10} {'true':>6} {'pair':>6} {'ratio':>6}"
    print(f"{header} {'worst':>6} {'fund':>6} {'ratio':>6} {'p95':>6} {'selected':>8} {'null':>5}")
    for ridge in (0.001, 0.1, 1.0, 10.0):
        settings = PolyModelSettings(ridge=ridge, shuffles=199)
        for name, exposure in KINDS.items():
            truth = true_var(exposure, np.random.default_rng(1))
            months = [one_month(exposure, settings, k) for k in range(MONTHS)]
            pair, worst, feature, selected = (np.concatenate(a) for a in zip(*months, strict=True))
            middle, high = np.nanquantile(feature, [0.5, 0.95])
            print(
                f"{ridge:7g} {name:>10} {truth:6.3f} {np.median(pair):6.3f}"
                f" {np.median(pair) / truth:6.2f} {np.median(worst):6.3f} {middle:6.3f}"
                f" {middle / truth:6.2f} {high / truth:6.2f} {selected.mean():8.2f}"
                f" {np.isnan(feature).mean():5.2f}"
            )


if __name__ == "__main__":
    main()
