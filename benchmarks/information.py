"""Estimators of information and entropy on Gaussians, where both are known.

    python -m benchmarks.information [--draws N] [--only PART ...] [--figure PATH]

mutual: d pairs of standard normals with correlation rho share -d/2 ln(1 - rho^2) nats. 4,000
rows, half of them held out; bias and standard deviation over draws. saturation: the same in ten
dimensions up to rho = .999, drawn where --figure is given (docs/figures/information.svg is that of
--only saturation --draws 1). entropy: of d standard normals, 2,000
rows. table: seconds that one whole table of 4,000 windows takes.
"""

import argparse
import math
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import torch
from threadpoolctl import threadpool_limits

from finembed_core.embeddings.information.critics import Recipe, held_out_bounds
from finembed_core.embeddings.information.gaussian import gaussian_information
from finembed_core.embeddings.information.neighbors import ksg
from finembed_core.embeddings.information.table import (
    ENTROPIES,
    MOST_ROWS,
    VALIDATION,
    information,
)
from finembed_core.learning.loop import reproducible
from finembed_core.report import svg
from finembed_core.report.figures import COLORS, GRAY

SIZES, CORRELATIONS = (1, 5, 10), (0.0, 0.5, 0.9)
CURVE = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
TIMED = ("critics", "ksg", "gaussian")


def pairs(d, rho, seed):
    rng = np.random.default_rng([d, round(1000 * rho), seed])
    x = rng.standard_normal((MOST_ROWS, d))
    return x, rho * x + math.sqrt(1.0 - rho**2) * rng.standard_normal(x.shape)


def estimates(x, z, seed):
    """Every estimator on the held-out half, and the seconds of each family."""
    half = len(x) // 2
    sizes = [half - round(VALIDATION * half), round(VALIDATION * half), half]
    parts = zip(*(torch.from_numpy(v).float().split(sizes) for v in (x, z)), strict=True)
    x, z = x[half:], z[half:]
    clock = [time.process_time()]
    with reproducible(seed):
        values = held_out_bounds(*parts, Recipe())
    clock.append(time.process_time())
    values["ksg"] = ksg(x, z)
    clock.append(time.process_time())
    values["gaussian"] = gaussian_information(x, z)
    clock.append(time.process_time())
    return values, dict(zip(TIMED, np.diff(clock), strict=True))


def mutual(draws):
    print(f"\n{MOST_ROWS // 2:,} held-out rows, {draws} draws: bias (standard deviation), nats\n")
    seconds = defaultdict(list)
    for row, (d, rho) in enumerate((d, rho) for d in SIZES for rho in CORRELATIONS):
        true = -0.5 * d * math.log1p(-(rho**2))
        found = defaultdict(list)
        for seed in range(draws):
            values, took = estimates(*pairs(d, rho, seed), seed)
            for name, value in values.items():
                found[name].append(value - true)
            for name, value in took.items():
                seconds[name].append(value)
        if not row:
            print("| d | rho | known |", " | ".join(found), "|")
            print("|---:|---:|---:|" + "---:|" * len(found))
        cells = [f"{np.mean(v):+.2f} ({np.std(v, ddof=1):.2f})" for v in found.values()]
        print(f"| {d} | {rho} | {true:.2f} |", " | ".join(cells), "|", flush=True)
    took = [f"{name} {np.mean(values):.2f}" for name, values in seconds.items()]
    print("\nSeconds of processor time:", ", ".join(took))


def saturation(draws, path=None):
    known, curves = [], defaultdict(list)
    for rho in CURVE:
        known.append(-5.0 * math.log1p(-(rho**2)))
        runs = [estimates(*pairs(10, rho, seed), seed)[0] for seed in range(draws)]
        for name in runs[0]:
            curves[name].append(np.mean([run[name] for run in runs]))
    figure = go.Figure()
    figure.add_scatter(x=known, y=known, name="known", line={"color": GRAY, "dash": "dash"})
    cap = [math.log(MOST_ROWS // 2)] * len(known)
    figure.add_scatter(x=known, y=cap, name="ln 2000", line={"color": GRAY, "dash": "dot"})
    for (name, curve), color in zip(curves.items(), COLORS, strict=False):
        figure.add_scatter(x=known, y=curve, name=name, line={"color": color, "width": 2})
    figure.update_layout(
        title="Ten pairs of normals: estimates by what they share, nats",
        yaxis={"title": "Estimate by known information, 2,000 held-out rows"},
    )
    if path is not None:
        path.write_text(svg(figure) + "\n")
    print("\n| known |", " | ".join(f"{value:.1f}" for value in known), "|")
    print("|---|" + "---:|" * len(known))
    for name, curve in curves.items():
        print(f"| {name} |", " | ".join(f"{value:.1f}" for value in curve), "|")


def entropy(draws):
    print("\n| d | known |", " | ".join(f"{name}, bias (sd)" for name in ENTROPIES), "|")
    print("|---:|---:|" + "---:|" * len(ENTROPIES))
    for d in SIZES:
        true = 0.5 * d * math.log(2.0 * math.pi * math.e)
        x = np.random.default_rng(d).standard_normal((5 * draws, MOST_ROWS // 2, d))
        cells = []
        for function in ENTROPIES.values():
            values = [function(own) - true for own in x]
            cells.append(f"{np.mean(values):+.3f} ({np.std(values, ddof=1):.3f})")
        print(f"| {d} | {true:.2f} |", " | ".join(cells), "|")


def table(draws):
    rng = np.random.default_rng(0)
    windows = rng.standard_normal((MOST_ROWS, 8)) @ rng.standard_normal((8, 128))
    windows += rng.standard_normal(windows.shape)
    embeddings = np.tanh(windows @ rng.standard_normal((128, 32)) / 16.0)
    start = time.process_time()
    information(windows, embeddings, seed=1)
    print(f"\nOne table of {MOST_ROWS:,} windows: {time.process_time() - start:.1f} s of processor")


def main():
    parts = {f.__name__: f for f in (mutual, saturation, entropy, table)}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--figure", type=Path, help="where to draw saturation")
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    given = parser.parse_args()
    with threadpool_limits(1):
        for name in given.only:
            more = [given.figure] if name == "saturation" else []
            parts[name](given.draws, *more)


if __name__ == "__main__":
    main()
