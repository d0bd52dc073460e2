"""Training modes: which networks come out, what starts from what, and that every option counts."""

from functools import cache

import numpy as np
import pytest
import torch

from finembed_core.embeddings.checkpoint import FundModels
from finembed_core.embeddings.fitting import Fitted, fit_models
from finembed_core.embeddings.information_set import InformationReader
from finembed_core.embeddings.model import FundModel
from finembed_core.embeddings.objectives import OBJECTIVES, TASKS, FundBatch, Learner
from finembed_core.embeddings.predictions import answers, asked
from finembed_core.embeddings.sentences import installed
from finembed_core.embeddings.training import JOINT, NetworkName
from finembed_core.errors import IntegrityError
from finembed_core.learning.masks import hide_steps
from finembed_core.settings import ENCODERS, MODES, EmbeddingsSettings, Settings
from tests.embeddings.small_store import information, small_settings, small_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return small_store(tmp_path_factory.mktemp("store"))


def fit(store, settings: Settings) -> Fitted:
    own = settings.embeddings
    fitted = fit_models(information(store, settings), own.encoders[0], own, "print")
    assert fitted is not None
    return fitted


@pytest.fixture(scope="module")
def fitted(store):
    return fit(store, small_settings())


def weights(models: FundModels, mode: str, task: str, seed: int = 1) -> dict[str, torch.Tensor]:
    return models.networks[NetworkName(mode, task, seed)].state_dict()


def test_each_mode_has_its_networks(fitted):
    names = {(name.mode, name.task) for name in fitted.models.networks}
    alone = {(mode, task) for mode in ("supervised", "finetune") for task in TASKS}
    joint = {(mode, JOINT) for mode in ("probe", "multi_objective", "multi_modal")}
    assert names == alone | joint
    assert {name.seed for name in fitted.models.networks} == {1, 2}
    assert fitted.models.members() == sorted((mode, seed) for mode in MODES for seed in (1, 2))


def test_the_same_seed_gives_the_same_bytes(store, fitted):
    again = fit(store, small_settings())
    assert again.models.to_files() == fitted.models.to_files()
    assert again.curve == fitted.curve


def test_seeds_differ(fitted):
    one, other = (weights(fitted.models, "supervised", "forecast", seed) for seed in (1, 2))
    assert any(not torch.equal(one[name], other[name]) for name in one)


def beside_the_head(model: FundModel) -> dict[str, torch.Tensor]:
    """State of the encoder but for its forecast head, buffers included."""
    state = model.encoder.state_dict().items()
    return {name: value.clone() for name, value in state if not name.startswith("head.")}


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_probe_keeps_the_pretrained_encoder_that_finetuning_moves(store, encoder, monkeypatch):
    pretrained, freeze = [], FundModel.freeze_encoder

    def watched(model: FundModel) -> None:
        pretrained.append(beside_the_head(model))
        freeze(model)

    monkeypatch.setattr(FundModel, "freeze_encoder", watched)
    own = {"encoders": [encoder], "published_encoder": encoder, "published_mode": "probe"}
    networks = fit(store, small_settings(**own, seeds=[1], modes=["probe", "finetune"])).models
    [before] = pretrained
    probe = networks.answering("probe", JOINT, 1)
    after, tuned = map(beside_the_head, (probe, networks.answering("finetune", "forecast", 1)))
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert any(not torch.equal(tuned[name], value) for name, value in before.items())
    assert all(value.any() for value in probe.encoder.head.parameters())  # they begin at 0


def test_what_is_hidden_reaches_no_guess_and_heads_read_whole_windows(store):
    """Filling in knows the visible steps alone: no statistic, no characteristic tells the rest."""
    settings = small_settings(seeds=[1], modes=["multi_modal"])
    told = information(store, settings)
    models = fit(store, settings).models
    _, dates, sheet = asked(models, told, settings.embeddings)
    model = models.answering("multi_modal", JOINT, 1)
    learner = Learner(model, OBJECTIVES).eval()
    inputs = dates.inputs(sheet)
    shown = hide_steps(inputs.visible, 0.4, 4, torch.Generator().manual_seed(1))
    hidden = inputs.visible & ~shown
    said = learner(FundBatch(inputs, shown))
    for name, value in model(inputs)._asdict().items():
        assert torch.equal(value, getattr(said, name)) == (name != "reconstruction"), name
    others = inputs._replace(
        windows=torch.where(hidden, 9.0, inputs.windows), numbers=inputs.numbers + 1.0
    )
    guess = learner(FundBatch(others, shown)).reconstruction
    assert torch.equal(guess, said.reconstruction)
    assert hidden.any(dim=2)[:, 0].all()


def test_curves_hold_every_objective(fitted):
    joint = {row.objective for row in fitted.curve if row.mode == "multi_objective"}
    assert joint == {
        *("forecast", "reconstruction", "weights", "performance", "listnet", "neuralndcg")
    }
    assert {row.task for row in fitted.curve if row.mode == "probe"} == {JOINT, "pretraining"}
    assert all(np.isfinite(row.loss) and row.loss >= 0.0 for row in fitted.curve)


def test_learning_on_its_own_dates_lowers_the_loss(store):
    training = {"max_epochs": 30, "patience": 30, "learning_rate": 1e-2, "epoch_windows": 128}
    settings = small_settings(
        seeds=[1], modes=["supervised"], published_mode="supervised", training=training
    )
    curve = fit(store, settings).curve
    for task in TASKS:
        losses = [row.loss for row in curve if row.task == task and row.split == "train"]
        assert min(losses[-5:]) < losses[0] - 0.02, task


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_checkpoint_answers_the_same_to_the_bit(store, encoder):
    settings = small_settings(
        encoders=[encoder],
        published_encoder=encoder,
        seeds=[1],
        modes=["supervised", "multi_modal"],
    )
    models = fit(store, settings).models
    files = models.to_files()
    again = FundModels.from_files(files, "print")
    assert again.to_files() == files
    _, dates, sheet = asked(again, information(store, settings), settings.embeddings)
    for name, model in models.networks.items():
        before, after = (answers(m, dates, sheet) for m in (model.eval(), again.networks[name]))
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_checkpoint_of_other_settings_is_refused(fitted):
    with pytest.raises(IntegrityError, match="trained with other settings") as caught:
        FundModels.from_files(fitted.models.to_files(), "another")
    assert "print" in str(caught.value.where)


def test_too_little_history_trains_nothing(store):
    settings = small_settings()
    reader = InformationReader(store, settings)
    first = reader.information(reader.decision(reader.decision_months[0]))
    assert fit_models(first, "rlinear", settings.embeddings, "print") is None


OPTIONS = {
    "statistics": False,
    "size": 5,
    "objectives": [
        {"hidden_share": 0.7},
        {"hidden_steps": 2},
        {"listnet_temperature": 3.0},
        {"ndcg_temperatures": (0.7, 0.2)},
        {"weights": "simplex"},
        {"risk_aversion": 50.0},
        {"balance": "equal"},
    ],
    "fusion": [
        {"kind": "attention"},
        {"characteristics": False},
        {"modality_dropout": 0.0},
    ],
    "training": [
        {"train_sessions": 100},
        {"valid_sessions": 24},
        {"every_sessions": 3},
        {"batch_windows": 16},
        {"epoch_windows": 96},
        {"max_epochs": 1},
        {"learning_rate": 1e-2},
        {"weight_decay": 0.5},
    ],
    "encoder": [{"width": 10}],
    "min_visible": 0.9,
    "dealing_lag_sessions": 2,
    "horizon": 6,
    "lookback": 17,
}
ENCODER_OPTIONS = {
    "patchtst": [
        {"patch": 4},
        {"stride": 8},
        {"layers": 2},
        {"heads": 4},
        {"feed_forward": 9},
        {"dropout": 0.5},
    ],
    "itransformer": [{"layers": 2}, {"heads": 4}, {"feed_forward": 9}, {"dropout": 0.5}],
    "dlinear": [{"trend_window": 3}],
}
CHANGES = [
    *(
        ("rlinear", {name: value})
        for name, values in OPTIONS.items()
        for value in (values if isinstance(values, list) else [values])
    ),
    *(
        (encoder, {"encoder": option})
        for encoder, options in ENCODER_OPTIONS.items()
        for option in options
    ),
]
ON_THEIR_OWN = [{"training": {"patience": 1}}, {"fusion": {"text": False}}]
ELSEWHERE = {  # which panel, when, which networks: none of them is about how one is trained
    *("enabled", "market", "daily_lag_days", "max_abs_return", "max_gap_sessions", "anchor"),
    *("every_sessions", "first_decision", "last_decision", "encoders", "modes", "seeds"),
    *("published_encoder", "published_mode"),
}


def leaves(tree: dict, above: str = "") -> set[str]:
    """Options by their path."""
    inner = (
        leaves(v, f"{above}{k}.") if isinstance(v, dict) else {above + k} for k, v in tree.items()
    )
    return set().union(*inner)


def test_no_option_is_forgotten():
    covered = set().union(*map(leaves, [*(change for _, change in CHANGES), *ON_THEIR_OWN]))
    assert covered == leaves(EmbeddingsSettings().model_dump()) - ELSEWHERE


def networks(store, encoder: str = "rlinear", /, **own) -> bytes:
    """One network as a file."""
    one = {"seeds": [1], "modes": ["multi_modal"], "published_mode": "multi_modal"}
    settings = small_settings(**one, encoders=[encoder], published_encoder=encoder, **own)
    return fit(store, settings).models.to_files()["model.safetensors"]


@pytest.fixture(scope="module")
def unchanged(store):
    """Networks around an encoder with the small settings, trained once."""
    return cache(lambda encoder: networks(store, encoder))


@pytest.mark.parametrize(("encoder", "change"), CHANGES, ids=str)
def test_every_option_changes_the_networks(store, unchanged, encoder, change):
    assert networks(store, encoder, **change) != unchanged(encoder)


def test_patience_changes_the_networks(store):
    """At a rate so high the loss rises from the second epoch on and is least in the seventh."""
    restless = {"max_epochs": 8, "learning_rate": 0.03}
    one, other = (
        networks(store, training={**restless, "patience": patience}) for patience in (1, 8)
    )
    assert one != other


@pytest.mark.skipif(not installed(), reason="the extra `text` is not installed")
def test_texts_change_the_networks(store, unchanged):
    assert networks(store, fusion={"text": False}) != unchanged("rlinear")
