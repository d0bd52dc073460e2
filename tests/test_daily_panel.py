"""The daily panel comes back from the store as it went in, without being read into memory."""

import numpy as np
import pytest

from finembed_core.daily_panel import daily_files, read_daily
from finembed_core.errors import IntegrityError, MissingPartError
from tests.daily_worlds import panel, write_panel


def made():
    returns = np.random.default_rng(2).normal(size=(30, 3))
    returns[4, 1] = np.nan
    return panel(returns)


def test_what_is_written_is_read(store):
    write_panel(store, made())
    found = read_daily(store)
    assert found.digest() == made().digest()
    assert (found.ids, found.market) == (("F00", "F01", "F02"), "MARKET")
    assert all(isinstance(a, np.memmap) for a in (found.returns, found.known, found.series_known))


def test_the_same_panel_gives_the_same_files():
    assert daily_files(made()) == daily_files(made())


def test_a_damaged_file_is_noticed(store):
    write_panel(store, made())
    path = store.file_path("daily_panel", "all", "returns.npy")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="changed or damaged"):
        read_daily(store)


def test_there_is_none(store):
    with pytest.raises(MissingPartError, match="daily_panel has no part all"):
        read_daily(store)


def test_a_reader_keeps_the_panel_that_it_opened(store):
    write_panel(store, made())
    before = read_daily(store)
    write_panel(store, panel(np.ones((30, 3))))
    assert before.digest() == made().digest()
