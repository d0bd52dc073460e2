"""Pair statistics from the settings to a query, beside a study that they do not touch."""

from pathlib import Path

import polars as pl
import pytest
import yaml

from tests.study_runs import finembed, store_bytes

SPRING = {"first_month": "1994-03", "last_month": "1994-05"}


def keep(study: Path, **pairs: object) -> None:
    path = study / "finembed.yaml"
    tree = yaml.safe_load(path.read_text()) | ({"pairs": pairs} if pairs else {})
    path.write_text(yaml.safe_dump({k: v for k, v in tree.items() if pairs or k != "pairs"}))


def kept(study: Path) -> dict[str, str]:
    """Hashes of the parts of pair statistics."""
    stored = store_bytes(study / "home").items()
    return {file: mark for file, mark in stored if file.startswith("polymodel_pairs/")}


def months(study: Path) -> list[str]:
    return sorted(file[16:23] for file in kept(study) if file.endswith(".json"))


def answer(sql: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    assert finembed("query", sql, "--format", "csv") == 0
    return capsys.readouterr().out.splitlines()[1:]


def test_they_come_and_go_with_the_setting_and_nothing_else_moves(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = store_bytes(study / "home")
    keep(study, **SPRING, columns=["score", "lta"])
    assert finembed("status") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    lines = {row[0]: row for row in rows}
    assert lines["polymodel_pairs"] == ["polymodel_pairs", "kept", "0", "0", "3", "1994-03"]
    assert lines["predictions"][2:5] == ["60", "0", "0"]
    assert lines["backtests"][2:5] == ["1", "0", "0"]

    assert finembed("run") == 0
    assert "computed 1994-03 to 1994-12" in capsys.readouterr().out
    assert months(study) == ["1994-03", "1994-04", "1994-05"]
    assert before.items() <= store_bytes(study / "home").items()  # and no other run
    same_best = (
        "select count(*) from (select month, fund_id, max(score) as best from polymodel_pairs"
        " group by all) join polymodel_features using (month, fund_id)"
        " where abs(best - best_score) <= 1e-6 * best_score"
    )
    counted = "select count(*) from polymodel_features where best_score is not null and"
    counted += " month between '1994-03-31' and '1994-05-31'"
    assert answer(same_best, capsys) == answer(counted, capsys) != ["0"]
    assert finembed("run") == 0
    assert "everything is current" in capsys.readouterr().out

    first = kept(study)
    keep(study, first_month="1994-04", last_month="1994-06", columns=["score", "lta"])
    assert finembed("run") == 0
    assert months(study) == ["1994-04", "1994-05", "1994-06"]
    assert len(kept(study).items() & first.items()) == 4
    shown = "select distinct strftime(month, '%Y-%m') from polymodel_pairs order by 1"
    assert answer(shown, capsys) == months(study)

    keep(study)
    assert finembed("run") == 0
    assert store_bytes(study / "home") == before
    assert finembed("query", "select * from polymodel_pairs") == 2
    assert "polymodel_pairs does not exist" in capsys.readouterr().err


def test_one_fund_alone_has_the_rows_that_it_has_among_all(study: Path) -> None:
    keep(study, **SPRING)
    assert finembed("run") == 0
    assert finembed("export", "polymodel_pairs", "all.parquet") == 0
    everybody = pl.read_parquet("all.parquet")
    chosen, factor = everybody["fund_id"][0], everybody["factor_id"][1]
    keep(study, **SPRING, funds=[chosen], factors=[factor])
    assert finembed("run") == 0
    assert finembed("export", "polymodel_pairs", "one.parquet") == 0
    one = everybody.filter(pl.col("fund_id") == chosen, pl.col("factor_id") == factor)
    assert one.height == 3
    assert pl.read_parquet("one.parquet").equals(one)


def test_a_misspelt_fund_is_one_message(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = store_bytes(study / "home")
    keep(study, **SPRING, funds=["nobody"])
    assert finembed("run") == 2
    message = capsys.readouterr().err
    assert "there are no funds called nobody in the data" in message
    assert "pairs.funds" in message and "write the names as" in message
    assert "Traceback" not in message
    assert store_bytes(study / "home") == before


def test_orders_do_not_wait_for_pairs(study: Path) -> None:
    keep(study, first_month="1994-12")
    assert finembed("run") == 0
    keep(study, first_month="1994-12", columns=["r2"])
    assert finembed("rebalance", "--month", "1994-12") == 0
