"""Killed at any moment, a study is gone on with to the bytes of one that nobody disturbed."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.harness import Zygote, zygote
from tests.faults.lives import STUDIES, live, undisturbed


@pytest.fixture(scope="module")
def processes() -> Iterator[Zygote]:
    with zygote() as made:
        yield made


def test_a_home_that_is_killed_in_the_middle_three_times(processes: Zygote, tmp_path: Path) -> None:
    whole = undisturbed(processes, STUDIES["monthly"], tmp_path / "undisturbed")
    stages = ("ingest", "polymodel", "publish")
    life = live(processes, whole, tmp_path / "study", seed=1, stages=stages)
    assert life.difference == ""
    assert life.kills.total() == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_homes_that_are_killed_in_every_stage(name: str, processes: Zygote, tmp_path: Path) -> None:
    study = STUDIES[name]
    whole = undisturbed(processes, study, tmp_path / "undisturbed")
    kills: Counter[str] = Counter()
    for seed in range(study.lives):
        life = live(processes, whole, tmp_path / f"study_{seed}", seed)
        assert life.difference == "", f"seed {seed}"
        kills += life.kills
    assert set(kills) == set(study.stages), "a stage was spared"
    assert kills.total() >= 0.9 * study.lives * len(study.stages)
