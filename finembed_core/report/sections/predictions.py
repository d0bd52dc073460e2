"""Whether P(up) means what it says, and whether ranking by it found anything."""

from __future__ import annotations

import duckdb
import plotly.graph_objects as go
import polars as pl

from finembed_core.report.charts import figure
from finembed_core.report.figures import COLORS, GRAY
from finembed_core.report.run import MODELS, Run
from finembed_core.report.section import (
    Chart,
    Column,
    Section,
    Table,
    absent,
    rows_of,
)
from finembed_core.warehouse.query import answer
from finembed_core.warehouse.quoting import literal

STEP = 0.05  # width of a bin of P(up)
LEAST = 50  # predictions from which a bin is drawn
MIN_FUNDS = 5  # a rank correlation over fewer funds says nothing
QUANTILE = 1.96


def reliability(connection: duckdb.DuckDBPyConnection, run: Run) -> Section:
    """Calibration diagram of each model."""
    title = "Reliability of P(up)"
    reason = rows_of(connection, "prediction_outcomes", run)
    if reason:
        return absent(title, reason)
    sql = f"""\
WITH outcomes AS (
    SELECT model, month, floor(p_up / {STEP})::INTEGER AS bin, p_up,
        (realized_class = 1)::INTEGER AS up
    FROM prediction_outcomes JOIN predictions USING (month, fund_id, model)
    WHERE run_id = {literal(run.run_id)} AND realized_class IS NOT NULL
), bins AS (
    SELECT model, bin, avg(p_up) AS predicted, avg(up) AS observed, count(*) AS n
    FROM outcomes GROUP BY ALL HAVING count(*) >= {LEAST}
), months AS (  -- the funds of a month move together: the month is the unit of chance
    SELECT model, bin, month, sum(up - observed) AS surprise
    FROM outcomes JOIN bins USING (model, bin) GROUP BY ALL
)
SELECT model, predicted, observed, any_value(n) AS n, count(*) AS months,
    {QUANTILE} * sqrt(sum(surprise ** 2)) / any_value(n) AS half_width
FROM bins JOIN months USING (model, bin)
GROUP BY model, bin, predicted, observed ORDER BY model, predicted"""
    frame = answer(connection, sql)
    if frame.is_empty():
        return absent(title, f"no model made {LEAST} predictions of one size that came due")
    low = min(frame["predicted"].min(), frame["observed"].min())  # pyright: ignore
    high = max(frame["predicted"].max(), frame["observed"].max())  # pyright: ignore
    pictures = tuple(
        (_model(str(model)), _diagram(own, (max(low - 0.05, 0), min(high + 0.05, 1))))
        for (model,), own in frame.group_by("model", maintain_order=True)
    )
    columns = {
        "model": Column("model", names=MODELS),
        "predicted": Column("mean P(up)", ".1%"),
        "observed": Column("went up", ".1%"),
        "half_width": Column("± (95%)", ".1%"),
        "n": Column("predictions"),
        "months": Column("months"),
    }
    lead = (
        f"Predictions in bins of {STEP:.0%}, how often each came true, and the line on which a "
        "model that means what it says would lie; a model whose points lie level says nothing, "
        "whatever it predicts, and the intervals treat months as independent."
    )
    blocks = (
        Chart("Predicted against observed frequency of up", sql, frame, pictures),
        Table("The same as numbers", sql, frame, columns),
    )
    return Section(title, lead, blocks)


def _model(model: str) -> str:
    return MODELS.get(model, model)


def _diagram(own: pl.DataFrame, span: tuple[float, float]) -> go.Figure:
    chart = figure("came true", tickformat=".0%", height=300)
    chart.add_shape(
        type="line",
        x0=span[0],
        x1=span[1],
        y0=span[0],
        y1=span[1],
        line={"color": GRAY, "dash": "dot"},
    )
    chart.add_scatter(
        x=own["predicted"].to_numpy(),
        y=own["observed"].to_numpy(),
        error_y={
            "type": "data",
            "array": own["half_width"].to_numpy(),
            "color": COLORS[0],
            "thickness": 1.2,
            "width": 3,
        },
        mode="markers",
        marker={"color": COLORS[0], "size": 8},
        customdata=own["n"].to_numpy(),
        hovertemplate="P(up) %{x:.1%}, came true %{y:.1%}, %{customdata:,} times<extra></extra>",
    )
    chart.update_xaxes(range=list(span), tickformat=".0%", title={"text": "P(up)", "standoff": 4})
    chart.update_yaxes(range=list(span))
    return chart.update_layout(hovermode="closest", margin={"b": 44})


def information(connection: duckdb.DuckDBPyConnection, run: Run) -> Section:
    """Rank information coefficient of each model by the retraining that made the predictions."""
    title = "Information coefficient by vintage"
    reason = rows_of(connection, "prediction_outcomes", run)
    if reason:
        return absent(title, reason)
    sql = f"""\
WITH scored AS (
    SELECT model, month, retraining, realized, p_up - p_down AS score
    FROM prediction_outcomes JOIN predictions USING (month, fund_id, model)
    WHERE run_id = {literal(run.run_id)} AND realized IS NOT NULL
), ranked AS (  -- ties share their mean rank
    SELECT model, month, retraining,
        rank() OVER (PARTITION BY model, month ORDER BY score)
            + count(*) OVER (PARTITION BY model, month, score) / 2 AS place,
        rank() OVER (PARTITION BY model, month ORDER BY realized)
            + count(*) OVER (PARTITION BY model, month, realized) / 2 AS outcome
    FROM scored
), months AS (
    SELECT model, month, any_value(retraining) AS retraining, corr(place, outcome) AS ic
    FROM ranked GROUP BY model, month
    HAVING count(*) >= {MIN_FUNDS} AND var_pop(place) > 0 AND var_pop(outcome) > 0
)
SELECT model, retraining AS vintage, avg(ic) AS ic,
    {QUANTILE} * stddev_samp(ic) / sqrt(count(*)) AS half_width, count(*) AS months
FROM months GROUP BY model, retraining ORDER BY model, vintage"""
    frame = answer(connection, sql)
    if frame.is_empty():
        return absent(title, f"no month has {MIN_FUNDS} predictions that differ and came due")
    overall = f"""\
SELECT model,
    max(value) FILTER (metric = 'rank_ic') AS ic,
    max(ci_low) FILTER (metric = 'rank_ic') AS low,
    max(ci_high) FILTER (metric = 'rank_ic') AS high,
    max(n) FILTER (metric = 'rank_ic') AS months,
    max(value) FILTER (metric = 'balanced_accuracy') AS balanced_accuracy
FROM model_scores WHERE run_id = {literal(run.run_id)}
GROUP BY model ORDER BY ic DESC NULLS LAST, model"""
    reach = float((frame["ic"].abs() + frame["half_width"].fill_null(0)).quantile(0.98) or 1)
    pictures = tuple(
        (_model(str(model)), _vintages(own, min(reach, 1.0)))
        for (model,), own in frame.group_by("model", maintain_order=True)
    )
    scores = Table(
        "Over all months, with the bootstrap interval that is stored",
        overall,
        answer(connection, overall),
        {
            "model": Column("model", names=MODELS),
            "ic": Column("rank IC", ".3f"),
            "low": Column("95% from", ".3f"),
            "high": Column("to", ".3f"),
            "months": Column("months"),
            "balanced_accuracy": Column("balanced accuracy, 3 classes", ".3f"),
        },
    )
    lead = (
        "Rank correlation across funds of P(up) - P(down) with what was realized, averaged over "
        "the months that each retraining decided; a vintage has few months, so look for a level "
        "that lasts, not for the best year."
    )
    chart = Chart("Mean rank IC of each vintage, 95% interval", sql, frame, pictures)
    return Section(title, lead, (chart, scores), _said(scores.frame))


def _vintages(own: pl.DataFrame, reach: float) -> go.Figure:
    chart = figure("rank IC", height=260)
    chart.add_scatter(
        x=own["vintage"].to_list(),
        y=own["ic"].to_numpy(),
        error_y={
            "type": "data",
            "array": own["half_width"].fill_null(0).to_numpy(),
            "color": COLORS[0],
            "thickness": 1,
            "width": 0,
        },
        mode="markers",
        marker={"color": COLORS[0], "size": 7},
        hovertemplate="retrained %{x|%Y-%m}: %{y:.3f}<extra></extra>",
    )
    chart.update_yaxes(range=[-1.1 * reach, 1.1 * reach], zeroline=True)
    return chart.update_layout(hovermode="closest")


def _said(scores: pl.DataFrame) -> list[str]:
    said = []
    for row in scores.drop_nulls(["ic", "low", "high"]).iter_rows(named=True):
        zero = row["low"] <= 0 <= row["high"]
        verdict = "indistinguishable from no skill" if zero else "its interval leaves 0 out"
        said.append(
            f"{_model(row['model'])}: {row['ic']:+.3f} "
            f"({row['low']:+.3f} to {row['high']:+.3f}), {verdict}."
        )
    return said
