"""The statistics that tables of strategies show: name, label and format of each, once."""

from __future__ import annotations

STATISTICS = {
    "annual_return": ("return p.a.", ".1%"),
    "volatility": ("volatility", ".1%"),
    "sharpe": ("Sharpe", ".2f"),
    "max_drawdown": ("max drawdown", ".1%"),
    "turnover": ("turnover", ".0%"),
    "calmar": ("Calmar", ".2f"),
    "information_ratio": ("information ratio", ".2f"),
}
"""By column of the view `leaderboard`, which is also the name in table `metrics`."""

HEADLINE = ("annual_return", "volatility", "sharpe", "max_drawdown", "turnover")
"""Those that fit a terminal and a window of the Dagster page."""
