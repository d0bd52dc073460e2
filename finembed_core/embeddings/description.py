"""What embeddings hold: the tables of information and of sanity checks, one part per encoder.

Asked are the networks of the last decision, about windows that none of their gradients saw: those
of the validation sessions, which said when to stop, and of the sessions from there to the decision,
whose next windows were not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl

from finembed_core.embeddings.checkpoint import MODALITIES, FundModels
from finembed_core.embeddings.checks import SCHEMA as CHECK
from finembed_core.embeddings.checks import checks
from finembed_core.embeddings.examples import FundDates
from finembed_core.embeddings.information.table import REPEATS, information
from finembed_core.embeddings.information.table import SCHEMA as ESTIMATE
from finembed_core.embeddings.information_set import InformationReader
from finembed_core.embeddings.predictions import embeddings
from finembed_core.embeddings.sheets import Information, SheetMaker
from finembed_core.embeddings.stages import MODULES, read_models
from finembed_core.embeddings.tables import CHECKS, INFORMATION, Schema, model_table
from finembed_core.errors import SettingsError
from finembed_core.fingerprint import digest
from finembed_core.panel import FloatArray
from finembed_core.settings import EmbeddingsSettings, EncoderName, ModeName, Settings
from finembed_core.stage import Output, Stage
from finembed_core.store import PartStore

MEMBER: Schema = {"encoder": pl.String, "mode": pl.String, "seed": pl.Int64}
INFORMATION_SCHEMA: Schema = {**MEMBER, **ESTIMATE}
CHECK_SCHEMA: Schema = {**MEMBER, "date": pl.Date, **CHECK}


@dataclass(frozen=True)
class Described:
    """One encoder at the last decision.

    Attributes
    ----------
    information : Information or None
        None before the first decision.
    encoder : str
    model : (str, str, dict) or None
        Content hash, fingerprint and files of its checkpoint; None where it has none.
    """

    information: Information | None
    encoder: EncoderName
    model: tuple[str, str, dict[str, bytes]] | None

    def digest(self) -> str:
        """Hash of all of it; the model by the hash of its content."""
        content = None if self.model is None else self.model[0]
        known = None if self.information is None else self.information.digest()
        return digest(known, self.encoder, content)


def description_stage(
    store: PartStore, settings: Settings, reader: InformationReader
) -> Stage[Described]:
    """Tables `embedding_information` and `embedding_checks`, keyed by encoder."""
    own = settings.embeddings

    def gather(key: str) -> Described:
        encoder = _encoder(own, key)
        computed = set(store.keys(model_table(encoder)))  # a run may end before the data do
        months = [month for month in reader.decision_months if str(month) in computed]
        if not months:
            return Described(None, encoder, None)
        models, _ = read_models(store, own, months[-1], [encoder])
        last = reader.information(reader.decision(months[-1]))
        return Described(last, encoder, models.get(encoder))

    return Stage(
        name=INFORMATION,
        tables=(INFORMATION, CHECKS),
        sections=(own,),
        modules=(
            *MODULES,
            "finembed_core.embeddings.baseline",
            "finembed_core.embeddings.checks",
            "finembed_core.embeddings.description",
            "finembed_core.embeddings.information",
            "finembed_core.embeddings.principal",
            "finembed_core.embeddings.retrieval",
        ),
        gather=gather,
        compute=partial(describe, settings=own),
        spread=True,
    )


def _encoder(settings: EmbeddingsSettings, key: str) -> EncoderName:
    for name in settings.encoders:
        if name == key:
            return name
    raise SettingsError(
        f"there is no encoder {key} to describe",
        where=f"settings, embeddings.encoders: {', '.join(settings.encoders)}",
        remedy="name one of these, or add it there and train it",
    )


def describe(inputs: Described, settings: EmbeddingsSettings) -> Mapping[str, Output]:
    """Rows of every mode and seed of one encoder."""
    estimates, checked = (
        [pl.DataFrame(schema=INFORMATION_SCHEMA)],
        [pl.DataFrame(schema=CHECK_SCHEMA)],
    )
    if inputs.information is not None and inputs.model is not None:
        _, fingerprint, files = inputs.model
        asked = _Unseen.of(FundModels.from_files(files, fingerprint), inputs.information, settings)
        for mode, seed in asked.models.members():
            member = {"encoder": inputs.encoder, "mode": mode, "seed": seed}
            estimates.append(_with(member, asked.information(mode, seed), INFORMATION_SCHEMA))
            checked.append(_with(member, asked.checks(mode, seed), CHECK_SCHEMA))
    return {INFORMATION: Output(pl.concat(estimates)), CHECKS: Output(pl.concat(checked))}


@dataclass(frozen=True)
class _Unseen:
    """Models, and the dates that they have not learned from, the decision last."""

    models: FundModels
    maker: SheetMaker
    dates: FundDates

    @classmethod
    def of(
        cls, models: FundModels, information: Information, settings: EmbeddingsSettings
    ) -> _Unseen:
        models.require_inputs(information.windows.channels, information.texts)
        maker = SheetMaker(information, settings)
        _, valid = maker.sessions()
        grid = range(valid[0], information.session + 1, settings.training.every_sessions)
        sheets = [maker.sheet(maker.facts(s), models.characteristics) for s in grid]
        listed = [sheet for sheet in sheets if len(sheet.columns)]
        dates = FundDates(information.windows, listed, models.scale, models.shape.mixes_channels)
        return cls(models, maker, dates)

    def information(self, mode: ModeName, seed: int) -> pl.DataFrame:
        """Estimates from all funds of all dates; a fund stays whole when rows are split.

        Windows of a fund overlap, so that halves by date would hold the same returns. Too few
        dates lie a look-back apart to estimate anything from them alone.
        """
        windows, vectors, funds = [], [], []
        for sheet in self.dates.sheets:
            values, seen = self.dates.windows.of(
                np.full(len(sheet.columns), sheet.session), sheet.columns, common=False
            )
            windows.append(_filled(values[:, 0], seen[:, 0]))
            vectors.append(embeddings(self.models, mode, [seed], self.dates, sheet)[seed])
            funds.append(sheet.columns)
        estimates = information(
            np.concatenate(windows),
            np.concatenate(vectors).astype(np.float64),
            seed=seed,
            groups=np.concatenate(funds),
            repeats=REPEATS if len(self.maker.settings.seeds) == 1 else 1,  # seeds tell the spread
        )
        return estimates.with_columns(pl.col("note") + pl.lit(f"; {self._asked_about(mode)}"))

    def _asked_about(self, mode: ModeName) -> str:
        """What rows and inputs are, for the notes."""
        funds = len(set(np.concatenate([sheet.columns for sheet in self.dates.sheets]).tolist()))
        beside = ["market and macro factors"] * self.models.shape.mixes_channels
        beside += ["characteristics and texts"] * (mode in MODALITIES)
        saw = f"; beside them the encoder saw {' and '.join(beside)}" if beside else ""
        return (
            f"windows of {funds} funds on {len(self.dates.sheets)} dates, split by fund; "
            f"inputs are the fund's own returns{saw}"
        )

    def checks(self, mode: ModeName, seed: int) -> pl.DataFrame:
        """Checks of the funds of the decision."""
        sheet = self.dates.sheets[-1]
        windows = self.dates.windows
        values, seen = windows.at(sheet.session, sheet.columns)
        facts = self.maker.facts(sheet.session)
        found = checks(
            embeddings(self.models, mode, [seed], self.dates, sheet)[seed].astype(np.float64),
            values,
            seen,
            facts.characteristics.categories,
            seed=seed,
        )
        day = windows.panel.days[sheet.session].item()
        return found.with_columns(date=pl.lit(day, dtype=pl.Date))


def _filled(values: np.ndarray, seen: np.ndarray) -> FloatArray:
    """Windows (n, L) whose hidden steps hold the mean of the visible ones."""
    count = np.maximum(seen.sum(axis=1, keepdims=True), 1)
    shown = np.where(seen, values, 0.0).astype(np.float64)
    return np.where(seen, shown, shown.sum(axis=1, keepdims=True) / count)


def _with(member: Mapping[str, object], rows: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    return rows.with_columns(pl.lit(value).alias(name) for name, value in member.items()).select(
        pl.col(column).cast(kind) for column, kind in schema.items()
    )
