"""When to compute: Dagster assets, jobs, schedules, and the `finembed` command line."""
