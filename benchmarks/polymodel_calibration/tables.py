"""How results are summed up and printed."""

import sys

import numpy as np

from benchmarks.polymodel_calibration.grid import LABELS, label
from benchmarks.polymodel_calibration.universe import EXPOSURES, PLANTED


def ratio(record, kind, field="svar"):
    mask = record["kind"] == kind
    return record[field][mask] / record["var"][mask]


def show_ratios(title, grid, records, field="svar"):
    print(f"\n{title}\n")
    table = []
    for settings, record in zip(grid, records, strict=True):
        none = ratio(record, "none", field)
        errors = np.concatenate([np.abs(ratio(record, kind, field) - 1.0) for kind in PLANTED])
        shares = [share(none > 2.0, np.isfinite(none)), f"{(none > 2.0).mean():.1%}"]
        shares.append(share(errors <= 0.25, np.isfinite(errors)))
        cells = [spread(ratio(record, kind, field)) for kind in EXPOSURES]
        table.append([*label(settings), *cells, *shares])
    names = ["none: over 2", "of all none", "planted: within 25%"]
    markdown([*LABELS, *EXPOSURES, *names], table)


def show_selection(title, grid, records):
    print(f"\n{title}\n")
    table = []
    for settings, record in zip(grid, records, strict=True):
        none = record["kind"] == "none"
        row = label(settings)
        row += [f"{(record['selected'][k] == 0).mean():.0%}" for k in (none, ~none)]
        row += [f"{record['hit'][record['kind'] == kind].mean():.0%}" for kind in PLANTED]
        for mask in (none, ~none):
            row += [f"{record[k][mask].mean():.2f}" for k in ("false", "expected_false")]
        row.append(f"{(record['false'] / np.maximum(record['selected'], 1)).mean():.0%}")
        table.append([*row, *(lta_error(record, kind) for kind in EXPOSURES)])
    names = ["no selection: none", "planted", *(f"finds {kind}" for kind in PLANTED)]
    names += ["false: none", "published", "false: planted", "published", "false share"]
    markdown([*LABELS, *names, *(f"LTA, {kind}" for kind in EXPOSURES)], table)


def lta_error(record, kind):
    """Mean error and root mean squared error, % a month."""
    mask = record["kind"] == kind
    error = 100 * (record["lta"] - record["mean"])[mask]
    return f"{np.nanmean(error):+.2f} ({np.sqrt(np.nanmean(error**2)):.2f})"


def quantiles(values, levels, form="{:.3f}"):
    return [form.format(q) for q in np.nanquantile(values, levels)]


def spread(values):
    known = values[np.isfinite(values)]
    if not len(known):
        return "-"
    low, middle, high = np.quantile(known, [0.05, 0.5, 0.95])
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def share(hits, among):
    return f"{hits[among].mean():.0%}" if among.any() else "-"


def markdown(names, rows):
    print("| " + " | ".join(names) + " |")
    print("|" + "---|" * len(names))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def progress(title, done, total):
    print(f"{title}: {done + 1} of {total}", file=sys.stderr, flush=True)
