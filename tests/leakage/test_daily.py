"""Windows and labels as known at a session: the future may be replaced, thinned out or grow."""

from dataclasses import replace

import numpy as np
import pytest

from finembed_core.embeddings.windows import Windows
from finembed_core.learning.forward import forward_labels
from finembed_core.settings import Settings
from tests.leakage.futures import CUT, both_futures

SETTINGS = Settings.model_validate(
    {
        "dataset": {"source": "files"},
        "macro": {"min_months": 24, "n_components": 2},
        "embeddings": {"lookback": 32, "horizon": 10, "every_sessions": 16, "max_abs_return": 0.3},
    }
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> list[Windows]:
    """The same history with two different futures."""
    return [Windows.read(store, SETTINGS) for store in both_futures(tmp_path_factory, SETTINGS)]


def columns(windows: Windows, ids: list[str]) -> np.ndarray:
    return np.array([windows.panel.ids.index(name) for name in ids])


SESSIONS = [31, 60, CUT - 20, CUT - 1, CUT]


@pytest.mark.parametrize("session", SESSIONS)
def test_windows_and_listings_are_identical(pair, session):
    names, reasons, contents = [], [], []
    for windows in pair:
        listing = windows.listed(session)
        names.append([windows.panel.ids[k] for k in listing.columns])
        reasons.append(listing.excluded)
        every = columns(windows, [f"f{k}" for k in range(8)])
        contents.append([array.tobytes() for array in windows.at(session, every)])
    assert names[0] == names[1]
    assert len(names[0]) >= 2
    assert reasons[0] == reasons[1]
    assert contents[0] == contents[1]


@pytest.mark.parametrize("session", SESSIONS)
def test_digests_are_identical(pair, session):
    assert pair[0].as_of(session, 1000).digest() == pair[1].as_of(session, 1000).digest()


def test_there_is_something_to_see(pair):
    values, visible = pair[0].at(CUT, np.arange(8))
    assert visible.any(axis=2).all()  # every fund, the market, both factors
    assert (values[:, 1:].std(axis=2) > 0).all()


def test_decisions_up_to_now_are_identical(pair):
    one, other = (windows.decisions() for windows in pair)
    assert one[one <= CUT].tolist() == other[other <= CUT].tolist()
    assert (one <= CUT).sum() >= 5


def test_labels_known_by_now_are_identical(pair):
    told = 0
    for session in range(30, CUT):
        found = []
        for windows in pair:
            every = columns(windows, [f"f{k}" for k in range(8)])
            label = forward_labels(windows.panel, session, every, lag=1, horizon=10, known=CUT)
            values = (label.path, label.total, label.volatility, label.sharpe, label.drawdown)
            found.append([array.tobytes() for array in values])
            told += int(np.isfinite(label.total).sum())
        assert found[0] == found[1]
    assert told > 800


def test_the_noise_did_reach_what_comes_later(pair):
    one, other = pair
    assert one.panel.ids != other.panel.ids
    assert one.as_of(CUT + 1, 1000).digest() != other.as_of(CUT + 1, 1000).digest()
    later = [w.at(CUT + 40, columns(w, ["f1", "f2"]))[0] for w in pair]
    for channel in range(4):  # fund, market and both factors
        assert not np.array_equal(later[0][:, channel], later[1][:, channel])


def test_a_series_born_later_is_in_no_information_set_before(pair):
    windows = pair[0]
    panel = windows.panel
    born = np.full((len(panel.days), 1), np.nan, dtype=np.float32)
    born[CUT + 1 :] = 0.01
    own = np.arange(len(panel.days), dtype=np.int32)[:, None]
    wider = replace(
        panel,
        series_ids=(*panel.series_ids, "!born"),
        series=np.concatenate([panel.series, born], axis=1),
        series_known=np.concatenate([panel.series_known, own], axis=1),
    )
    other = Windows(wider, windows.settings, windows._macro)
    assert other.as_of(CUT, 1000).digest() == windows.as_of(CUT, 1000).digest()
    later = other.as_of(CUT + 1, 1000)
    assert later.panel.series_ids[-1] == "!born"
    trained = later.beside(windows.panel.series_ids)
    assert trained.digest() == windows.as_of(CUT + 1, 1000).digest()
