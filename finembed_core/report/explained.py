"""An explanation of a fund in words and tables, for a terminal and a page alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from finembed_core.histories import RISK_FACTOR_DEFAULTS
from finembed_core.macro.transforms import transform_name
from finembed_core.polymodel.explain import LEVEL_NAMES, Explanation
from finembed_core.polymodel.stage import LATE
from finembed_core.settings import PolyModelSettings
from finembed_core.store import PartStore

Table = tuple[list[str], list[list[str]]]  # header, rows

REASONS = {
    "not_reported": "no return is known for {month:%Y-%m}: nothing is fitted",
    "too_few_months": "{n_obs} of the last {window} months have a return, {min_obs} are needed: "
    "nothing is fitted",
    "constant_returns": "the returns do not move: there is nothing to explain",
    "no_risk_free": "the return of cash is unknown in too many months: no Sharpe ratio, no MRAR",
    "no_factors": "no risk factor could be tried (see table polymodel_excluded): nothing is fitted",
    "no_selection": "no risk factor passed: StressVaR and long-term alpha are unknown, and what "
    "follows may all be luck",
    "constant_excess": "the fund earns the same over cash every month: no Sharpe ratio",
}
RULES = {
    "absolute": "p at most {alpha:g}; luck alone would select {expected_false:.2g}",
    "relative": "score at least {relative_share:.0%} of the best; luck alone would select "
    "{expected_false:.2g}",
    "benjamini_hochberg": "false discovery rate {alpha:g}: {expected_false:.2g} of them",
}
DOUBTFUL = 0.5  # share of the selected that luck alone would select
NARROW = 0.05  # a factor that keeps to less, such as a yield, is shown to the basis point
UNSEEN = "*"


@dataclass(frozen=True)
class Label:
    """How a factor is called and written.

    Attributes
    ----------
    name : str
    percent : bool
        Whether its values are returns, growth or changes of a yield.
    """

    name: str
    percent: bool

    def style(self, factor: Mapping[str, Any]) -> str:
        """Format of its values."""
        if not self.percent:
            return "+z.3g"
        return "+z.1%" if factor["factor_99"] - factor["factor_01"] >= NARROW else "+z.2%"


def factor_labels(store: PartStore, factors: Iterable[str]) -> dict[str, Label]:
    """Labels of risk factors by id, late ones included; macro factors have no unit and no name."""
    series = {row["series_id"]: row for row in store.read("series", "all").iter_rows(named=True)}
    return {
        factor: _label(factor, series.get(factor) or series.get(factor.rpartition(LATE)[0]))
        for factor in factors
    }


def facts(explanation: Explanation, settings: PolyModelSettings) -> list[str]:
    """Sentences about the fund in this month."""
    row = explanation.features.row(0, named=True)
    window = f"{explanation.month - (settings.window - 1)} to {explanation.month}"
    said = [f"{row['n_obs']} of the {settings.window} months {window} have a return"]
    known = {**settings.model_dump(), **row}
    if row["reason"]:
        said.append(REASONS[row["reason"]].format(**known))
    if row["n_factors"]:
        rule = RULES[settings.selection].format(**known)
        said.append(f"{row['n_selected']} of {row['n_factors']} factors selected ({rule})")
    if row["svar"] is not None:
        said += [
            f"StressVaR {row['svar']:.1%} a month, set by {row['svar_factor']}; "
            f"{row['svar_clamped']:.1%} where factors keep to what the window has seen",
            f"long-term alpha {row['lta']:+.2%} a month, ratio to StressVaR {row['ltr']:+.3f}, "
            f"stability {row['lts']:+.2%}",
        ]
    if row["sharpe"] is not None:
        said.append(f"Sharpe ratio {row['sharpe_annual']:.2f} a year")
    if row["mrar"] is not None:
        said.append(f"Morningstar risk-adjusted return {row['mrar']:+.1%} a year")
    return said


def notes(explanation: Explanation) -> list[str]:
    """What to know before believing the numbers."""
    row, factors = explanation.features.row(0, named=True), explanation.factors
    said = []
    if row["n_selected"] and row["expected_false"] >= DOUBTFUL * row["n_selected"]:
        said.append("luck alone would select about as many factors")
    if any(map(_extrapolated, factors.iter_rows(named=True))):
        said.append(f"{UNSEEN} beyond what the window has seen: the curve there is extrapolated")
    if factors.height > 1:
        said.append("each factor is fitted alone: those that move together tell one story twice")
    if 0 < factors.height < row["n_selected"]:
        said.append(f"{row['n_selected'] - factors.height} more factors are selected")
    return said


def moves(explanation: Explanation, labels: Mapping[str, Label]) -> Table:
    """Two rows per factor: quantiles of its long history, and what the fund does there."""
    rows = []
    for factor in explanation.factors.iter_rows(named=True):
        style = labels[factor["factor_id"]].style(factor)
        theta = [factor[f"factor_{level}"] for level in LEVEL_NAMES]
        phi = [factor[f"fund_{level}"] for level in LEVEL_NAMES]
        tested = [f"{factor['score']:.1f}", f"{factor['p_value']:.2g}", f"{factor['r2']:.0%}"]
        rows += [
            [factor["factor_id"], *tested, *(format(x, style) for x in theta)],
            [
                f"the fund {factor['shape']}",
                *("" for _ in tested),
                *(f"{y:+z.1%}" + _star(x, factor) for x, y in zip(theta, phi, strict=True)),
            ],
        ]
    levels = [f"{int(level)}%" for level in LEVEL_NAMES]
    return ["factor", "score", "p", "R2", *levels], rows


def threats(explanation: Explanation, labels: Mapping[str, Label]) -> Table:
    """One row per factor: what StressVaR is made of."""
    header = ["factor", "worst loss", "at", "residual sd", "StressVaR", "clamped", "LTA"]
    rows = []
    for factor in explanation.factors.iter_rows(named=True):
        style, at = labels[factor["factor_id"]].style(factor), factor["y_max_at"]
        rows.append(
            [
                factor["factor_id"],
                f"{factor['y_max']:.1%}",
                "" if at is None else f"{at:{style}}{_star(at, factor)}",
                f"{factor['residual_sd']:.1%}",
                f"{factor['svar']:.1%}",
                f"{factor['svar_clamped']:.1%}",
                f"{factor['lta']:+z.2%}",
                f"{factor['seen_low']:{style}} to {factor['seen_high']:{style}}",
            ]
        )
    return [*header, "window saw"], rows


def _star(at: float, factor: Mapping[str, Any]) -> str:
    """A mark where the window has not been."""
    return "" if factor["seen_low"] <= at <= factor["seen_high"] else UNSEEN


def _extrapolated(factor: Mapping[str, Any]) -> bool:
    ends = ("factor_01", "factor_99", "stress_low", "stress_high")
    return any(_star(factor[end], factor) for end in ends)


def _label(factor: str, series: Mapping[str, Any] | None) -> Label:
    if series is None:
        return Label(factor, percent=False)
    transform = transform_name(series["transform"] or RISK_FACTOR_DEFAULTS[series["kind"]])
    growth = transform.startswith(("log_diff", "pct_change"))
    return Label(series["name"] or factor, growth or series["kind"] in ("return", "yield"))
