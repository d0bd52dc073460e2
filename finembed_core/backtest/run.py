"""A run: every strategy over the same months, stored as immutable parts under its run id."""

from __future__ import annotations

import json
from dataclasses import dataclass

import polars as pl

import finembed_core
from finembed_core.backtest import attribution, evidence, solving
from finembed_core.backtest.attribution import Attribution
from finembed_core.backtest.bookings import verdicts_on_money
from finembed_core.backtest.evidence import Evidence
from finembed_core.backtest.sensitivity import Sensitivities
from finembed_core.backtest.study import Entry, Study
from finembed_core.backtest.tables import SCHEMAS
from finembed_core.calendar import Month
from finembed_core.fingerprint import code_fingerprint, digest
from finembed_core.learning.scores import (
    OUTCOME_SCHEMA,
    SCORE_SCHEMA,
    model_scores,
    prediction_outcomes,
    read_predictions,
)
from finembed_core.progress import Progress, Silent
from finembed_core.settings import Settings
from finembed_core.store import PartStore

RUN_TABLES = {
    **SCHEMAS,
    **solving.SCHEMAS,
    **attribution.SCHEMAS,
    **evidence.SCHEMAS,
    "prediction_outcomes": OUTCOME_SCHEMA,
    "model_scores": SCORE_SCHEMA,
}
MONTHLY_INPUTS = (
    "fund_observations",
    "series_observations",
    "universe",
    "predictions",
    "seed_predictions",
)
WHOLE_INPUTS = ("funds", "series")
MODULES = (
    "finembed_core.backtest",
    "finembed_core.calendar",
    "finembed_core.histories",
    "finembed_core.ingest.deaths",
    "finembed_core.ingest.verdicts",
    "finembed_core.learning.labels",
    "finembed_core.learning.scores",
    "finembed_core.macro.transforms",
    "finembed_core.panel",
    "finembed_core.portfolio",
)


@dataclass(frozen=True)
class RunReport:
    """What `backtest` did.

    Attributes
    ----------
    run_id : str
    through : Month
        Month of the newest decision.
    skipped : bool
        The run stood already.
    strategies, metrics : DataFrame
        The run's tables of these names.
    warnings : tuple of str
        What to know before believing the numbers.
    """

    run_id: str
    through: Month
    skipped: bool
    strategies: pl.DataFrame
    metrics: pl.DataFrame
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Identity:
    """What a run is known by.

    Attributes
    ----------
    run_id : str
        Hash of the other three.
    config, data, code : str
        Hashes of the settings, of the parts that are read up to the last month, of the source.
    """

    run_id: str
    config: str
    data: str
    code: str


def identify(store: PartStore, settings: Settings, through: Month) -> Identity:
    """Identity of the run that `backtest` would make now."""
    contents = {
        table: {m.key: m.content for m in store.manifests(table) if _within(m.key, through)}
        for table in MONTHLY_INPUTS
    }
    whole = {t: m.content for t in WHOLE_INPUTS if (m := store.manifest(t, "all")) is not None}
    macro = store.manifest(attribution.MACRO, str(through))
    whole |= {attribution.MACRO: macro.content} if macro is not None else {}
    verdicts = verdicts_on_money(store, settings, through)
    config, data = digest(settings.study), digest(contents, whole, verdicts, str(through))
    code = code_fingerprint(*MODULES)
    return Identity(digest(config, data, code)[:16], config, data, code)


def has_run(store: PartStore, run_id: str) -> bool:
    """Whether all tables of a run are in the store."""
    return all(store.manifest(table, run_id) is not None for table in RUN_TABLES)


def delete_run(store: PartStore, run_id: str) -> None:
    """Remove all parts of a run; its record first, so that a rest counts for nothing."""
    for table in ("runs", *(name for name in store.tables() if name != "runs")):
        store.delete(table, run_id)


def _within(key: str, through: Month) -> bool:
    return Month.parse(key) <= through


def backtest(
    store: PartStore, settings: Settings, through: Month, progress: Progress | None = None
) -> RunReport:
    """Simulate all strategies from the first month with predictions and store the run.

    Parameters
    ----------
    store : PartStore
        With universe and predictions built up to `through`.
    settings : Settings
    through : Month
        Last month earned and month of the newest decision, whose orders stay pending.
    progress : Progress, optional

    Raises
    ------
    MissingPartError
        A month has not been built.
    SettingsError
        The chosen benchmark is none.
    """
    identity = identify(store, settings, through)
    if has_run(store, identity.run_id):
        return _report(store, identity.run_id, through, skipped=True)
    progress = progress or Silent()
    study = Study.read(store, settings, through)
    entries = study.entries()
    explained = Attribution.read(store, settings, through)
    luck = Evidence(settings.backtest.inference, study.benchmark)
    frames: dict[str, list[pl.DataFrame]] = {table: [] for table in RUN_TABLES}
    varied = Sensitivities.of(study, entries)
    progress.start("backtest", len(entries) * (1 if varied is None else 2) + 2)
    try:
        for entry in entries:
            outcome = study.simulate(entry)
            if outcome is not None:
                own, against = study.series(outcome)
                luck.add(entry.name, own, against, entry.series)
                made = explained.tables(entry.name, outcome.track, outcome.market, own, against)
                for table, frame in (study.tables(outcome) | made).items():
                    frames[table].append(frame)
            progress.advance(entry.name)
            if varied is not None:
                if outcome is not None:
                    frames["sensitivities"].append(varied.table(outcome))
                progress.advance(f"{entry.name}, other assumptions")
        _add_evidence(frames, luck)
        study.warnings += [*study.silence, *luck.warnings]
        progress.advance("intervals and tests")
        frames["strategies"].append(_strategies(entries))
        outcomes = prediction_outcomes(store, settings, through)
        frames["prediction_outcomes"].append(outcomes)
        frames["model_scores"].append(model_scores(outcomes, read_predictions(store, through)))
        frames["runs"].append(_run_row(settings, identity, study, through))
        _write(store, identity, frames)
        progress.advance("scores")
    finally:
        progress.finish()
    return _report(store, identity.run_id, through, skipped=False)


def _add_evidence(frames: dict[str, list[pl.DataFrame]], luck: Evidence) -> None:
    intervals, tables = luck.tables()
    for table, frame in tables.items():
        frames[table].append(frame)
    key = ["strategy", "metric"]
    frames["metrics"] = [
        frame.drop("ci_low", "ci_high")
        .join(intervals, on=key, how="left", maintain_order="left")
        .select(frame.columns)
        for frame in frames["metrics"]
    ]


def _strategies(entries: list[Entry]) -> pl.DataFrame:
    rows = [
        {
            "strategy": entry.name,
            "rule": entry.strategy.rule,
            "model": entry.model,
            "status": "absent" if entry.absent else "run",
            "reason": entry.absent,
        }
        for entry in entries
    ]
    return pl.DataFrame(rows, schema=SCHEMAS["strategies"])


def _run_row(settings: Settings, identity: Identity, study: Study, through: Month) -> pl.DataFrame:
    row = {
        "code_version": finembed_core.__version__,
        "config": json.dumps(settings.study, sort_keys=True),
        "config_hash": identity.config,
        "data_hash": identity.data,
        "seed": settings.learning.seeds[0] if settings.learning.seeds else None,
        "dataset": settings.dataset.label,
        "simulated": settings.dataset.source == "simulated",
        "first_month": study.earned[0].end if study.earned else None,
        "last_month": through.end,
        "decision_lag_days": settings.dataset.calendar.decision_lag_days,
        "status": "complete",
        "warnings": json.dumps(study.warnings),
    }
    return pl.DataFrame([row], schema=SCHEMAS["runs"])


def _write(store: PartStore, identity: Identity, frames: dict[str, list[pl.DataFrame]]) -> None:
    """Commit the run's parts, `runs` last."""
    for table in [*(name for name in RUN_TABLES if name != "runs"), "runs"]:
        schema = RUN_TABLES[table]
        whole = pl.concat(frames[table]) if frames[table] else pl.DataFrame(schema=schema)
        frame = whole.select(
            pl.lit(identity.run_id).alias("run_id"),
            *(pl.col(column).cast(kind) for column, kind in schema.items()),
        )
        store.write(
            table,
            identity.run_id,
            frame,
            inputs=identity.data,
            settings=identity.config,
            code=identity.code,
        )


def _report(store: PartStore, run_id: str, through: Month, *, skipped: bool) -> RunReport:
    warnings = json.loads(store.read("runs", run_id)["warnings"][0])
    return RunReport(
        run_id=run_id,
        through=through,
        skipped=skipped,
        strategies=store.read("strategies", run_id),
        metrics=store.read("metrics", run_id),
        warnings=tuple(warnings),
    )
