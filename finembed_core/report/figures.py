"""Figures: a table in, a plotly Figure out. Nothing is read or written here.

Lines, bands, stacked areas and bars only, so that `pictures` can draw each of them as well.
An empty table gives an empty figure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import polars as pl
from numpy.typing import NDArray

COLORS = (
    "#1f6fb2",
    "#d1495b",
    "#2a9d5c",
    "#8e5ea2",
    "#e08e2b",
    "#17868f",
    "#7a5c3e",
    "#c2549b",
    "#5b6ee1",
    "#93a12d",
)
GRAY = "#7b8794"
INK = "#27313b"
GRID = "#e6e9ed"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
BENCHMARKS = ("index_", "equal_weight", "aum_weight")
REST = "others"
BANDS = ((0.05, 0.95, 0.14), (0.25, 0.75, 0.30))  # lower and upper quantile, opacity


def wealth(returns: pl.DataFrame) -> go.Figure:
    """Growth of 1 by strategy, net of costs, on a log axis.

    Parameters
    ----------
    returns : DataFrame
        Columns strategy, date, net (decimal per month), benchmark (nullable) of one run. The
        benchmark is drawn where no ``index_*`` strategy stands for it.
    """
    paths = _wealth_paths(returns)
    figure = _figure("Growth of 1, net of costs", "wealth, log scale", log=True)
    for (name, dates, path), style in zip(paths, _styles([p[0] for p in paths]), strict=True):
        figure.add_scatter(x=dates, y=path, name=name, mode="lines", line=style)
    return figure


def underwater(returns: pl.DataFrame) -> go.Figure:
    """Fall of net wealth from its highest point so far; columns as in `wealth`."""
    paths = _wealth_paths(returns)
    figure = _figure("Drawdown", "below the peak so far", tickformat=".0%")
    for (name, dates, path), style in zip(paths, _styles([p[0] for p in paths]), strict=True):
        depth = path / np.maximum.accumulate(path) - 1
        figure.add_scatter(x=dates, y=depth, name=name, mode="lines", line=style)
    return figure


def explained_variance(explained: pl.DataFrame) -> go.Figure:
    """Share of the macro panel's variance that each factor explains, over time.

    Parameters
    ----------
    explained : DataFrame
        Columns as_of, factor, explained.
    """
    figure = _figure("Variance explained by the macro factors", "share", tickformat=".0%")
    wide = _wide(explained, "as_of", "factor", "explained")
    return _stack(figure, wide["as_of"].to_numpy(), _columns(wide, "as_of"))


def learning_curves(curves: pl.DataFrame) -> go.Figure:
    """Loss by epoch: each seed thin, their mean bold.

    Parameters
    ----------
    curves : DataFrame
        Columns seed, epoch, split (``train``/``valid``), loss of one retraining.
    """
    figure = _figure("Learning curves", "cross-entropy in nats, by epoch", x_tickformat="d")
    for split, color in (("train", COLORS[0]), ("valid", COLORS[1])):
        own = curves.filter(pl.col("split") == split).sort("seed", "epoch")
        for (_seed,), one in own.group_by("seed", maintain_order=True):
            line = {"color": _faded(color, 0.35), "width": 1}
            figure.add_scatter(
                x=one["epoch"].to_numpy(),
                y=one["loss"].to_numpy(),
                mode="lines",
                line=line,
                showlegend=False,
            )
        if own.height:
            mean = own.group_by("epoch").agg(pl.col("loss").mean()).sort("epoch")
            figure.add_scatter(
                x=mean["epoch"].to_numpy(),
                y=mean["loss"].to_numpy(),
                name=split,
                mode="lines",
                line={"color": color, "width": 2.5},
            )
    return figure


def validation_curves(curves: pl.DataFrame) -> go.Figure:
    """Validation loss by epoch as a share of its first value, a line for each training mode.

    Means over networks and objectives; a network that has stopped counts with its last loss.

    Parameters
    ----------
    curves : DataFrame
        Columns mode, task, seed, epoch, split, objective, loss of one retraining of one encoder.
    """
    figure = _figure("Validation loss", "share of that of the first epoch", x_tickformat="d")
    network = ["mode", "task", "seed", "objective"]
    before = pl.col("task") == "pretraining"
    own = curves.filter(pl.col("split") == "valid").sort(*network, "epoch")
    own = own.with_columns(
        share=pl.col("loss") / pl.col("loss").first().over(network),
        line=pl.when(before).then("task").otherwise("mode"),
        network=pl.concat_str(pl.col(network).fill_null("")),
    )
    groups = own.group_by("line", maintain_order=True)
    for k, ((name,), one) in enumerate(groups):
        wide = _wide(one, "epoch", "network", "share").fill_null(strategy="forward")
        figure.add_scatter(
            x=wide["epoch"].to_numpy(),
            y=wide.select(pl.mean_horizontal(pl.exclude("epoch"))).to_series().to_numpy(),
            name=str(name).replace("_", " "),
            mode="lines",
            line={"color": COLORS[k], "width": 2},
        )
    return figure


def embedded_funds(embeddings: pl.DataFrame) -> go.Figure:
    """Funds that have an embedding, by date.

    Parameters
    ----------
    embeddings : DataFrame
        Columns date, fund_id.
    """
    table = embeddings.group_by("date").agg(pl.col("fund_id").n_unique()).sort("date")
    figure = _figure("Funds with an embedding", "number")
    figure.add_scatter(
        x=table["date"].to_numpy(),
        y=table["fund_id"].to_numpy().astype(float),
        mode="lines",
        line={"color": COLORS[0], "width": 2},
    )
    return figure.update_yaxes(rangemode="tozero")


def feature_bands(features: pl.DataFrame, name: str, *, percent: bool = False) -> go.Figure:
    """Distribution of one feature over funds by month: median, middle half, 5% to 95%.

    Parameters
    ----------
    features : DataFrame
        Columns month and `name`; missing values are left out.
    name : str
        Feature, for example ``svar``.
    percent : bool
        Label the axis in percent.
    """
    levels = sorted({0.5, *(q for low, high, _ in BANDS for q in (low, high))})
    value = pl.col(name)
    table = (
        features.filter(value.is_finite())
        .group_by("month")
        .agg(value.quantile(q, "linear").alias(str(q)) for q in levels)
        .sort("month")
    )
    tickformat = ".0%" if percent else None
    figure = _figure(f"{name} over funds", "median and quantiles", tickformat=tickformat)
    if table.is_empty():
        return figure
    months = table["month"].to_numpy()
    for low, high, opacity in BANDS:
        figure.add_scatter(
            x=months,
            y=table[str(low)].to_numpy(),
            mode="lines",
            line={"width": 0},
            showlegend=False,
        )
        figure.add_scatter(
            x=months,
            y=table[str(high)].to_numpy(),
            name=f"{low:.0%} to {high:.0%}",
            mode="lines",
            line={"width": 0},
            fill="tonexty",
            fillcolor=_faded(COLORS[0], opacity),
        )
    figure.add_scatter(
        x=months,
        y=table["0.5"].to_numpy(),
        name="median",
        mode="lines",
        line={"color": COLORS[0], "width": 2},
    )
    return figure


def feature_histogram(features: pl.DataFrame, name: str, *, percent: bool = False) -> go.Figure:
    """Distribution of one feature over the funds of one month (arguments as `feature_bands`)."""
    values = features[name].drop_nulls().drop_nans().to_numpy()
    values = values[np.isfinite(values)]
    figure = _figure(f"{name} over funds", "funds", x_tickformat=".0%" if percent else None)
    if len(values):
        bins = int(np.clip(np.sqrt(len(values)) * 2, 6, 40))
        counts, edges = np.histogram(values, bins=bins)
        middle, width = (edges[:-1] + edges[1:]) / 2, np.diff(edges)
        figure.add_bar(x=middle, y=counts, width=width, marker={"color": COLORS[0]}, name=name)
    return figure


def universe_size(universe: pl.DataFrame) -> go.Figure:
    """Funds known and eligible by month.

    Parameters
    ----------
    universe : DataFrame
        Columns month, fund_id, eligible.
    """
    table = (
        universe.group_by("month")
        .agg(pl.len().alias("known"), pl.col("eligible").sum())
        .sort("month")
    )
    figure = _figure("Funds", "number")
    for name, color in (("known", GRAY), ("eligible", COLORS[0])):
        figure.add_scatter(
            x=table["month"].to_numpy(),
            y=table[name].to_numpy().astype(float),
            name=name,
            mode="lines",
            line={"color": color, "width": 2},
        )
    figure.update_yaxes(rangemode="tozero")
    return figure


def weights(holdings: pl.DataFrame, *, largest: int = 8) -> go.Figure:
    """What one strategy holds over time, as shares of NAV; the rest is cash.

    Parameters
    ----------
    holdings : DataFrame
        Columns date, fund_id, weight of one strategy.
    largest : int
        Funds shown on their own, by average weight; the others are added up.
    """
    mean = (
        holdings.group_by("fund_id")
        .agg(pl.col("weight").sum())
        .sort(["weight", "fund_id"], descending=[True, False])
    )
    shown = mean["fund_id"].head(largest).to_list()
    group = pl.when(pl.col("fund_id").is_in(shown)).then("fund_id").otherwise(pl.lit(REST))
    totals = holdings.group_by("date", group.alias("fund_id")).agg(pl.col("weight").sum())
    wide = _wide(totals, "date", "fund_id", "weight", fill=0.0)
    figure = _figure("Weights", "share of NAV", tickformat=".0%")
    order = [name for name in [*shown, REST] if name in wide.columns]
    layers = [(name, wide[name].to_numpy()) for name in order]
    return _stack(figure, wide["date"].to_numpy(), layers)


def _wealth_paths(returns: pl.DataFrame) -> list[tuple[str, NDArray, NDArray[np.float64]]]:
    """(name, dates, wealth) by strategy, the best last month first; wealth starts from 1."""
    paths = []
    for (strategy,), one in returns.sort("strategy", "date").group_by(
        "strategy", maintain_order=True
    ):
        paths.append(_compounded(str(strategy), one, "net"))
    has_index = any(name.startswith("index_") for name, _, _ in paths)
    benchmark = returns.unique("date", maintain_order=True).sort("date").drop_nulls("benchmark")
    if not has_index and benchmark.height:
        paths.append(_compounded("index_benchmark", benchmark, "benchmark"))
    return sorted(paths, key=lambda path: -path[2][-1])


def _compounded(name: str, rows: pl.DataFrame, column: str) -> tuple[str, NDArray, NDArray]:
    path = np.concatenate([[1.0], np.cumprod(1 + rows[column].to_numpy())])
    dates = rows["date"].to_numpy().astype("datetime64[D]")
    start = dates[:1].astype("datetime64[M]").astype("datetime64[D]") - 1
    return name, np.concatenate([start, dates]), path


def _styles(names: Sequence[str]) -> list[dict]:
    """Line styles: benchmarks gray and dashed, the others by color in the order of their name."""
    own = sorted(name for name in names if not name.startswith(BENCHMARKS))
    colors = {name: COLORS[k % len(COLORS)] for k, name in enumerate(own)}
    dashes = {"index_": "dot", "equal_weight": "dash", "aum_weight": "dashdot"}
    return [
        {"color": colors[name], "width": 2}
        if name in colors
        else {
            "color": GRAY,
            "width": 2,
            "dash": next(dash for start, dash in dashes.items() if name.startswith(start)),
        }
        for name in names
    ]


def _stack(figure: go.Figure, dates: NDArray, layers: Sequence[tuple[str, NDArray]]) -> go.Figure:
    for k, (name, values) in enumerate(layers):
        color = GRAY if name == REST else COLORS[k % len(COLORS)]
        figure.add_scatter(
            x=dates,
            y=values,
            name=name,
            mode="lines",
            line={"color": color, "width": 0},
            stackgroup="all",
            fillcolor=_faded(color, 0.6),
        )
    figure.update_yaxes(rangemode="tozero")
    return figure


def _wide(
    frame: pl.DataFrame, index: str, on: str, values: str, fill: float | None = None
) -> pl.DataFrame:
    wide = frame.pivot(on=on, index=index, values=values, sort_columns=True).sort(index)
    return wide if fill is None else wide.fill_null(fill)


def _columns(wide: pl.DataFrame, index: str) -> list[tuple[str, NDArray]]:
    return [(name, wide[name].to_numpy()) for name in wide.columns if name != index]


def _faded(color: str, opacity: float) -> str:
    red, green, blue = (int(color[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def _figure(
    title: str,
    y_title: str,
    *,
    log: bool = False,
    tickformat: str | None = None,
    x_tickformat: str | None = None,
) -> go.Figure:
    """An empty figure in the house style."""
    axis = {"gridcolor": GRID, "zerolinecolor": GRID, "linecolor": GRAY}
    return go.Figure(
        layout={
            "title": {"text": title, "x": 0.01, "xanchor": "left"},
            "template": "plotly_white",
            "font": {"family": FONT, "color": INK, "size": 13},
            "xaxis": {**axis, "tickformat": x_tickformat},
            "yaxis": {
                **axis,
                "title": {"text": y_title},
                "type": "log" if log else "linear",
                "tickformat": tickformat,
            },
            "hovermode": "x unified",
            "margin": {"l": 60, "r": 20, "t": 50, "b": 40},
            "legend": {"traceorder": "normal"},
        }
    )
