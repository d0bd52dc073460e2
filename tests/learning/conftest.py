"""Stores that several tests read; nobody writes to them."""

import pytest

from tests.learning.synthetic import World, quick_settings, run_learning

MONTHS = 48
QUIET_KINDS = ("majority", "persistence", "logistic", "lightgbm")


@pytest.fixture(scope="session")
def noise_world(tmp_path_factory):
    """Pure noise with AUM and a fund that dies in its 31st month; trained and predicted."""
    settings = quick_settings()
    store = World(months=MONTHS, aum=True, dies={"fund03": 30}).write(
        tmp_path_factory.mktemp("noise")
    )
    run_learning(store, settings, MONTHS)
    return store, settings


@pytest.fixture(scope="session")
def signal_world(tmp_path_factory):
    """This month's lta gives away much of next month's return; trained and predicted."""
    settings = quick_settings()
    store = World(months=MONTHS, funds=16, signal=0.8).write(tmp_path_factory.mktemp("signal"))
    run_learning(store, settings, MONTHS)
    return store, settings
