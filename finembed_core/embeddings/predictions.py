"""From trained models to what is predicted on a date: returns, ranks, weights, vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import cast

import numpy as np
import polars as pl
import torch
from torch import Tensor

from finembed_core.embeddings.checkpoint import FundModels
from finembed_core.embeddings.examples import FundDates, Sheet
from finembed_core.embeddings.model import RANKINGS, FundModel, FundOutputs
from finembed_core.embeddings.sheets import Information, SheetMaker
from finembed_core.embeddings.tables import PREDICTED, Schema, embedding_schema
from finembed_core.errors import NoRiskError, SolverError
from finembed_core.learning.forward import Forward
from finembed_core.learning.loop import one_thread
from finembed_core.learning.objectives import weights_of
from finembed_core.panel import FloatArray
from finembed_core.portfolio.forecast_covariance import gmv_weights
from finembed_core.settings import EmbeddingsSettings, ModeName

BATCH = 4096
"""Funds that go through a network at once."""
FORECAST = "forecast"
Note = dict[str, float] | str
Notes = dict[str, Note]
DEAREST = -0.99
"""A forecast return below which compounding would have no meaning."""


def asked(
    models: FundModels, information: Information, settings: EmbeddingsSettings
) -> tuple[SheetMaker, FundDates, Sheet]:
    """The funds of the last date of an information set, as these models take them.

    A daily series that began after their training is left out.

    Returns
    -------
    maker : SheetMaker
        Of other sheets of the same information.
    dates : FundDates
        Whose windows the sheets belong to.
    sheet : Sheet

    Raises
    ------
    SettingsError, InputError
        The models were trained on other channels, texts or characteristics.
    """
    models.require_inputs(information.windows.channels, information.texts)
    windows = information.windows.beside(models.characteristics.series)
    information = replace(information, windows=windows)
    maker = SheetMaker(information, settings)
    dates = FundDates(information.windows, (), models.scale, models.shape.mixes_channels)
    return maker, dates, maker.sheet(maker.facts(information.session), models.characteristics)


def predictions(
    models: FundModels,
    dates: FundDates,
    sheet: Sheet,
    past: Sequence[tuple[Sheet, Forward]],
    settings: EmbeddingsSettings,
) -> tuple[pl.DataFrame, Notes]:
    """Rows of `fund_predictions` of one date from every mode and seed of one encoder.

    Parameters
    ----------
    models : FundModels
    dates : FundDates
        Whose windows the sheets belong to.
    sheet : Sheet
        The date that is decided.
    past : sequence of (Sheet, Forward)
        Dates before it, on which forecasts are held against what came.
    settings : EmbeddingsSettings

    Returns
    -------
    DataFrame
    dict of str to (dict of str to float, or str)
        By encoder, mode and seed: what the forecast changed in the minimum variance portfolio, or
        why there is none.
    """
    frames, notes = [_empty(PREDICTED)], {}
    for mode, seed in models.members():
        frame, note = _member(models, mode, seed, dates, sheet, past, settings)
        frames.append(frame)
        notes[f"{models.shape.encoder}, {mode}, seed {seed}"] = note
    return pl.concat(frames), notes


def embeddings(
    models: FundModels, mode: ModeName, seeds: Sequence[int], dates: FundDates, sheet: Sheet
) -> dict[int, FloatArray]:
    """Embeddings of the funds of a date by seed, shape (n, size)."""
    found = {}
    for seed in seeds:
        outputs = answers(models.answering(mode, FORECAST, seed), dates, sheet)
        found[seed] = outputs.embedding.numpy()
    return found


def answers(model: FundModel, dates: FundDates, sheet: Sheet) -> FundOutputs:
    """Everything that a model says of the funds of a date."""
    inputs = dates.inputs(sheet)
    with one_thread(), torch.no_grad():
        parts = [
            model(type(inputs)(*(value[start : start + BATCH] for value in inputs)))
            for start in range(0, max(len(sheet.columns), 1), BATCH)
        ]
    return FundOutputs(*(torch.cat(values) for values in zip(*parts, strict=True)))


def _member(
    models: FundModels,
    mode: ModeName,
    seed: int,
    dates: FundDates,
    sheet: Sheet,
    past: Sequence[tuple[Sheet, Forward]],
    settings: EmbeddingsSettings,
) -> tuple[pl.DataFrame, Note]:
    """Rows of one mode and seed, and the note of their minimum variance portfolio."""
    forecaster = models.answering(mode, FORECAST, seed)
    said = answers(forecaster, dates, sheet)
    path = _path(said, dates)  # (n, S)
    missed = _residuals(forecaster, dates, sheet, past)
    measures = np.full((len(path), 3), np.nan)
    if models.joint(mode):
        measures = models.measures.measures(said.performance).double().numpy()
    ranks = {
        ranking: answers(models.answering(mode, ranking, seed), dates, sheet).rankings[:, k]
        for k, ranking in enumerate(RANKINGS)
    }
    scores = answers(models.answering(mode, "weights", seed), dates, sheet).weight[None]
    everyone = torch.ones_like(scores, dtype=torch.bool)
    weights = weights_of(scores.double(), everyone, settings.objectives.weights)[0]
    gmv, note = _least_variance(path, missed)
    n = len(path)
    columns = {
        "date": [dates.windows.panel.days[sheet.session].item()] * n,
        "fund_id": [dates.windows.panel.ids[column] for column in sheet.columns],
        "encoder": [models.shape.encoder] * n,
        "mode": [mode] * n,
        "seed": [seed] * n,
        "forecast": np.expm1(np.log1p(path.clip(DEAREST)).sum(axis=1)),
        "sharpe": measures[:, 0],
        "volatility": measures[:, 1],
        "drawdown": measures[:, 2],
        "weight": weights.numpy(),
        "gmv": gmv,
    } | {ranking: score.double().numpy() for ranking, score in ranks.items()}
    frame = pl.DataFrame({name: columns[name] for name in PREDICTED}, schema=PREDICTED)
    return frame.with_columns(pl.selectors.float().fill_nan(None)), note


def _path(said: FundOutputs, dates: FundDates) -> FloatArray:
    """Forecast returns, decimal, shape (n, S)."""
    return cast(Tensor, said.path).double().numpy() * dates.scale.fund


def _least_variance(path: FloatArray, missed: FloatArray) -> tuple[FloatArray, Note]:
    """Weights of least variance under the forecasts; NaN for funds too young to have been missed.

    Without weights that could be certified all are NaN, and the note says why.
    """
    old = (~np.isnan(missed)).sum(axis=0) >= path.shape[1]
    weights = np.full(len(path), np.nan)
    if not old.any():
        return weights, "no fund has been forecast for a whole horizon yet"
    try:
        weights[old], effect = gmv_weights(path[old], missed[:, old])
    except (NoRiskError, SolverError) as error:
        return weights, error.what
    return weights, asdict(effect)


def _residuals(
    model: FundModel, dates: FundDates, sheet: Sheet, past: Sequence[tuple[Sheet, Forward]]
) -> FloatArray:
    """What the model missed on past dates, for the funds of this one, shape (dates * S, n).

    NaN where a fund was not listed, or its next window is not known.
    """
    blocks = []
    for old, came in past:
        path = _path(answers(model, dates, old), dates)  # (m, S)
        _, then, now = np.intersect1d(
            old.columns, sheet.columns, assume_unique=True, return_indices=True
        )
        block = np.full((path.shape[1], len(sheet.columns)), np.nan)
        block[:, now] = (came.path - path)[then].T
        blocks.append(block)
    return np.concatenate(blocks)


def embedding_rows(
    date: object,
    ids: Sequence[str],
    vectors: dict[int, FloatArray],
    constants: dict[str, object],
    size: int,
) -> pl.DataFrame:
    """Rows of the table of embeddings of one date."""
    schema = embedding_schema(size)
    frames = [_empty(schema)]
    for seed, matrix in vectors.items():
        n = len(ids)
        columns = {name: [value] * n for name, value in constants.items()}
        columns |= {"date": [date] * n, "fund_id": list(ids), "seed": [seed] * n}
        frame = pl.DataFrame(columns).with_columns(
            vector=pl.Series(matrix.astype(np.float32), dtype=schema["vector"])
        )
        frames.append(frame.select(pl.col(name).cast(kind) for name, kind in schema.items()))
    return pl.concat(frames)


def _empty(schema: Schema) -> pl.DataFrame:
    return pl.DataFrame(schema=schema)
