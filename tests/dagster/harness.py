"""Launch a backfill as the web page does, and run it in this process without a daemon."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dagster as dg
from dagster._core.execution.backfill import BulkActionStatus
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceLoadTarget
from dagster._daemon.backfill import execute_backfill_iteration
from dagster_graphql.test.utils import execute_dagster_graphql

LAUNCH = """
mutation($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
    ... on PartitionKeysNotFoundError { message }
    ... on InvalidSubsetError { message }
  }
}
"""
MOST_ITERATIONS = 20
INSTANCE = {
    "run_launcher": {
        "module": "dagster._core.launcher.sync_in_memory_run_launcher",
        "class": "SyncInMemoryRunLauncher",
    },
    "run_coordinator": {
        "module": "dagster._core.run_coordinator",
        "class": "DefaultRunCoordinator",
    },
    "telemetry": {"enabled": False},
}


class _Definitions(WorkspaceLoadTarget):
    def create_origins(self) -> Sequence[InProcessCodeLocationOrigin]:
        target = LoadableTargetOrigin(
            executable_path=sys.executable,
            module_name="finembed_dagster.definitions",
            working_directory=".",
        )
        return [InProcessCodeLocationOrigin(target, location_name="finembed")]


@contextmanager
def web_page() -> Iterator[tuple[dg.DagsterInstance, WorkspaceProcessContext]]:
    """An instance and a workspace with the study's definitions loaded."""
    with (
        dg.instance_for_test(overrides=INSTANCE) as instance,
        WorkspaceProcessContext(instance, _Definitions()) as workspace,
    ):
        yield instance, workspace


def backfill(
    instance: dg.DagsterInstance,
    workspace: WorkspaceProcessContext,
    assets: Sequence[str],
    partitions: Sequence[str],
) -> str:
    """Launch, run to the end, return the final status."""
    params = {
        "assetSelection": [{"path": [asset]} for asset in assets],
        "partitionNames": list(partitions),
    }
    answer = execute_dagster_graphql(
        workspace.create_request_context(), LAUNCH, {"params": params}
    ).data["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    number = answer["backfillId"]
    log = logging.getLogger("backfill")
    for _ in range(MOST_ITERATIONS):
        found = instance.get_backfill(number)
        if found is None or found.status != BulkActionStatus.REQUESTED:
            break
        list(execute_backfill_iteration(workspace, log))
    found = instance.get_backfill(number)
    return "" if found is None else found.status.value
