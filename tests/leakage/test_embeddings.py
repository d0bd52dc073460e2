"""Checkpoints, embeddings and predictions: nothing that is known later reaches a decision."""

import pytest

from finembed_core.calendar import Month
from finembed_core.embeddings.information_set import InformationReader
from finembed_core.embeddings.stages import embedding_stage, encoder_stage, prediction_stage
from finembed_core.embeddings.tables import EMBEDDINGS, EXCLUSIONS, PREDICTIONS, model_table
from finembed_core.embeddings.text import text_stage
from finembed_core.histories import ingested_months
from finembed_core.ingest import stage
from finembed_core.ingest.stage import ingest
from finembed_core.macro.stage import macro_stage
from finembed_core.settings import Settings
from finembed_core.stage import build
from finembed_core.store import PartStore
from tests.embeddings.small_store import SMALL
from tests.leakage.test_daily import FIRST, NOW, with_another_future, world

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
    found = []
    known = world()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "month_bounds", lambda dataset: (FIRST, FIRST + 10))
        for name, future in (("true", known), ("noise", with_another_future(known))):
            store = PartStore(tmp_path_factory.mktemp(name))
            patch.setattr(stage, "load", lambda dataset, future=future: future)
            ingest(store, SETTINGS)
            months = ingested_months(store)
            list(build(macro_stage(store, SETTINGS), map(str, months), store))
            list(build(text_stage(store), ["all"], store))
            reader = InformationReader(store, SETTINGS)
            decided = [str(month) for month in reader.decision_months]
            for encoder in ENCODERS:
                list(build(encoder_stage(store, SETTINGS, encoder, reader), decided, store))
            list(build(embedding_stage(store, SETTINGS, reader), map(str, months), store))
            list(build(prediction_stage(store, SETTINGS, reader), decided, store))
            found.append(store)
    return found


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
    trained = [manifest for manifest in pair[0].manifests(model_table("rlinear")) if manifest.files]
    assert sum("model.json" in manifest.files for manifest in trained) >= 2
    known = [key for key in keys(pair[0], PREDICTIONS) if pair[0].read(PREDICTIONS, key).height]
    assert known, "no decision before the cut has predictions"
    assert any(pair[0].read(EMBEDDINGS, key).height for key in keys(pair[0], EMBEDDINGS))


def test_the_noise_did_reach_what_comes_later(pair):
    tables = [model_table("rlinear"), PREDICTIONS]
    for table in tables:
        contents = [[m.content for m in store.manifests(table)][-1] for store in pair]
        assert contents[0] != contents[1]
