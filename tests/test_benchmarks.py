"""The smallest unit of every benchmark of the embeddings runs, so that none rots unseen."""

import json
import math

import numpy as np
import pytest

from benchmarks import encoders, ensemble, fund_texts, objectives
from finembed_core.settings import ENCODERS, Settings

pytestmark = pytest.mark.usefixtures("alone")


@pytest.mark.parametrize("kind", ensemble.KINDS)
def test_seeds_together(kind, monkeypatch):
    monkeypatch.setattr(ensemble, "REPEATS", 1)
    *seconds, apart = ensemble.compare(kind, 2, 64)
    assert min(seconds) > 0.0
    assert apart < 1e-5


@pytest.mark.parametrize("encoder", ENCODERS)
def test_all_funds_by_stage(encoder, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    took = encoders.all_funds(encoder, 20)
    assert list(took)[:4] == ["cut", "facts", "sheet", "windows"]
    assert np.min(list(took.values())) >= 0.0


def test_the_default_size_is_that_of_the_settings():
    """It goes to the other interpreter as text, and a step of training is taken there."""
    size = json.loads(json.dumps(encoders.size_of("default")))
    assert Settings().embeddings.encoder.model_dump().items() <= size.items()
    assert size["channels"] == 2 + Settings().macro.n_components
    assert size["lookback"] == Settings().embeddings.lookback
    encoders.stepper("ours", "patchtst", size)()


def test_characteristics_of_funds(capsys):
    fund_texts.numbers(20)
    assert "characteristics of 20 funds at a session" in capsys.readouterr().out


def test_objectives(capsys):
    objectives.sorting([8])
    objectives.steep(1)
    objectives.weights([12])
    numbers = [float(word) for word in _words(capsys.readouterr().out)]
    assert len(numbers) == 4 + 4 * 6 + 3 * 4
    assert all(map(math.isfinite, numbers))


def _words(text: str) -> list[str]:
    """Numbers in rows of a table, without the last column where that is a range."""
    rows = [line.split() for line in text.splitlines() if line.split()[0][0].isdigit()]
    return [word for row in rows for word in row if "-" not in word[1:] or "e" in word]
