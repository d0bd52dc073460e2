"""Recall of planted exposures against F tests, at the same rate of false positives."""

import re

import numpy as np
import plotly.graph_objects as go
from scipy import stats

from benchmarks.panels import ROOT
from benchmarks.polymodel_significance.laws import (
    EXPOSURES,
    SHAPES,
    START,
    exposed,
    shuffling_of,
    students,
)
from benchmarks.polymodel_significance.size import BATCH
from benchmarks.polymodel_significance.tables import progress, table
from finembed_core.polymodel.basis import hermite_basis
from finembed_core.polymodel.shuffling import exact_p_values, shuffled_rows
from finembed_core.report import svg
from finembed_core.report.figures import COLORS

FIGURE = ROOT / "docs" / "figures" / "polymodel_roc.svg"
LENGTHS, SHARES = (24, 36, 60), (0.1, 0.2, 0.3, 0.5)
PLANTED, NULL, FINE = 3_000, 30_000, 999  # funds per cell, without exposure; shuffles
METHODS = (*SHAPES, "F linear", "F quadratic", "F quartic")
SHOWN = 36, 0.3  # months and share of the figure


def power():
    null = {n: power_p_values(n, None, 0.0, NULL) for n in progress(LENGTHS, "power, no exposure")}
    rows = [
        [n, *(f"{100 * (p <= level).mean():.2f}" for level in (0.05, 0.01) for p in null[n])]
        for n in LENGTHS
    ]
    names = [f"{method}, {level}" for level in ("5%", "1%") for method in METHODS]
    table("False positives at the nominal rate, percent", ["months", *names], rows)
    cells = [(kind, share) for kind in EXPOSURES for share in SHARES]
    runs = progress([(*cell, n) for n in LENGTHS for cell in cells], "power")
    found = {run: power_p_values(run[2], *run[:2], PLANTED) for run in runs}
    for n, level in ((24, 0.01), (36, 0.01), (60, 0.01), (36, 0.05)):
        hits = {cell: recall(found[*cell, n], null[n], level) for cell in cells}
        rows = [[*cell, *(f"{100 * share:.0f}" for share in hits[cell])] for cell in cells]
        title = f"{n} months: recall at {level:.0%} false positives, percent"
        table(title, ["exposure", "share", *METHODS], rows)
    draw(found, null)


def power_p_values(n, kind, share, funds):
    """P-values of the `METHODS`, shape (5, funds), of funds with one exposure each."""
    seed = [3, n, list(EXPOSURES).index(kind) + 1 if kind else 0, int(100 * share)]
    generator = np.random.default_rng(seed)
    p = []
    for k in range(funds // BATCH):
        x, y = students(generator, (n, BATCH), 5), students(generator, (n, BATCH), 5)
        if kind:
            y = exposed(kind, share, x, y)
        rows = shuffled_rows(n, FINE, 4, START + k % 100)
        tests = [shuffling_of(x, y, shape).exceedances(rows).diagonal() for shape in SHAPES]
        quartic = hermite_basis(x.T, 4)[..., 1:]
        others = [f_test(quartic[..., :degree], y) for degree in (1, 2, 4)]
        p.append([*(exact_p_values(count, FINE) for count in tests), *others])
    return np.concatenate(p, axis=1)


def f_test(columns, returns):
    """P-values (J,) of regressions of returns (n, J) on columns (J, n, k) and a constant."""
    months, k = columns.shape[1:]
    axes, _ = np.linalg.qr(columns - columns.mean(axis=1, keepdims=True))
    centered = returns - returns.mean(axis=0)
    explained = np.square(np.einsum("jnk,nj->jk", axes, centered)).sum(axis=1)
    rest = np.square(centered).sum(axis=0) - explained
    return stats.f.sf(explained / k / (rest / (months - 1 - k)), k, months - 1 - k)


def recall(planted, null, level):
    """Share of planted found by each method where `level` of the null is."""
    return [(p <= np.quantile(q, level)).mean() for p, q in zip(planted, null, strict=True)]


def draw(found, null):
    """ROC curves side by side, one picture per exposure."""
    n, share = SHOWN
    levels = np.linspace(0.0, 0.1, 101)
    wide, high = 440, 320
    parts = []
    for k, kind in enumerate(EXPOSURES):
        curves = np.array([recall(found[kind, share, n], null[n], level) for level in levels])
        figure = go.Figure()
        figure.add_scatter(x=[0.0, 0.0], y=[0.0, 1.0], line_width=0)  # the same scale for all
        for method, color, curve in zip(METHODS, COLORS, curves.T, strict=False):
            line = {"color": color, "width": 2}
            figure.add_scatter(x=levels, y=curve, name=method, line=line)
        figure.update_layout(
            title=f"{kind.capitalize()}, {share:.0%} of variance, {n} months",
            xaxis_tickformat=".0%",
            yaxis={"title": "Recall by rate of false positives", "tickformat": ".0%"},
        )
        picture = svg(figure, width=wide, height=high)
        parts.append(re.sub("^<svg ", f'<svg x="{k * wide}" ', picture))
    size = f'width="{len(parts) * wide}" height="{high}"'
    FIGURE.parent.mkdir(exist_ok=True)
    FIGURE.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>\n')
