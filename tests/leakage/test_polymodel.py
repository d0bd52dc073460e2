"""Everything after t replaced by noise: PolyModel's inputs and outputs up to t stay the same."""

import pytest

from finembed_core.polymodel.stage import FEATURES, PAIRS, SELECTED, pairs_stage, polymodel_stage
from finembed_core.settings import Settings
from finembed_core.stage import build
from finembed_core.store import PartStore
from tests.polymodel.stores import DECIDED, write_store

KEYS = [str(DECIDED - 7), str(DECIDED)]


@pytest.mark.parametrize("macro", [False, True])
def test_the_future_changes_nothing(tmp_path, macro):
    settings = Settings.model_validate(
        {
            "polymodel": {"shuffles": 99, "macro_factors_as_risk_factors": macro},
            "pairs": {"first_month": "1998-01"},
        }
    )
    keys = KEYS[macro:]  # macro factors stand for the last month only
    digests, contents = [], []
    for name, noise in (("own", {}), ("other", {"noise_after": DECIDED, "seed": 5})):
        store = PartStore(tmp_path / name)
        write_store(store, **noise)
        for stage in (
            polymodel_stage(store, settings),
            pairs_stage(store, settings, settings.pairs),
        ):
            digests.append([stage.gather(key).digest() for key in keys])
            parts = list(build(stage, keys, store))
            contents.append([part.manifests[t].content for part in parts for t in stage.tables])
        assert store.read(PAIRS, str(DECIDED)).height > 0
        assert store.read(FEATURES, str(DECIDED))["svar"].null_count() < 5
        assert store.read(SELECTED, str(DECIDED)).height > 0
    assert digests[:2] == digests[2:]
    assert contents[:2] == contents[2:]
