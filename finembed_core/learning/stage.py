"""Training and prediction as stages of the chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finembed_core.calendar import (
    DecisionCalendar,
    Month,
    WalkForwardSplit,
    month_ends,
    retraining_in_force,
    walk_forward_split,
)
from finembed_core.errors import MissingPartError
from finembed_core.fingerprint import digest
from finembed_core.learning.channels import ChannelScaler
from finembed_core.learning.labels import classify, read_labels, unchanged_band
from finembed_core.learning.models import PLAIN, TENSORS, CurvePoint, Labelled, TrainedModel
from finembed_core.learning.samples import SampleReader, SampleSet
from finembed_core.panel import FloatArray
from finembed_core.settings import LearningSettings, ModelKind, Settings
from finembed_core.stage import Output, Stage
from finembed_core.store import PartStore

CORE = (  # what `compute` runs; a change in how inputs are read shows in their values
    "finembed_core.learning.channels",
    "finembed_core.learning.labels",
    "finembed_core.learning.models",
    "finembed_core.learning.samples",
    "finembed_core.learning.stage",
)
FAMILY_MODULES: dict[ModelKind, tuple[str, ...]] = {
    "majority": ("finembed_core.learning.baselines",),
    "persistence": ("finembed_core.learning.baselines",),
    "logistic": ("finembed_core.learning.logistic",),
    "lightgbm": ("finembed_core.learning.boosting",),
    "itransformer": (
        "finembed_core.learning.trend",
        "finembed_core.learning.loop",
        "finembed_core.encoders.inverted",
    ),
}
CURVE_SCHEMA = {
    "seed": pl.Int64,
    "epoch": pl.Int64,
    "split": pl.String,
    "loss": pl.Float64,
    "balanced_accuracy": pl.Float64,
}
PREDICTION_SCHEMA = {
    "month": pl.Date,
    "fund_id": pl.String,
    "model": pl.String,
    "p_down": pl.Float64,
    "p_unchanged": pl.Float64,
    "p_up": pl.Float64,
    "label_month": pl.Date,
    "band": pl.Float64,
    "retraining": pl.Date,
}
SEEDS = "seed_predictions"
"""Table of what each member of an averaged model predicts: how much hangs on the seed."""
SEED_SCHEMA = {
    "month": pl.Date,
    "fund_id": pl.String,
    "model": pl.String,
    "seed": pl.Int64,
    "p_up": pl.Float64,
}
TOO_LITTLE = "too_little_history"
SLOW_TO_TRAIN: frozenset[ModelKind] = frozenset({"itransformer", "lightgbm"})


def model_table(kind: ModelKind) -> str:
    """Table of the trained models of one kind."""
    return f"trend_model_{kind}"


@dataclass(frozen=True)
class TrainingInputs:
    """What one retraining may learn from, all of it known in the month before.

    Attributes
    ----------
    samples : SampleSet or None
        Labelled samples of the training and the validation block; None when there are too few.
    returns : ndarray of float64, shape (n,)
        Label returns.
    valid : ndarray of bool, shape (n,)
        Which samples belong to the validation block.
    unlabelled : int
        Samples of both blocks whose label is not known (the fund died, or reports late).
    """

    samples: SampleSet | None
    returns: FloatArray
    valid: NDArray[np.bool_]
    unlabelled: int

    def digest(self) -> str:
        """Hash of all of it."""
        return digest(self)


NOTHING = TrainingInputs(None, np.empty(0), np.empty(0, dtype=np.bool_), 0)


def training_stage(
    store: PartStore, settings: Settings, kind: ModelKind, reader: SampleReader | None = None
) -> Stage[TrainingInputs]:
    """One model of `kind` per retraining month.

    Parameters
    ----------
    store : PartStore
    settings : Settings
    kind : str
    reader : SampleReader, optional
        Shared between stages that run after each other on an unchanged store, it reads every
        month once.
    """
    samples = reader or SampleReader(store, settings)

    def gather(key: str) -> TrainingInputs:
        return _training_inputs(samples, settings, Month.parse(key))

    own = _relevant(settings.learning, kind)
    return Stage(
        name=model_table(kind),
        tables=(model_table(kind),),
        sections=(own,),
        modules=(*CORE, *FAMILY_MODULES[kind]),
        gather=gather,
        compute=partial(train, kind=kind, settings=own),
        spread=kind in SLOW_TO_TRAIN,
    )


def train(
    inputs: TrainingInputs, kind: ModelKind, settings: LearningSettings
) -> Mapping[str, Output]:
    """Fit scaler, band and model; the checkpoint and the learning curve."""
    table = model_table(kind)
    if inputs.samples is None:
        return {table: Output(_curve_frame({}), notes={"reason": TOO_LITTLE})}
    train_rows, valid_rows = np.nonzero(~inputs.valid)[0], np.nonzero(inputs.valid)[0]
    train_samples = inputs.samples.take(train_rows)
    scaler = ChannelScaler.fit(train_samples, settings.max_factor_channels)
    band = unchanged_band(inputs.returns[train_rows], settings)
    classes = classify(inputs.returns, band)
    parts = [
        Labelled(scaler.view(inputs.samples.take(rows)), classes[rows], band)
        for rows in (train_rows, valid_rows)
    ]
    model, curves = TrainedModel.fit(kind, parts[0], parts[1], scaler, settings)
    notes = {
        "band": band,
        "channels": list(scaler.channels),
        "train_samples": len(train_rows),
        "train_months": len(np.unique(inputs.samples.months[train_rows])),
        "valid_samples": len(valid_rows),
        "unlabelled_samples": inputs.unlabelled,
        "class_shares": [float((classes[train_rows] == c).mean()) for c in (-1, 0, 1)],
    }
    return {table: Output(_curve_frame(curves), model.to_files(), notes)}


@dataclass(frozen=True)
class PredictionInputs:
    """One month's samples and the models in force.

    Attributes
    ----------
    month, label_month, retraining : int
        Month ordinals.
    samples : SampleSet
    models : dict
        Kind to content hash and files of its checkpoint.
    absent : dict
        Kind to the reason why it has no model.
    """

    month: int
    label_month: int
    retraining: int
    samples: SampleSet
    models: dict[str, tuple[str, dict[str, bytes]]]
    absent: dict[str, str] = field(default_factory=dict)

    def digest(self) -> str:
        """Hash of all of it; the models by the hash of their content."""
        contents = {kind: content for kind, (content, _) in self.models.items()}
        marks = (self.month, self.label_month, self.retraining, self.absent)
        return digest(marks, contents, self.samples)


def prediction_stage(
    store: PartStore, settings: Settings, reader: SampleReader | None = None
) -> Stage[PredictionInputs]:
    """Probabilities of every fund with enough history, month by month, from every kind of model.

    A month is decided with the latest model trained before it.
    """
    samples = reader or SampleReader(store, settings)
    calendar = settings.dataset.calendar
    learning = settings.learning

    def gather(key: str) -> PredictionInputs:
        month = Month.parse(key)
        retraining = retraining_in_force(month, learning.retrain_every)
        models, absent = {}, {}
        for kind in learning.models:
            manifest = store.manifest(model_table(kind), str(retraining))
            if manifest is None:
                raise MissingPartError(
                    f"no {kind} model has been trained for {retraining}, in force in {key}",
                    where=model_table(kind),
                    remedy=f"materialize {model_table(kind)} for {retraining} first",
                )
            if TENSORS not in manifest.files:
                absent[kind] = str(manifest.notes["reason"])
                continue
            files = {
                name: store.read_file(model_table(kind), str(retraining), name)
                for name in (TENSORS, PLAIN)
            }
            models[kind] = (manifest.content, files)
        return PredictionInputs(
            month.ordinal,
            calendar.label_month(month).ordinal,
            retraining.ordinal,
            samples.read(month, month),
            models,
            absent,
        )

    return Stage(
        name="predictions",
        tables=("predictions", SEEDS),
        sections=(learning,),
        modules=(*CORE, *(name for modules in FAMILY_MODULES.values() for name in modules)),
        gather=gather,
        compute=predict,
    )


def predict(inputs: PredictionInputs) -> Mapping[str, Output]:
    """Rows (month, fund, model) of one month; for averaged models also those of each seed."""
    months = np.array([inputs.month, inputs.label_month, inputs.retraining])
    month, label_month, retraining = (day.item() for day in month_ends(months))
    frames, by_seed = [pl.DataFrame(schema=PREDICTION_SCHEMA)], [pl.DataFrame(schema=SEED_SCHEMA)]
    for kind, (_, files) in inputs.models.items():
        model = _trained(files[TENSORS], files[PLAIN])
        members = model.by_member(inputs.samples)
        p, n = members.mean(axis=0), len(inputs.samples)
        columns = {
            "month": [month] * n,
            "fund_id": inputs.samples.funds.tolist(),
            "model": [kind] * n,
            "p_down": p[:, 0],
            "p_unchanged": p[:, 1],
            "p_up": p[:, 2],
            "label_month": [label_month] * n,
            "band": [model.band] * n,
            "retraining": [retraining] * n,
        }
        frames.append(pl.DataFrame(columns, schema=PREDICTION_SCHEMA))
        if len(members) > 1:
            keys = {name: columns[name] for name in ("month", "fund_id", "model")}
            by_seed += [
                pl.DataFrame(keys | {"seed": [seed] * n, "p_up": own[:, 2]}, schema=SEED_SCHEMA)
                for seed, own in zip(model.seeds, members, strict=True)
            ]
    notes = {"funds": len(inputs.samples), "absent_models": inputs.absent}
    return {
        "predictions": Output(pl.concat(frames), notes=notes),
        SEEDS: Output(pl.concat(by_seed)),
    }


@lru_cache(maxsize=2 * len(FAMILY_MODULES))
def _trained(tensors: bytes, plain: bytes) -> TrainedModel:
    """The model of a checkpoint; it decides many months in a row."""
    return TrainedModel.from_files({TENSORS: tensors, PLAIN: plain})


def _training_inputs(reader: SampleReader, settings: Settings, retraining: Month) -> TrainingInputs:
    learning, calendar = settings.learning, settings.dataset.calendar
    split = _split(reader, learning, calendar, retraining)
    if split is None:
        return NOTHING
    samples = reader.read(split.train[0], split.valid[1])
    labels = read_labels(reader.fund_returns, calendar, split.known, samples.months, samples.funds)
    valid = samples.months >= split.valid[0].ordinal
    used = valid | (samples.months <= split.train[1].ordinal)  # the rest is the purge
    labelled = ~np.isnan(labels.returns)
    rows = np.nonzero(used & labelled)[0]
    train_months = len(np.unique(samples.months[used & labelled & ~valid]))
    if train_months < learning.min_train_months or not valid[rows].any():
        return NOTHING
    unlabelled = int((used & ~labelled).sum())
    return TrainingInputs(samples.take(rows), labels.returns[rows], valid[rows], unlabelled)


def _split(
    reader: SampleReader, learning: LearningSettings, calendar: DecisionCalendar, retraining: Month
) -> WalkForwardSplit | None:
    if reader.first_month is None:
        return None
    return walk_forward_split(
        retraining, calendar, reader.first_month, learning.valid_months, learning.window_months
    )


def _relevant(learning: LearningSettings, kind: ModelKind) -> LearningSettings:
    """The settings that can change a model of this kind, the others at their defaults."""
    default = LearningSettings()
    others = {"itransformer", "logistic", "lightgbm"} - {kind}
    reset = {name: getattr(default, name) for name in others}
    return learning.model_copy(update={**reset, "models": [kind]})


def _curve_frame(curves: Mapping[int, list[CurvePoint]]) -> pl.DataFrame:
    rows = [
        (seed, point.epoch, point.split, point.loss, point.balanced_accuracy)
        for seed, curve in curves.items()
        for point in curve
    ]
    return pl.DataFrame(rows, schema=CURVE_SCHEMA, orient="row")
