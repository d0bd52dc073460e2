"""The run that a report is about: its record, and what its strategies are called."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from finembed_core.errors import InputError, MissingPartError
from finembed_core.settings import ReportSettings

EQUAL_WEIGHT = "equal_weight_universe"
INDEX = "index_"
RULES = {
    "sa": "SA",
    "wa": "WA",
    "gmv": "GMV",
    "top_5": "Top 5",
    "top_10": "Top 10",
    "topk_drop": "TopK-Drop",
    "simplex": "Simplex weights",
    "gmv_sample": "GMV, sample covariance",
    "gmv_ledoit_wolf": "GMV, Ledoit-Wolf",
    "gmv_oas": "GMV, OAS",
    "gmv_factor": "GMV, factor covariance",
    "all_weather": "All-Weather",
    "equal_weight_universe": "Equal weight, all funds",
    "aum_weight_universe": "AUM weight, all funds",
}
MODELS = {
    "itransformer": "iTransformer",
    "lightgbm": "LightGBM",
    "logistic": "logistic regression",
    "patchtst": "PatchTST",
    "dlinear": "DLinear",
    "linear": "Linear",
    "rlinear": "RLinear",
}
MODES = {
    "supervised": "supervised",
    "probe": "frozen probe",
    "finetune": "fine-tuned",
    "multi_objective": "multi-objective",
    "multi_modal": "multi-modal",
}
MOST_DRAWN = 7  # lines that an eye can follow
MOST_NAMED = 5
PORTFOLIO_SIZE = ReportSettings().portfolio_size


@dataclass(frozen=True)
class Run:
    """A run and the roles of its strategies.

    Attributes
    ----------
    run_id, dataset, code_version, data_hash : str
    simulated : bool
    first_month, last_month : date or None
        First and last month earned, of which the last is that of the newest decision; the first is
        None where nothing has been earned yet.
    warnings : tuple of str
        What the run itself said.
    lead : str or None
        The strategy that the verdict is about: SA on the first model of the settings, so chosen
        before any result was seen.
    equal_weight, index : str or None
        The benchmarks that ran.
    drawn : tuple of str
        Strategies on charts: those three, then the best by Sharpe ratio of each kind of rule,
        as many as an eye can follow; of the others where there is room.
    ran : int
        Strategies that ran.
    names : mapping of str to str
        Readable names of strategies.
    portfolio_size : float
        Money whose share of fund assets is shown: no result of the run, but an assumption.
    """

    run_id: str
    dataset: str
    code_version: str
    data_hash: str
    simulated: bool
    first_month: dt.date | None
    last_month: dt.date
    warnings: tuple[str, ...]
    lead: str | None
    equal_weight: str | None
    index: str | None
    drawn: tuple[str, ...]
    ran: int
    names: Mapping[str, str]
    portfolio_size: float

    def name(self, strategy: str | None) -> str:
        """Readable name of a strategy."""
        return "" if strategy is None else self.names.get(strategy, strategy)

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """Equal weight and index, as far as they ran."""
        return tuple(filter(None, (self.equal_weight, self.index)))

    @property
    def span(self) -> str:
        """Months earned, in words."""
        if self.first_month is None:
            return f"nothing earned by {self.last_month:%Y-%m}"
        return f"{self.first_month:%Y-%m} to {self.last_month:%Y-%m}"

    @property
    def some(self) -> str:
        """What charts leave out, in words; empty where they show every strategy."""
        left = self.ran - len(self.drawn)
        return f" {left} more strategies ran and are not drawn." if left > 0 else ""


def model_name(encoder: str | None, mode: str | None) -> str:
    """An encoder and how it was trained, in words."""
    spoken = MODELS.get(encoder or "", encoder), MODES.get(mode or "", mode)
    return ", ".join(filter(None, spoken))


def read_run(
    connection: duckdb.DuckDBPyConnection,
    run_id: str | None = None,
    portfolio_size: float = PORTFOLIO_SIZE,
) -> Run:
    """The record of a run.

    Parameters
    ----------
    connection : DuckDBPyConnection
        On a warehouse.
    run_id : str, optional
        The latest run by default.
    portfolio_size : float
        In the funds' currency.

    Raises
    ------
    InputError
        No such run.
    MissingPartError
        There is no run at all.
    """
    newest = [
        row
        for (row,) in connection.execute(
            "SELECT run_id FROM runs ORDER BY created_at DESC, run_id"
        ).fetchall()
    ]
    if not newest:
        raise MissingPartError(
            "the warehouse holds no run yet",
            where="table runs",
            remedy="`finembed run` makes one",
        )
    if run_id is not None and run_id not in newest:
        raise InputError(
            f"there is no run {run_id!r}",
            where=f"table runs, {len(newest)} of them",
            remedy=f"the newest: {', '.join(newest[:MOST_NAMED])}",
        )
    record = _record(connection, run_id)
    strategies = connection.execute(
        "SELECT s.strategy, s.model, m.value FROM strategies s"
        " LEFT JOIN metrics m ON m.run_id = s.run_id AND m.strategy = s.strategy"
        " AND m.metric = 'sharpe' WHERE s.run_id = ? AND s.status = 'run'"
        " ORDER BY m.value DESC NULLS LAST, s.strategy",
        [record["run_id"]],
    ).fetchall()
    every = connection.execute(
        "SELECT strategy, model FROM strategies WHERE run_id = ?", [record["run_id"]]
    ).fetchall()
    ids = [strategy for strategy, _, _ in strategies]
    lead = _lead(strategies, record["config"])
    equal = EQUAL_WEIGHT if EQUAL_WEIGHT in ids else None
    index = _index(connection, record["run_id"], ids)
    first = [name for name in (lead, equal, index) if name is not None]
    return Run(
        run_id=record["run_id"],
        dataset=record["dataset"] or "",
        code_version=record["code_version"] or "",
        data_hash=record["data_hash"] or "",
        simulated=bool(record["simulated"]),
        first_month=record["first_month"],
        last_month=record["last_month"],
        warnings=tuple(json.loads(record["warnings"] or "[]")),
        lead=lead,
        equal_weight=equal,
        index=index,
        drawn=tuple(dict.fromkeys([*first, *_best_of_each_kind(ids), *ids]))[:MOST_DRAWN],
        ran=len(ids),
        names=_names(every, _series(connection)),
        portfolio_size=portfolio_size,
    )


def _record(connection: duckdb.DuckDBPyConnection, run_id: str | None) -> Mapping[str, Any]:
    if run_id is None:
        cursor = connection.execute("SELECT * FROM latest_run")
    else:
        cursor = connection.execute("SELECT * FROM runs WHERE run_id = ?", [run_id])
    columns = [column[0] for column in cursor.description or []]
    return dict(zip(columns, cursor.fetchall()[0], strict=True))


def _lead(strategies: list[tuple[str, str | None, float | None]], config: str | None) -> str | None:
    """SA on the first model of the settings; else any strategy that has a model; else any."""
    models = json.loads(config or "{}").get("portfolio", {}).get("models", [])
    order = {model: k for k, model in enumerate(models)}

    def rank(row: tuple[str, str | None, float | None]) -> tuple:
        strategy, model, _ = row
        known = order.get(model or "", len(order))
        return model is None, known, not strategy.startswith("sa_"), strategy

    return min(strategies, key=rank)[0] if strategies else None


def _index(connection: duckdb.DuckDBPyConnection, run_id: str, ids: Sequence[str]) -> str | None:
    """The index that differences are measured from; else the first by name."""
    there = "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'differences'"
    asked = "SELECT DISTINCT against FROM differences WHERE run_id = ?"
    known = (connection.execute(there).fetchone() or (0,))[0]
    measured = {name for (name,) in connection.execute(asked, [run_id]).fetchall()} if known else ()
    indices = [name for name in ids if name.startswith(INDEX)]
    return min(indices, key=lambda name: (name not in measured, name), default=None)


def _best_of_each_kind(ranked: Sequence[str]) -> list[str]:
    """The first of each kind of rule, without indices: variants of one rule look alike."""
    kinds: dict[str, str] = {}
    for name in ranked:
        if not name.startswith(INDEX):
            kinds.setdefault(name.split("_")[0], name)
    return list(kinds.values())


def _series(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    return dict(
        connection.execute("SELECT series_id, name FROM series WHERE name IS NOT NULL").fetchall()
    )


def _names(every: list[tuple[str, str | None]], series: Mapping[str, str]) -> dict[str, str]:
    return {strategy: _name(strategy, model, series) for strategy, model in every}


def _name(strategy: str, model: str | None, series: Mapping[str, str]) -> str:
    if strategy.startswith(INDEX):
        series_id = strategy.removeprefix(INDEX)
        return f"Index: {series.get(series_id, series_id)}"
    rule = strategy.removesuffix(f"_{model}") if model else strategy
    spoken = RULES.get(rule) or _spoken(rule)
    return f"{spoken}, {MODELS.get(model, model)}" if model else spoken


def _spoken(rule: str) -> str:
    """``top_k_10`` as words; a leading abbreviation that is known keeps its capitals."""
    first, *rest = rule.split("_")
    return " ".join([RULES.get(first, first.capitalize()), *rest])
