"""`finembed rebalance`: whose book, which settings, and what a holdings file must hold."""

from pathlib import Path

import polars as pl
import pytest

from tests.study_runs import finembed


def test_holdings_are_taken_with_spaces_around_them(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fund = pl.read_parquet(next((study / "home" / "store" / "funds").glob("all@*")))["fund_id"][0]
    (study / "mine.csv").write_text(f" fund_id , value\n {fund} , 100\ncash ,50\n")
    assert finembed("rebalance", "--month", "1994-12", "--holdings", "mine.csv") == 0
    (study / "mine.csv").write_text(f"fund_id,value\n{fund},much\n")
    assert finembed("rebalance", "--month", "1994-12", "--holdings", "mine.csv") == 2
    assert "'much' is not a number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fund_id,value,value\nA,1,2\n", "column 'value' stands twice"),
        ("fund_id,value, value\nA,1,2\n", "column 'value' stands twice"),
        ("fund_id;value\nA;1,5\n", "separated by ';', not by commas"),
        ("fund_id,value\nCash,1\ncash,2\n", "cash is listed twice"),
    ],
)
def test_a_fault_of_a_holdings_file_is_named(
    study: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    (study / "mine.csv").write_text(text)
    assert finembed("rebalance", "--month", "1994-12", "--holdings", "mine.csv") == 2
    message = capsys.readouterr().err
    assert words in message and "remedy:" in message


def test_rebalance_refuses_what_other_settings_made(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (study / "mine.csv").write_text("fund_id,value\ncash,50\n")
    own = ["--holdings", "mine.csv"]
    settings = (study / "finembed.yaml").read_text()
    models = "portfolio: {models: [persistence]"
    (study / "finembed.yaml").write_text(settings.replace(models, f"{models}, selected_share: 0.2"))
    assert finembed("rebalance", "--month", "1994-12") == 2
    message = capsys.readouterr().err
    assert "no run with these settings reaches 1994-12" in message and "finembed run" in message
    assert finembed("rebalance", "--month", "1994-12", *own) == 0
    capsys.readouterr()
    for change, table in (
        ("universe: {min_history_months: 30}", "universe"),
        ("ingest: {dead_after_missing: 5}", "universe"),
    ):
        (study / "finembed.yaml").write_text(f"{settings}{change}\n")
        for holdings in ([], own):
            assert finembed("rebalance", "--month", "1994-12", *holdings) == 2
            message = capsys.readouterr().err
            assert f"{table} of 1994-12 was made with other settings" in message
            assert f"table {table}" in message and "finembed run" in message
    (study / "finembed.yaml").write_text(settings.replace("window: 18", "window: 20"))
    assert finembed("rebalance", "--month", "1994-12", *own) == 2
    assert "polymodel_features of 1994-12" in capsys.readouterr().err


def test_rebalance_with_nothing_to_deal_tells_why(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = (study / "finembed.yaml").read_text()
    models = "{models: [persistence]"
    share = settings.replace(models, f"{models}, selected_share: 1")
    (study / "finembed.yaml").write_text(share)
    ranked = "select fund_id from ranked_predictions where month = date '1993-12-31'"
    ranked += " and model = 'persistence'"
    assert finembed("query", f"{ranked} and rank is not null", "--format", "csv") == 0
    funds = capsys.readouterr().out.split()[1:]
    assert len(funds) > 1
    held = {"mine.csv": funds, "poor.csv": funds[:1]}
    for name, ids in held.items():
        (study / name).write_text("fund_id,value\n" + "".join(f"{i},10\n" for i in ids))
    assert finembed("rebalance", "--month", "1993-12", "--holdings", "mine.csv") == 0
    assert "what is held is what is selected" in capsys.readouterr().out
    assert finembed("rebalance", "--month", "1993-12", "--holdings", "poor.csv") == 0
    out = capsys.readouterr().out
    assert "for lack of cash" in out and funds[1] in out
    assert "what is held is what is selected" not in out


def test_rebalance_from_the_strategy_and_from_own_holdings(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finembed("rebalance", "--month", "1994-12") == 0
    assert "sa_persistence: decided 1995-01-15, dealt 1995-01-31" in capsys.readouterr().out
    funds = pl.read_parquet(next((study / "home" / "store" / "universe").glob("1994-12@*")))
    fund = funds.filter("eligible")["fund_id"][0]
    (study / "mine.csv").write_text(f"fund_id,value\n{fund},100\ncash,50\n")
    assert finembed("rebalance", "--month", "1994-12", "--holdings", "mine.csv") == 0
    out = capsys.readouterr().out
    assert "buy" in out and "assumed of your holdings: nothing is locked up" in out
    written = pl.read_csv(study / "home" / "reports" / "rebalance-1994-12-sa_persistence.csv")
    assert {"p_up", "p_up_before", "rank", "rank_before", "svar_before"} <= set(written.columns)
