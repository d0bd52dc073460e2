"""The monthly schedule: asks for every complete month that the study lacks and the data cover."""

import datetime as dt

import dagster as dg

from finembed_core.calendar import Month, month_range
from finembed_core.ingest.stage import delivered
from finembed_core.sources import month_bounds
from finembed_dagster.jobs import AssetJob
from finembed_dagster.partitions import range_tags
from finembed_dagster.study import Study

SCHEDULE = "monthly_rebalance_schedule"


def rebalance_schedule(study: Study, job: AssetJob) -> dg.ScheduleDefinition:
    """Schedule that catches up: one run over all missing months, however long it was off.

    It ticks at six on the morning after the decision day. A month whose data are late waits for
    the next tick, or for the sensor of new files; the months before it do not.
    """
    lag = study.settings.dataset.calendar.decision_lag_days

    @dg.schedule(
        name=SCHEDULE,
        job=job,
        cron_schedule=f"0 6 {1 + lag % 28} * *",
        description="All months that are complete and not yet predicted, in one run.",
    )
    def monthly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        tick = context.scheduled_execution_time
        missing = missing_months(study, tick.date())
        if not missing:
            return dg.SkipReason("every complete month has been predicted")
        newest = delivered(study.settings)
        delivered_months = [month for month in missing if month <= newest]
        if not delivered_months:
            return dg.SkipReason(f"{missing[0]} is complete, but the data end with {newest}")
        # The tick's time is in the key: a range that failed is asked for again at the next tick.
        first, last = delivered_months[0], delivered_months[-1]
        return dg.RunRequest(
            run_key=f"{tick.isoformat()} {first} {last}", tags=range_tags(first, last)
        )

    return monthly


def missing_months(study: Study, today: dt.date) -> list[Month]:
    """Months whose decision day is over and that have no predictions yet."""
    first, last = month_bounds(study.settings.dataset)
    calendar = study.settings.dataset.calendar
    complete = Month.of(today)
    while calendar.decision_day(complete) >= today:
        complete = complete - 1
    end = complete if last is None else min(complete, last)
    done = set(study.store.keys("predictions"))
    return [month for month in month_range(first, end) if str(month) not in done]
