"""What assets are given: the study, which no other process writes meanwhile."""

from collections.abc import Iterator

import dagster as dg

from finembed_dagster.processes import PROCESS_TAG, this_process
from finembed_dagster.study import Study

PATIENCE = 600.0  # seconds that a run from the page waits for another writer


def writable_study(study: Study) -> dg.ResourceDefinition:
    """The study as a resource that holds the home's lock from a run's first step to its last."""

    @dg.resource(description="The study, locked against other writers while the run lasts.")
    def locked_study(context: dg.InitResourceContext) -> Iterator[Study]:
        tell = context.log.info if context.log else print
        if context.instance is not None and context.run is not None:
            context.instance.add_run_tags(context.run.run_id, {PROCESS_TAG: this_process()})
        with study.lock.held(PATIENCE, tell):
            yield study

    return locked_study
