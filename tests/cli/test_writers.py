"""One run at a time writes a home; whoever only looks is never in the way."""

from pathlib import Path

import pytest

from finembed_core.files import lock
from finembed_dagster.lock import LOCK_FILE
from tests.study_runs import finembed, store_bytes


def test_a_second_run_is_told_and_touches_nothing(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (study / "home" / "store" / "predictions").glob("1994-12*"):
        path.unlink()
    before = store_bytes(study / "home")
    with lock(study / "home" / LOCK_FILE, wait=False):
        assert finembed("run") == 2
        message = capsys.readouterr().err
        assert "another run is writing this home" in message
        assert str(study / "home") in message and "wait" in message
        assert store_bytes(study / "home") == before
    assert finembed("run") == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["query", "select * from leaderboard"],
        ["export", "metrics", "metrics.csv"],
        ["doctor"],
        ["rebalance", "--month", "1994-12"],
    ],
)
def test_looking_needs_no_turn(study: Path, arguments: list[str]) -> None:
    with lock(study / "home" / LOCK_FILE, wait=False):
        assert finembed(*arguments) == 0
