"""Partition keys: the first day of a month, here and nowhere else.

Months have one definition, retrainings another: the partition 2000-01-01 of a trend model is the
model that decides January 2000 and the months up to the next retraining.
"""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

from finembed_core.calendar import Month, retraining_in_force
from finembed_core.settings import Settings
from finembed_core.sources import month_bounds

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


def partition_key(month: Month) -> str:
    """Dagster's key of a month."""
    return month.start.isoformat()


def months_of(keys: Iterable[str]) -> list[Month]:
    """Months of partition keys, in order."""
    return sorted(Month.parse(key) for key in keys)


def range_tags(first: Month, last: Month) -> dict[str, str]:
    """Tags that make one run do all months from `first` to `last`."""
    return {RANGE_START: partition_key(first), RANGE_END: partition_key(last)}


def decision_months_definition(settings: Settings) -> dg.TimeWindowPartitionsDefinition:
    """One partition per month that can be decided.

    A dataset that ends has its last month here; one that grows has every complete month, and a
    month without data is refused by the assets.
    """
    first, last = month_bounds(settings.dataset)
    end = None if last is None else partition_key(last + 1)
    return dg.MonthlyPartitionsDefinition(start_date=partition_key(first), end_date=end)


def retrainings_definition(settings: Settings) -> dg.TimeWindowPartitionsDefinition:
    """One partition per retraining, named by the first month that it decides."""
    first, last = month_bounds(settings.dataset)
    every = settings.learning.retrain_every
    end = None if last is None else retraining_in_force(last, every) + every
    return dg.TimeWindowPartitionsDefinition(
        start=partition_key(retraining_in_force(first, every)),
        end=None if end is None else partition_key(end),
        end_offset=0 if end is not None else 1,
        cron_schedule=f"0 0 1 */{every} *",
        fmt="%Y-%m-%d",
    )
