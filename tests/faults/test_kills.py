"""Killed at any moment, a study is gone on with to the bytes of one that nobody disturbed."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.harness import Zygote, write_study, zygote
from tests.faults.lives import live
from tests.faults.stages import STAGES


@pytest.fixture(scope="module")
def processes() -> Iterator[Zygote]:
    with zygote() as made:
        yield made


@pytest.fixture(scope="module")
def undisturbed(
    processes: Zygote, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, int]]:
    folder = write_study(tmp_path_factory.mktemp("kills") / "undisturbed")
    ended = processes.run(folder)
    assert ended.code == 0, (folder / "output.txt").read_text()
    assert set(STAGES) <= set(ended.events), "a stage that is not there cannot be killed"
    return folder, ended.events


def test_a_home_that_is_killed_in_the_middle_three_times(
    processes: Zygote, undisturbed: tuple[Path, dict[str, int]], tmp_path: Path
) -> None:
    stages = ("ingest", "polymodel", "publish")
    life = live(processes, tmp_path / "study", *undisturbed, stages, seed=1)
    assert life.difference == ""
    assert life.kills.total() == 3


@pytest.mark.slow
def test_fifty_kills_over_all_stages(
    processes: Zygote, undisturbed: tuple[Path, dict[str, int]], tmp_path: Path
) -> None:
    kills: Counter[str] = Counter()
    for seed in range(6):
        life = live(processes, tmp_path / f"study_{seed}", *undisturbed, STAGES, seed)
        assert life.difference == "", f"seed {seed}"
        kills += life.kills
    assert kills.total() >= 50
    assert set(kills) == set(STAGES), "a stage was spared"
