"""Backtests of every strategy, and the warehouse that people query."""

import dagster as dg

from finembed_core.backtest.run import backtest, identify
from finembed_core.calendar import Month
from finembed_core.chain import last_current_month
from finembed_core.embeddings.tables import EMBEDDINGS
from finembed_core.polymodel.stage import PAIRS
from finembed_core.report.write import write_report
from finembed_core.settings import Settings
from finembed_core.warehouse.publish import publish
from finembed_core.warehouse.query import query
from finembed_dagster.assets.embeddings import STUDY
from finembed_dagster.assets.monthly import ProgressFor
from finembed_dagster.pictures import leaderboard, orders, wealth
from finembed_dagster.study import Study

THROUGH = "finembed/through"
"""Tag of a run: the month up to which whoever launched it has seen to it that all is current."""


@dg.asset(
    deps=[
        *("predictions", "universe", "fund_observations", "series_observations"),
        "macro_factors",
    ],
    group_name="portfolios",
    kinds={"polars", "parquet"},
)
def backtests(
    context: dg.AssetExecutionContext,
    study: dg.ResourceParam[Study],
    progress_for: dg.ResourceParam[ProgressFor],
) -> dg.MaterializeResult:
    """Every strategy through the cash-exact ledger, over all months that are current."""
    through = _through(context, study)
    report = backtest(study.store, study.settings, through, progress_for(context))
    for warning in report.warnings:
        context.log.warning(warning)
    facts = {"run_id": report.run_id, "through": str(through), "was_current": report.skipped}
    return dg.MaterializeResult(metadata=wealth(study.store, report.run_id) | facts)


def warehouse_asset(settings: Settings) -> dg.AssetsDefinition:
    """The warehouse, after everything that it shows."""
    shown = [dg.AssetKey("backtests"), *([dg.AssetKey(PAIRS)] if settings.pairs else [])]
    if settings.embeds:
        shown += [dg.AssetKey(EMBEDDINGS), dg.AssetKey(STUDY)]
    kinds = {"duckdb"}
    return dg.asset(deps=shown, group_name="portfolios", kinds=kinds, pool="warehouse")(warehouse)


def warehouse(
    context: dg.AssetExecutionContext, study: dg.ResourceParam[Study]
) -> dg.MaterializeResult:
    """The DuckDB file with everything, built beside the old one and swapped in; the report."""
    store, settings, through = study.store, study.settings, _through(context, study)
    run_id = identify(store, settings, through).run_id
    report = publish(store, study.home.warehouse, settings, through, run_id)
    for warning in report.warnings:
        context.log.warning(warning)
    size = settings.report.portfolio_size
    page = write_report(study.home.warehouse, study.home.reports, run_id, portfolio_size=size)
    ranked = query(study.home.warehouse, "select * from leaderboard")
    latest = query(study.home.warehouse, "select * from latest_rebalance")
    return dg.MaterializeResult(
        metadata={
            "leaderboard": leaderboard(ranked),
            "latest_rebalance": orders(latest),
            "report": dg.MetadataValue.path(str(page)),
            "report_page": dg.MetadataValue.url(page.resolve().as_uri()),
            "path": dg.MetadataValue.path(str(report.path)),
            "was_current": report.skipped,
            "warnings": list(report.warnings),
            "rows": dict(report.tables),
        }
    )


def _through(context: dg.AssetExecutionContext, study: Study) -> Month:
    asked = context.run.tags.get(THROUGH)
    return Month.parse(asked) if asked else last_current_month(study.store, study.settings)
