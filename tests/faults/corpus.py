"""Malformed inputs, each with what must come of it; `python -m tests.faults.corpus` counts them.

An input goes the user's way, from a settings file through every reader and gate into a store:

* ``error``: one `FinembedError` that says what, where and what to do; nothing is written;
* ``quarantine``: the study goes on without the row, which is kept aside under its rule;
* ``value``: harmless, and read as it was meant.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl
import yaml

from finembed_core.backtest.own_book import state_of
from finembed_core.errors import FinembedError
from finembed_core.ingest.stage import ingest
from finembed_core.settings import load_settings
from finembed_core.sources.holdings import read_holdings
from finembed_core.store import PartStore

VALUES = (0.01, -0.02, 0.03, 0.005, -0.01, 0.02)
DAYS = tuple(dt.date(2020, k + 1, day) for k, day in enumerate((31, 29, 31, 30, 31, 30)))
HEAD = "fund_id,date,ret"
FUNDS = pl.Series(["A", "B"])
Returns = Mapping[str, tuple[float | None, ...]]

Writer = Callable[[Path], dict[str, Any]]
Outcome = Literal["error", "quarantine", "value"]


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes
    ----------
    kind, name : str
        What it is an example of; what it is.
    outcome : {"error", "quarantine", "value"}
    says : tuple of str
        Parts of the message; rules; funds that must have `VALUES`.
    kept : mapping of str to tuple of float or None
        Returns by fund beside a row that is kept aside; None in its place.
    write : callable
        Writes the files into a folder and returns what stands under ``dataset.files``; or
        ``{"yaml": bytes}``, a whole settings file, or ``{"holdings": bytes}``, a book of `FUNDS`.
    """

    kind: str
    name: str
    outcome: Outcome
    says: tuple[str, ...]
    write: Writer
    kept: Returns = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """What came of a case: an error, or rules and returns by fund."""

    error: FinembedError | None
    rules: tuple[str, ...] = ()
    returns: Returns = field(default_factory=dict)
    parts: int = 0


def good(fund: str = "A", form: str = "%Y-%m-%d", write: Callable[[float], str] = str) -> str:
    """Lines of a sound fund."""
    rows = zip(DAYS, VALUES, strict=True)
    return "".join(f"{fund},{day.strftime(form)},{write(value)}\n" for day, value in rows)


def text(content: str | bytes, name: str = "data.csv", **spec: Any) -> Writer:
    """A file of fund observations."""

    def write(folder: Path) -> dict[str, Any]:
        raw = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(raw)
        return {"fund_observations": [{"path": name, **spec}]}

    return write


def table(data: dict[str, Any], name: str = "data.parquet", **spec: Any) -> Writer:
    """A Parquet file of fund observations."""

    def write(folder: Path) -> dict[str, Any]:
        pl.DataFrame(data).write_parquet(folder / name)
        return {"fund_observations": [{"path": name, **spec}]}

    return write


def beside(name: str, content: str, **observations: Any) -> Writer:
    """Sound observations of fund A, and another table beside them."""

    def write(folder: Path) -> dict[str, Any]:
        (folder / f"{name}.csv").write_text(content)
        files = text(f"{HEAD}\n{good()}", **observations)(folder)
        plural = name.endswith("observations")
        files[name] = [{"path": f"{name}.csv"}] if plural else {"path": f"{name}.csv"}
        return files

    return write


GOOD = f"{HEAD}\n{good()}"


def errors(kind: str, *cases: tuple) -> list[Case]:
    """Cases of a name, a writer, and what the message says."""
    return [Case(kind, name, "error", tuple(says), write) for name, write, *says in cases]


def values(kind: str, *cases: tuple) -> list[Case]:
    """Cases of a name, a writer, and the funds that have `VALUES`."""
    return [Case(kind, name, "value", tuple(funds), write) for name, write, *funds in cases]


def aside(kind: str, kept: Returns, *cases: tuple) -> list[Case]:
    """Cases of a name, a writer, and the rule under which a row is kept aside."""
    return [Case(kind, name, "quarantine", (rule,), write, kept) for name, write, rule in cases]


def plus(row: str, header: str = HEAD) -> Writer:
    """Sound observations of fund A, and a row of fund B."""
    return text(f"{header}\n{good()}{row}\n")


def prepared(case: Case, folder: Path) -> Path:
    """Write the case's files; its settings file."""
    files = case.write(folder)
    settings = folder / "finembed.yaml"
    if "holdings" in files:
        (folder / "holdings.csv").write_bytes(files["holdings"])
    elif "yaml" in files:
        settings.write_bytes(files["yaml"])
    else:
        dataset = {"source": "files", "files": files}
        settings.write_text(yaml.safe_dump({"dataset": dataset}))
    return settings


def run(case: Case, folder: Path) -> Seen:
    """What comes of a case; any error but a `FinembedError` is passed on."""
    settings, store = prepared(case, folder), PartStore(folder / "store")
    if (folder / "holdings.csv").exists():
        return _book(folder / "holdings.csv")
    try:
        chosen = load_settings(settings)
        report = ingest(store, chosen)
    except FinembedError as error:
        return Seen(error, parts=sum(f.is_file() for f in (folder / "store").rglob("*")))
    rows = pl.concat(
        store.read("fund_observations", key) for key in store.keys("fund_observations")
    )
    own = rows.sort("date").group_by("fund_id", maintain_order=True)
    return Seen(None, tuple(report.rules), {str(fund): tuple(of["ret"]) for (fund,), of in own})


def _book(file: Path) -> Seen:
    """As it is held; 100 in a fund stand for `VALUES`."""
    try:
        state = state_of(read_holdings(file), FUNDS)
    except FinembedError as error:
        return Seen(error)
    held = {fund: value for fund, value in zip(FUNDS, state.holdings, strict=True) if value}
    return Seen(None, (), {fund: VALUES if v == 100.0 else (v,) for fund, v in held.items()})


def faults(case: Case, seen: Seen) -> list[str]:
    """In what the outcome is not as it must be."""
    if case.outcome == "error":
        error = seen.error
        if error is None:
            return [f"no error, rules {seen.rules}, returns {seen.returns}"]
        found = [
            f"{part!r} is not said by: {error}" for part in case.says if part not in str(error)
        ]
        found += [] if error.where and error.remedy else [f"no place or no remedy: {error}"]
        return found + ([f"{seen.parts} files written"] if seen.parts else [])
    if seen.error:
        return [f"an error: {seen.error}"]
    aside = case.outcome == "quarantine"
    returns = case.kept if aside else dict.fromkeys(case.says, VALUES)
    sound = set(seen.rules) == set(case.says if aside else ()) and _same(seen.returns, returns)
    return [] if sound else [f"returns {seen.returns}, rules {seen.rules}"]


def _same(found: Returns, wanted: Returns) -> bool:
    """Equal but for the rounding of a NAV's return."""

    def rounded(returns: Returns) -> dict[str, list[float | None]]:
        return {f: [v if v is None else round(v, 12) for v in own] for f, own in returns.items()}

    return rounded(found) == rounded(wanted)


def every_case() -> list[Case]:
    """The corpus, by kind and name."""
    from tests.faults import corpus_files, corpus_settings, corpus_tables, corpus_text

    modules = (corpus_text, corpus_tables, corpus_files, corpus_settings)
    return [case for module in modules for case in module.CASES]


def outcome_table(cases: Sequence[Case]) -> str:
    """Outcomes by kind, as docs/quality.md shows them."""
    lines = [
        "| inputs | cases | one clear error | quarantine | read as meant |",
        "|---|---|---|---|---|",
    ]
    for kind in [*dict.fromkeys(case.kind for case in cases), "all"]:
        counts = Counter(case.outcome for case in cases if kind in (case.kind, "all"))
        outcomes = (counts[name] for name in ("error", "quarantine", "value"))
        lines.append(f"| {kind} | {counts.total()} | {' | '.join(map(str, outcomes))} |")
    return "\n".join(lines)


def main() -> None:
    """Run all, print the outcomes by kind and whatever is not as it must be."""
    cases, wrong = every_case(), []
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = faults(case, run(case, Path(folder)))
            except Exception as error:  # what the corpus is there to find
                found = [f"a traceback: {error!r}"]
        if found:
            wrong.append(f"{case.kind}, {case.name}: {'; '.join(found)}")
    print(outcome_table(cases))
    print(f"\n{len(cases) - len(wrong)} of {len(cases)} as they must be", *wrong, sep="\n")


if __name__ == "__main__":
    from tests.faults import corpus  # the module that the cases know

    corpus.main()
