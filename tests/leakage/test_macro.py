"""Macro factors read nothing that is known after their month."""

import numpy as np
import pytest

from finembed_core.macro.stage import TABLES, macro_stage
from finembed_core.stage import build
from finembed_core.store import PartStore
from tests.macro.test_stage import FIRST, SETTINGS, START, contents, matrix
from tests.series_store import write_matrix


@pytest.mark.parametrize("rule", ["fixed", "bai_ng"])
def test_noise_after_t_changes_no_bit_up_to_t(tmp_path, rule):
    settings = SETTINGS.model_copy(
        update={"macro": SETTINGS.macro.model_copy(update={"rule": rule})}
    )
    random = np.random.default_rng(9)
    truth = matrix()
    noisy = truth.copy()
    cut = len(truth) - 4
    noisy[cut:] = 100 * random.standard_normal(noisy[cut:].shape)
    extra = np.full((len(truth), 1), np.nan)
    extra[cut:] = 1.0  # a series born after t
    written = []
    for name, values in (("truth", truth), ("noise", np.hstack([noisy, extra]))):
        store = PartStore(tmp_path / name)
        keys = write_matrix(store, values, START, FIRST)
        for _ in build(macro_stage(store, settings), keys, store):
            pass
        written.append((store, keys))
    (one, keys), (two, _) = written
    past = keys[:-4]
    assert contents(one, past) == contents(two, past)
    assert len(contents(one, past)) == len(TABLES) * len(past)
    marks = [{(t, k): s.manifest(t, k).inputs for t in TABLES for k in past} for s in (one, two)]
    assert marks[0] == marks[1]  # appending a month leaves the past current, too
    assert contents(one, keys[-4:]) != contents(two, keys[-4:])
