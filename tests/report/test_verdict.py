"""What the report says first, and what it says of luck: in words, from stored tables."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl
import pytest

from finembed_core.report.run import Run, read_run
from finembed_core.report.section import Section
from finembed_core.warehouse.query import reading
from finembed_core.warehouse.trials import count_trials
from tests.report import study
from tests.report.study import LEAD, RUN, section


def test_the_lead_is_the_first_model_of_the_settings_and_not_the_best(run: Run) -> None:
    assert run.lead == LEAD
    assert run.drawn[:3] == (LEAD, "equal_weight_universe", "index_MKT")
    assert run.name("sa_persistence") == "SA, persistence"
    assert run.name("index_MKT") == "Index: Market"
    assert run.name(LEAD) == "SA, logistic regression"


def test_the_difference_is_the_stored_one(sections: dict[str, Section]) -> None:
    frame = sections["verdict"].blocks[1].frame
    assert frame.height == 6  # three strategies against each of two benchmarks
    row = frame.row(
        by_predicate=(pl.col("strategy") == "sa_persistence") & (pl.col("against") == "index_MKT"),
        named=True,
    )
    assert (row["difference"], row["low"], row["high"]) == (0.004, 0.004 - 0.02, 0.004 + 0.02)
    assert (row["verdict"], row["n"]) == ("indistinguishable", 72)


@pytest.mark.parametrize(
    ("shift", "word"),
    [(0.0, "Indistinguishable from"), (0.05, "Better than"), (-0.05, "Worse than")],
)
def test_the_verdict_is_said_in_words(shift: float, word: str, tmp_path: Path) -> None:
    path = study.complete(tmp_path)
    with duckdb.connect(str(path)) as opened:
        opened.execute(
            "UPDATE differences SET value = ?, ci_low = ? - 0.02, ci_high = ? + 0.02"
            " WHERE strategy = ? AND against = 'equal_weight_universe'",
            [shift, shift, shift, LEAD],
        )
    facts = section(path, "verdict").facts
    assert any(fact.startswith(f"{word} equal weight, all funds: the interval") for fact in facts)
    assert any(f"{shift:+.2%} a year apart" in fact for fact in facts)


def test_without_stored_differences_nothing_is_claimed(bare: Path) -> None:
    verdict = section(bare, "verdict")
    (said,) = (fact for fact in verdict.facts if "not known: " in fact)
    assert "no table differences" in said
    assert not any("istinguishable" in fact or "etter than" in fact for fact in verdict.facts)


def test_too_few_months_have_no_verdict(tmp_path: Path) -> None:
    path = study.complete(tmp_path)
    with duckdb.connect(str(path)) as opened:
        opened.execute("UPDATE differences SET ci_low = NULL, ci_high = NULL")
    verdict = section(path, "verdict")
    assert verdict.blocks[1].frame["verdict"].unique().to_list() == ["unknown"]
    assert any(fact.startswith("Too few months to compare") for fact in verdict.facts)


def test_many_strategies_are_drawn_as_a_few_of_each_kind(tmp_path: Path) -> None:
    path = study.complete(tmp_path)
    kinds = ("gmv_oas", "gmv_factor", "top_5", "top_10", "risk_parity", "tilt", "simplex")
    with duckdb.connect(str(path)) as opened:
        for k, name in enumerate(kinds):
            opened.execute("INSERT INTO strategies VALUES (?, ?, '', NULL, 'run', '')", [RUN, name])
            opened.execute(
                "INSERT INTO metrics VALUES (?, ?, 'sharpe', ?, NULL, NULL, 72, '')",
                [RUN, name, 2.0 - 0.1 * k],
            )
    scores = section(path, "verdict").blocks[0].frame
    with reading(path) as opened:
        run = read_run(opened)
    assert run.drawn == (
        *(LEAD, "equal_weight_universe", "index_MKT"),
        *("gmv_oas", "top_5", "risk_parity", "tilt"),
    )
    assert run.ran == 11 and "4 more strategies ran" in run.some
    assert set(scores["strategy"]) >= set(kinds)
    assert (run.name("gmv_oas"), run.name("top_5")) == ("GMV, OAS", "Top 5")


def test_the_verdict_counts_trials_and_says_what_luck_would_do(
    sections: dict[str, Section], bare: Path
) -> None:
    (luck,) = [fact for fact in sections["verdict"].facts if "0.83 over 40 trials" in fact]
    assert luck.endswith("a ratio over cash, so the premium of the market alone can pass it.")
    assert any("95% interval 0.1" in fact for fact in sections["verdict"].facts)
    said = section(bare, "verdict").facts
    assert any(
        f"{count_trials(bare)} strategies have been tried in 2 recorded runs" in fact
        for fact in said
    )
    assert any("no interval is stored" in fact for fact in said)


def test_the_page_has_one_number_of_trials(tmp_path: Path) -> None:
    """The benchmark of all funds is a trial too: it is in the leaderboard and could win."""
    path = study.complete(tmp_path)
    tried = next(
        block.frame["trials"].item()
        for block in section(path, "verdict").blocks
        if "trials" in block.frame.columns
    )
    assert tried == count_trials(path)


def test_bounds_of_a_p_value_are_no_tests(tmp_path: Path) -> None:
    path = study.complete(tmp_path)
    with duckdb.connect(str(path)) as opened:
        opened.execute("DELETE FROM significance")
        opened.executemany(
            "INSERT INTO significance VALUES (?, NULL, ?, 2.0, ?, 72, 40, '')",
            [(RUN, "spa_lower", 0.03), (RUN, "spa", 0.07), (RUN, "spa_upper", 0.09)],
        )
    assert list(section(path, "significance").facts) == [
        "No test is below p = 0.05: nothing here is told apart from luck."
    ]


def test_a_small_p_of_a_deflated_ratio_says_that_it_is_over_cash(tmp_path: Path) -> None:
    path = study.complete(tmp_path)
    with duckdb.connect(str(path)) as opened:
        opened.execute("UPDATE significance SET p_value = 0.01 WHERE test = 'deflated_sharpe'")
    facts = section(path, "significance").facts
    (said,) = [fact for fact in facts if fact.startswith("deflated Sharpe ratio")]
    assert said.endswith("over cash: the premium of the market alone can pass it.")
