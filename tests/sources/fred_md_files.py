"""FRED-MD files in small, and a study of invented funds beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from finembed_core.calendar import Month, month_range
from finembed_core.settings import Settings

INDPRO = {
    "2019-10": (108.0, 108.3, 109.0, 109.1045, 109.9431, 109.5174),
    "2023-06": (101.8, 101.6, 101.9, 102.0236, 102.7754, 102.5315, 101.8),
}
"""Industrial production from April 2019 on; July to September as the two vintages print it."""


def write_vintage(
    folder: Path, name: str, codes: Mapping[str, object], values: Mapping[str, Sequence], first: str
) -> Path:
    """One file as it is downloaded: header, codes, months from `first` on, a line of commas."""
    months = len(next(iter(values.values())))
    lines = ["sasdate," + ",".join(values), "Transform:," + ",".join(str(codes[k]) for k in values)]
    for k in range(months):
        day = (Month.parse(first) + k).start
        cells = ("" if row[k] is None else str(row[k]) for row in values.values())
        lines.append(f"{day.month}/{day.day}/{day.year}," + ",".join(cells))
    lines.append("," * len(values))
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.csv"
    file.write_text("\r\n".join(lines) + "\r\n")
    return file


def study(folder: Path, vintages: Path | str, first: str, last: str, **macro) -> Settings:
    """Settings of two invented funds and the vintages that a path names."""
    months = month_range(Month.parse(first) - 2, Month.parse(last))
    draw = np.random.default_rng(1)
    rows = [f"{f},{m.end},{draw.normal(0.0, 0.02)!r}" for f in "AB" for m in months]
    funds = folder / "funds.csv"
    funds.write_text("fund_id,date,ret\n" + "\n".join(rows) + "\n")
    return Settings.model_validate(
        {
            "dataset": {
                "source": "files",
                "first_month": first,
                "last_month": last,
                "files": {
                    "fund_observations": [{"path": str(funds)}],
                    "series_observations": [{"path": str(vintages), "layout": "fred_md"}],
                },
            },
            "macro": macro,
        }
    )
