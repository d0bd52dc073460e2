"""What the model's training and its stages say about input that cannot be right."""

import dataclasses

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from finembed_core.embeddings import objectives
from finembed_core.embeddings import predictions as predicting
from finembed_core.embeddings.fitting import TOO_LITTLE, fit_models
from finembed_core.embeddings.information_set import InformationReader
from finembed_core.embeddings.sheets import Information, SheetMaker
from finembed_core.embeddings.stages import ModelInputs, embed, encoder_stage, predict
from finembed_core.embeddings.tables import EMBEDDINGS, EXCLUSIONS, PREDICTIONS, model_table
from finembed_core.embeddings.text import TextVectors
from finembed_core.embeddings.windows import Windows
from finembed_core.errors import InputError, IntegrityError, SettingsError, SolverError
from finembed_core.learning.objectives import PerformanceScale
from finembed_core.settings import Settings
from finembed_core.stage import build
from tests.embeddings.small_store import information, returns, small_settings, small_store

ONE = small_settings(seeds=[1], modes=["supervised"], published_mode="supervised")
FUSED = small_settings(seeds=[1], modes=["multi_modal"])


@pytest.fixture(scope="module")
def known(tmp_path_factory) -> Information:
    return information(small_store(tmp_path_factory.mktemp("store")), FUSED)


@pytest.fixture(scope="module")
def asked(known) -> ModelInputs:
    """A decision, and the models that are to answer."""
    fitted = fit_models(known, "rlinear", FUSED.embeddings, "print")
    assert fitted is not None
    models = {"rlinear": ("content", "print", fitted.models.to_files())}
    return ModelInputs((known,), models, known.windows.panel.days[known.session].item())


def with_information(asked: ModelInputs, **changes) -> ModelInputs:
    (known,) = asked.information
    return dataclasses.replace(asked, information=(dataclasses.replace(known, **changes),))


def with_returns(known: Information, values: np.ndarray, settings: Settings) -> Information:
    """The same information, but for the returns."""
    old = known.windows
    panel = dataclasses.replace(old.panel, returns=values)
    return dataclasses.replace(known, windows=Windows(panel, settings.embeddings, old._macro))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"encoders": ["patchtst"], "published_encoder": "patchtst", "lookback": 16,
          "encoder": {"patch": 24}}, "stride <= patch <= lookback"),
        ({"objectives": {"hidden_steps": 16}}, "must be fewer than lookback"),
        ({"training": {"every_sessions": 5}}, "must hold 16 dates"),
        ({"training": {"valid_sessions": 16, "train_sessions": 640, "every_sessions": 20}},
         "must hold a date"),
        ({"fusion": {"characteristics": False, "text": False}}, "without either it is"),
        ({"published_mode": "probe", "modes": ["supervised"]}, "must be among"),
        ({"seeds": []}, "at least 1 item"),
    ],
)  # fmt: skip
def test_settings_that_contradict_each_other_are_refused(change, said):
    with pytest.raises(ValidationError) as caught:
        small_settings(**change)
    assert caught.value.error_count() == 1
    assert said in str(caught.value)


def test_two_decisions_in_one_month_are_refused(tmp_path):
    reader = InformationReader(small_store(tmp_path), small_settings(every_sessions=10))
    with pytest.raises(SettingsError, match="fall twice into one month"):
        _ = reader.decision_months


def broken(monkeypatch, batch: int) -> None:
    """The loss of forecasts is no number from some batch on."""
    sound, calls = objectives.LOSSES["forecast"], iter(range(1_000_000))

    def loss(*given):
        return sound(*given) * (torch.nan if next(calls) >= batch else 1.0)

    monkeypatch.setitem(objectives.LOSSES, "forecast", loss)


def test_a_loss_that_is_no_number_at_once_says_whose_it_is(known, monkeypatch):
    broken(monkeypatch, 0)
    with pytest.raises(SolverError, match="training broke off") as caught:
        fit_models(known, "rlinear", ONE.embeddings, "print")
    day = known.windows.panel.days[known.session]
    assert caught.value.where == (
        f"rlinear, decided on {day}, supervised/forecast/1, "
        "forecast is nan in epoch 1, training batch 1"
    )


def test_a_loss_that_is_no_number_later_leaves_the_last_good_epoch(known, monkeypatch):
    """Broken in the second epoch, the network is that of a training of one epoch."""
    settings = [
        small_settings(
            seeds=[1], modes=["supervised"], published_mode="supervised", training={"max_epochs": n}
        ).embeddings
        for n in (1, 2)
    ]
    calls = []
    sound = objectives.LOSSES["forecast"]
    monkeypatch.setitem(objectives.LOSSES, "forecast", lambda *g: (calls.append(1), sound(*g))[1])
    good = fit_models(known, "rlinear", settings[0], "print")
    monkeypatch.undo()
    broken(monkeypatch, len(calls))
    ended = fit_models(known, "rlinear", settings[1], "print")
    (note,) = ended.notes["stopped"]
    assert note.startswith("supervised/forecast/1: forecast is nan in epoch 2")
    one, other = (
        made.models.answering("supervised", "forecast", 1).state_dict() for made in (good, ended)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("count", [1, 4])
def test_a_handful_of_funds_trains_nothing_and_says_why(tmp_path, count):
    store = small_store(tmp_path, np.nan_to_num(returns()[:, :count]))
    reader = InformationReader(store, ONE)
    stage = encoder_stage(store, ONE, "rlinear", reader)
    list(build(stage, [str(reader.decision_months[-1])], store))
    (manifest,) = store.manifests(model_table("rlinear"))
    assert manifest.notes["reason"] == TOO_LITTLE


def test_funds_without_labels_are_no_dates_to_learn_from(known):
    sparse = known.windows.panel.returns.copy()
    sparse[np.arange(len(sparse)) % 3 != 0] = np.nan  # a third is visible, half must be
    silent = with_returns(known, sparse, small_settings(min_visible=0.25))
    assert len(silent.windows.listed(known.session).columns) >= 5
    assert fit_models(silent, "rlinear", ONE.embeddings, "print") is None


def test_nobody_listed_leaves_empty_tables_with_reasons(asked):
    (known,) = asked.information
    silent = known.windows.panel.returns.copy()
    silent[-5:] = np.nan
    nobody = dataclasses.replace(asked, information=(with_returns(known, silent, FUSED),))
    assert predict(nobody, FUSED.embeddings)[PREDICTIONS].frame.is_empty()
    found = embed(nobody, FUSED.embeddings)
    assert found[EMBEDDINGS].frame.is_empty()
    assert set(found[EXCLUSIONS].frame["reason"]) == {"silent"}


def test_one_fund_alone_is_all_of_every_portfolio(asked):
    (known,) = asked.information
    lone = known.windows.panel.returns.copy()
    lone[-5:, 1:] = np.nan
    alone = dataclasses.replace(asked, information=(with_returns(known, lone, FUSED),))
    frame = predict(alone, FUSED.embeddings)[PREDICTIONS].frame
    assert frame.select("weight", "gmv").rows() == [(1.0, 1.0)]


def test_notes_say_what_the_forecast_changed_or_why_there_are_no_weights(asked, monkeypatch):
    """A solution that nobody certifies stops no other prediction."""
    told = predict(asked, FUSED.embeddings)[PREDICTIONS]
    assert told.frame["gmv"].sum() == pytest.approx(1.0)
    [(member, note)] = told.notes["gmv"].items()
    assert member == "rlinear, multi_modal, seed 1"
    assert set(note) == {"forecast_share", "moved"}
    assert 0.0 < note["forecast_share"] < 1.0 and 0.0 <= note["moved"] <= 1.0

    def fails(*_: object) -> None:
        raise SolverError("nobody found it")

    monkeypatch.setattr(predicting, "gmv_weights", fails)
    found = predict(asked, FUSED.embeddings)[PREDICTIONS]
    assert found.notes["gmv"] == {member: "nobody found it"}
    assert found.frame["gmv"].null_count() == found.frame.height > 0
    assert found.frame.drop("gmv").equals(told.frame.drop("gmv"))

    def breaks(*_: object) -> None:
        raise InputError("shapes do not fit")

    monkeypatch.setattr(predicting, "gmv_weights", breaks)
    with pytest.raises(InputError, match="shapes"):
        predict(asked, FUSED.embeddings)


def test_a_checkpoint_of_other_settings_is_refused_by_the_stages(asked):
    (content, _, files), other = asked.models["rlinear"], "of other settings"
    foreign = dataclasses.replace(asked, models={"rlinear": (content, other, files)})
    for ask in (predict, embed):
        with pytest.raises(IntegrityError, match="trained with other settings"):
            ask(foreign, FUSED.embeddings)


def test_a_channel_that_disappeared_is_named(asked):
    (known,) = asked.information
    macro = known.windows._macro
    fits = [dataclasses.replace(fit, values=fit.values[:, :1]) for fit in macro.fits]
    fewer = dataclasses.replace(macro, factors=macro.factors[:1], fits=fits)
    windows = Windows(known.windows.panel, FUSED.embeddings, fewer)
    for ask in (predict, embed):
        with pytest.raises(SettingsError, match="channels are not those") as caught:
            ask(with_information(asked, windows=windows), FUSED.embeddings)
        assert "macro_2" in str(caught.value.where)


def test_a_text_tower_without_texts_names_the_extra(asked):
    nothing = TextVectors((), np.empty((0, 0), np.float32), np.empty(0, np.bool_))
    (known,) = asked.information
    bare = with_information(asked, texts=nothing.select(known.windows.panel.ids))
    for ask in (predict, embed):
        with pytest.raises(SettingsError, match="text vectors") as caught:
            ask(bare, FUSED.embeddings)
        assert "finembed[text]" in str(caught.value.remedy)


def test_a_fund_that_does_not_move_has_no_sharpe_ratio_to_learn(known):
    """The ratio of nothing to nothing is no median either: the head skips it."""
    still = known.windows.panel.returns.copy()
    still[-5:, 0] = 0.0
    maker = SheetMaker(with_returns(known, still, ONE), ONE.embeddings)
    came = maker.forward(maker.facts(known.session - 6), known.session)
    labels = maker.labels(came, PerformanceScale())
    assert labels.labelled[0]
    assert np.isnan(labels.performance[0]).tolist() == [True, False, False]


def test_a_value_that_arrives_late_moves_no_inception_of_before(tmp_path):
    """A first return that is told only after a decision does not make the fund older at it."""
    store = small_store(tmp_path)
    reader = InformationReader(store, ONE)
    panel = reader.windows.panel
    decision = reader.decision(reader.decision_months[-1])
    values, known = panel.returns.copy(), panel.known.copy()
    values[50, -1], known[50, -1] = 0.01, decision + 1  # the fund's first return was that of 100
    late = InformationReader(store, ONE)
    late.windows.panel = dataclasses.replace(panel, returns=values, known=known)
    funds = [each.information(decision).funds for each in (reader, late)]
    assert funds[0].equals(funds[1])
    assert funds[0].filter(fund_id="F07")["inception"].item() >= panel.days[100].item()
