"""`finembed init`: a commented settings file for the user's own tables."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import yaml

from finembed_core.errors import FinembedError
from finembed_core.settings import Section, Settings

HEADER = """\
# finembed settings. Everything that changes a number stands here; absent means default.
# Paths are relative to this file. Look at the result of a change with `finembed doctor`,
# then compute with `finembed run`.

dataset:
  source: files              # packaged: real data that come along; simulated: invented
  profile: hedge_funds       # funds report 15 days after the month; liquid: at its end
  # first_month: 2005-01     # first month to decide, else that of the data; what came before it
  # last_month: 2024-12      # serves as long history
  files:
    # Required: returns (`ret`, decimal: 0.01 is 1%) or net asset values (`nav`), daily or monthly.
    fund_observations:
      - path: data/fund_returns.csv      # a file, a glob (data/returns/*.parquet), a folder
        columns: {fund_id: fund_id, date: date, ret: ret}   # our name: the file's
        # A matrix of dates x funds instead of long rows:
        # layout: wide
        # value_column: ret              # or nav, aum
    # Optional attributes, one row per fund: fund_id, name, category, currency, inception,
    # death_date, death_reason, notice_days, ... Without it every fund is eligible alike.
    # funds: {path: data/funds.csv}
    # Risk factors, macro series, benchmark, risk-free rate. Without risk factors PolyModel selects
    # nothing, without a rate cash earns nothing; the study still runs and says so.
    series_observations:
      - path: data/series.csv            # series_id, date, value; vintage, available_at
    # What each series is. roles: risk_factor, macro, benchmark, risk_free (several joined by |);
    # kind: return, level, yield or index; transform: none, diff, log_diff, pct_change, ... or 1-7.
    series: {path: data/series_attributes.csv}
    # Daily returns or NAVs of some funds, for embeddings; the market beside them is a daily series
    # (embeddings.market). Without them nothing is embedded, and the rest runs as ever.
    # daily_observations:
    #   - path: data/daily_navs.parquet  # fund_id, date, nav or ret; available_at
    # daily_funds: {path: data/daily_funds.csv}   # their attributes, where `funds` lacks them
"""

PAIRS = """\
# Statistics of every pair of fund and factor, not only of those selected, for queries. None are
# kept unless asked for: 10,000 funds times 300 factors are some 0.15 GB a month.
# pairs:
#   first_month: 2007-01
#   last_month: 2009-12      # null: as far as the data go
#   funds: null              # or a list of names; null is all
#   factors: null
#   columns: null            # such as [r2, p_value, svar]; docs/polymodel_pairs.md has them all
"""

EXAMPLES = {
    "fund_returns.csv": "fund_id,date,ret\n",
    "series.csv": "series_id,date,value\n",
    "series_attributes.csv": "series_id,name,roles,kind,transform,frequency\n",
}


def write_settings(folder: Path) -> list[Path]:
    """Write ``finembed.yaml`` and empty tables with the right header into `folder`.

    Raises
    ------
    FinembedError
        A settings file is already there, or the folder cannot be written.
    """
    try:
        return _write(folder)
    except OSError as error:
        raise FinembedError(
            f"the settings cannot be written: {error.strerror}",
            where=str(error.filename or folder),
            remedy="choose a folder that can be written",
        ) from None


def _write(folder: Path) -> list[Path]:
    target = folder / "finembed.yaml"
    if target.exists():
        raise FinembedError(
            "there is a settings file already",
            where=str(target),
            remedy="edit it, or choose another folder",
        )
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    target.write_text(HEADER + "\n" + _commented_defaults())
    written = [target]
    for name, header in EXAMPLES.items():
        if not (data / name).exists():
            (data / name).write_text(header)
            written.append(data / name)
    return written


def _commented_defaults() -> str:
    blocks = []
    for name, section in Settings():
        if name == "pairs":
            blocks.append(PAIRS)
        elif name != "dataset":
            blocks.append(
                _comment(_first_paragraph(section)) + _comment(_yaml({name: _plain(section)}))
            )
    return "\n".join(blocks)


def _plain(section: Section) -> dict[str, Any]:
    return section.model_dump(mode="json")


def _yaml(tree: dict[str, Any]) -> str:
    return yaml.safe_dump(tree, sort_keys=False, default_flow_style=False)


def _first_paragraph(section: Section) -> str:
    return (inspect.getdoc(type(section)) or "").split("\n\n")[0] + "\n"


def _comment(text: str) -> str:
    return "".join(f"# {line}\n" for line in text.splitlines())
