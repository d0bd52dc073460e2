"""A study whose every id, name and category tries to be something else than a text."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import polars as pl
import yaml

from finembed_core.calendar import Month
from tests.embedding_study import MONTHLY

SCRIPT = "<script>alert('a')</script>"
IMAGE = "</script><img src=x onerror=alert(1)>"
TEXTS = (
    'O\'Brien "&" Sons',
    "'; DROP TABLE funds; --",
    "\"; ATTACH 'x.db'; --",
    "../../../etc/passwd",
    "a/b\\c",
    "line\nbreak",
    SCRIPT,
    IMAGE,
    "{{7*7}} ${HOME} %s %(x)s",
    "[red]markup[/red] [/] [link=http://x]",
    "\x1b[31mescape\x07",
    '=HYPERLINK("http://x")',
    "+1",
    "-2+3",
    "@SUM(A1)",
    "CON",
    "caf\u00e9",
    "cafe\u0301",
    "\u0645\u062f\u064a\u0631",
    "\u202egnp.exe",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "*?[a-z]",
    "a|b,c;d",
    "x" * 300,
)
UNSEEN = ("line\nbreak", "\x1b[31mescape\x07", "cafe\u0301", "\u202egnp.exe")
"""Refused as ids (tests/faults/corpus_text.py), hence names of funds with plain ids."""
IDS = tuple(f"odd {k}" if text in UNSEEN else text for k, text in enumerate(TEXTS))
NAMES = frozenset(unicodedata.normalize("NFC", text) for text in TEXTS)
FACTORS = (SCRIPT, "'; DROP TABLE series; --", "../x[red]", "a|b")
MONTHS, LAST = 44, "2003-08"
SETTINGS = MONTHLY | {"polymodel": MONTHLY["polymodel"] | {"alpha": 0.5, "min_obs": 12}}


def write_study(folder: Path) -> Path:
    """Tables and ``finembed.yaml`` in a folder; returns the settings file."""
    draw = np.random.default_rng(1)
    months = [(Month.parse("2000-01") + k).end for k in range(MONTHS)]
    moves = draw.normal(0.005, 0.04, (MONTHS, len(FACTORS)))
    returns = moves @ draw.random((len(FACTORS), len(TEXTS))) / 2
    returns += draw.normal(0.0, 0.01, returns.shape)
    _long(IDS, months, returns, "fund_id", "ret").write_csv(folder / "returns.csv")
    _long(FACTORS, months, moves, "series_id", "value").write_csv(folder / "values.csv")
    same = dict.fromkeys(("name", "category", "domicile", "description"), TEXTS)
    pl.DataFrame({"fund_id": IDS} | same).write_csv(folder / "funds.csv")
    roles = ["risk_factor|macro|benchmark", *["risk_factor|macro"] * (len(FACTORS) - 1)]
    pl.DataFrame({"series_id": FACTORS, "name": FACTORS, "roles": roles}).with_columns(
        kind=pl.lit("return"), transform=pl.lit("none"), frequency=pl.lit("monthly")
    ).write_csv(folder / "series.csv")
    files = {
        "fund_observations": [{"path": "returns.csv"}],
        "funds": {"path": "funds.csv"},
        "series_observations": [{"path": "values.csv"}],
        "series": {"path": "series.csv"},
    }
    dataset = {"source": "files", "name": f"{SCRIPT} [red]'; --", "files": files}
    target = folder / "finembed.yaml"
    target.write_text(yaml.safe_dump(SETTINGS | {"dataset": dataset}, sort_keys=False))
    return target


def _long(ids, months, values: np.ndarray, name: str, value: str) -> pl.DataFrame:
    """One row per id and month."""
    return pl.DataFrame(
        {
            name: np.repeat(ids, len(months)).tolist(),
            "date": list(months) * len(ids),
            value: values.T.ravel(),
        }
    )
