"""`finembed prove-point-in-time`: on a finished study, and what keeps it from proving."""

from pathlib import Path

import pytest

from finembed_core.store import PartStore
from finembed_dagster.cli import prove
from tests.study_runs import finembed, store_bytes

PROVED = "1990-06"


def test_a_clean_study_is_proved_and_left_alone(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = PartStore(study / "home" / "store")
    store.write("trend_model_lightgbm", "1990-01", files={"txt": b"of settings that were"})
    (store.root / "universe" / "mine").mkdir()
    before = store_bytes(study / "home")
    there = sorted(path.name for path in study.iterdir())
    assert finembed("prove-point-in-time", "--month", PROVED) == 0
    said = capsys.readouterr().out
    assert f"nothing up to {PROVED} depends on anything later" in said
    for asset in ("fund_observations", "macro_factors", "universe", "warehouse, tables"):
        assert asset in said
    assert store_bytes(study / "home") == before
    assert sorted(path.name for path in study.iterdir()) == there


def test_a_leak_is_named_with_its_first_month(
    study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part of a month is not what its data give, so its content differs from there on."""
    store = PartStore(study / "home" / "store")
    part = store.manifest("universe", "1990-03")
    assert part is not None
    store.write(
        "universe",
        "1990-03",
        store.read("universe", "1990-03").reverse(),
        inputs=part.inputs,
        settings=part.settings,
        code=part.code,
        notes=part.notes,
    )
    monkeypatch.setattr(prove, "_beside", lambda study: None)  # as where nothing can be written
    assert finembed("prove-point-in-time", "--month", "1990-04") == prove.LEAKS
    said = capsys.readouterr().out
    assert "leak: universe of 1990-03 knows the future" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--month", "1985-01"], "1985-01 cannot be proved"),
        (["--month", "2040-01"], "months that can: "),
        (["--home", "nowhere"], "there is no home folder yet"),
    ],
)
def test_what_cannot_be_proved_is_said(
    study: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finembed("prove-point-in-time", *arguments) == 2
    assert message in capsys.readouterr().err


def test_a_study_that_is_not_current_is_refused(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = study / "finembed.yaml"
    settings.write_text(settings.read_text().replace("window: 18", "window: 24"))
    assert finembed("prove-point-in-time") == 2
    said = capsys.readouterr().err
    assert "is missing or stale" in said and "finembed run" in said
    settings.write_text(settings.read_text().replace("seed: 3", "seed: 4"))
    assert finembed("prove-point-in-time") == 2
    assert "the data have changed" in capsys.readouterr().err
