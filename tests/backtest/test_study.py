"""What a study says about strategies that cannot go on."""

import dataclasses

import numpy as np
import pytest

from finembed_core.backtest.study import Entry, Study
from finembed_core.errors import InputError
from finembed_core.portfolio.orders import TargetWeights
from finembed_core.store import PartStore
from tests.backtest.fake_store import FIRST, story, write_story
from tests.backtest.test_run import SETTINGS


@pytest.fixture
def study(store: PartStore) -> Study:
    write_story(store, story())
    return Study.read(store, SETTINGS, story().last)


def entry(study: Study, name: str, policy=None) -> Entry:
    found = next(entry for entry in study.entries() if entry.name == name)
    if policy is None:
        return found
    return dataclasses.replace(found, strategy=dataclasses.replace(found.strategy, policy=policy))


def test_weights_that_cannot_be_name_the_strategy(study: Study) -> None:
    def too_much(state, known, settings):
        return TargetWeights(np.full(len(known.p_up), 1.0))

    with pytest.raises(InputError, match="weights sum to") as caught:
        study.simulate(entry(study, "equal_weight_universe", too_much))
    assert "strategy equal_weight_universe, decision of 20" in str(caught.value)


def test_ruin_is_a_warning(study: Study) -> None:
    returns = study.market.returns.copy()
    month = FIRST + 9
    returns[study.market.row(month)] = -1.0
    lost = dataclasses.replace(study, market=dataclasses.replace(study.market, returns=returns))
    outcome = lost.simulate(entry(lost, "equal_weight_universe"))
    assert outcome is not None and outcome.track.ruin is not None
    assert outcome.track.ruin.month == month
    told = f"equal_weight_universe was ruined in {month}, with a NAV of 0"
    assert any(warning.startswith(told) for warning in lost.warnings)
    tables = lost.tables(outcome)
    assert tables["returns"]["nav"].to_list()[-1] == 0.0
    assert tables["returns"]["net"].min() == -1.0  # or a log axis and a root show a rounding
    annual = tables["metrics"].filter(metric="annual_return")["value"].item()
    assert annual == -1.0
