"""Words, tables and picture of an explanation."""

import dataclasses
import json
import re

import numpy as np
import polars as pl
import pytest

from finembed_core.polymodel.explain import explain
from finembed_core.polymodel.features import polymodel_features
from finembed_core.report.explained import (
    REASONS,
    RULES,
    Label,
    factor_labels,
    facts,
    moves,
    notes,
    threats,
)
from finembed_core.report.exposures import exposures, page
from finembed_core.settings import PolyModelSettings
from tests.polymodel.months import planted
from tests.polymodel.stores import write_store

SETTINGS = PolyModelSettings()
LABELS = {f"x{k:02d}": Label(f"Factor <{k}>", percent=True) for k in range(10)}


@pytest.fixture(scope="module")
def quadratic():
    return explain(planted(), SETTINGS, "f01")


def test_two_rows_per_factor_and_one_column_per_quantile(quadratic):
    header, rows = moves(quadratic, LABELS)
    assert header == ["factor", "score", "p", "R2", "1%", "16%", "50%", "84%", "99%"]
    assert {len(row) for row in rows} == {len(header)}
    best = quadratic.factors.row(0, named=True)
    assert rows[0][0] == "x01"
    assert rows[0][4] == f"{best['factor_01']:+.1%}"
    assert rows[1][0] == "the fund loses at both ends"
    assert rows[1][8].rstrip("*") == f"{best['fund_99']:+.1%}"


def test_what_the_window_has_not_seen_is_marked(quadratic):
    factors = quadratic.factors.with_columns(seen_low=pl.col("factor_16"), y_max_at="factor_01")
    marked = dataclasses.replace(quadratic, factors=factors)
    _, rows = moves(marked, LABELS)
    assert rows[1][4].endswith("*") and not rows[1][5].endswith("*")
    _, rows = threats(marked, LABELS)
    assert rows[0][2].endswith("*")
    assert any(note.startswith("* beyond") for note in notes(marked))
    seen = factors.with_columns(seen_low="factor_01", seen_high="factor_99")
    inside = dataclasses.replace(quadratic, factors=seen)
    assert not any("*" in cell for row in moves(inside, LABELS)[1] for cell in row)
    assert not any(note.startswith("*") for note in notes(inside))


def test_no_place_where_there_is_no_loss(quadratic):
    nowhere = pl.lit(None, dtype=pl.Float64)
    harmless = quadratic.factors.with_columns(y_max=pl.lit(0.0), y_max_at=nowhere)
    found = dataclasses.replace(quadratic, factors=harmless)
    assert threats(found, LABELS)[1][0][1:3] == ["0.0%", ""]
    assert not any(trace.marker.symbol == "circle-open" for trace in exposures(found, LABELS).data)


def test_every_reason_and_rule_has_words(quadratic):
    codes = set(re.findall(r"``(\w+)``", polymodel_features.__doc__ or ""))
    of_funds = codes - {"min_obs", "short_history", "constant"}
    assert of_funds == set(REASONS)
    assert set(RULES) == set(PolyModelSettings.model_fields["selection"].annotation.__args__)
    for reason in REASONS:
        features = quadratic.features.with_columns(reason=pl.lit(reason))
        said = facts(dataclasses.replace(quadratic, features=features), SETTINGS)
        assert "{" not in "".join(said)
    for rule in RULES:
        settings = SETTINGS.model_copy(update={"selection": rule})
        assert "{" not in "".join(facts(quadratic, settings))


def test_null_features_are_not_spoken_of():
    inputs = planted(funds=4)
    inputs.funds.values[-1, 0] = np.nan
    gone = explain(inputs, SETTINGS, "f00")
    assert facts(gone, SETTINGS) == [
        "35 of the 36 months 2002-04 to 2005-03 have a return",
        "no return is known for 2005-03: nothing is fitted",
    ]
    assert notes(gone) == []


def test_few_selections_among_many_tests_are_doubted(quadratic):
    doubtful = quadratic.features.with_columns(n_selected=2, expected_false=1.5)
    said = notes(dataclasses.replace(quadratic, features=doubtful))
    assert "luck alone would select about as many factors" in said
    many = quadratic.features.with_columns(n_selected=quadratic.factors.height + 3)
    assert "3 more factors are selected" in notes(dataclasses.replace(quadratic, features=many))


def test_labels_know_names_units_and_lags(store):
    write_store(store)
    series = store.read("series", "all").with_columns(
        name=pl.lit("Named"),
        kind=pl.Series(["return", "yield", "index", "level"]),
        transform=pl.Series([None, None, "diff", None], dtype=pl.String),
        series_id=pl.Series(["x0", "x1", "x2", "a_lag_b"]),
    )
    store.write("series", "all", series)
    labels = factor_labels(store, ["x0", "x0_lag1", "x1", "x2", "a_lag_b", "macro_F1"])
    assert [label.percent for label in labels.values()] == [True, True, True, False, True, False]
    assert [label.name for label in labels.values()] == ["Named"] * 5 + ["macro_F1"]


@pytest.mark.parametrize(
    ("percent", "width", "text"),
    [(True, 0.2, "+1.2%"), (True, 0.01, "+1.23%"), (False, 0.2, "+0.0123")],
)
def test_values_are_written_as_fine_as_the_factor_moves(percent, width, text):
    style = Label("x", percent).style({"factor_01": 0.0, "factor_99": width})
    assert format(0.0123, style) == text


def test_the_picture_has_a_panel_per_factor_with_its_months():
    none_passes = SETTINGS.model_copy(update={"alpha": 1e-9})
    three = explain(planted(), none_passes, "f03", most=3)
    figure = exposures(three, LABELS)
    months = [trace for trace in figure.data if trace.text is not None]
    assert [len(trace.x) for trace in months] == [36] * 3
    assert [trace.xaxis for trace in months] == ["x", "x2", "x3"]
    headings = [one.text for one in figure.layout.annotations[:3]]
    for heading, factor_id in zip(headings, three.factors["factor_id"], strict=True):
        assert f"<b>{factor_id}</b> Factor &lt;" in heading
        assert "not selected, " in heading


def test_gray_is_where_the_window_has_not_been(quadratic):
    seen = quadratic.factors.with_columns(seen_low="factor_16", seen_high="factor_84").head(1)
    figure = exposures(dataclasses.replace(quadratic, factors=seen), LABELS)
    bands = [shape for shape in figure.layout.shapes if shape.type == "rect"]
    assert [bands[0].x1, bands[1].x0] == [seen["factor_16"][0], seen["factor_84"][0]]
    solid = next(trace for trace in figure.data if trace.line.dash == "solid")
    assert min(solid.x) >= seen["factor_16"][0] and max(solid.x) <= seen["factor_84"][0]


def test_the_page_escapes_what_it_quotes(quadratic):
    text = page(quadratic, "a <b>", LABELS, ["1 < 2"], ["</script>"])
    own = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert "<h1>a &lt;b&gt;</h1>" in own and "1 &lt; 2" in own
    assert "<li>&lt;/script&gt;</li>" in own
    assert json.dumps("Factor <1>") not in text
