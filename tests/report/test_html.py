import json
import re

import numpy as np
import polars as pl
import pytest

from finembed_core.errors import MissingPartError
from finembed_core.report import wealth
from finembed_core.report.html import page
from finembed_core.settings import Settings
from finembed_core.store import PartStore
from tests.warehouse.fake_run import run_tables

RUN = "c" * 16


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    return run_tables(RUN, np.random.default_rng(2), Settings())


def own_text(html: str) -> str:
    """The page without plotly's code."""
    return re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)


def test_the_page_holds_everything_and_loads_nothing(tables, tmp_path):
    store = PartStore(tmp_path / "store")
    for name in ("runs", "strategies", "returns", "metrics"):
        store.write(name, RUN, tables[name])
    file = wealth(store, RUN, tmp_path / "reports" / "wealth.html")
    html = file.read_text()
    assert html.count("plotly.js v") == 1
    assert not re.search(r"""<(script|link|img)[^>]*(src|href)=""", html)
    assert "sendChartToCloud" in html.split("modeBarButtonsToRemove")[-1]
    text = own_text(html)
    assert "net of costs (simulated data)</h1>" in text
    assert f"<title>finembed {RUN} (simulated data)</title>" in text
    assert RUN in text
    assert "wa_logistic: no fund has AUM" in text
    assert [p.name for p in file.parent.iterdir()] == ["wealth.html"]


def test_the_same_run_gives_the_same_page(tables):
    frames = [tables[name] for name in ("runs", "strategies", "returns", "metrics")]
    assert page(*frames) == page(*frames)


def test_strategies_stand_in_the_order_of_their_sharpe_ratio(tables):
    text = own_text(page(*(tables[n] for n in ("runs", "strategies", "returns", "metrics"))))
    rows = re.findall(r"<tr><td>(\w+)</td>", text)
    expected = (
        tables["metrics"]
        .filter(pl.col("metric") == "sharpe")
        .sort("value", descending=True)["strategy"]
        .to_list()
    )
    assert rows == expected


def test_what_to_know_before_believing_the_numbers_stands_above_them(tables):
    warnings = ["no risk-free series: 0 is assumed", "a < b"]
    run = tables["runs"].with_columns(
        warnings=pl.lit(json.dumps(warnings)), simulated=pl.lit(False)
    )
    text = own_text(page(run, *(tables[n] for n in ("strategies", "returns", "metrics"))))
    assert "<li>no risk-free series: 0 is assumed</li><li>a &lt; b</li>" in text
    assert text.index("risk-free") < text.index("<table>")
    assert "simulated" not in text


def test_an_unknown_run_is_named(tmp_path):
    with pytest.raises(MissingPartError, match="runs has no part"):
        wealth(PartStore(tmp_path), RUN, tmp_path / "wealth.html")
    assert not list(tmp_path.iterdir())


def test_a_run_that_earned_nothing_yet_says_so(tables):
    run = tables["runs"].with_columns(first_month=pl.lit(None, dtype=pl.Date))
    nothing = [tables[name].clear() for name in ("returns", "metrics")]
    text = own_text(page(run, tables["strategies"], *nothing))
    assert "nothing earned by" in text
