"""Write the page about the schema: ``python -m finembed_core.warehouse.describe docs/schema.md``.

All of it comes from the SQL that makes the warehouse and from `checks`; a test compares the two.
"""

from __future__ import annotations

import sys
from pathlib import Path

from finembed_core.files import written_whole
from finembed_core.warehouse.checks import CHECKS
from finembed_core.warehouse.schema import (
    Column,
    Macro,
    Table,
    warehouse_macros,
    warehouse_schema,
)

HEAD = """\
# Schema of the warehouse

Written by `python -m finembed_core.warehouse.describe docs/schema.md` from `schema.sql`,
`embeddings.sql`, `views.sql` and `checks.py` in `finembed_core/warehouse`: change those. How the
file is made, and questions to ask it: [warehouse.md](warehouse.md). Keys are bold, and rows lie in
their order. Dates are month ends unless it says otherwise. A fact that breaks a rule stops the
publication, and the old file stands.
"""


def schema_page() -> str:
    """All tables and views with keys, types, meanings and rules, as markdown."""
    tables = [table for table in warehouse_schema().values() if not table.is_view]
    views = [table for table in warehouse_schema().values() if table.is_view]
    blocks = [HEAD, "## Tables\n", *map(_table, tables), "## Views\n", *map(_table, views)]
    blocks += ["## Queries with parameters\n", *map(_macro, warehouse_macros())]
    return "\n".join(blocks)


def _table(table: Table) -> str:
    head = "| column | type | meaning |\n|---|---|---|"
    rows = "\n".join(_row(column, column.name in table.key) for column in table.columns)
    parts = [f"### {table.name}\n\n{table.comment}\n", f"{head}\n{rows}\n"]
    rules = [f"`{rule}`" for rule in table.rules]
    rules += [check.rule for check in CHECKS if check.table == table.name]
    if rules:
        parts.append("Rules: " + "; ".join(rules) + ".\n")
    return "\n".join(parts)


def _macro(macro: Macro) -> str:
    return f"### {macro.name}({', '.join(macro.parameters)})\n\n{macro.comment}\n"


def _row(column: Column, in_key: bool) -> str:
    name = f"**`{column.name}`**" if in_key else f"`{column.name}`"
    missing = "" if column.nullable else ", not null"
    return f"| {name} | {column.type.lower()}{missing} | {column.comment} |"


def main(page: Path) -> None:
    """Write the page."""
    with written_whole(page) as temporary:
        temporary.write_text(schema_page())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
