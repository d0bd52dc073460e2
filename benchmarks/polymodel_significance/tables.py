"""Markdown tables, progress, and the interval of a share."""

import numpy as np
from rich.console import Console
from rich.progress import track
from scipy import special


def table(title, header, rows):
    print(f"\n{title}\n")
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")


def progress(items, label):
    return track(list(items), label, console=Console(stderr=True))


def joined(arrays):
    return np.concatenate([np.ravel(array) for array in arrays])


def interval(count, trials, level):
    """Clopper and Pearson's interval of a share."""
    tail = (1.0 - level) / 2.0
    count = np.asarray(count, dtype=float)
    low = np.where(count > 0, special.betaincinv(np.maximum(count, 1), trials - count + 1, tail), 0)
    rest = np.maximum(trials - count, 1)
    high = np.where(count < trials, special.betaincinv(count + 1, rest, 1 - tail), 1)
    return low, high


def rate(rejected):
    low, high = interval(rejected.sum(), len(rejected), 0.95)
    return f"{100 * rejected.mean():.2f} [{100 * low:.2f}, {100 * high:.2f}]"
