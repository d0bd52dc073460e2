"""What the last run left of each asset check."""

from __future__ import annotations

import dagster as dg

from finembed_dagster.gathered import build_definitions
from finembed_dagster.study import Study


def last_statuses(instance: dg.DagsterInstance, study: Study) -> list[str]:
    """Status of the last execution of every check that the study has; fails where one never ran."""
    log = instance.event_log_storage
    keys = build_definitions(study).resolve_asset_graph().asset_check_keys
    histories = [log.get_asset_check_execution_history(key, limit=1) for key in keys]
    return [records[0].status.value for records in histories]
