"""Training, embedding and prediction as stages of the chain, keyed by month.

Decisions lie about three months apart, so no month holds two: a decision's parts are those of its
month. Embeddings are also made at the end of every month, with the models in force.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import polars as pl

from finembed_core.calendar import Month
from finembed_core.embeddings.checkpoint import PLAIN, TENSORS, FundModels
from finembed_core.embeddings.fitting import TOO_LITTLE, fit_models
from finembed_core.embeddings.information_set import InformationReader
from finembed_core.embeddings.predictions import (
    asked,
    embedding_rows,
    embeddings,
    predictions,
)
from finembed_core.embeddings.sheets import Information
from finembed_core.embeddings.tables import (
    CURVES,
    EMBEDDINGS,
    EXCLUDED,
    EXCLUSIONS,
    PREDICTED,
    PREDICTIONS,
    embedding_schema,
    model_table,
)
from finembed_core.errors import MissingPartError
from finembed_core.fingerprint import digest, settings_fingerprint
from finembed_core.settings import EmbeddingsSettings, EncoderName, Settings
from finembed_core.stage import Output, Stage
from finembed_core.store import PartStore

MODULES = (  # what `compute` runs
    *(
        f"finembed_core.embeddings.{name}"
        for name in (
            *("characteristics", "checkpoint", "examples", "fitting", "information_set"),
            *("macro_steps", "model", "objectives", "predictions", "scale", "sentences"),
            *("shapes", "sheets", "stages", "tables", "text", "training", "windows"),
        )
    ),
    "finembed_core.encoders",
    *(
        f"finembed_core.learning.{name}"
        for name in ("channels", "forward", "loop", "masks", "objectives", "samples")
    ),
    "finembed_core.portfolio",
)


def encoder_stage(
    store: PartStore, settings: Settings, encoder: EncoderName, reader: InformationReader
) -> Stage[Information]:
    """All networks around one encoder, trained at each decision on what was known then.

    Parameters
    ----------
    store : PartStore
    settings : Settings
    encoder : str
    reader : InformationReader
        Shared between the stages.
    """
    table, own = model_table(encoder), settings.embeddings.around(encoder)

    def gather(key: str) -> Information:
        return reader.information(reader.decision(Month.parse(key)))

    return Stage(
        name=table,
        tables=(table,),
        sections=(own,),
        modules=MODULES,
        gather=gather,
        compute=partial(train, encoder=encoder, settings=own),
        spread=True,
    )


def train(
    inputs: Information, encoder: EncoderName, settings: EmbeddingsSettings
) -> Mapping[str, Output]:
    """The checkpoint of a decision and its learning curves."""
    table, fingerprint = model_table(encoder), settings_fingerprint(settings)
    fitted = fit_models(inputs, encoder, settings, fingerprint)
    if fitted is None:
        return {table: Output(pl.DataFrame(schema=CURVES), notes={"reason": TOO_LITTLE})}
    rows = [vars(row) for row in fitted.curve]
    return {
        table: Output(pl.DataFrame(rows, schema=CURVES), fitted.models.to_files(), fitted.notes)
    }


@dataclass(frozen=True)
class ModelInputs:
    """A date, and the trained models that answer on it.

    Attributes
    ----------
    information : tuple of Information
        One for each date of the month.
    models : dict of str to (str, str, dict)
        By encoder: content hash and fingerprint of its checkpoint, and the files.
    retrained : date or None
        The decision that they were trained for; None before the first.
    absent : dict of str to str
        Encoder to the reason why it has no models.
    """

    information: tuple[Information, ...]
    models: dict[EncoderName, tuple[str, str, dict[str, bytes]]]
    retrained: dt.date | None
    absent: dict[str, str] = field(default_factory=dict)

    def digest(self) -> str:
        """Hash of all of it; the models by the hash of their content."""
        contents = {encoder: content for encoder, (content, _, _) in self.models.items()}
        marks = [each.digest() for each in self.information]
        return digest(marks, contents, self.retrained, self.absent)


def prediction_stage(
    store: PartStore, settings: Settings, reader: InformationReader
) -> Stage[ModelInputs]:
    """What every encoder, mode and seed predicts at a decision."""
    own = settings.embeddings.of_any_decision

    def gather(key: str) -> ModelInputs:
        month = Month.parse(key)
        session = reader.decision(month)
        models, absent = read_models(store, own, month, own.encoders)
        return ModelInputs((reader.information(session),), models, reader.day(month), absent)

    return Stage(
        name=PREDICTIONS,
        tables=(PREDICTIONS,),
        sections=(own,),
        modules=MODULES,
        gather=gather,
        compute=partial(predict, settings=own),
        spread=True,
    )


def predict(inputs: ModelInputs, settings: EmbeddingsSettings) -> Mapping[str, Output]:
    """Rows of one decision from all encoders."""
    information = inputs.information[0]
    frames, gmv = [pl.DataFrame(schema=PREDICTED)], {}
    for _, fingerprint, files in inputs.models.values():
        models = FundModels.from_files(files, fingerprint)
        maker, dates, sheet = asked(models, information, settings)
        if len(sheet.columns):
            past = maker.past(models.characteristics)
            frame, solved = predictions(models, dates, sheet, past, settings)
            frames.append(frame)
            gmv |= solved
    notes = {"absent_encoders": inputs.absent, "gmv": gmv}
    return {PREDICTIONS: Output(pl.concat(frames), notes=notes)}


def embedding_stage(
    store: PartStore, settings: Settings, reader: InformationReader
) -> Stage[ModelInputs]:
    """Vectors of the published encoder and mode, and who has none, at month ends and decisions."""
    own = settings.embeddings.of_any_decision

    def gather(key: str) -> ModelInputs:
        month = Month.parse(key)
        trained = reader.decision_months
        at = bisect_right(trained, month)
        if not at:
            return ModelInputs((), {}, None)
        models, absent = read_models(store, own, trained[at - 1], [own.published_encoder])
        sessions = reader.dates_of(month)
        dates = tuple(reader.information(session) for session in sessions)
        return ModelInputs(dates, models, reader.day(trained[at - 1]), absent)

    return Stage(
        name=EMBEDDINGS,
        tables=(EMBEDDINGS, EXCLUSIONS),
        sections=(own,),
        modules=MODULES,
        gather=gather,
        compute=partial(embed, settings=own),
    )


def embed(inputs: ModelInputs, settings: EmbeddingsSettings) -> Mapping[str, Output]:
    """Rows of one month."""
    size, mode = settings.size, settings.published_mode
    frames = [pl.DataFrame(schema=embedding_schema(size))]
    for encoder, (_, fingerprint, files) in inputs.models.items():
        models = FundModels.from_files(files, fingerprint)
        for information in inputs.information:
            _, dates, sheet = asked(models, information, settings)
            if len(sheet.columns) == 0:
                continue
            panel = information.windows.panel
            frames.append(
                embedding_rows(
                    _day(information),
                    [panel.ids[column] for column in sheet.columns],
                    embeddings(models, mode, settings.seeds, dates, sheet),
                    {"encoder": encoder, "mode": mode, "retrained": inputs.retrained},
                    size,
                )
            )
    excluded = [
        (_day(information), *each)
        for information in inputs.information
        for each in information.windows.listed(information.session).excluded
    ]
    return {
        EMBEDDINGS: Output(pl.concat(frames), notes={"absent_encoders": inputs.absent}),
        EXCLUSIONS: Output(pl.DataFrame(excluded, schema=EXCLUDED, orient="row")),
    }


def _day(information: Information) -> dt.date:
    return information.windows.panel.days[information.session].item()


def read_models(
    store: PartStore, settings: EmbeddingsSettings, month: Month, encoders: Sequence[EncoderName]
) -> tuple[dict[EncoderName, tuple[str, str, dict[str, bytes]]], dict[str, str]]:
    """Checkpoints of a decision's month, and why an encoder has none."""
    models, absent = {}, {}
    for encoder in encoders:
        table = model_table(encoder)
        manifest = store.manifest(table, str(month))
        if manifest is None:
            raise MissingPartError(
                f"no networks around {encoder} have been trained in {month}",
                where=table,
                remedy=f"materialize {table} for {month} first",
            )
        if TENSORS not in manifest.files:
            absent[encoder] = str(manifest.notes["reason"])
            continue
        files = {name: store.read_file(table, str(month), name) for name in (TENSORS, PLAIN)}
        fingerprint = settings_fingerprint(settings.around(encoder))
        models[encoder] = (manifest.content, fingerprint, files)
    return models, absent
