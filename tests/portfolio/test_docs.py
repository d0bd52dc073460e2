"""docs/portfolios.md and the register say the same; what the pages show runs."""

import re
from pathlib import Path

import numpy as np
import pytest

from finembed_core.calendar import Month
from finembed_core.portfolio.orders import Signals, State
from finembed_core.portfolio.register import STRATEGIES
from finembed_core.settings import PortfolioSettings

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "portfolios.md").read_text()
SUFFIX = {"universe": "", "models": "_<model>", "benchmarks": "_<series>"}


def test_every_strategy_has_its_row() -> None:
    rules = PAGE.split("## Strategies")[1].split("\n## ")[0]
    told = re.findall(r"^\| `([^`]+)` \|", rules, re.MULTILINE)
    assert told == [f"{s.name}{SUFFIX[s.over]}" for s in STRATEGIES]


def test_every_setting_has_its_name() -> None:
    for name in PortfolioSettings.model_fields:
        assert f"`{name}" in PAGE or f"`portfolio.{name}" in PAGE, name


def test_the_strategy_to_copy_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    defined: dict = {}
    exec(example, defined)
    window = np.random.default_rng(0).normal(size=(36, 3)) * [0.01, 0.02, 0.04]
    nothing = np.full(3, np.nan)
    known = Signals(
        Month.parse("2001-01"), np.ones(3, bool), nothing, nothing, (), lambda month, n: window[-n:]
    )
    orders = defined["inverse_volatility"](State(np.zeros(3), 1.0), known, PortfolioSettings())
    inverse = 1.0 / window.std(axis=0, ddof=1)
    assert orders.weights == pytest.approx(inverse / inverse.sum())


def test_the_example_of_minimum_variance_runs() -> None:
    page = (DOCS / "minimum_variance.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    shown: dict = {}
    exec(example, shown)
    assert shown["found"].excess < 1e-9 and shown["found"].weights.max() <= 0.01
