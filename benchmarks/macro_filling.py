"""Filling of missing macro cells: plain EM (statsmodels) against regularized EM (ours).

Of the standardized macro panel of one month a tenth of the observed cells are hidden and filled
from three components. ``error``: root mean square of filling minus truth over hidden cells, in
standard deviations of a series (the mean would err by about 1); ``F1``: share of the filled panel
that the first factor claims; ``loading``: the largest; on observed cells alone it is a correlation.

    python -m benchmarks.macro_filling [FRED-MD.csv]
"""

import csv
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from statsmodels.multivariate.pca import PCA

from finembed_core.calendar import Month, month_ends
from finembed_core.histories import macro_series, series_with_role
from finembed_core.ingest.stage import ingest
from finembed_core.macro.missing import fill
from finembed_core.macro.sample import draw_sample
from finembed_core.macro.transforms import TRANSFORMS, transform_name
from finembed_core.panel import Panel
from finembed_core.settings import Settings
from finembed_core.store import PartStore

COMPONENTS, HIDDEN, DRAWS = 3, 0.1, 20


def plain_em(values):
    pca = PCA(values, COMPONENTS, standardize=False, demean=False, method="eig", missing="fill-em")
    return pca.transformed_data


def regularized_em(values):
    return fill(values, COMPONENTS).values


def first_factor(filled):
    """Share of the filled panel, and largest loading."""
    scores, lengths, directions = np.linalg.svd(filled, full_matrices=False)
    share = lengths[0] ** 2 / np.square(lengths).sum()
    loadings = directions[:COMPONENTS].T * lengths[:COMPONENTS] / np.sqrt(len(scores))
    return share, np.abs(loadings).max()


def compare(name, sample):
    values = sample.panel.values
    print(f"{name}: {values.shape[1]} series, {len(values)} months, ", end="")
    print(f"{np.isnan(values).mean():.1%} missing")
    for method in (plain_em, regularized_em):
        errors = []
        for seed in range(DRAWS):
            random = np.random.default_rng(seed)
            hidden = (random.random(values.shape) < HIDDEN) & ~np.isnan(values)
            seen = np.where(hidden, np.nan, values)
            kept = (~np.isnan(seen)).sum(axis=1) >= COMPONENTS  # statsmodels needs as many
            error = (method(seen[kept]) - values[kept])[hidden[kept]]
            errors.append(np.sqrt(np.square(error).mean()))
        begin = time.perf_counter()
        share, loading = first_factor(method(values))
        took = time.perf_counter() - begin
        spread = np.std(errors) / np.sqrt(DRAWS)
        print(
            f"  {method.__name__:<15} error {np.mean(errors):.3f} +- {spread:.3f}   "
            f"F1 {share:.2f}   loading {loading:.2f}   {took * 1000:.0f} ms"
        )


def fred_md(file):
    """Stationary panel of a FRED-MD file: names in its first row, transform codes in the second."""
    with Path(file).open() as text:
        rows = [row for row in csv.reader(text) if row and row[0]]
    raw = np.array([[float(x) if x else np.nan for x in row[1:]] for row in rows[2:]])
    columns = [
        TRANSFORMS[transform_name(code)].function(raw[:, k], 1)
        for k, code in enumerate(rows[1][1:])
    ]
    dates = month_ends(Month.parse("1959-01").ordinal + np.arange(len(raw)))
    return Panel(dates, tuple(rows[0][1:]), np.column_stack(columns))


def main():
    settings = Settings()
    with tempfile.TemporaryDirectory() as folder:
        store = PartStore(Path(folder))
        ingest(store, settings)
        history = macro_series(store, settings.dataset.calendar)
        steps = dict(series_with_role(store, "macro").select("series_id", "step").iter_rows())
    for month in ("2000-06", "2009-06", "2016-12"):
        known = history.as_of(Month.parse(month)).observed()
        lengths = np.array([steps[name] for name in known.ids])
        for share in (0.5, settings.macro.min_coverage):
            chosen = settings.macro.model_copy(update={"min_coverage": share})
            compare(f"packaged, {month}, min_coverage {share}", draw_sample(known, lengths, chosen))
    if len(sys.argv) > 1:
        known = fred_md(sys.argv[1])
        monthly = np.ones(len(known.ids), dtype=int)
        compare("FRED-MD", draw_sample(known, monthly, settings.macro))


if __name__ == "__main__":
    main()
