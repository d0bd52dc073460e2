"""`finembed explain` as a person uses it."""

import re
from pathlib import Path

import polars as pl
import pytest

from finembed_core.store import PartStore
from tests.study_runs import finembed, store_bytes

FITTED, NEVER_FITTED = "sim00003", "sim00001"


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def selected(study: Path) -> pl.DataFrame:
    """Selected pairs of the fund, whatever the month."""
    pairs = PartStore(study / "home" / "store").read_many("polymodel_selected")
    return pairs.filter(fund_id=FITTED).sort("month", "score", descending=True)


def test_the_table_says_what_the_store_says(
    study: Path, selected: pl.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = selected.row(0, named=True)
    month = f"{pair['month']:%Y-%m}"
    assert finembed("explain", FITTED, "--month", month) == 0
    found = lines(capsys)
    assert found[0] == f"{FITTED}, Simulated {FITTED}, {month}"
    moves, threats = (line.split() for line in found if line.strip().startswith(pair["factor_id"]))
    assert moves[1:3] == [f"{pair['score']:.1f}", f"{pair['p_value']:.2g}"]
    assert threats[1] == f"{pair['y_max']:.1%}"
    assert f"{pair['svar']:.1%}" in threats
    assert f"{pair['lta']:+.2%}" in threats
    assert any("factors selected (p at most 0.1; luck alone would select" in s for s in found)
    assert "note: simulated data: this is no real fund" in found
    assert found[-1] == "picture   add --output FILE.html"
    assert not any("other data" in line for line in found)


def test_without_a_month_the_last_one_fitted_is_explained(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    features = PartStore(study / "home" / "store").read_many("polymodel_features")
    rows = features.filter(fund_id=FITTED)
    fitted = rows.filter(pl.col("n_factors") > 0)["month"].max()
    assert fitted < rows["month"].max()  # a month in which it did not report
    assert finembed("explain", FITTED) == 0
    assert lines(capsys)[0].endswith(f"{fitted:%Y-%m}")


def test_a_fund_that_was_never_fitted_has_its_reason_in_words(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finembed("explain", NEVER_FITTED, "--output", "none.html") == 0
    assert "no return is known for 1994-12: nothing is fitted" in capsys.readouterr().out
    page = Path("none.html").read_text()
    assert "no return is known for 1994-12" in page
    assert "plotly" not in page


def test_nothing_selected_is_said_before_the_table(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    features = PartStore(study / "home" / "store").read_many("polymodel_features")
    month = features.filter(fund_id=FITTED, reason="no_selection")["month"][0]
    assert finembed("explain", FITTED, "--month", f"{month:%Y-%m}", "--factors", "2") == 0
    out = capsys.readouterr().out
    assert out.index("no risk factor passed") < out.index("factor  ")
    assert len(re.findall(r"^ factor\d+", out, re.MULTILINE)) == 4  # two factors in two tables


@pytest.mark.parametrize("called", [FITTED.upper(), f"simulated {FITTED}", f" {FITTED} "])
def test_a_fund_is_found_by_its_name_and_in_any_case(
    study: Path, capsys: pytest.CaptureFixture[str], called: str
) -> None:
    assert finembed("explain", called) == 0
    assert lines(capsys)[0].startswith(f"{FITTED}, ")


def test_a_name_that_two_funds_have_names_both(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = PartStore(study / "home" / "store")
    store.write("funds", "all", store.read("funds", "all").with_columns(name=pl.lit("Twin")))
    assert finembed("explain", "twin") == 2
    message = capsys.readouterr().err
    assert "10 funds are called 'twin'" in message and FITTED in message
    assert finembed("explain", FITTED) == 0


def test_the_picture_is_one_file_that_loads_nothing(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = store_bytes(study / "home")
    assert finembed("explain", FITTED, "--output", "fund.html") == 0
    assert lines(capsys)[-1] == "picture   fund.html"
    page = Path("fund.html").read_text()
    assert page.count("plotly.js v") == 1
    assert not re.search(r"""<(script|link|img)[^>]*(src|href)=""", page)
    text = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert f"<h1>{FITTED}, Simulated {FITTED}," in text
    assert "<li>simulated data: this is no real fund</li>" in text
    assert store_bytes(study / "home") == before


def test_numbers_that_the_store_does_not_hold_are_marked(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (study / "finembed.yaml").read_text()
    (study / "finembed.yaml").write_text(text.replace("window: 18", "window: 20"))
    assert finembed("explain", FITTED) == 0
    assert "other data, settings or formulas" in capsys.readouterr().out


def test_help_teaches_by_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert finembed("explain", "--help") == 0
    assert "finembed explain Utils --month 1994-03 --output utils.html" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sim0003"], ["'sim0003'", FITTED, "finembed query"]),
        (["zzz"], ["'zzz'", "10 of them", "finembed query"]),
        ([FITTED, "--month", "2031-01"], ["2031-01 has no features", "1990-01 to 1994-12"]),
        (["sim00005", "--month", "1994-12"], ["no return of sim00005", "finembed explain"]),
        ([FITTED, "--month", "May"], ["YYYY-MM"]),
        ([FITTED, "--factors", "0"], ["--factors", "from 1 on"]),
        ([FITTED, "--output", "fund.png"], ["fund.png", ".html"]),
        ([FITTED, "--output", "nowhere/fund.html"], ["cannot be written", "choose a folder"]),
        ([FITTED, "--home", "typo"], ["there is no home folder yet"]),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(
    study: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]
) -> None:
    assert finembed("explain", *arguments) == 2
    said = capsys.readouterr()
    assert all(word in said.err for word in words), said.err
    assert "Traceback" not in said.err
    assert said.out == ""


def test_a_home_without_features_says_how_to_get_them(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = PartStore(study / "home" / "store")
    for key in store.keys("polymodel_features"):
        store.delete("polymodel_features", key)
    assert finembed("explain", FITTED) == 2
    message = capsys.readouterr().err
    assert "no month has features yet" in message and "finembed run" in message
