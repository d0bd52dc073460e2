"""What optimizers said of every decision, and where the last weights were kept."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from finembed_core.calendar import Period
from finembed_core.portfolio.orders import Solved

SCHEMAS: dict[str, dict[str, pl.DataType | type[pl.DataType]]] = {
    "solver_log": {
        "strategy": pl.String,
        "decision": pl.Date,
        "solver": pl.String,
        "status": pl.String,
        "iterations": pl.Int64,
        "kkt_residual": pl.Float64,
        "budget_error": pl.Float64,
        "excess": pl.Float64,
        "note": pl.String,
    },
}
FAILED = "failed"


@dataclass(frozen=True)
class SolverLine:
    """One decision of an optimizer; without a solution, and a note why, the last weights stay."""

    period: Period
    solved: Solved | None
    note: str = ""


def solver_log(strategy: str, lines: tuple[SolverLine, ...]) -> pl.DataFrame:
    """Table `solver_log` of one strategy, without run_id."""
    rows = [
        {
            "strategy": strategy,
            "decision": line.period.end,
            "status": FAILED,
            "note": line.note,
            **({} if line.solved is None else vars(line.solved)),
        }
        for line in lines
    ]
    frame = pl.DataFrame(rows, schema=SCHEMAS["solver_log"])
    return frame.with_columns(pl.col("excess").fill_nan(None))
