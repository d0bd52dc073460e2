"""What optimizers said of every decision, and where the last weights were kept."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from finembed_core.calendar import Period
from finembed_core.errors import SolverError
from finembed_core.portfolio.orders import Orders, Signals, Solved, State, TargetWeights
from finembed_core.portfolio.policies import Policy
from finembed_core.settings import PortfolioSettings

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


class LoggedPolicy:
    """A policy of the register that keeps a log of what its optimizer said.

    Where no solution could be vouched for there are no orders: the last weights are kept.

    Attributes
    ----------
    lines : list of SolverLine
        None for a policy that does not optimize.
    """

    def __init__(self, policy: Policy, settings: PortfolioSettings) -> None:
        self._policy, self._settings = policy, settings
        self.lines: list[SolverLine] = []

    def __call__(self, state: State, signals: Signals) -> Orders | None:
        """Orders of the policy."""
        try:
            orders = self._policy(state, signals, self._settings)
        except SolverError as error:
            self.lines.append(SolverLine(signals.month, None, error.what))
            return None
        if isinstance(orders, TargetWeights) and orders.solved is not None:
            self.lines.append(SolverLine(signals.month, orders.solved))
        return orders


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
