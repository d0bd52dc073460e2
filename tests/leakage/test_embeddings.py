"""Checkpoints, embeddings and predictions: nothing that is known later reaches a decision."""

import pytest

from finembed_core.calendar import Month
from finembed_core.embeddings.information_set import InformationReader
from finembed_core.embeddings.stages import embedding_stage, encoder_stage, prediction_stage
from finembed_core.embeddings.tables import EMBEDDINGS, EXCLUSIONS, PREDICTIONS, model_table
from finembed_core.embeddings.text import text_stage
from finembed_core.histories import ingested_months
from finembed_core.settings import Settings
from finembed_core.stage import build
from finembed_core.store import PartStore
from tests.embeddings.small_store import SMALL
from tests.leakage.futures import NOW, both_futures

ENCODERS = ["rlinear", "itransformer"]
SETTINGS = Settings.model_validate(
    {
        "dataset": {"source": "files"},
        "macro": {"min_months": 24, "n_components": 2},
        "embeddings": {
            **SMALL,
            "every_sessions": 24,
            "max_abs_return": 0.3,
            "min_visible": 0.6,
            "encoders": ENCODERS,
            "seeds": [1],
            "training": SMALL["training"] | {"every_sessions": 2},
        },
    }
)
KNOWN = Month.of(NOW)


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> list[PartStore]:
    """Everything built twice, from one history with two different futures."""
    stores = both_futures(tmp_path_factory, SETTINGS)
    for store in stores:
        list(build(text_stage(store), ["all"], store))
        months = [str(month) for month in ingested_months(store)]
        reader = InformationReader(store, SETTINGS)
        decided = [str(month) for month in reader.decision_months]
        for encoder in ENCODERS:
            list(build(encoder_stage(store, SETTINGS, encoder, reader), decided, store))
        list(build(embedding_stage(store, SETTINGS, reader), months, store))
        list(build(prediction_stage(store, SETTINGS, reader), decided, store))
    return stores


def keys(store: PartStore, table: str) -> list[str]:
    return [key for key in store.keys(table) if Month.parse(key) < KNOWN]


@pytest.mark.parametrize(
    "table", [*map(model_table, ENCODERS), EMBEDDINGS, PREDICTIONS, EXCLUSIONS]
)
def test_parts_are_identical_up_to_now(pair, table):
    one, other = pair
    before = keys(one, table)
    assert before == keys(other, table)
    assert len(before) >= 4
    for key in before:
        assert one.manifest(table, key) == other.manifest(table, key), key


def test_there_is_something_to_see(pair):
    store = pair[0]
    for table in map(model_table, ENCODERS):
        known = [store.manifest(table, key) for key in keys(store, table)]
        assert sum("model.json" in manifest.files for manifest in known) >= 1, table
    for table in (PREDICTIONS, EMBEDDINGS, EXCLUSIONS):
        assert any(store.read(table, key).height for key in keys(store, table)), table


def test_the_noise_did_reach_what_comes_later(pair):
    tables = [model_table("rlinear"), PREDICTIONS]
    for table in tables:
        contents = [[m.content for m in store.manifests(table)][-1] for store in pair]
        assert contents[0] != contents[1]
