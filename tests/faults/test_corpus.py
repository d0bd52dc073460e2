"""Every malformed input has one clear error, a row kept aside, or is read as it was meant."""

import gzip
import re
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from finembed_core.errors import InputError
from finembed_core.settings import DatasetSettings, FilesSource, TableFiles
from finembed_core.sources import load
from finembed_core.sources.opening import LONGEST_LINE
from tests.faults.corpus import Case, every_case, faults, outcome_table, prepared, run
from tests.study_runs import finembed

CORPUS = every_case()
FIRST_OF_KIND = {case.kind: case for case in reversed(CORPUS) if case.outcome == "error"}
DATA, QUALITY = (Path(__file__).parents[2] / "docs" / name for name in ("data.md", "quality.md"))
STRUCTURAL = {
    "missing column": "a missing column",
    "unreadable value": "percent sign",
    "a key twice with different values": "one key, two values",
    "a word that is none of ours": "unknown kind",
    "a name claimed by two series": "a name of two series",
    "a gate or fee beyond 0 to 1": "a fee of 20",
    "negative days of notice": "notice of -5 days",
    "a death before the inception": "dies before it begins",
    "a character in a name that cannot be seen": "line end in a name",
    "a row of too few cells": "too few cells",
    "a year before 1700 or after 2200": "year 9999",
    "two monthly returns in a month": "two returns in a month",
    "a report that stands alone in time": "years of silence",
}
"""Structural faults as docs/data.md lists them, each with its case."""


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: f"{case.kind}: {case.name}")
def test_a_malformed_input(case: Case, tmp_path: Path) -> None:
    assert faults(case, run(case, tmp_path)) == []


def test_the_corpus_is_large_and_each_case_is_another() -> None:
    assert len(CORPUS) >= 80
    assert len({(case.kind, case.name) for case in CORPUS}) == len(CORPUS)
    outcomes = Counter(case.outcome for case in CORPUS)
    assert min(outcomes[name] for name in ("error", "quarantine", "value")) >= 10


@pytest.mark.parametrize("kind", [kind for kind in FIRST_OF_KIND if kind != "holdings"])
def test_the_command_ends_with_2_and_one_message(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = FIRST_OF_KIND[kind]
    settings = prepared(case, tmp_path)
    for command in ("doctor", "run"):
        assert finembed(command, "--home", tmp_path / "home", "--settings", settings) == 2
        said = capsys.readouterr()
        text = " ".join((said.out + said.err).split())
        assert all(" ".join(part.split()) in text for part in case.says)
        assert "Traceback" not in text and text.count("remedy:") == 1
    assert not list((tmp_path / "home").glob("store/*"))


def test_the_documents_show_the_corpus_as_it_is() -> None:
    assert outcome_table(CORPUS) in QUALITY.read_text()
    assert f"{len(CORPUS)} malformed inputs" in " ".join(DATA.read_text().split())


def test_every_structural_fault_of_the_documents_has_a_case() -> None:
    (listed,) = re.findall(r"A \*structural\* fault \((.*?)\)\s+rejects", DATA.read_text(), re.S)
    assert [" ".join(fault.split()) for fault in listed.split(",")] == list(STRUCTURAL)
    assert set(STRUCTURAL.values()) <= {c.name for c in CORPUS if c.outcome == "error"}


def complaint(file: Path) -> tuple[str, int]:
    """What is said of a file of fund observations, and the bytes that Python took at most."""
    source = FilesSource(fund_observations=[TableFiles(path=str(file))])
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as caught:
            load(DatasetSettings(source="files", files=source))
        return str(caught.value), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def unending(file: Path, megabytes: int) -> None:
    with gzip.open(file, "wb", compresslevel=1) as stream:
        for _ in range(megabytes):
            stream.write(b"x" * 2**20)


def test_a_line_of_64_mb_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    unending(tmp_path / "data.csv.gz", 64)
    said, peak = complaint(tmp_path / "data.csv.gz")
    assert "16 MB without an end of line" in said
    assert peak < 4 * LONGEST_LINE


@pytest.mark.slow
def test_a_line_of_1_gb_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    unending(tmp_path / "data.csv.gz", 1024)
    (tmp_path / "sparse.csv").touch()
    with (tmp_path / "sparse.csv").open("r+b") as stream:
        stream.truncate(2**30)
    for name, words in (("data.csv.gz", "end of line"), ("sparse.csv", "NUL bytes")):
        said, peak = complaint(tmp_path / name)
        assert words in said
        assert peak < 4 * LONGEST_LINE


def test_a_file_that_goes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from finembed_core.sources import files, month_bounds

    gone = tmp_path / "gone.csv"
    monkeypatch.setattr(files, "matching_files", lambda spec: [gone])
    source = FilesSource(fund_observations=[TableFiles(path=str(gone))])
    settings = DatasetSettings(source="files", files=source)
    for ask in (load, month_bounds):
        with pytest.raises(InputError, match=r"gone\.csv"):
            ask(settings)
