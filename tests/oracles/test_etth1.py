"""Golden numbers of ETTh1, and the experiment itself on series whose answer is known.

``FINEMBED_ETTH1`` names ETTh1.csv. The numbers are those of the closed forms, L 336 and H 96, over
all 2,785 test windows.
"""

import os

import numpy as np
import pytest
import torch

from finembed_core.encoders.linear import Linear
from finembed_core.encoders.revin import EPSILON
from finembed_core.encoders.rlinear import RLinear
from tests.oracles.etth1 import (
    HORIZON,
    HOURS,
    LOOKBACK,
    Experiment,
    least_squares,
    read,
    reversible_least_squares,
    scores,
    train,
)

pytestmark = pytest.mark.usefixtures("alone")
SMALL = {"steps": (600, 200, 200), "lookback": 24, "horizon": 6}


def with_map(encoder, weight, bias):
    """An encoder whose one map is this: the head is the identity."""
    horizon, lookback = weight.shape
    made = encoder(lookback, horizon, horizon).double()
    weights = {
        "embed.weight": torch.from_numpy(weight),
        "embed.bias": torch.from_numpy(bias),
        "head.weight": torch.eye(horizon),
        "head.bias": torch.zeros(horizon),
    }
    assert not made.load_state_dict(weights, strict=False).unexpected_keys
    return made


def linear(windows):
    return with_map(Linear, *least_squares(windows))


def rlinear(windows):
    return with_map(RLinear, *reversible_least_squares(windows, EPSILON))


def waves(noise, drift=0.0, seed=0):
    """Three series of two waves each, with noise and a drifting level."""
    random, hours = np.random.default_rng(seed), np.arange(1000)[:, None]
    made = np.sin(hours / [3.0, 4.0, 5.0]) + 0.5 * np.sin(hours / [1.7, 2.1, 2.6])
    return made + noise * random.normal(size=made.shape) + drift * hours


def test_windows_are_those_of_the_papers():
    values = np.arange(float(sum(HOURS) + 3_020))[:, None] * [1.0, 2.0]
    found = Experiment.of(values)
    assert [len(part.past) for part in (found.train, found.valid, found.test)] == [8209, 2785, 2785]
    mean, deviation = np.arange(8640.0).mean(), np.arange(8640.0).std()
    first = (np.arange(11_520 - 336, 11_520 + 96) - mean) / deviation
    np.testing.assert_allclose(found.test.past[0, 1], first[:336])
    np.testing.assert_allclose(found.test.future[0, 1], first[336:])
    assert found.test.future[-1, 0, -1] == pytest.approx((14_399 - mean) / deviation)


@pytest.mark.parametrize("closed", [linear, rlinear])
def test_waves_continue_themselves(closed):
    """A sum of six frequencies obeys a recursion of order twelve: nothing is left to err."""
    experiment = Experiment.of(waves(0.0), **SMALL)
    assert scores(closed(experiment.train), experiment.test).mse < 1e-6


def test_noise_is_all_that_is_left():
    experiment = Experiment.of(
        np.random.default_rng(0).normal(size=(40_000, 2)), (30_000, 100, 9_000), 8, 4
    )
    found = scores(linear(experiment.train), experiment.test)
    assert found.mse == pytest.approx(1.0, abs=0.03)
    assert found.mae == pytest.approx((2.0 / np.pi) ** 0.5, abs=0.02)


def test_the_closed_forms_leave_no_better_map():
    experiment = Experiment.of(waves(0.3, drift=0.002), **SMALL)
    for closed in (linear, rlinear):
        best = closed(experiment.train)
        least = scores(best, experiment.train).mse
        for nudge in (1e-2, -1e-2):
            for parameter in (best.embed.weight, best.embed.bias):
                with torch.no_grad():
                    kept = parameter.clone()
                    parameter.view(-1)[0] += nudge
                    assert scores(best, experiment.train).mse > least
                    parameter.copy_(kept)


def test_a_level_that_drifts_is_why_there_is_revin():
    """Out of the range seen in training a free level errs; one that is relative does not."""
    values = waves(0.3)
    values[600:] += 50.0
    experiment = Experiment.of(values, **SMALL)
    assert scores(rlinear(experiment.train), experiment.test).mse < 1.0
    assert scores(linear(experiment.train), experiment.test).mse > 10_000.0


def test_training_finds_what_the_closed_form_finds():
    torch.manual_seed(0)
    experiment = Experiment.of(waves(0.5), **SMALL)
    network = RLinear(24, 6, 12)
    train(network, experiment, epochs=8, batch=16, rate=2e-2)
    best = scores(rlinear(experiment.train), experiment.test).mse
    assert scores(network, experiment.test).mse == pytest.approx(best, rel=0.05)


@pytest.fixture(scope="module")
def etth1():
    path = os.environ.get("FINEMBED_ETTH1")
    if not path:
        pytest.skip("FINEMBED_ETTH1 does not name ETTh1.csv, which is not shipped")
    return Experiment.of(read(path))


@pytest.mark.parametrize(
    ("closed", "mse", "mae"), [(linear, 0.3702, 0.3915), (rlinear, 0.3708, 0.3918)]
)
def test_closed_forms_on_etth1(etth1, closed, mse, mae):
    found = scores(closed(etth1.train), etth1.test)
    assert (round(found.mse, 4), round(found.mae, 4)) == (mse, mae)


@pytest.mark.slow
def test_trained_rlinear_on_etth1(etth1):
    torch.manual_seed(0)
    network = RLinear(LOOKBACK, HORIZON, 128)
    train(network, etth1)
    assert scores(network, etth1.test).mse == pytest.approx(0.370, abs=0.002)
