"""Clocks, time zones, locales, other readers and writers: none of them moves a byte."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from finembed_core.files import lock
from finembed_core.home import Home
from finembed_dagster.lock import LOCK_FILE
from tests.faults.harness import ROOT, left_in_dagster
from tests.study_runs import finembed, store_bytes

READER = """\
import sys
import duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
print("open", flush=True)
sys.stdin.readline()
print(connection.execute("select count(*) from returns").fetchone()[0], flush=True)
"""
EPOCH, FAR = 0.0, 4_102_444_800.0  # 1970 and 2100


def set_clock_of(home: Path, seconds: float) -> None:
    for path in (home / "store").rglob("*"):
        os.utime(path, (seconds, seconds))


@pytest.mark.parametrize("seconds", [EPOCH, FAR], ids=["1970", "2100"])
def test_file_times_of_any_year_leave_a_study_current(
    study: Path, capsys: pytest.CaptureFixture[str], seconds: float
) -> None:
    before = store_bytes(study / "home")
    set_clock_of(study / "home", seconds)
    assert finembed("run") == 0
    assert "everything is current" in capsys.readouterr().out
    assert store_bytes(study / "home") == before
    assert finembed("query", "select year(created_at) as made from latest_run") == 0
    assert time.strftime("%Y", time.gmtime(seconds)) in capsys.readouterr().out


def test_a_clock_that_was_set_back_does_not_hide_the_run_just_made(study: Path) -> None:
    (first,) = Home(study / "home").store.keys("runs")
    set_clock_of(study / "home", FAR)
    text = (study / "finembed.yaml").read_text().replace("strategies: [sa,", "strategies: [")
    (study / "finembed.yaml").write_text(text)
    assert finembed("run") == 0
    with duckdb.connect(str(study / "home" / "warehouse.duckdb"), read_only=True) as warehouse:
        listed = warehouse.execute("SELECT run_id FROM runs ORDER BY created_at DESC").fetchall()
        latest = warehouse.execute("SELECT run_id FROM latest_run").fetchone()
    assert listed[0] == (first,), "by file times the old run is the newer one"
    assert latest is not None and latest[0] != first, "views show the run that was just made"


def test_who_holds_the_warehouse_open_reads_on_while_it_is_published(study: Path) -> None:
    warehouse = study / "home" / "warehouse.duckdb"
    own = duckdb.connect(str(warehouse), read_only=True)
    pipe = subprocess.PIPE
    with (
        own,
        subprocess.Popen(
            [sys.executable, "-c", READER, str(warehouse)], stdin=pipe, stdout=pipe, text=True
        ) as other,
    ):
        assert other.stdin is not None and other.stdout is not None
        assert other.stdout.readline() == "open\n"
        rows = own.execute("select count(*) from returns").fetchone()
        before = warehouse.stat().st_ino
        set_clock_of(study / "home", FAR)  # another `created_at`: published anew
        assert finembed("run") == 0
        assert warehouse.stat().st_ino != before
        assert own.execute("select count(*) from returns").fetchone() == rows
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.stdout.readline() == f"{rows[0] if rows else 0}\n"


def command(folder: Path, home: str, *arguments: str) -> list[str]:
    study = ["--home", str(folder / home), "--settings", str(folder / "finembed.yaml")]
    return [sys.executable, "-m", "finembed_dagster.cli", *arguments, *study]


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"TZ": "Pacific/Kiritimati"},
        {"TZ": "America/St_Johns", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["far east", "half an hour, ASCII"],
)
def test_no_time_zone_and_no_locale_moves_a_byte(study: Path, environment: dict[str, str]) -> None:
    run = command(study, "elsewhere", "run")
    ended = subprocess.run(run, cwd=ROOT, env=os.environ | environment, capture_output=True)
    assert ended.returncode == 0, ended.stderr.decode()
    assert store_bytes(study / "elsewhere") == store_bytes(study / "home")
    again = subprocess.run(run, cwd=ROOT, env=os.environ | {"TZ": "UTC"}, capture_output=True)
    assert b"everything is current" in again.stdout


@pytest.mark.slow
def test_two_runs_at_once_make_one_study(study: Path) -> None:
    pipe = subprocess.PIPE
    run = command(study, "fresh", "run")
    both = [subprocess.Popen(run, cwd=ROOT, stdout=pipe, stderr=pipe) for _ in range(2)]
    told = [process.communicate()[1].decode() for process in both]
    assert sorted(process.returncode for process in both) == [0, 2], told
    assert any("another run is writing this home" in line for line in told)
    assert store_bytes(study / "fresh") == store_bytes(study / "home")
    assert left_in_dagster(study / "fresh") == ""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["SIGTERM", "SIGHUP", "closed output"])
def test_a_run_that_loses_its_terminal_is_gone_on_with(study: Path, how: str) -> None:
    pipe = subprocess.PIPE
    run = command(study, "fresh", "run")
    with subprocess.Popen(
        run, cwd=ROOT, stdout=pipe, stderr=pipe, start_new_session=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        features = study / "fresh" / "store" / "polymodel_features"
        while len(list(features.glob("*.json"))) < 5:
            assert process.poll() is None
            time.sleep(0.02)
        if how == "closed output":
            process.stdout.close()
            process.stderr.close()
        else:
            process.send_signal(signal.Signals[how])
        code = process.wait(120)
    if how != "closed output":
        assert code in (130, -signal.Signals[how])
    assert finembed("run", "--home", study / "fresh") == 0
    assert store_bytes(study / "fresh") == store_bytes(study / "home")
    assert left_in_dagster(study / "fresh") == ""
    lock(study / "fresh" / LOCK_FILE, wait=False).close()
