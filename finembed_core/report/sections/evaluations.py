"""What the embeddings are worth: forecasts, direct weights and rankings against benchmarks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import duckdb
import plotly.graph_objects as go
import polars as pl

from finembed_core.report.charts import FALL, LEAD_WIDTH, RISE, WIDTH, figure, forest, reach
from finembed_core.report.figures import COLORS, GRAY, INK
from finembed_core.report.run import MODELS, MODES, Run, model_name
from finembed_core.report.section import Chart, Column, Section, Table, absent, rows_in
from finembed_core.warehouse.query import answer
from finembed_core.warehouse.quoting import literal

TITLE = "What embeddings are worth"
EVALUATIONS = {
    "gmv": "GMV from forecasts",
    "weights": "direct weights",
    "ranking": "ranking",
}
METRICS = {
    "annual_return": "return p.a.",
    "volatility": "volatility",
    "sharpe": "Sharpe",
}
HEADLINES = {"gmv": ("sharpe", "volatility"), "weights": ("sharpe", "annual_return")}
"""What is drawn of each evaluation; a ranking by Sharpe ratio alone."""
PORTFOLIOS = {
    "market": "the market",
    "previous_ranking": "the previous ranking",
    "equal_weight": "equal weight",
    "gmv_history": "GMV, all history",
    "gmv_ledoit_wolf": "GMV, Ledoit-Wolf",
    "gmv_sample": "GMV, sample covariance",
    "supervised": "supervised training",
}
IN_ORDER = f"list_position({[*PORTFOLIOS]}, benchmark)"
"""The benchmarks of an evaluation in the order of the study, whose tests take the first."""
TIE = 1e-12
"""A difference below it is none, as where the study counts wins."""
MOST_MODELS = 12
"""Above this many, differences are drawn against the first benchmark alone."""
LOSSES = {"listnet": "ListNet", "neuralndcg": "NeuralNDCG"}
VERDICTS = {
    "better than the benchmark": "better",
    "worse than the benchmark": "worse",
    "not significant": "not significant",
    "not known: no interval": "no interval",
}
COLOR = {"better": RISE, "worse": FALL, "not significant": GRAY, "no interval": GRAY}
MODEL = "encoder IS NOT NULL AND mode IS NOT NULL"


def embedding_evaluations(connection: duckdb.DuckDBPyConnection, run: Run) -> Section:
    """A figure per evaluation, one table of verdicts, and m of n."""
    reason = rows_in(connection, "embedding_evaluations")
    if reason:
        return absent(TITLE, reason)
    board = _scoreboard(connection)
    counts = _wins(connection)
    blocks: list[Chart | Table] = [board]
    blocks += [counts] if counts.frame.height else []
    for evaluation in HEADLINES:
        blocks += [*_differences(connection, evaluation), *_wealth(connection, evaluation)]
    blocks += [*_rankings(connection), *_modes(connection)]
    lead = (
        "Portfolios that the models decide, net of costs, all seeds together, against rules "
        "that need no model. A difference is called one only where its 95% interval leaves 0 out; "
        "distrust the best of many, for of 40 models without skill one looks better by luck alone, "
        "and counts of wins, for portfolios of the same funds and days win and lose together."
    )
    return Section(TITLE, lead, blocks, list(_said(board.frame)))


def _scoreboard(connection: duckdb.DuckDBPyConnection) -> Table:
    sql = f"""\
SELECT evaluation, encoder, mode, metric, value, benchmark, benchmark_value, difference, ci_low,
    ci_high, verdict, seed_low, seed_high, note
FROM embedding_scoreboard
WHERE {MODEL} AND fund_group IS NULL AND k IS NULL
    AND metric IN ('sharpe', 'volatility', 'annual_return')
    AND benchmark IS DISTINCT FROM 'supervised'
ORDER BY evaluation, metric <> 'sharpe', metric, {IN_ORDER}, encoder, mode"""
    columns = {
        "evaluation": Column("evaluation", names=EVALUATIONS),
        "metric": Column("statistic", names=METRICS),
        "benchmark": Column("against", names=PORTFOLIOS),
        "encoder": Column("encoder", names=MODELS),
        "mode": Column("training", names=MODES),
        "difference": Column("difference", "+.3f"),
        "ci_low": Column("95% from", "+.3f"),
        "ci_high": Column("to", "+.3f"),
        "verdict": Column("verdict", names=VERDICTS),
        "value": Column("model", ".3f"),
        "benchmark_value": Column("benchmark", ".3f"),
        "seed_low": Column("worst seed", "+.3f"),
        "seed_high": Column("best seed", "+.3f"),
        "note": Column("note"),
    }
    caption = "Scoreboard: every encoder and training against its benchmarks"
    return Table(caption, sql, answer(connection, sql), columns)


def _wins(connection: duckdb.DuckDBPyConnection) -> Table:
    """Wins over benchmarks with their tests, by training and over all of them."""
    sql = """\
WITH named AS (
    SELECT *, regexp_extract(metric, '^(wins|win_share|sign_test|dependent_test|average)_', 1)
        AS kind
    FROM embedding_evaluations WHERE encoder IS NULL AND seed IS NULL
)
SELECT evaluation, mode, replace(metric, kind || '_', '') AS statistic,
    max(value) FILTER (kind = 'wins')::INTEGER AS won,
    max(n) FILTER (kind = 'wins') AS n,
    0.5 + max(ci_low) FILTER (kind = 'win_share') AS share_low,
    0.5 + max(ci_high) FILTER (kind = 'win_share') AS share_high,
    max(value) FILTER (kind = 'sign_test') AS sign_p,
    max(value) FILTER (kind = 'dependent_test') AS dependent_p,
    max(difference) FILTER (kind = 'average') AS average,
    max(ci_low) FILTER (kind = 'average') AS average_low,
    max(ci_high) FILTER (kind = 'average') AS average_high
FROM named WHERE kind <> '' GROUP BY ALL HAVING won IS NOT NULL
ORDER BY evaluation, mode NULLS FIRST, statistic"""
    frame = answer(connection, sql)
    columns = {
        "evaluation": Column("evaluation", names=EVALUATIONS),
        "mode": Column("training (empty: all)", names=MODES),
        "statistic": Column("statistic", names=METRICS),
        "won": Column("wins"),
        "n": Column("of"),
        "share_low": Column("share from", ".0%"),
        "share_high": Column("to", ".0%"),
        "sign_p": Column("sign test p, as if independent", ".3f"),
        "dependent_p": Column("p, dependent as they are", ".3f"),
        "average": Column("mean difference", "+.3f"),
        "average_low": Column("95% from", "+.3f"),
        "average_high": Column("to", "+.3f"),
    }
    return Table("m of n: portfolios that beat their benchmark", sql, frame, columns)


def _modes(connection: duckdb.DuckDBPyConnection) -> Iterator[Table]:
    """Each training against the supervised one, encoder by encoder."""
    sql = """\
SELECT evaluation, encoder, mode, value, benchmark_value, difference, ci_low, ci_high, verdict, note
FROM embedding_scoreboard WHERE benchmark = 'supervised' AND metric = 'sharpe'
ORDER BY evaluation, encoder NULLS FIRST, mode"""
    frame = answer(connection, sql)
    columns = {
        "evaluation": Column("evaluation", names=EVALUATIONS),
        "encoder": Column("encoder (empty: all)", names=MODELS),
        "mode": Column("training", names=MODES),
        "value": Column("Sharpe", ".3f"),
        "benchmark_value": Column("supervised", ".3f"),
        "difference": Column("difference", "+.3f"),
        "ci_low": Column("95% from", "+.3f"),
        "ci_high": Column("to", "+.3f"),
        "verdict": Column(
            "verdict", names={**VERDICTS, "better than the benchmark": "better than supervised"}
        ),
        "note": Column("note"),
    }
    if frame.height:
        yield Table("Other trainings against the supervised one", sql, frame, columns)


def _differences(connection: duckdb.DuckDBPyConnection, evaluation: str) -> Iterator[Chart]:
    metrics = HEADLINES[evaluation]
    known = f"evaluation = {literal(evaluation)} AND {MODEL} AND benchmark <> 'supervised'"
    counted = f"""\
SELECT benchmark, count(DISTINCT (encoder, mode)) AS models FROM embedding_scoreboard
WHERE {known} AND difference IS NOT NULL GROUP BY benchmark ORDER BY {IN_ORDER}"""
    against = answer(connection, counted)
    if against.is_empty():
        return
    first = against["benchmark"][0]
    alone = against.height > 1 and cast(int, against["models"].max()) > MOST_MODELS
    only = f" AND benchmark = {literal(first)}" if alone else ""
    sql = f"""\
SELECT metric, benchmark, encoder, mode, difference, difference - ci_low AS below,
    ci_high - difference AS above, verdict
FROM embedding_scoreboard
WHERE {known}{only} AND fund_group IS NULL
    AND metric IN ({literal(metrics[0])}, {literal(metrics[1])}) AND difference IS NOT NULL
ORDER BY metric <> {literal(metrics[0])}, {IN_ORDER}, encoder, mode"""
    frame = answer(connection, sql)
    pictures = tuple(
        (
            f"{METRICS[str(metric)]} less that of {PORTFOLIOS.get(str(name), str(name))}",
            _by_verdict(own, "+.1%" if metric != "sharpe" else "+.2f"),
        )
        for (metric, name), own in frame.group_by("metric", "benchmark", maintain_order=True)
    )
    if pictures:
        caption = f"{_title(evaluation)}: differences, 95% interval"
        caption += f", against {PORTFOLIOS.get(first, first)} alone" if alone else ""
        yield Chart(caption, sql, frame, pictures)


def _by_verdict(own: pl.DataFrame, tickformat: str) -> go.Figure:
    """A forest in which what differs from 0 has a color."""
    labels = [model_name(*row) for row in own.select("encoder", "mode").iter_rows()]
    found = {full: short for full, short in VERDICTS.items() if full in own["verdict"]}
    split = own.with_columns(
        pl.when(verdict=full).then("difference").alias(short) for full, short in found.items()
    )
    series = {short: (short, "below", "above", COLOR[short]) for short in found.values()}
    return forest(split, labels, series, tickformat=tickformat)


def _wealth(connection: duckdb.DuckDBPyConnection, evaluation: str) -> Iterator[Chart]:
    if rows_in(connection, "embedding_portfolios"):
        return
    kind = literal(evaluation)
    sql = f"""\
WITH published AS (  -- what the settings publish, else the first there is
    SELECT encoder, mode FROM embedding_portfolios
    WHERE evaluation = {kind} ORDER BY (encoder, mode) NOT IN (
        SELECT (encoder, mode) FROM latest_embeddings), encoder, mode LIMIT 1
), paths AS (
    SELECT portfolio, p.encoder, p.encoder IS NOT DISTINCT FROM (SELECT encoder FROM published)
            AS leads, date, product(1 + ret) OVER (PARTITION BY portfolio ORDER BY date) AS wealth
    FROM embedding_portfolios AS p
    WHERE seed IS NULL AND fund_group IS NULL
        AND (evaluation = {kind} AND p.mode = (SELECT mode FROM published)
            OR evaluation = 'benchmark' AND portfolio IN (
                SELECT benchmark FROM embedding_evaluations WHERE evaluation = {kind}))
)
SELECT portfolio, encoder, leads, (SELECT mode FROM published) AS mode, date, wealth FROM paths
QUALIFY row_number() OVER (PARTITION BY portfolio, date_trunc('month', date) ORDER BY date DESC) = 1
ORDER BY leads, encoder NULLS FIRST, portfolio, date"""
    frame = answer(connection, sql)
    if frame.is_empty():
        return
    chart = figure("growth of 1", log=True)
    encoders = frame["encoder"].drop_nulls().unique().sort().to_list()
    benchmarks = iter(("dash", "dot", "dashdot"))
    for _, own in frame.group_by("portfolio", maintain_order=True):
        first = own.row(0, named=True)
        if first["encoder"] is None:
            name = PORTFOLIOS.get(first["portfolio"], first["portfolio"])
            line = {"color": INK, "width": 2, "dash": next(benchmarks, "dot")}
        else:
            name = MODELS.get(first["encoder"], first["encoder"])
            color = COLORS[encoders.index(first["encoder"]) % len(COLORS)]
            line = {"color": color, "width": LEAD_WIDTH if first["leads"] else WIDTH}
        chart.add_scatter(
            x=own["date"].to_list(),
            y=own["wealth"].to_numpy(),
            name=name,
            mode="lines",
            line=line,
            hovertemplate="%{y:.3f}",
        )
    mode = MODES.get(frame["mode"][0], frame["mode"][0])
    caption = f"{_title(evaluation)}: growth of 1, net, {mode} training"
    yield Chart(caption, sql, frame, (("", chart),))


def _rankings(connection: duckdb.DuckDBPyConnection) -> Iterator[Chart]:
    known = """\
FROM embedding_scoreboard
WHERE evaluation = 'ranking' AND encoder IS NOT NULL AND loss IS NOT NULL AND k IS NOT NULL
    AND metric = 'sharpe' AND benchmark = 'previous_ranking' AND difference IS NOT NULL"""
    sql = f"""\
SELECT loss, k, count(*) FILTER (difference > {TIE}) AS wins,
    count(*) FILTER (abs(difference) > {TIE}) AS n,
    count(*) FILTER (ci_low > 0) AS better, count(*) FILTER (ci_high < 0) AS worse
{known}
GROUP BY loss, k ORDER BY loss, k"""
    counted = answer(connection, sql)
    if counted.is_empty():
        return
    caption = "Ranking: portfolios with a higher Sharpe ratio than the same rule without a model"
    yield Chart(caption, sql, counted, (("", _bars(counted)),))
    sql = f"""\
SELECT encoder, mode, loss, fund_group, k, difference, difference - ci_low AS below,
    ci_high - difference AS above, verdict,
    row_number() OVER (PARTITION BY loss, k ORDER BY difference, encoder, mode, fund_group) AS place
{known}
ORDER BY loss, k, place"""
    frame = answer(connection, sql)
    pictures = tuple(
        (f"{LOSSES.get(str(loss), str(loss))}, top {k}", _caterpillar(own))
        for (loss, k), own in frame.group_by("loss", "k", maintain_order=True)
    )
    yield Chart("Ranking: differences of the Sharpe ratio in order", sql, frame, pictures)


def _bars(counted: pl.DataFrame) -> go.Figure:
    """Wins before the bar of all."""
    labels = [f"{LOSSES.get(x, x)}, top {k}" for x, k in counted.select("loss", "k").iter_rows()]
    chart = figure(height=90 + 36 * counted.height)
    for column, name, color in (("n", "portfolios", "#d5dae0"), ("wins", "wins", RISE)):
        chart.add_bar(
            y=labels,
            x=counted[column].to_numpy(),
            name=name,
            orientation="h",
            marker={"color": color},
            hovertemplate="%{y}: %{x} " + name + "<extra></extra>",
        )
    chart.update_yaxes(autorange="reversed", type="category", automargin=True)
    return chart.update_layout(barmode="overlay", hovermode="closest", bargap=0.35)


def _caterpillar(own: pl.DataFrame) -> go.Figure:
    """Differences with intervals, the smallest below."""
    chart = figure("portfolios in order", height=320)
    for verdict, short in VERDICTS.items():
        part = own.filter(verdict=verdict)
        if part.is_empty():
            continue
        chart.add_scatter(
            x=part["difference"].to_numpy(),
            y=part["place"].to_numpy(),
            name=short,
            mode="markers",
            marker={"color": COLOR[short], "size": 6},
            error_x=reach(part, "below", "above", COLOR[short]) | {"thickness": 1, "width": 0},
            text=[
                f"{model_name(encoder, mode)}, {group or 'all'}"
                for encoder, mode, group in part.select("encoder", "mode", "fund_group").iter_rows()
            ],
            hovertemplate="%{text}: %{x:+.2f}<extra></extra>",
        )
    chart.update_yaxes(showticklabels=False)
    chart.update_xaxes(title={"text": "difference of the Sharpe ratio"}, zerolinewidth=1.5)
    return chart.update_layout(hovermode="closest", margin={"l": 30, "r": 12, "t": 12, "b": 46})


def _said(board: pl.DataFrame) -> Iterator[str]:
    """How many differences are told apart from nothing."""
    sharpe = board.filter(metric="sharpe").drop_nulls("difference")
    for (evaluation, name), own in sharpe.group_by("evaluation", "benchmark", maintain_order=True):
        verdicts = own["verdict"].to_list()
        count = {short: verdicts.count(full) for full, short in VERDICTS.items()}
        better, worse, silent = (count[name] for name in ("better", "worse", "no interval"))
        without = f"; {silent} have no interval" if silent else ""
        what = _title(str(evaluation))
        against = PORTFOLIOS.get(str(name), str(name))
        if silent == own.height:
            yield f"{what}: no Sharpe ratio of {own.height} has an interval against {against}."
        elif better + worse == 0:
            yield (
                f"{what}: no Sharpe ratio of {own.height} is told apart from that of "
                f"{against}{without}."
            )
        else:
            yield (
                f"{what}: of {own.height} Sharpe ratios {better} are better and {worse} worse than "
                f"that of {against}; {count['not significant']} are not significant{without}."
            )


def _title(evaluation: str) -> str:
    spoken = EVALUATIONS.get(evaluation, evaluation)
    return spoken[:1].upper() + spoken[1:]
