"""Which pair statistics are kept, and what makes them stale."""

from pathlib import Path
from typing import Any

from finembed_core.chain import chain
from finembed_core.settings import PairChoice, PairsSettings, Settings
from finembed_core.store import PartStore


def test_pairs_are_kept_in_the_months_asked_for_alone() -> None:
    assert Settings().pairs is None
    open_end = PairsSettings(first_month="2001-11")
    year = PairsSettings(first_month="2001-01", last_month="2001-12")
    asked = ["2000-12", "2001-11", "2001-12", "2002-01"]
    assert [open_end.holds(month) for month in asked] == [False, True, True, True]
    assert [year.holds(month) for month in asked] == [False, True, True, False]


def test_statistics_of_pairs_come_in_one_order_and_as_far_as_the_degree() -> None:
    named = PairChoice(columns=["lta", "beta_1", "r2"])
    assert named.statistics(4) == ["r2", "beta_1", "lta"]
    coefficients = [name for name in PairChoice().statistics(2) if name.startswith("beta")]
    assert coefficients == ["beta_0", "beta_1", "beta_2"]


def test_other_months_of_pairs_make_no_part_stale(tmp_path: Path) -> None:
    def fingerprint(**pairs: Any) -> str:
        settings = Settings.model_validate({"pairs": {"first_month": "2001-01", **pairs}})
        return chain(PartStore(tmp_path), settings)["polymodel_pairs"].stage.settings

    assert fingerprint() == fingerprint(first_month="1999-05", last_month="2003-01")
    for other in ({"funds": ["F1"]}, {"factors": ["X"]}, {"columns": ["r2"]}):
        assert fingerprint(**other) != fingerprint()
