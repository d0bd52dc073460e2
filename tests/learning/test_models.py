"""Every family through the one interface."""

import json

import numpy as np
import pytest

from finembed_core.learning.channels import ChannelScaler
from finembed_core.learning.labels import classify
from finembed_core.learning.models import PLAIN, TENSORS, Labelled, TrainedModel
from finembed_core.settings import MODEL_KINDS
from tests.learning.random_samples import random_labelled, random_samples
from tests.learning.synthetic import QUICK

KINDS = pytest.mark.parametrize("kind", MODEL_KINDS)


def fitted(kind, classes=(-1, 0, 1)):
    train, valid = random_labelled(classes), random_labelled(classes, seed=1, months=6)
    scaler = ChannelScaler.fit(train.view.samples, 8)
    model, curves = TrainedModel.fit(kind, train, valid, scaler, QUICK)
    return model, curves, random_samples(months=4, seed=2)


@KINDS
def test_checkpoint_round_trip_is_exact(kind):
    model, _, fresh = fitted(kind)
    files = model.to_files()
    again = TrainedModel.from_files(files)
    np.testing.assert_array_equal(again.predict_proba(fresh), model.predict_proba(fresh))
    assert again.to_files() == files
    assert set(files) == {TENSORS, PLAIN}
    assert json.loads(files[PLAIN])["kind"] == kind


@KINDS
def test_probabilities(kind):
    model, curves, fresh = fitted(kind)
    p = model.predict_proba(fresh)
    assert p.shape == (len(fresh), 3)
    assert p.dtype == np.float64
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-9)
    assert {point.split for curve in curves.values() for point in curve} == {"train", "valid"}
    assert model.predict_proba(fresh.take(np.empty(0, dtype=np.int64))).shape == (0, 3)


@KINDS
def test_a_prediction_does_not_depend_on_the_others_in_the_batch(kind):
    model, _, fresh = fitted(kind)
    together = model.predict_proba(fresh)
    rows = np.array([3, 17])
    np.testing.assert_allclose(model.predict_proba(fresh.take(rows)), together[rows], atol=1e-6)


@KINDS
def test_same_seed_same_bytes(kind):
    assert fitted(kind)[0].to_files() == fitted(kind)[0].to_files()


@KINDS
@pytest.mark.parametrize("classes", [(0, 1), (-1, 1), (1,)])
def test_classes_that_training_never_saw(kind, classes):
    model, _, fresh = fitted(kind, classes)
    p = model.predict_proba(fresh)
    assert np.isfinite(p).all()
    absent = [c + 1 for c in (-1, 0, 1) if c not in classes]
    if kind in ("majority", "logistic"):
        assert p[:, absent].max() < 0.05


def test_a_class_that_only_validation_holds():
    train, valid = random_labelled((0, 1)), random_labelled((-1,), seed=1, months=6)
    scaler = ChannelScaler.fit(train.view.samples, 8)
    for kind in MODEL_KINDS:
        model, _ = TrainedModel.fit(kind, train, valid, scaler, QUICK)
        assert np.isfinite(model.predict_proba(train.view.samples)).all()


def test_persistence_repeats_the_last_class():
    model, _, fresh = fitted("persistence")
    predicted = model.predict_proba(fresh).argmax(axis=1) - 1
    np.testing.assert_array_equal(
        predicted, classify(fresh.latest_return.astype(float), model.band)
    )


def test_persistence_without_a_last_return_falls_back_to_frequencies():
    model, _, fresh = fitted("persistence")
    fresh.own[:, -1, 0] = np.nan
    majority, _, _ = fitted("majority")
    expected = majority.predict_proba(fresh)
    np.testing.assert_allclose(model.predict_proba(fresh), expected, atol=0.01)


@pytest.mark.parametrize("kind", ["itransformer", "logistic", "lightgbm"])
def test_a_planted_rule_is_learned(kind):
    """The sign of the latest lta decides between up and down."""

    def planted(seed, months):
        labelled = random_labelled(seed=seed, months=months, funds=20)
        latest = labelled.view.samples.feature_windows(np.arange(len(labelled.view)))[:, -1, 3]
        return Labelled(labelled.view, np.sign(latest).astype(np.int64), 0.01)

    train, valid, test = planted(0, 40), planted(1, 10), planted(2, 10)
    scaler = ChannelScaler.fit(train.view.samples, 8)
    parts = [Labelled(scaler.view(d.view.samples), d.classes, d.band) for d in (train, valid)]
    model, _ = TrainedModel.fit(kind, parts[0], parts[1], scaler, QUICK)
    predicted = model.predict_proba(test.view.samples).argmax(axis=1) - 1
    assert (predicted == test.classes).mean() > 0.85


def test_only_random_families_are_averaged_over_seeds():
    assert len(fitted("itransformer")[0].members) == 2
    assert len(fitted("logistic")[0].members) == 1
