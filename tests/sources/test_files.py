import datetime as dt
import gzip

import polars as pl
import pytest

from finembed_core.calendar import Month
from finembed_core.errors import InputError, SettingsError
from finembed_core.ingest.stage import prepare
from finembed_core.settings import DatasetSettings, FilesSource, Settings, TableFiles
from finembed_core.sources import files, load, month_bounds, opening
from finembed_core.sources.opening import open_table

JAN, FEB = dt.date(2020, 1, 31), dt.date(2020, 2, 29)


def dataset(*funds: TableFiles, **tables) -> DatasetSettings:
    return DatasetSettings(
        source="files", files=FilesSource(fund_observations=list(funds), **tables)
    )


def observed(*funds: TableFiles) -> pl.DataFrame:
    return load(dataset(*funds)).fund_observations.sort("fund_id", "date")


def test_long_csv_with_mapped_columns_and_constants(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("Fonds,Datum,Rendite\n7,31.01.2020,0.01\n7,29.02.2020,\n")
    spec = TableFiles(
        path=str(file),
        columns={"fund_id": "Fonds", "date": "Datum", "ret": "Rendite"},
        constants={"aum": 5, "available_at": dt.date(2020, 3, 1)},
        date_format="%d.%m.%Y",
    )
    assert observed(spec).rows() == [
        ("7", JAN, 0.01, None, 5.0, dt.date(2020, 3, 1), "a.csv"),
        ("7", FEB, None, None, 5.0, dt.date(2020, 3, 1), "a.csv"),
    ]


def test_wide_parquet_has_no_rows_for_empty_cells(tmp_path):
    file = tmp_path / "navs.parquet"
    frame = pl.DataFrame({"day": [JAN, FEB], "A": [10.0, 11.0], "B": [float("nan"), 20.0]})
    frame.write_parquet(file)
    spec = TableFiles(path=str(file), layout="wide", columns={"date": "day"}, value_column="nav")
    rows = observed(spec).select("fund_id", "date", "nav").rows()
    assert rows == [("A", JAN, 10.0), ("A", FEB, 11.0), ("B", FEB, 20.0)]


def test_folder_and_glob_read_all_their_files(tmp_path):
    (tmp_path / "one.csv").write_text("fund_id,date,ret\nA,2020-01-31,0.1\n")
    with gzip.open(tmp_path / "two.csv.gz", "wt") as file:
        file.write("fund_id,date,ret\nB,2020-01-31,0.2\n")
    (tmp_path / "notes.txt").write_text("not data")
    for path in (tmp_path, tmp_path / "*.csv*"):
        assert observed(TableFiles(path=str(path)))["fund_id"].to_list() == ["A", "B"]


def test_whole_float_ids_become_text_without_point(tmp_path):
    file = tmp_path / "f.parquet"
    pl.DataFrame({"fund_id": [7.0, 8.0], "date": [JAN, JAN], "ret": [0.0, 0.1]}).write_parquet(file)
    assert observed(TableFiles(path=str(file)))["fund_id"].to_list() == ["7", "8"]


@pytest.mark.parametrize("text", ["2020-01-31", "20200131", "2020/01/31", "2020-01-31 00:00:00"])
def test_common_dates_need_no_format(tmp_path, text):
    file = tmp_path / "f.csv"
    file.write_text(f"fund_id,date,ret\nA,{text},0.1\n")
    assert observed(TableFiles(path=str(file)))["date"].to_list() == [JAN]


@pytest.mark.parametrize("text", ["2020-01", "202001"])
def test_months_are_dates(tmp_path, text):
    file = tmp_path / "f.csv"
    file.write_text(f"fund_id,date,ret\nA,{text},0.1\n")
    assert observed(TableFiles(path=str(file)))["date"].to_list() == [dt.date(2020, 1, 1)]


def test_series_words_and_attributes(tmp_path):
    (tmp_path / "f.csv").write_text("fund_id,date,ret\nA,2020-01-31,0.1\n")
    (tmp_path / "s.csv").write_text("series_id,roles,kind,aliases\nX,risk_factor|macro,index,Y;Z\n")
    (tmp_path / "a.csv").write_text("fund_id,open_to_new_money,notice_days\nA,No,30\nB,,\n")
    tables = load(
        dataset(
            TableFiles(path=str(tmp_path / "f.csv")),
            series=TableFiles(path=str(tmp_path / "s.csv")),
            funds=TableFiles(path=str(tmp_path / "a.csv"), constants={"currency": "EUR"}),
        )
    )
    assert tables.series["roles"].to_list() == [["risk_factor", "macro"]]
    assert tables.series["aliases"].to_list() == [["Y", "Z"]]
    assert tables.funds["open_to_new_money"].to_list() == [False, None]
    assert tables.funds["notice_days"].to_list() == [30, None]
    assert tables.funds["currency"].to_list() == ["EUR", "EUR"]


def test_first_month_is_found_in_the_data_unless_given(tmp_path):
    file = tmp_path / "f.csv"
    file.write_text("fund_id,date,ret\nA,2020-01-31,0.1\n")
    settings = dataset(TableFiles(path=str(file)))
    assert month_bounds(settings) == (Month.parse("2020-01"), None)
    given = settings.model_copy(update={"first_month": "2021-01", "files": FilesSource()})
    assert month_bounds(given) == (Month.parse("2021-01"), None)


@pytest.mark.parametrize(
    ("content", "changes", "complaint"),
    [
        ("fund_id,date,ret\nA,2020-01-31,0.1\nA,soon,0.1\n", {}, "(?s)'soon' is not a date.*row 3"),
        ("fund_id,date,ret\nA,2020-01-31,5%\n", {}, "(?s)'5%' is not a number.*column ret"),
        ("fund_id,day,ret\nA,2020-01-31,5\n", {}, "(?s)no column 'date'.*fund_id, day, ret"),
        ("fund_id,date\nA,2020-01-31\n", {"columns": {"ret": "r"}}, "no column 'r'"),
        ("fund_id,date,ret\n", {}, "has no rows"),
        ("", {}, "has no rows"),
        ("fund_id,date,ret\nA,2020-01-31,0.1,7,8\n", {}, "cannot be read"),
        ("fund_id,date,ret\nA,01/02/2020,0.1\n", {}, "(?s)is not a date.*date_format"),
    ],
)
def test_structural_faults_name_the_place(tmp_path, content, changes, complaint):
    file = tmp_path / "bad.csv"
    file.write_text(content)
    with pytest.raises(InputError, match=complaint) as caught:
        load(dataset(TableFiles(path=str(file), **changes)))
    assert "bad.csv" in str(caught.value)


def test_missing_file_and_empty_folder(tmp_path):
    with pytest.raises(InputError, match=r"no file nothing\.csv"):
        load(dataset(TableFiles(path=str(tmp_path / "nothing.csv"))))
    with pytest.raises(InputError, match="no CSV or Parquet"):
        load(dataset(TableFiles(path=str(tmp_path))))


def test_a_line_without_end_is_refused_whatever_ends_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "LONGEST_LINE", 64)
    for end in ("\n", "\r\n"):
        (tmp_path / "f.csv").write_text(f"fund_id,date,ret{end}{'x' * 300},2000-01-31,0.1{end}")
        with pytest.raises(InputError, match="without an end of line"):
            open_table(tmp_path / "f.csv")


def test_damaged_parquet_is_explained(tmp_path):
    file = tmp_path / "f.parquet"
    file.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(InputError, match="cannot be read"):
        load(dataset(TableFiles(path=str(file))))


@pytest.mark.parametrize(
    "changes",
    [{"columns": {"return": "ret"}}, {"layout": "wide"}, {"constants": {"aum": "much"}}],
)
def test_impossible_specifications_are_settings_errors(tmp_path, changes):
    file = tmp_path / "f.csv"
    file.write_text("fund_id,date,ret\nA,2020-01-31,0.1\n")
    with pytest.raises(SettingsError):
        load(dataset(TableFiles(path=str(file), **changes)))


def test_no_fund_observations_is_a_settings_error():
    with pytest.raises(SettingsError, match="no fund observations"):
        load(dataset())


@pytest.mark.parametrize("header", ["date,A,A", "date,A,B,A"])
def test_a_column_that_stands_twice_is_named(tmp_path, header):
    file = tmp_path / "wide.csv"
    file.write_text(f"{header}\n2000-01-31,0.01,0.02{',0.03' * (header.count(',') - 2)}\n")
    spec = TableFiles(path=str(file), layout="wide", value_column="ret")
    source = FilesSource(fund_observations=[spec])
    with pytest.raises(InputError, match="'A' stands twice"):
        load(DatasetSettings(source="files", files=source))


@pytest.mark.parametrize(("separator", "point"), [(";", "."), (";", ","), ("\t", "."), ("|", ".")])
def test_another_separator_is_named(tmp_path, separator, point):
    file = tmp_path / "f.csv"
    file.write_text(
        separator.join(["fund_id", "date", "ret"]) + f"\nA{separator}x{separator}0{point}1\n"
    )
    with pytest.raises(InputError, match="separated by") as caught:
        observed(TableFiles(path=str(file)))
    assert repr(separator) in caught.value.what
    assert "f.csv" in str(caught.value.where)


def test_a_pattern_that_is_none_is_a_settings_error(tmp_path):
    with pytest.raises(SettingsError, match=r"f\*\*ds\.csv"):
        observed(TableFiles(path=str(tmp_path / "f**ds.csv")))


def test_files_of_one_entry_are_one_feed(tmp_path):
    """Entries of the same name are told apart by their folders."""
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        for fund in "AB":
            (tmp_path / folder / f"{fund}.csv").write_text(
                f"fund_id,date,ret\n{folder}{fund},2020-01-31,0.1\n"
            )
    one = observed(TableFiles(path=str(tmp_path / "here" / "*.csv")))
    assert one["source"].to_list() == ["*.csv"] * 2
    two = observed(*(TableFiles(path=str(tmp_path / name / "*.csv")) for name in ("here", "there")))
    assert two["source"].to_list() == ["here/*.csv"] * 2 + ["there/*.csv"] * 2


def test_a_fund_that_dies_inside_a_month_keeps_its_loss_in_a_file_of_its_own(tmp_path):
    days = pl.date_range(dt.date(2019, 1, 1), dt.date(2020, 3, 31), "1d", eager=True)
    days = days.filter(days.dt.weekday() <= 5)
    for fund, last in (("alive", days[-1]), ("dead", dt.date(2019, 9, 12))):
        rows = pl.DataFrame({"fund_id": fund, "date": days}).filter(pl.col("date") <= last)
        fall = pl.when(pl.col("date") >= dt.date(2019, 9, 11)).then(4.0).otherwise(10.0)
        rows.with_columns(nav=fall).write_csv(tmp_path / f"{fund}.csv")
    settings = Settings(dataset=dataset(TableFiles(path=str(tmp_path / "*.csv"))))
    found = prepare(load(settings.dataset), settings, Month.parse("2019-01"), None)
    dead = found.monthly["fund_observations"].filter(pl.col("fund_id") == "dead")
    assert dead.sort("date").tail(1).select("date", "ret").row(0) == (
        dt.date(2019, 9, 30),
        pytest.approx(-0.6),
    )


def test_the_first_month_is_read_once_for_as_long_as_the_files_are_the_same(tmp_path, monkeypatch):
    file = tmp_path / "f.csv"
    file.write_text("fund_id,date,ret\nA,2020-01-31,0.1\n")
    settings = dataset(TableFiles(path=str(tmp_path / "*.csv")))
    asked, really = [], files._first_day
    monkeypatch.setattr(files, "_first_day", lambda spec: asked.append(spec) or really(spec))
    assert [month_bounds(settings) for _ in range(3)] == [(Month.parse("2020-01"), None)] * 3
    assert len(asked) == 1
    (tmp_path / "g.csv").write_text("fund_id,date,ret\nB,2019-06-30,0.1\n")
    assert month_bounds(settings) == (Month.parse("2019-06"), None)
    (tmp_path / "g.csv").write_text("fund_id,date,ret\nB,2018-06-30,0.1\nB,2018-07-31,0.1\n")
    assert month_bounds(settings) == (Month.parse("2018-06"), None)


def test_for_the_first_month_no_other_column_is_read(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("fund_id,date,ret\nA,2020-01-31,?\n")
    pl.DataFrame({"fund_id": ["B"], "date": [dt.date(2019, 3, 31)]}).write_parquet(
        tmp_path / "b.parquet"
    )
    monkeypatch.setattr(files, "open_table", lambda path: pytest.fail(f"{path} was read"))
    settings = dataset(TableFiles(path=str(tmp_path)))
    assert month_bounds(settings) == (Month.parse("2019-03"), None)


def test_the_first_month_of_files_of_several_shapes(tmp_path):
    (tmp_path / "a.csv").write_text("fund_id,date,ret\nA,2020-01-31,0.1\n")
    (tmp_path / "b.csv").write_text("date,fund_id,ret\n20181231,B,0.1\n")
    assert month_bounds(dataset(TableFiles(path=str(tmp_path))))[0] == Month.parse("2018-12")
    (tmp_path / "c.csv").write_text("fund_id,date,ret\nC,31/12/2018,0.1\n")
    with pytest.raises(InputError, match="'31/12/2018' is not a date"):
        month_bounds(dataset(TableFiles(path=str(tmp_path))))


def daily(tmp_path, **tables) -> DatasetSettings:
    (tmp_path / "f.csv").write_text("fund_id,date,ret\nA,2020-01-31,0.1\n")
    return dataset(TableFiles(path=str(tmp_path / "f.csv")), **tables)


def test_without_daily_files_there_is_no_daily_panel(tmp_path):
    attributes = tmp_path / "a.csv"
    attributes.write_text("fund_id,name\nA,Alpha\n")
    tables = load(daily(tmp_path, funds=TableFiles(path=str(attributes))))
    assert tables.daily_observations.is_empty()
    assert tables.daily_funds.is_empty()


def test_daily_files_are_read_like_the_others(tmp_path):
    (tmp_path / "long.csv").write_text("id,day,preis,da\n7,31.01.2020,10.5,01.02.2020\n")
    frame = pl.DataFrame({"date": [JAN, FEB], "A": [0.1, None], "B": [0.2, 0.3]})
    frame.write_parquet(tmp_path / "wide.parquet")
    long = TableFiles(
        path=str(tmp_path / "long.csv"),
        columns={"fund_id": "id", "date": "day", "nav": "preis", "available_at": "da"},
        date_format="%d.%m.%Y",
    )
    wide = TableFiles(path=str(tmp_path / "wide.parquet"), layout="wide", value_column="ret")
    rows = load(daily(tmp_path, daily_observations=[long, wide])).daily_observations
    assert rows.columns == ["fund_id", "date", "ret", "nav", "available_at"]
    assert rows.sort("fund_id", "date").rows() == [
        ("7", JAN, None, 10.5, dt.date(2020, 2, 1)),
        ("A", JAN, 0.1, None, None),
        ("B", JAN, 0.2, None, None),
        ("B", FEB, 0.3, None, None),
    ]


def test_daily_funds_are_the_funds_unless_described_apart(tmp_path):
    (tmp_path / "d.csv").write_text("fund_id,date,nav\nA,2020-01-31,10\n")
    (tmp_path / "a.csv").write_text("fund_id,name\nA,monthly\n")
    (tmp_path / "b.csv").write_text("fund_id,name\nA,daily\n")
    funds, own = (TableFiles(path=str(tmp_path / name)) for name in ("a.csv", "b.csv"))
    observations = [TableFiles(path=str(tmp_path / "d.csv"))]
    shared = daily(tmp_path, daily_observations=observations, funds=funds)
    assert load(shared).daily_funds["name"].to_list() == ["monthly"]
    apart = daily(tmp_path, daily_observations=observations, funds=funds, daily_funds=own)
    tables = load(apart)
    assert tables.daily_funds["name"].to_list() == ["daily"]
    assert tables.funds["name"].to_list() == ["monthly"]
    with pytest.raises(SettingsError, match="and it has no observations"):
        load(daily(tmp_path, daily_funds=own))


@pytest.mark.parametrize(
    ("text", "changes", "complaint"),
    [
        ("fund,date,nav\nA,2020-01-31,1\n", {}, "no column 'fund_id' for daily_observations"),
        ("fund_id,date,nav\nA,2020-01-31,x\n", {}, "'x' is not a number"),
        ("fund_id,date,nav\nA,soon,1\n", {}, "'soon' is not a date"),
        ("fund_id,date,nav\nA,2020-01-31,1\n", {"columns": {"aum": "nav"}}, "no column 'aum'"),
        (
            "date,A\n2020-01-31,1\n",
            {"layout": "wide", "value_column": "aum"},
            "wide file of daily_observations cannot hold 'aum'",
        ),
    ],
)
def test_mistakes_in_daily_files_are_named(tmp_path, text, changes, complaint):
    (tmp_path / "d.csv").write_text(text)
    spec = TableFiles(path=str(tmp_path / "d.csv"), **changes)
    with pytest.raises((InputError, SettingsError), match=complaint):
        load(daily(tmp_path, daily_observations=[spec]))
