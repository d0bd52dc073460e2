"""The tables of docs/embeddings.md, from the warehouse of a finished study.

    finembed run --home HOME --settings examples/funds_india/embeddings.yaml
    python -m benchmarks.embedding_tables HOME/warehouse.duckdb

Prints Markdown: one row per encoder and mode, seeds mixed, and the interval of each difference.
"""

import argparse
import json
import statistics
from collections.abc import Iterable

import duckdb

ENCODERS = {
    name: at for at, name in enumerate(["linear", "rlinear", "dlinear", "patchtst", "itransformer"])
}
MODES = {
    name: at
    for at, name in enumerate(["supervised", "probe", "finetune", "multi_objective", "multi_modal"])
}
CONTESTS = {
    "gmv": ("volatility", "sharpe"),
    "weights": ("annual_return", "sharpe"),
    "ranking": ("annual_return", "sharpe"),
}


def compared(con: duckdb.DuckDBPyConnection, evaluation: str, metric: str, benchmark: str):
    """Value, the benchmark's and difference with its interval, by encoder and mode."""
    return {
        (encoder, mode): row
        for encoder, mode, *row in con.execute(
            """select encoder, mode, value, benchmark_value, difference, ci_low, ci_high
            from embedding_evaluations where evaluation = ? and metric = ? and benchmark = ?
              and seed is null and encoder is not null and loss is null""",
            [evaluation, metric, benchmark],
        ).fetchall()
    }


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    head = list(head)
    print("\n| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def order(key: tuple[str, str]) -> tuple[int, int]:
    return ENCODERS[key[0]], MODES[key[1]]


def number(value: float | None, digits: int = 2, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.{digits}f}"


def between(difference: float, low: float | None, high: float | None, digits: int = 2) -> str:
    """A difference with its interval, bold where that leaves 0 out."""
    if low is None or high is None:
        return number(difference, digits, "+")
    text = f"{difference:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"
    return f"**{text}**" if low > 0 or high < 0 else text


def against(
    con: duckdb.DuckDBPyConnection, evaluation: str, columns: list[tuple[str, str, float, int]]
) -> None:
    """A table of differences to several benchmarks; each column a metric, a benchmark, a unit."""
    found = [compared(con, evaluation, metric, benchmark) for metric, benchmark, _, _ in columns]
    head = ["encoder", "mode"]
    bodies: dict[tuple[str, str], list[str]] = {key: list(key) for key in found[0]}
    before = ""
    for (metric, benchmark, unit, digits), rows in zip(columns, found, strict=True):
        new, before = metric != before, metric
        of_benchmark = next(iter(rows.values()))[1]
        head += [metric] * new + [f"less {benchmark} ({number(unit * of_benchmark, digits)})"]
        for key, cells in bodies.items():
            value, _, *difference = rows[key]
            cells += [number(unit * value, digits)] * new
            cells.append(between(*(None if x is None else unit * x for x in difference), digits))
    body = [bodies[key] for key in sorted(bodies, key=order)]
    table(head, body)


def size(con: duckdb.DuckDBPyConnection) -> None:
    decisions, first, last = con.execute(
        "select count(distinct date), min(date), max(date) from fund_predictions"
    ).fetchall()[0]
    funds = con.execute(
        """select min(n), max(n) from (
            select count(distinct fund_id) n from fund_predictions group by date)"""
    ).fetchall()[0]
    networks, capped = con.execute(
        """with best as (
            select encoder, retraining, mode, task, seed, arg_min(epoch, loss) best
            from (select encoder, retraining, mode, task, seed, epoch, sum(loss) loss
                from embedding_curves where split = 'valid' group by all) group by all)
        select count(*), avg((best = (select max(epoch) from embedding_curves))::int) from best"""
    ).fetchall()[0]
    print(
        f"{decisions} decisions from {first} to {last}, {funds[0]} to {funds[1]} funds; {networks} "
        f"trainings, {capped:.1%} of them best in the last epoch allowed"
    )
    notes = con.execute("select notes from parts where \"table\" = 'fund_predictions'").fetchall()
    members = [member for (note,) in notes for member in json.loads(note)["gmv"].values()]
    for name in ("forecast_share", "moved"):
        values = [member[name] for member in members if name in member]
        print(f"{name}: median {statistics.median(values):.4f}, largest {max(values):.4f}")


def rankings(con: duckdb.DuckDBPyConnection) -> None:
    rows = con.execute(
        """select coalesce(mode, 'all'), metric, value, n, benchmark_value, difference, ci_low,
            ci_high from embedding_evaluations
        where evaluation = 'ranking' and encoder is null and benchmark <> 'supervised'"""
    ).fetchall()
    found = {(mode, metric): row for mode, metric, *row in rows}
    body = []
    for mode in [*MODES, "all"]:
        if (mode, "wins_sharpe") not in found:
            continue
        cells = [mode]
        for metric in ("annual_return", "sharpe"):
            value, n, *_ = found[mode, f"wins_{metric}"]
            cells += [
                f"{value:.0f} of {n}",
                number(found[mode, f"sign_test_{metric}"][0], 4),
                number(found[mode, f"dependent_test_{metric}"][0], 3),
                between(*found[mode, f"average_{metric}"][3:], 3),
            ]
        body.append(cells)
    tests = ["wins", "sign test", "dependent test", "average difference"]
    table(["mode", *(f"{test}, {m}" for m in ("return", "Sharpe") for test in tests)], body)


def groups(con: duckdb.DuckDBPyConnection) -> None:
    """Rankings by group, k and loss, means over encoders and modes."""
    rows = con.execute(
        """select fund_group, k, loss, avg(value) filter (metric = 'sharpe'),
            avg(benchmark_value) filter (metric = 'sharpe'),
            count(*) filter (metric = 'sharpe' and difference > 0),
            count(*) filter (metric = 'sharpe'), avg(value) filter (metric = 'volatility'),
            avg(benchmark_value) filter (metric = 'volatility'), any_value(equal)
        from embedding_evaluations join (
            select distinct fund_group, k, benchmark_value equal from embedding_evaluations
            where evaluation = 'ranking' and benchmark = 'equal_weight' and metric = 'sharpe'
        ) using (fund_group, k)
        where evaluation = 'ranking' and benchmark = 'previous_ranking' and seed is null
          and encoder is not null and metric in ('sharpe', 'volatility')
        group by all order by all"""
    ).fetchall()
    head = ["group", "k", "loss", "Sharpe", "of previous ranking", "of equal weight", "wins"]
    body = []
    for group, k, loss, own, other, wins, n, volatility, calm, equal in rows:
        sharpes = [number(x) for x in (own, other, equal)]
        spreads = [number(100.0 * x, 1) for x in (volatility, calm)]
        body.append([group, str(k), loss, *sharpes, f"{wins} of {n}", *spreads])
    table([*head, "volatility", "of previous ranking"], body)


def several(con: duckdb.DuckDBPyConnection) -> None:
    """How many of all portfolios win, and the tests over all of them."""
    rows = con.execute(
        """select evaluation, metric, value, n from embedding_evaluations
        where encoder is null and mode is null or metric = 'spa'"""
    ).fetchall()
    found = {(evaluation, metric): row for evaluation, metric, *row in rows}
    body = []
    for evaluation, metrics in CONTESTS.items():
        for metric in metrics:
            wins, n = found[evaluation, f"wins_{metric}"]
            tests = (
                found[evaluation, f"{test}_test_{metric}"][0] for test in ("sign", "dependent")
            )
            spa = found[evaluation, "spa"][0] if metric == metrics[0] else None
            won = f"{wins:.0f} of {n}"
            body.append([evaluation, metric, won, *(number(p, 4) for p in tests), number(spa, 3)])
    table(["evaluation", "metric", "wins", "sign test", "dependent test", "SPA"], body)


def selves(con: duckdb.DuckDBPyConnection) -> None:
    """Each mode against supervised training."""
    rows = con.execute(
        """select evaluation, coalesce(encoder, 'all'), mode, metric, difference, ci_low, ci_high
        from embedding_evaluations where benchmark = 'supervised' and seed is null
          and metric in ('sharpe', 'volatility', 'annual_return')"""
    ).fetchall()
    chosen = {"gmv": "volatility", "weights": "sharpe", "ranking": "sharpe"}
    found = {(e, c, m): x for e, c, m, k, *x in rows if chosen[e] == k}
    for evaluation, metric in chosen.items():
        encoders = [e for e in [*ENCODERS, "all"] if any(k[:2] == (evaluation, e) for k in found)]
        modes = [m for m in MODES if any(k[0] == evaluation and k[2] == m for k in found)]
        digits, unit = (2, 100.0) if metric == "volatility" else (2, 1.0)
        print(
            f"{evaluation}, {metric}{' in percent' if unit > 1 else ''}, less that of supervised:"
        )
        table(
            ["encoder", *modes],
            [
                [
                    e,
                    *(
                        between(
                            *(None if x is None else unit * x for x in found[evaluation, e, m]),
                            digits,
                        )
                        for m in modes
                    ),
                ]
                for e in encoders
            ],
        )


def information(con: duckdb.DuckDBPyConnection) -> None:
    rows = con.execute(
        """select encoder, mode, quantity, estimator, avg(value), min(value), max(value),
            any_value(n)
        from embedding_information group by all"""
    ).fetchall()
    found = {}
    for encoder, mode, quantity, estimator, *row in rows:
        found.setdefault((encoder, mode), {})[quantity, estimator] = row
    kinds = sorted({kind for each in found.values() for kind in each})
    same = next(iter(found.values()))
    for kind in kinds:
        if kind[0] == "entropy_input":
            print(f"H(X) {kind[1]} {_range(same[kind])}, {same[kind][3]} rows")
    kinds = [kind for kind in kinds if kind[0] != "entropy_input"]
    short = {"entropy_embedding": "H(Z)", "mutual_information": "I"}
    table(
        ["encoder", "mode", *(f"{short[q]} {e}" for q, e in kinds)],
        [
            [*key, *(_range(found[key].get(kind)) for kind in kinds)]
            for key in sorted(found, key=order)
        ],
    )


def _range(row) -> str:
    if row is None or row[0] is None:
        return "-"
    mean, low, high, _ = row
    return f"{mean:.2f}" if low == high else f"{mean:.2f} ({low:.2f} to {high:.2f})"


def checks(con: duckdb.DuckDBPyConnection) -> None:
    rows = con.execute(
        """select encoder, mode, "check", avg(value), min(value), max(value), avg(baseline),
            avg(chance), any_value(n) from embedding_checks group by all"""
    ).fetchall()
    kinds = sorted({row[2] for row in rows if row[3] is not None})
    found = {(e, m, c): row for e, m, c, *row in rows}
    any_of = {c: row for _, _, c, *row in rows}
    head = [f"{c} (PCA {number(any_of[c][3])}, chance {number(any_of[c][4])})" for c in kinds]
    keys = sorted({(e, m) for e, m, _ in found}, key=order)
    table(
        ["encoder", "mode", *head],
        [[*key, *(_range((*found[*key, c][:3], 0)) for c in kinds)] for key in keys],
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("warehouse")
    with duckdb.connect(parser.parse_args().warehouse, read_only=True) as con:
        size(con)
        print("\n### gmv\n")
        against(
            con,
            "gmv",
            [
                ("volatility", "gmv_history", 100.0, 2),
                ("volatility", "gmv_ledoit_wolf", 100.0, 2),
                ("sharpe", "gmv_history", 1.0, 2),
            ],
        )
        print("### weights\n")
        against(
            con,
            "weights",
            [("sharpe", b, 1.0, 2) for b in ("market", "equal_weight", "gmv_ledoit_wolf")],
        )
        print("### ranking\n")
        rankings(con)
        groups(con)
        print("### counts and tests over all candidates\n")
        several(con)
        print("### against supervised\n")
        selves(con)
        print("### information, nats\n")
        information(con)
        print("### checks\n")
        checks(con)


if __name__ == "__main__":
    main()
