"""Doctor finds all damage and changes nothing; with --repair the next run makes it whole."""

import shutil
from pathlib import Path

import pytest

from finembed_core.files import lock
from finembed_core.home import Home
from finembed_core.repair import examine
from finembed_core.settings import Settings, load_settings
from finembed_dagster.lock import LOCK_FILE
from tests.faults.damage import (
    MENDED,
    Damage,
    damaged_run,
    damaged_run_log,
    flip,
    flipped_manifest,
    flipped_part,
    lost_manifest,
    lost_part,
    lost_stamp,
    misplaced_manifest,
    truncated_manifest,
    truncated_part,
)
from tests.study_runs import finembed, store_bytes

ALONE = sorted(set(MENDED) - {"damaged_run_log"})
TOGETHER = sorted(set(MENDED) - {"damaged_stamp", "lost_part", "damaged_run", "damaged_warehouse"})
"""Neither over each other nor in the way of the run that names the remedy."""


@pytest.fixture
def settings(study: Path) -> Settings:
    return load_settings(study / "finembed.yaml")


@pytest.fixture(scope="module")
def damaged(finished_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished study that all kinds of damage come over, one after the other."""
    return Path(shutil.copytree(finished_study, tmp_path_factory.mktemp("damaged") / "study"))


def everything(home: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(home.rglob("*")) if p.is_file()}


def repair(home: Path, settings: Settings) -> list[str]:
    findings = examine(Home(home), settings).findings
    for finding in findings:
        if finding.mend:
            finding.mend()
    return [finding.where for finding in findings]


@pytest.mark.parametrize("damage", [MENDED[name] for name in ALONE], ids=ALONE)
def test_each_damage_is_found_alone_and_is_gone_once_mended(damaged: Path, damage: Damage) -> None:
    home, settings = damaged / "home", load_settings(damaged / "finembed.yaml")
    touched = damage(home)
    before = everything(home)
    (found,) = examine(Home(home), settings).findings
    assert everything(home) == before, "looking changed something"
    assert found.wrong and found.mend is not None
    assert Path(found.where).name.partition("@")[0].removesuffix(".json") in str(touched)
    assert repair(home, settings) == [found.where]
    assert examine(Home(home), settings).findings == []


def test_a_sound_home_has_no_findings_and_every_byte_was_compared(
    study: Path, settings: Settings
) -> None:
    found = examine(Home(study / "home"), settings)
    assert found.findings == []
    store = Home(study / "home").store
    contents = list(store.root.rglob("*@*"))
    assert found.size == sum(path.stat().st_size for path in contents)
    assert found.parts == sum(len(store.keys(table)) for table in store.tables())


def test_what_a_user_put_there_is_named_and_stays(study: Path, settings: Settings) -> None:
    home = study / "home"
    mine = [
        home / "store" / "notes.txt",
        home / "store" / "predictions" / "remarks.json",
        home / "store" / "predictions" / "me@home.txt",
        home / "store" / "my_table" / "a.csv",
    ]
    mine[-1].parent.mkdir()
    for path in mine:
        path.write_text("mine")
    (home / "reports" / "holdings.csv").write_text("mine")
    findings = examine(Home(home), settings).findings
    assert {finding.where for finding in findings} == {str(path) for path in mine}
    assert not any(finding.wrong or finding.mend for finding in findings)
    assert finembed("doctor", "--repair") == 0
    assert all(path.read_text() == "mine" for path in mine)
    assert (home / "reports" / "holdings.csv").exists()


@pytest.mark.parametrize(
    ("was", "is_now"), [("seeds: [1]", "seeds: [2]"), ("seed: 3", "seed: 4")], ids=["model", "data"]
)
def test_a_damaged_run_of_other_settings_or_data_is_its_owners_to_forget(
    was: str, is_now: str, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next run would be another: nothing computes that one again."""
    text = (study / "finembed.yaml").read_text()
    assert was in text
    (study / "other.yaml").write_text(text.replace(was, is_now))
    touched = damaged_run(study / "home")
    assert finembed("doctor", "--repair", "--settings", study / "other.yaml") == 2
    told = " ".join(capsys.readouterr().out.split())
    assert "wrong:" in told
    assert f"finembed runs prune {touched.name.partition('@')[0]} --yes" in told
    assert touched.exists()


def test_a_damaged_run_of_now_waits_until_its_inputs_are_whole(
    study: Path, settings: Settings
) -> None:
    home = study / "home"
    run = damaged_run(home)
    truncated_part(home)
    part, run_found = examine(Home(home), settings).findings
    assert part.mend is not None
    assert run_found.mend is None and "this again" in run_found.done
    assert Path(run_found.where).stem in str(run)


def test_repair_of_everything_then_a_run_gives_the_bytes_of_an_undisturbed_one(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = study / "home"
    whole = store_bytes(home)
    for name in TOGETHER:
        MENDED[name](home)
    assert finembed("run") == 2
    assert "finembed doctor --repair" in capsys.readouterr().err
    assert finembed("doctor") == 2
    out = capsys.readouterr().out
    assert "to mend this: finembed doctor --repair" in out
    assert finembed("doctor", "--repair") == 0
    assert out.count("wrong:") - 1 <= capsys.readouterr().out.count("mended:")
    assert finembed("doctor", "--repair") == 0
    assert "nothing to mend" in capsys.readouterr().out
    assert finembed("run") == 0
    assert store_bytes(home) == whole
    assert finembed("doctor") == 0
    (aside,) = (home / "dagster").rglob("*.damaged")
    assert aside.name == "runs.db.damaged"


def test_parts_without_their_file_or_manifest_are_missing_and_built_by_the_next_run(
    study: Path,
) -> None:
    whole = store_bytes(study / "home")
    for damage in (
        *(lost_part, lost_manifest),
        *(truncated_manifest, flipped_manifest, misplaced_manifest),
    ):
        damage(study / "home")
    assert finembed("run") == 0
    assert store_bytes(study / "home") == whole


def test_repair_waits_for_nobody_and_looking_is_not_in_the_way(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flipped_part(study / "home")
    with lock(study / "home" / LOCK_FILE, wait=False):
        assert finembed("doctor", "--repair") == 2
        assert "another run is writing this home" in capsys.readouterr().err
        assert finembed("doctor") == 0
        told = capsys.readouterr().out
        assert "not examined" in told and "all is well" not in told


def test_a_folder_that_is_no_home_is_left_alone(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (study / "photos").mkdir()
    (study / "photos" / "cat.jpg").write_text("mine")
    assert finembed("doctor", "--repair", "--home", "photos") == 2
    assert "is not a finembed home" in capsys.readouterr().out
    assert [p.name for p in (study / "photos").iterdir()] == ["cat.jpg"]


def test_a_home_of_another_layout_keeps_its_stamp(study: Path) -> None:
    (study / "home" / "home.json").write_text('{"layout": 9}')
    assert finembed("doctor", "--repair") == 2
    assert (study / "home" / "home.json").read_text() == '{"layout": 9}'


def test_a_lost_stamp_and_a_damaged_log_are_told_by_the_run_itself(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lost_stamp(study / "home")
    assert finembed("run") == 2
    assert "finembed doctor --repair" in capsys.readouterr().err
    assert finembed("doctor", "--repair") == 0
    damaged_run_log(study / "home")
    assert finembed("run") == 2
    assert "finembed doctor --repair" in capsys.readouterr().err


def test_flipped_bits_of_a_manifest_are_damage(study: Path, settings: Settings) -> None:
    home = Home(study / "home")
    path = home.store.root / "trend_model_persistence" / "1994-01.json"
    sound = path.read_bytes()
    for place in range(0, len(sound), 7):
        flip(path, place, bit=place % 8)
        assert home.store.manifest(path.parent.name, "1994-01") is None, place
        path.write_bytes(sound)
    assert home.store.manifest(path.parent.name, "1994-01") is not None
