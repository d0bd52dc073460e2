"""Planted defects in miniature: what the gates must find, and what they must leave alone."""

import pytest

from benchmarks import quality_defects, quality_gates
from benchmarks.quality_defects import KINDS, judged
from finembed_core.ingest.verdicts import RULES
from tests.shared_data import needs_shared

SOMETIMES = ("spike of", "percent for decimals, one month", "split")
"""By the volatility before, or by the size of the return."""


def test_planted_defects_are_found_and_nothing_else() -> None:
    outcomes, false_alarms, reports = judged("simulated", 1)
    assert false_alarms == 0
    assert reports > quality_defects.FUNDS * (quality_defects.MONTHS - 1)
    assert {outcome.kind.name for outcome in outcomes} == {kind.name for kind in KINDS}
    for outcome in outcomes:
        assert set(outcome.rules) <= set(RULES)
        if outcome.kind.by_design and "caught" not in outcome.kind.by_design:
            assert not outcome.found, outcome
        elif not outcome.kind.name.startswith(SOMETIMES):
            assert outcome.found, outcome


def test_the_table_of_planted_defects(capsys: pytest.CaptureFixture[str]) -> None:
    quality_gates.table("simulated", 1)
    said = capsys.readouterr().out
    assert "1 seeds: 0 false alarms in" in said
    assert all(f"| {kind.name} | {quality_defects.PER_KIND} |" in said for kind in KINDS)
    low, high = quality_gates.interval(0, 40)
    assert (low, round(high, 3)) == (0.0, 0.088)  # 1 - 0.025^(1/40)


@needs_shared
@pytest.mark.slow
def test_the_review_of_the_indian_panel(capsys: pytest.CaptureFixture[str]) -> None:
    quality_gates.review()
    said = capsys.readouterr().out
    assert "## duplicate_fund: 489 rows of 29 schemes, 15 shown" in said
    assert "own house: 26 schemes, 453 rows; only to another's: 3 schemes, 36 rows" in said
