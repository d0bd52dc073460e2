"""FRED-MD files: vintages told by their names, codes that describe the series, clear complaints."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from finembed_core.errors import InputError, SettingsError
from finembed_core.settings import Settings
from finembed_core.sources import load
from finembed_core.sources.tables import InputTables
from tests.sources.fred_md_files import INDPRO, study, write_vintage

CODES = {"INDPRO": 5, "VXOCLSx": 1, "VIXCLSx": 1, "FEDFUNDS": "2.0", "NEW": 6}


def loaded(tmp_path: Path, path: str = "v/*.csv", **entry) -> InputTables:
    settings = study(tmp_path, tmp_path / path, "2019-06", "2019-09")
    spec = settings.dataset.files.series_observations[0].model_copy(update=entry)
    files = settings.dataset.files.model_copy(update={"series_observations": [spec]})
    return load(settings.dataset.model_copy(update={"files": files}))


def described_by(tmp_path: Path, own: str) -> pl.DataFrame:
    """The series of all vintages, some of which the user describes."""
    (tmp_path / "series.csv").write_text(own)
    tree = study(tmp_path, tmp_path / "v/*.csv", "2019-06", "2019-09").model_dump()
    tree["dataset"]["files"]["series"] = {"path": str(tmp_path / "series.csv")}
    return load(Settings.model_validate(tree).dataset).series


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Two vintages: VXOCLSx is renamed, FEDFUNDS ends, NEW begins."""
    old = {"INDPRO": INDPRO["2019-10"], "VXOCLSx": [15.0] * 6, "FEDFUNDS": [2.4] * 5 + [None]}
    new = {"INDPRO": INDPRO["2023-06"], "VIXCLSx": [14.0] * 7, "NEW": range(7)}
    write_vintage(tmp_path / "v", "2019-10", CODES, old, "2019-04")
    write_vintage(tmp_path / "v", "fredmd_2023-06-md", CODES, new, "2019-04")
    return tmp_path


def test_every_cell_is_an_observation_of_its_vintage(two):
    rows = loaded(two).series_observations
    assert rows.height == 17 + 21  # an empty cell is none
    july = rows.filter((pl.col("series_id") == "INDPRO") & (pl.col("date") == dt.date(2019, 7, 1)))
    assert july.sort("vintage").select("vintage", "value", "available_at").rows() == [
        (dt.date(2019, 10, 31), 109.1045, None),  # the first: known since date + lag
        (dt.date(2023, 6, 30), 102.0236, dt.date(2023, 6, 30)),
    ]


def test_the_codes_describe_the_series(two):
    series = loaded(two).series
    assert dict(series.select("series_id", "transform").iter_rows()) == {
        "INDPRO": "5",
        "VIXCLSx": "1",
        "FEDFUNDS": "2",
        "NEW": "6",
    }
    assert series["roles"].to_list() == [["macro"]] * 4
    aliases = dict(series.select("series_id", "aliases").iter_rows())
    assert aliases["VIXCLSx"] == ["VXOCLSx"]
    assert aliases["NEW"] == []


def test_a_later_code_changes_nothing_and_the_users_own_words_count(two):
    later = {name: [1.0] for name in ("INDPRO", "NEW")}
    write_vintage(two / "v", "2024-01", {"INDPRO": 6, "NEW": 1}, later, "2019-04")
    own = "series_id,roles,kind,transform\nNEW,macro|risk_factor,index,3\n"
    series = described_by(two, own)
    codes = dict(series.select("series_id", "transform").iter_rows())
    assert (codes["INDPRO"], codes["NEW"], series["series_id"].is_duplicated().any()) == (
        "5",
        "3",
        False,
    )


def test_what_the_user_describes_keeps_its_former_name(two):
    own = "series_id,roles,kind,transform,aliases\nVIXCLSx,macro,level,1,FEAR\n"
    series = described_by(two, own)
    aliases = dict(series.select("series_id", "aliases").iter_rows())
    assert aliases["VIXCLSx"] == ["FEAR", "VXOCLSx"]
    assert "VXOCLSx" not in aliases


def test_a_trailing_comma_and_a_blank_behind_a_name_are_read(two):
    plain = loaded(two).series_observations
    for file in (two / "v").glob("*.csv"):
        lines = file.read_text().replace("sasdate", "sasdate ").splitlines()
        file.write_text("".join(f"{line},\n" for line in lines))
    assert loaded(two).series_observations.equals(plain)


def test_a_constant_names_the_vintage_of_a_file_that_does_not(tmp_path):
    write_vintage(tmp_path / "v", "current", CODES, {"INDPRO": [1.0, 2.0]}, "2019-04")
    for given in (dt.date(2019, 6, 28), "2019-06-28"):
        rows = loaded(tmp_path, constants={"vintage": given}).series_observations
        assert rows["vintage"].unique().to_list() == [dt.date(2019, 6, 28)]
    with pytest.raises(InputError, match=r"(?s)does not tell its vintage.*current\.csv.*2019-10"):
        loaded(tmp_path)
    for given in ("June", dt.datetime(2019, 6, 28, 12)):
        with pytest.raises(SettingsError, match="names no day"):
            loaded(tmp_path, constants={"vintage": given})


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("date,INDPRO\nTransform:,5\n1/1/2019,1\n", "(?s)no FRED-MD file.*2019-10.csv"),
        ("sasdate,INDPRO\n1/1/2019,1\n", "no FRED-MD file"),
        ("sasdate,INDPRO\nTransform:,8\n1/1/2019,1\n", "(?s)'8' is no transform.*INDPRO"),
        ("sasdate,INDPRO\nTransform:,\n1/1/2019,1\n", "'' is no transform"),
        (
            "sasdate,A,INDPRO\nTransform:,5,5\n1/1/2019,1,2\n2/1/2019,1,n.a.\n",
            "(?s)'n.a.' is not a number.*INDPRO of 2/1/2019",
        ),
        ("sasdate,INDPRO\nTransform:,5\n2019-01-31,1\n", "'2019-01-31' is not a date like"),
    ],
)
def test_faulty_files_are_named(tmp_path, content, complaint):
    file = tmp_path / "v" / "2019-10.csv"
    file.parent.mkdir()
    file.write_text(content)
    with pytest.raises(InputError, match=complaint):
        loaded(tmp_path)


def test_the_layout_is_for_vintages_of_series_alone(two):
    with pytest.raises(SettingsError, match="layout fred_md is for series_observations"):
        loaded(two, columns={"value": "INDPRO"})
    settings = study(two, two / "v/*.csv", "2019-06", "2019-09")
    tree = settings.model_dump()
    tree["dataset"]["files"]["fund_observations"] = [
        {"path": str(two / "v/2019-10.csv"), "layout": "fred_md"}
    ]
    with pytest.raises(SettingsError, match="layout fred_md is for series_observations"):
        load(type(settings).model_validate(tree).dataset)
