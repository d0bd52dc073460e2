"""The benchmark that prints the tables of docs/embeddings.md, on a warehouse of every table."""

from __future__ import annotations

import duckdb
import pytest

from benchmarks import embedding_tables


def rows(printed: str) -> list[list[str]]:
    lines = [line for line in printed.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_checks_are_means_over_seeds(
    connection: duckdb.DuckDBPyConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    embedding_tables.checks(connection)
    head, *body = rows(capsys.readouterr().out)
    column = next(k for k, name in enumerate(head) if name.startswith("category_retrieval"))
    for encoder, mode, *cells in body:
        (expected,) = connection.execute(
            """SELECT avg(value) FROM embedding_checks
            WHERE encoder = ? AND mode = ? AND "check" = 'category_retrieval'""",
            [encoder, mode],
        ).fetchall()[0]
        assert cells[column - 2].startswith(f"{expected:.2f}")
    assert len(body) == 4


def test_differences_stand_with_their_intervals(
    connection: duckdb.DuckDBPyConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = [(metric, "equal_weight", 1.0, 2) for metric in ("sharpe", "volatility")]
    embedding_tables.against(connection, "weights", columns)
    head, *body = rows(capsys.readouterr().out)
    assert [name.split(" (")[0] for name in head[2:]] == [
        *("sharpe", "less equal_weight", "volatility", "less equal_weight")
    ]
    value, difference, low, high = connection.execute(
        """SELECT value, difference, ci_low, ci_high FROM embedding_evaluations
        WHERE evaluation = 'weights' AND encoder = 'rlinear' AND mode = 'probe' AND seed IS NULL
            AND metric = 'sharpe' AND benchmark = 'equal_weight'"""
    ).fetchall()[0]
    (own,) = [row for row in body if row[:2] == ["rlinear", "probe"]]
    assert own[2] == f"{value:.2f}"
    assert own[3].strip("*") == f"{difference:+.2f} [{low:+.2f}, {high:+.2f}]"
    assert own[3].startswith("**") == (low > 0 or high < 0)
