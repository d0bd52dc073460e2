"""Each section shows the answer of its SQL, and that answer is right."""

from __future__ import annotations

import math
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy.stats import spearmanr

from finembed_core.backtest.metrics import drawdowns
from finembed_core.report.run import read_run
from finembed_core.report.section import Chart, Section, absent, rows_of
from finembed_core.report.sections import SECTIONS
from finembed_core.warehouse.query import answer, query, reading
from tests.report import study
from tests.report.study import LEAD, MONTHS, RUN

NAMES = [make.__name__ for make in SECTIONS]
LATER = {
    "sensitivity": "sensitivities",
    "significance": "significance",
    "exposures": "exposures",
    "contributions": "contributions",
    "solver": "solver_log",
}


def net_of(connection: duckdb.DuckDBPyConnection, strategy: str) -> np.ndarray:
    sql = (
        f"SELECT net FROM returns WHERE run_id = '{RUN}' AND strategy = '{strategy}' ORDER BY date"
    )
    return answer(connection, sql)["net"].to_numpy()


@pytest.mark.parametrize("name", NAMES)
def test_every_section_leads_with_a_sentence_and_has_something_to_show(
    name: str, sections: dict[str, Section]
) -> None:
    section = sections[name]
    assert section.title and section.lead.endswith(".")
    assert section.blocks
    assert not section.lead.startswith("Absent")


@pytest.mark.parametrize("name", NAMES)
def test_the_sql_is_asked_again_and_gives_the_same_answer(
    name: str, sections: dict[str, Section], full: Path
) -> None:
    """Also through `query`, which lets nobody write or read another file."""
    for block in sections[name].blocks:
        again = query(full, block.sql)
        if isinstance(block, Chart):
            again = again.select(block.frame.columns)
        # Over several threads sums come in another order.
        assert_frame_equal(again, block.frame, rel_tol=1e-9, abs_tol=1e-15)


def drawn(chart: Chart) -> set[float]:
    """Every number that a chart places: coordinates, colors of cells and lengths of error bars."""
    found: set[float] = set()
    for _, figure in chart.figures:
        for trace in figure.data:
            given = trace.to_plotly_json()
            parts = [given.get(name) for name in ("x", "y", "z", "customdata")]
            parts += [(given.get(name) or {}).get("array") for name in ("error_x", "error_y")]
            for part in parts:
                for value in np.asarray([] if part is None else part, dtype=object).ravel():
                    if isinstance(value, (int, float, np.number)) and not math.isnan(value):
                        found.add(float(value))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_draws_the_numbers_of_its_answer_and_no_others(
    name: str, sections: dict[str, Section]
) -> None:
    for block in sections[name].blocks:
        if isinstance(block, Chart):
            numbers = block.frame.select(pl.selectors.numeric()).fill_null(0.0).to_numpy()
            assert drawn(block)
            assert drawn(block) <= {0.0, *numbers.astype(float).ravel().tolist()}, block.caption


@pytest.mark.parametrize("name", LATER)
def test_a_table_that_is_not_there_is_named(name: str, bare: Path) -> None:
    with reading(bare) as opened:
        reason = rows_of(opened, LATER[name], read_run(opened))
    section = study.section(bare, name)
    assert section.lead.startswith("Absent: ") and reason in section.lead
    assert LATER[name] in reason
    assert not section.blocks


@pytest.mark.parametrize("name", LATER)
def test_a_table_without_rows_of_the_run_is_named(name: str, full: Path) -> None:
    section = study.section(full, name, run_id=study.OTHER)
    assert f"table {LATER[name]} holds nothing about this run" in section.lead


def test_wealth_and_drawdown_are_those_of_the_returns(
    connection: duckdb.DuckDBPyConnection, sections: dict[str, Section]
) -> None:
    grown, fallen = (block.frame.filter(strategy=LEAD) for block in sections["wealth"].blocks)
    net = net_of(connection, LEAD)
    np.testing.assert_allclose(grown["nav"], np.cumprod([1, *(1 + net)]), rtol=1e-12)
    dates = grown["date"].to_numpy().astype("datetime64[D]")
    assert fallen["drawdown"].min() == pytest.approx(drawdowns(dates, net)["depth"][0], rel=1e-12)
    assert dates[0] == np.datetime64((MONTHS[0] - 1).end)


def test_a_year_is_its_months_compounded(
    connection: duckdb.DuckDBPyConnection, sections: dict[str, Section]
) -> None:
    cells = sections["years"].blocks[0].frame
    net = net_of(connection, LEAD)
    first = cells.filter(year=1995)
    np.testing.assert_allclose(first["net"][:12], net[:12], rtol=1e-15)
    assert first["net"][12] == pytest.approx(np.prod(1 + net[:12]) - 1, rel=1e-12)
    assert sections["years"].blocks[1].frame.height == 6


def test_rolling_figures_look_back_36_months(
    connection: duckdb.DuckDBPyConnection, sections: dict[str, Section]
) -> None:
    frame = sections["rolling"].blocks[0].frame.filter(strategy=LEAD)
    assert frame.height == len(MONTHS) - 35
    net, market = net_of(connection, LEAD)[:36] - 0.002, net_of(connection, "index_MKT")[:36]
    sharpe = net.mean() / net.std(ddof=1) * np.sqrt(12)
    assert frame["sharpe"][0] == pytest.approx(sharpe, rel=1e-10)
    assert frame["beta"][0] == pytest.approx(np.polyfit(market, net, 1)[0], rel=1e-9)


def test_turnover_leaves_the_first_purchase_out(sections: dict[str, Section]) -> None:
    chart, table = sections["turnover"].blocks
    own = chart.frame.filter(strategy=LEAD)
    assert own.height == len(MONTHS) - 12
    assert own["traded"][0] == pytest.approx(12 * 0.2)
    assert table.frame.filter(strategy=LEAD)["turnover"][0] == pytest.approx(2.4)


def test_a_purchase_after_months_in_cash_is_still_the_first(tmp_path: Path) -> None:
    path = study.complete(tmp_path)
    with duckdb.connect(str(path)) as opened:
        chosen = f"run_id = '{RUN}' AND strategy = '{LEAD}'"
        opened.execute(
            f"UPDATE returns SET turnover = 0 WHERE {chosen}"
            f" AND date < (SELECT min(date) + INTERVAL 200 DAY FROM returns)"
        )
        opened.execute(
            f"UPDATE returns SET turnover = 0.5 WHERE {chosen} AND date ="
            f" (SELECT min(date) FROM returns WHERE {chosen} AND turnover > 0)"
        )
    section = study.section(path, "turnover")
    found = section.blocks[1].frame.filter(strategy=LEAD)["turnover"].item()
    assert found == pytest.approx(12 * 0.2)  # not the half that comes in


def test_ownership_is_money_over_assets(sections: dict[str, Section]) -> None:
    chart, table = sections["ownership"].blocks
    first = chart.frame.row(0, named=True)
    assert first["largest_share"] == pytest.approx(1e8 * 0.4 / 5.1e7)
    assert table.frame["capacity"][-1] == pytest.approx(0.1 * 5.1e7 / 0.4)


def test_the_size_of_the_portfolio_is_an_assumption_that_is_said(full: Path) -> None:
    section = study.section(full, "ownership", portfolio_size=2.5e6)
    assert section.facts[0].startswith("Assumed: a portfolio of 2.5 million")
    assert section.blocks[0].frame["largest_share"][0] == pytest.approx(2.5e6 * 0.4 / 5.1e7)


def test_an_honest_model_lies_on_the_line_and_an_empty_one_does_not(
    sections: dict[str, Section],
) -> None:
    frame = sections["reliability"].blocks[0].frame
    honest = frame.filter(model="logistic")
    far = (honest["predicted"] - honest["observed"]).abs() > 1.6 * honest["half_width"]
    assert far.sum() == 0
    empty = frame.filter(model="persistence")
    assert empty["observed"].std() < 0.05 < empty["predicted"].std()
    p = honest["observed"].to_numpy()
    plain = 1.96 * np.sqrt(p * (1 - p) / honest["n"].to_numpy())  # months are independent here
    assert np.median(honest["half_width"].to_numpy() / plain) == pytest.approx(1, abs=0.15)


def test_the_information_coefficient_is_spearmans(
    connection: duckdb.DuckDBPyConnection, sections: dict[str, Section]
) -> None:
    rows = answer(
        connection,
        "SELECT month, p_up - p_down AS score, realized FROM prediction_outcomes"
        " JOIN predictions USING (month, fund_id, model)"
        " WHERE model = 'logistic' AND year(month) = 1996",
    )
    each = [spearmanr(own["score"], own["realized"]).statistic for _, own in rows.group_by("month")]
    frame = sections["information"].blocks[0].frame
    row = frame.row(
        by_predicate=(pl.col("model") == "logistic") & (pl.col("vintage").dt.year() == 1996),
        named=True,
    )
    assert row["ic"] == pytest.approx(np.mean(each), rel=1e-9)
    assert row["half_width"] == pytest.approx(1.96 * np.std(each, ddof=1) / np.sqrt(12), rel=1e-9)


def test_a_notice_date_is_the_notice_before_the_dealing_date(sections: dict[str, Section]) -> None:
    own = sections["orders"].blocks[0].frame
    sold = own.row(by_predicate=pl.col("fund_id") == "F2", named=True)
    assert (sold["dealing"] - sold["notice"]).days == 45
    assert sold["blocked_by"] == "notice"
    assert own.filter(side="buy")["notice"].is_null().all()
    assert sections["orders"].blocks[1].frame["fund_id"].to_list() == ["F2", "F3"]
    facts = sections["orders"].facts
    assert any("redemptions: 1, of them held up: 1" in fact for fact in facts)
    assert any("1 orders of earlier decisions still wait" in fact for fact in facts)


def test_what_waits_is_told_where_nothing_new_is_ordered(tmp_path: Path) -> None:
    path = study.complete(tmp_path)
    with duckdb.connect(str(path)) as opened:
        opened.execute(
            "UPDATE trades SET decision = decision - INTERVAL 31 DAY, status = 'waiting'"
            " WHERE status <> 'executed'"
        )
        last = "(SELECT max(last_month) FROM runs)"
        opened.execute(f"DELETE FROM trades WHERE decision >= {last}")
    section = study.section(path, "orders")
    assert "orders nothing new" in section.facts[0]
    waiting = section.blocks[0].frame.filter(status="waiting").height
    assert waiting > 0 and section.facts[1].startswith(f"{waiting} orders of earlier decisions")


def test_attribution_shows_the_ends_and_what_is_no_fund(sections: dict[str, Section]) -> None:
    betas = sections["exposures"].blocks[0].frame
    assert betas["factor"].to_list() == ["MKT", "smb"]
    shown = sections["contributions"].blocks[0].frame["fund_id"].to_list()
    assert shown[:10] == [f"F{k}" for k in range(10)]
    assert set(shown[10:]) == {*(f"F{k}" for k in range(20, 30)), ":costs"}


def test_exceptions_of_the_solver_are_listed(sections: dict[str, Section]) -> None:
    summary, odd = sections["solver"].blocks
    assert summary.frame["solves"].sum() == 3
    assert odd.frame["status"].to_list() == ["failed"]


def test_costs_stand_in_the_order_of_their_size(sections: dict[str, Section]) -> None:
    chart = sections["sensitivity"].blocks[0]
    frame = chart.frame.filter(strategy=LEAD, dimension="cost_bps")
    assert frame["value"].to_list() == ["0", "5", "10", "100"]
    assert isinstance(chart, Chart) and len(chart.figures) == 4


def test_the_break_even_cost_is_said_in_words(sections: dict[str, Section]) -> None:
    facts = sections["sensitivity"].facts
    assert facts[0] == (
        "SA, logistic regression earns more than the equal-weight universe below a cost of 63 "
        "basis points per trade; this run charges 10."
    )
    assert facts[1] == (
        "SA, logistic regression earns more than cash at every cost up to 1,000 bp."
    )
    assert any("4.0% to 5.0%" in fact for fact in facts[2:])
    every = sections["sensitivity"].blocks[1].frame
    assert every["strategy"][0] == LEAD and every.height == 3
    row = every.row(0, named=True)
    assert (row["dead_least"], row["dead_most"], row["late_1"]) == pytest.approx(
        (0.05, 0.053, 0.051)
    )


def test_a_run_that_earned_nothing_yet_says_so(tmp_path: Path) -> None:
    path = study.warehouse(tmp_path)
    with duckdb.connect(str(path)) as opened:
        for table in ("returns", "metrics", "drawdowns", "trades", "holdings"):
            opened.execute(f"DELETE FROM {table}")
        opened.execute("UPDATE runs SET first_month = NULL")
    with reading(path) as opened:
        run = read_run(opened)
        made = {make.__name__: make(opened, run) for make in SECTIONS}
    assert any("nothing earned by 2000-12" in fact for fact in made["verdict"].facts)
    assert made["wealth"] == absent("Net asset value", "table returns holds nothing about this run")
