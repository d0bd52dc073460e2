"""The sections about embeddings say what their tables hold."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from finembed_core.embeddings.evaluation import wins
from finembed_core.embeddings.evaluation.portfolios import AGAINST
from finembed_core.report.maps import MOST_CATEGORIES, fund_map
from finembed_core.report.section import Section
from finembed_core.report.sections.evaluations import PORTFOLIOS, TIE
from finembed_core.settings import Settings
from finembed_core.store import PartStore
from finembed_core.warehouse.publish import publish
from finembed_core.warehouse.query import reading
from tests.report import study
from tests.report.browser import Browser
from tests.report.study import NASTY
from tests.warehouse import fake_embeddings as fake

TABLES = {
    "fund_map": "embedding_map",
    "embedding_evaluations": "embedding_evaluations",
    "embedding_information": "embedding_information",
    "embedding_checks": "embedding_checks",
}


def block(sections: dict[str, Section], name: str, words: str) -> pl.DataFrame:
    [found] = [one for one in sections[name].blocks if words in one.caption]
    return found.frame


def test_benchmarks_stand_in_the_order_of_the_study() -> None:
    """The report may not ask the study: it holds a list of its own, which is the same."""
    for names in AGAINST.values():
        assert [name for name in PORTFOLIOS if name in names] == [*names]
    assert wins.TIE == TIE


def test_wins_are_counted_over_all_seeds_mixed(sections: dict[str, Section]) -> None:
    rows = fake.evaluations().filter(
        pl.col("seed").is_null(),
        evaluation="ranking",
        metric="sharpe",
        benchmark="previous_ranking",
    )
    counted = block(sections, "embedding_evaluations", "higher Sharpe ratio than")
    assert counted.height == 4
    for row in counted.iter_rows(named=True):
        own = rows.filter(loss=row["loss"], k=row["k"])
        assert row["n"] == own.height == 12
        assert row["wins"] == (own["difference"] > 0).sum()
        assert row["better"] == (own["ci_low"] > 0).sum()


def test_of_many_models_the_first_benchmark_alone_is_drawn(full: Path, tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    path.write_bytes(full.read_bytes())
    models = "SELECT e, m FROM unnest(['a', 'b', 'c', 'd', 'e']) _(e), unnest(['x', 'y', 'z']) _(m)"
    named = "unnest(['gmv_sample', 'gmv_history']) _(benchmark)"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "INSERT INTO embedding_evaluations (evaluation, encoder, mode, metric, benchmark,"
            " value, benchmark_value, difference, ci_low, ci_high, n) SELECT 'gmv', e, m,"
            f" 'sharpe', benchmark, 1.0, 0.9, 0.1, -0.1, 0.3, 9 FROM ({models}), {named}"
        )
        connection.execute(
            "INSERT INTO embedding_evaluations SELECT * REPLACE ('equal_weight' AS benchmark)"
            " FROM embedding_evaluations WHERE evaluation = 'ranking' AND benchmark IS NOT NULL"
        )
    found = {"embedding_evaluations": study.section(path, "embedding_evaluations")}
    drawn = block(found, "embedding_evaluations", "GMV from forecasts: differences")
    assert set(drawn["benchmark"]) == {"gmv_history"} and drawn.height == 15
    board = block(found, "embedding_evaluations", "Scoreboard")
    assert {"gmv_history", "gmv_sample"} <= set(board["benchmark"])
    won = block(found, "embedding_evaluations", "higher Sharpe ratio than")
    assert won["n"].to_list() == [12] * 4  # the previous ranking alone


def test_ties_are_no_contest_and_no_interval_is_not_called_insignificant(
    full: Path, tmp_path: Path
) -> None:
    path = tmp_path / "warehouse.duckdb"
    path.write_bytes(full.read_bytes())
    first = "evaluation = '{}' AND encoder = 'rlinear' AND mode = 'probe' AND metric = 'sharpe'"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "UPDATE embedding_evaluations SET difference = 1e-15, ci_low = NULL, ci_high = NULL"
            f" WHERE {first.format('ranking')} AND fund_group = 'all'"
        )
        connection.execute(
            "UPDATE embedding_evaluations SET ci_low = NULL, ci_high = NULL WHERE"
            f" {first.format('gmv')} AND benchmark = 'gmv_sample'"
        )
    section = study.section(path, "embedding_evaluations")
    won = block({"embedding_evaluations": section}, "embedding_evaluations", "higher Sharpe ratio")
    assert won["n"].to_list() == [11] * 4
    [fact] = [x for x in section.facts if x.startswith("GMV")]
    assert fact.endswith("1 have no interval.")
    board = block({"embedding_evaluations": section}, "embedding_evaluations", "Scoreboard")
    own = board.filter(evaluation="gmv", metric="sharpe")
    assert f"{(own['verdict'] == 'not significant').sum()} are not significant" in fact


def test_growth_is_the_product_of_returns_of_the_published_mode(
    sections: dict[str, Section],
) -> None:
    drawn = block(sections, "embedding_evaluations", "Direct weights: growth")
    assert set(drawn["portfolio"]) == {
        "equal_weight",
        "weights_itransformer_multi_modal",
        "weights_rlinear_multi_modal",
    }
    leads = drawn.filter(pl.col("leads"))["portfolio"].unique().to_list()
    assert leads == ["weights_itransformer_multi_modal"]
    own = fake.portfolios().filter(portfolio=leads[0]).sort("date")
    last = drawn.filter(portfolio=leads[0]).sort("date")["wealth"][-1]
    assert last == pytest.approx(np.prod(1 + own["ret"].to_numpy()), rel=1e-12)


def test_m_of_n_is_what_the_study_counted(sections: dict[str, Section]) -> None:
    row = block(sections, "embedding_evaluations", "m of n").row(0, named=True)
    assert (row["statistic"], row["won"], row["n"]) == ("sharpe", 3, 4)
    assert (row["sign_p"], row["share_low"], row["average"]) == (0.625, 0.3, 0.02)


def test_facts_say_how_many_are_not_significant(sections: dict[str, Section]) -> None:
    board = block(sections, "embedding_evaluations", "Scoreboard")
    own = board.filter(evaluation="gmv", metric="sharpe")
    silent = (own["verdict"] == "not significant").sum()
    [fact] = [x for x in sections["embedding_evaluations"].facts if x.startswith("GMV")]
    assert "no interval" not in fact
    assert f"of {own.height} Sharpe" in fact and f"{silent} are not significant" in fact
    assert "supervised" not in set(board["benchmark"])


def test_bars_of_information_are_the_range_of_the_seeds(sections: dict[str, Section]) -> None:
    frame = block(sections, "embedding_information", "as numbers")
    row = frame.filter(estimator="mine", encoder="rlinear", mode="probe").row(0, named=True)
    rows = fake.information().filter(estimator="mine", encoder="rlinear", mode="probe")
    own = rows["value"].to_list()
    assert rows["std"].null_count() == row["seeds"] == len(own) == rows["seed"].n_unique()
    assert (row["lowest"], row["highest"]) == (min(own), max(own))
    assert row["value"] - row["below"] == pytest.approx(min(own))
    assert row["value"] + row["above"] == pytest.approx(max(own))
    chart = block(sections, "embedding_information", "range of the seeds")
    assert chart.equals(frame)
    assert "no interval" in sections["embedding_information"].lead


def test_checks_are_of_one_date(sections: dict[str, Section]) -> None:
    section = sections["embedding_checks"]
    assert section.facts[0] == f"One date, {fake.DATES[-1]}, 25 funds."
    assert "overlap" not in section.lead


def test_checks_compare_with_components_seed_by_seed(sections: dict[str, Section]) -> None:
    frame = block(sections, "embedding_checks", "as numbers")
    own = fake.checks().filter(check="category_retrieval", encoder="rlinear", mode="probe")["value"]
    row = frame.filter(check="category_retrieval", encoder="rlinear", mode="probe")
    row = row.row(0, named=True)
    assert (row["below"], row["above"]) == pytest.approx(
        (own.mean() - own.min(), own.max() - own.mean())  # pyright: ignore
    )
    assert (row["against_components"] == "better, every seed") == bool((own > 0.5).all())


def test_names_of_the_map_are_text(sections: dict[str, Section]) -> None:
    [chart] = sections["fund_map"].blocks
    assert NASTY in chart.frame["category"].to_list()
    [(_, figure)] = chart.figures
    texts = [text for trace in figure.data for text in (trace.name, *trace.text)]
    assert not any(re.search(r"<(?!br>)", text) for text in texts)
    assert all(trace.x is not None for trace in figure.data)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("how", ["empty", "absent"])
def test_without_rows_a_section_says_why(name: str, how: str, full: Path, tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    path.write_bytes(full.read_bytes())
    table = TABLES[name]
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"{'DELETE FROM' if how == 'empty' else 'DROP TABLE'} {table}")
    section = study.section(path, name)
    assert section.lead.startswith("Absent: ") and table in section.lead
    assert not section.blocks


def test_a_map_of_many_categories_is_drawn_with_all_funds(browser: Browser, tmp_path: Path) -> None:
    """500 funds of 30 categories: each of the largest has a mark of its own, the rest share one."""
    store = PartStore(tmp_path / "store")
    fake.write_embeddings(store, n=500, categories=30)
    publish(store, tmp_path / "warehouse.duckdb", Settings())
    with reading(tmp_path / "warehouse.duckdb") as connection:
        chart = fund_map(connection)
    [(_, figure)] = chart.figures
    marks = {(trace.marker.color, trace.marker.symbol) for trace in figure.data}
    assert len(figure.data) == len(marks) == MOST_CATEGORIES + 1
    assert figure.data[0].name == "12 other categories"
    page = tmp_path / "map.html"
    figure.write_html(page, include_plotlyjs=True)
    for width in (1280, 390):
        browser.open(page, width)
        assert browser.complaints == []
        assert browser.ask("document.querySelectorAll('.points path').length") == 499
