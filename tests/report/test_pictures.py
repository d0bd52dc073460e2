import base64
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finembed_core.report import figures
from finembed_core.report.pictures import LABEL_HEIGHT, markdown, svg
from tests.report import tables
from tests.report.test_figures import EMPTY

SVG = "{http://www.w3.org/2000/svg}"
FIGURES = {
    "wealth": lambda: figures.wealth(tables.returns()),
    "underwater": lambda: figures.underwater(tables.returns()),
    "explained": lambda: figures.explained_variance(tables.explained()),
    "curves": lambda: figures.learning_curves(tables.curves()),
    "bands": lambda: figures.feature_bands(tables.features(), "svar"),
    "histogram": lambda: figures.feature_histogram(tables.features(), "svar"),
    "universe": lambda: figures.universe_size(tables.universe()),
    "weights": lambda: figures.weights(tables.holdings()),
}


def line_figure(y: list[float], name: str = "a") -> go.Figure:
    figure = figures._figure("t", "u")
    figure.add_scatter(x=np.arange(len(y), dtype=float), y=np.array(y), name=name, mode="lines")
    return figure


def coordinates(path: str) -> np.ndarray:
    """Absolute points of a path of relative steps."""
    numbers = [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", path)]
    return np.cumsum(np.array(numbers).reshape(-1, 2), axis=0)


@pytest.mark.parametrize("name", FIGURES)
def test_pictures_are_well_formed_and_inside_their_frame(name):
    text = svg(FIGURES[name](), width=700, height=320)
    root = ET.fromstring(text)
    assert root.find(f"{SVG}title") is not None
    assert "nan" not in text
    assert len(text) < 40_000
    for path in root.iter(f"{SVG}path"):
        if "l" in path.attrib["d"]:
            points = coordinates(path.attrib["d"])
            assert (points >= 0).all()
            assert (points <= [700, 320]).all()


@pytest.mark.parametrize("name", FIGURES)
def test_every_named_trace_has_a_label_and_labels_do_not_overlap(name):
    figure = FIGURES[name]()
    texts = ET.fromstring(svg(figure)).findall(f"{SVG}text")
    named = {
        t.name for t in figure.data if t.name and t.showlegend is not False and t.type != "bar"
    }
    labels = [t for t in texts if t.text in named]
    assert {t.text for t in labels} == named
    places = sorted(float(t.attrib["y"]) for t in labels)
    assert all(b - a >= LABEL_HEIGHT - 0.11 for a, b in pairwise(places))
    for label in texts:
        x, width = float(label.attrib["x"]), 6.6 * len(label.text or "")
        assert label.attrib["text-anchor"] != "start" or x + width <= 770 or label.text == ""


@pytest.mark.parametrize("name", EMPTY)
def test_empty_figures_say_so(name):
    assert "no data" in svg(EMPTY[name]())


def test_markdown_carries_the_picture_itself():
    figure = FIGURES["wealth"]()
    text = markdown(figure)
    head, _, encoded = text.rstrip(")").partition("base64,")
    assert head == "![Growth of 1, net of costs](data:image/svg+xml;"
    assert base64.b64decode(encoded).decode() == svg(figure)


def test_the_same_figure_gives_the_same_bytes():
    assert svg(FIGURES["weights"]()) == svg(FIGURES["weights"]())


def test_names_are_escaped_and_long_ones_shortened():
    text = svg(line_figure([1.0, 2.0], name="R&D <fund> of a very long name indeed"))
    ET.fromstring(text)
    assert "R&amp;D &lt;fund&gt;" in text
    assert "indeed" not in text


def test_gaps_interrupt_a_line():
    root = ET.fromstring(svg(line_figure([1.0, 2.0, float("nan"), 2.0, 1.0])))
    assert sum("l" in path.attrib["d"] for path in root.iter(f"{SVG}path")) == 2


def test_long_series_are_thinned_but_keep_their_end():
    y = np.random.default_rng(0).normal(size=9_001).cumsum()
    text = svg(line_figure(y.tolist()))
    assert len(text) < 10_000


def test_a_line_lies_where_its_values_are():
    """A straight line is straight, and its ends are at the ends of the x axis."""
    root = ET.fromstring(svg(line_figure([0.0, 1.0, 2.0, 3.0])))
    [line] = [p.attrib["d"] for p in root.iter(f"{SVG}path") if "l" in p.attrib["d"]]
    points = coordinates(line)
    slopes = np.diff(points[:, 1]) / np.diff(points[:, 0])
    np.testing.assert_allclose(slopes, slopes[0], rtol=1e-2)
    assert slopes[0] < 0  # up is towards smaller y


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12), st.booleans())
def test_any_numbers_can_be_drawn(values, log):
    figure = line_figure(values)
    figure.update_yaxes(type="log" if log else "linear")
    paths = ET.fromstring(svg(figure)).iter(f"{SVG}path")
    assert not any(re.search("nan|inf", path.attrib["d"]) for path in paths)
