"""Walk-forward: what each retraining saw, what each month was decided with."""

import numpy as np
import polars as pl
import pytest

from finembed_core.calendar import Month, month_range
from finembed_core.errors import MissingPartError
from finembed_core.learning.models import family
from finembed_core.learning.samples import SampleReader
from finembed_core.learning.stage import (
    CURVE_SCHEMA,
    PREDICTION_SCHEMA,
    SEED_SCHEMA,
    TOO_LITTLE,
    prediction_stage,
    training_stage,
)
from finembed_core.settings import MODEL_KINDS, DatasetSettings, ExecutionSettings, Settings
from finembed_core.stage import build
from finembed_core.store import PartStore
from tests.learning.synthetic import FIRST, quick_settings

RETRAININGS = ["2000-01", "2001-01", "2002-01", "2003-01"]


def test_every_retraining_has_a_part_and_says_why_it_has_no_model(noise_world):
    store, _ = noise_world
    for kind in MODEL_KINDS:
        assert store.keys(f"trend_model_{kind}") == RETRAININGS
        early = store.manifest(f"trend_model_{kind}", "2001-01")
        assert early.notes == {"reason": TOO_LITTLE}
        late = store.manifest(f"trend_model_{kind}", "2003-01")
        assert set(late.files) == {"model.safetensors", "model.json", "parquet"}
        assert late.notes["unlabelled_samples"] == 1  # fund03 died: its last sample earned nothing
        curve = store.read(f"trend_model_{kind}", "2003-01")
        assert dict(curve.schema) == CURVE_SCHEMA
        assert curve.height >= 2


def test_predictions_of_a_month(noise_world):
    store, _ = noise_world
    assert store.read("predictions", "2001-12").is_empty()
    frame = store.read("predictions", "2003-06")
    assert dict(frame.schema) == PREDICTION_SCHEMA
    assert frame.n_unique(["month", "fund_id", "model"]) == frame.height == 11 * len(MODEL_KINDS)
    assert frame["month"].unique().to_list() == [Month.parse("2003-06").end]
    assert frame["label_month"].unique().to_list() == [Month.parse("2003-07").end]
    assert frame["retraining"].unique().to_list() == [Month.parse("2003-01").end]
    np.testing.assert_allclose(frame.select("p_down", "p_unchanged", "p_up").sum_horizontal(), 1)


def test_members_of_an_averaged_model_stand_beside_their_mean(noise_world):
    store, settings = noise_world
    assert store.read("seed_predictions", "2001-12").is_empty()
    members = store.read("seed_predictions", "2003-06")
    assert dict(members.schema) == SEED_SCHEMA
    random = {kind for kind in MODEL_KINDS if family(kind).random}
    assert len(settings.learning.seeds) > 1
    assert members.group_by("model").agg(pl.col("seed").unique().sort()).rows_by_key(
        "model", unique=True
    ) == {kind: (sorted(settings.learning.seeds),) for kind in random}
    keys = ["month", "fund_id", "model"]
    mean = members.group_by(keys).agg(pl.col("p_up").mean(), spread=pl.col("p_up").std())
    both = store.read("predictions", "2003-06").join(mean, on=keys)
    assert both.height == 11 * len(random)
    np.testing.assert_allclose(both["p_up"], both["p_up_right"], rtol=1e-12)
    assert both["spread"].max() > 0


@pytest.mark.parametrize(("lag", "gap"), [(0, 1), (15, 2)])
def test_purge_and_validation_block(noise_world, lag, gap):
    """Every label known in the month before; no training label inside the validation block."""
    store, settings = noise_world
    lagged = settings.model_copy(update={"dataset": DatasetSettings(decision_lag_days=lag)})
    inputs = training_stage(store, lagged, "majority").gather("2003-01")
    months = inputs.samples.months
    known = Month.parse("2002-12").ordinal
    valid = np.unique(months[inputs.valid])
    train = np.unique(months[~inputs.valid])
    assert valid.max() + gap == known
    assert len(valid) == settings.learning.valid_months
    assert train.max() + gap == valid.min() - 1
    calendar = lagged.dataset.calendar
    assert calendar.label_month(Month(int(train.max()))) < Month(int(valid.min()))


def test_rolling_window(noise_world):
    store, _ = noise_world
    rolling = quick_settings(window_months=24)
    inputs = training_stage(store, rolling, "majority").gather("2004-01")
    assert len(np.unique(inputs.samples.months[~inputs.valid])) == 24


def test_processes_give_the_same_bytes(noise_world, tmp_path):
    store, settings = noise_world
    other = PartStore(tmp_path)
    stage = training_stage(store, settings, "itransformer")
    list(build(stage, RETRAININGS[2:], other, ExecutionSettings(mode="processes", workers=2)))
    for key in RETRAININGS[2:]:
        assert other.manifest(stage.name, key) == store.manifest(stage.name, key)


def test_current_parts_are_skipped_and_settings_of_other_kinds_do_not_matter(noise_world):
    store, settings = noise_world
    learning = settings.learning
    changed = settings.model_copy(
        update={
            "learning": learning.model_copy(
                update={
                    "itransformer": learning.itransformer.model_copy(update={"d_ff": 7}),
                    "models": ["logistic"],
                }
            )
        }
    )
    parts = build(training_stage(store, changed, "logistic"), RETRAININGS, store)
    assert all(part.skipped for part in parts)
    stage = training_stage(store, changed, "itransformer")
    assert stage.state(store, "2003-01", stage.gather("2003-01").digest()) == "stale"


def test_a_model_that_was_not_trained_is_an_error_with_a_remedy(noise_world, tmp_path):
    store, settings = noise_world
    daily = settings.model_copy(
        update={"learning": settings.learning.model_copy(update={"retrain_every": 6})}
    )
    with pytest.raises(MissingPartError, match="2002-07"):
        prediction_stage(store, daily).gather("2002-08")


def test_a_study_without_any_sample(noise_world):
    """All funds too thin: no model, no prediction, no error."""
    store, settings = noise_world
    reader = SampleReader(store, settings)
    assert len(reader.read(FIRST - 2, FIRST - 1)) == 0
    inputs = training_stage(store, settings, "majority", reader).gather("1999-01")
    assert inputs.samples is None


def test_planted_signal_is_predicted_better_than_by_the_majority(signal_world):
    from finembed_core.learning.scores import model_scores, prediction_outcomes, read_predictions

    store, settings = signal_world
    last = month_range(FIRST, FIRST + 47)[-1]
    outcomes = prediction_outcomes(store, settings, last)
    scores = model_scores(outcomes, read_predictions(store, last))
    value = {(model, metric): v for model, metric, v, *_ in scores.rows()}
    for kind in ("itransformer", "logistic", "lightgbm"):
        assert value[kind, "balanced_accuracy"] > value["majority", "balanced_accuracy"] + 0.1
        assert value[kind, "rank_ic"] > 0.4
        assert value[kind, "rank_ic_t"] > 5


def test_noise_is_not_predicted(noise_world):
    from finembed_core.learning.scores import model_scores, prediction_outcomes, read_predictions

    store, settings = noise_world
    last = FIRST + 47
    outcomes = prediction_outcomes(store, settings, last)
    scores = model_scores(outcomes, read_predictions(store, last))
    balanced = scores.filter(pl.col("metric") == "balanced_accuracy")
    assert balanced.height == len(MODEL_KINDS)
    assert balanced["value"].is_between(1 / 3 - 0.08, 1 / 3 + 0.08).all()
    assert Settings().learning.band == "quantile"
