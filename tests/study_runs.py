"""A small simulated study, computed once per test session by the command line itself."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from finembed_dagster.cli import main

SETTINGS = """\
dataset:
  source: simulated
  profile: hedge_funds
  simulated: {funds: 10, months: 60, factors: 4, seed: 3}
polymodel: {selection: absolute, alpha: 0.1, window: 18, min_obs: 12, min_factor_history: 24}
macro: {min_months: 24, n_components: 2}
learning:
  models: [majority, persistence]
  lookback: 4
  min_train_months: 12
  valid_months: 6
  seeds: [1]
portfolio: {models: [persistence],
  strategies: [sa, wa, topk_drop, gmv_oas, equal_weight_universe, aum_weight_universe, index]}
execution: {mode: serial, workers: 1}
"""
VARIABLES = ("FINEMBED_HOME", "FINEMBED_SETTINGS", "DAGSTER_HOME")


def finembed(*arguments: object) -> int:
    """Exit code of a command, with the environment left as it was."""
    before = {name: os.environ.get(name) for name in VARIABLES}
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def entered(finished: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a finished study as the current folder, its home named by the variable."""
    study = folder / "study"
    shutil.copytree(finished, study)
    monkeypatch.chdir(study)
    monkeypatch.setenv("FINEMBED_HOME", str(study / "home"))
    monkeypatch.delenv("FINEMBED_SETTINGS", raising=False)
    return study


def store_bytes(home: Path) -> dict[str, str]:
    """Hash of every file of a store by its relative path."""
    root = home / "store"
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
