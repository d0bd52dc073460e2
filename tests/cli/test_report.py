"""`finembed report` as a person uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.study_runs import finembed, store_bytes


def test_the_report_lies_where_it_says(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = store_bytes(study / "home")
    assert finembed("report") == 0
    said = capsys.readouterr().out.split()
    assert said[0] == "report"
    file = Path(said[1])
    assert file.parent == study / "home" / "reports"
    run_id = file.stem.removeprefix("report-")
    assert f"run {run_id}" in file.read_text()
    assert finembed("report", "--run", run_id[:8], "--output", "mine.html") == 0
    assert Path("mine.html").read_bytes() == file.read_bytes()
    assert store_bytes(study / "home") == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--run", "x"], ["there is no run 'x'", "`finembed runs`"]),
        (["--output", "report.pdf"], [".pdf", "end the name with .html"]),
        (["--output", "nowhere/report.html"], ["cannot be written", "choose a folder"]),
    ],
)
def test_a_mistake_is_explained(
    study: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]
) -> None:
    assert finembed("report", *arguments) == 2
    message = capsys.readouterr().err
    assert all(word in message for word in words), message
    assert "Traceback" not in message


def test_without_a_warehouse_there_is_a_remedy(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (study / "home" / "warehouse.duckdb").unlink()
    assert finembed("report") == 2
    message = capsys.readouterr().err
    assert "there is no warehouse yet" in message and "finembed run" in message


def test_help_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert finembed("report", "--help") == 0
    out = capsys.readouterr().out
    assert "examples" in out and "--run ID" in out and "docs/report.md" in out
