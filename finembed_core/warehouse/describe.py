"""Write the schema's tables into the documentation: ``python -m finembed_core.warehouse.describe``.

The text stands between two marks of the page; a test compares it with the schema.
"""

from __future__ import annotations

import sys
from pathlib import Path

from finembed_core.files import written_whole
from finembed_core.warehouse.schema import Table, warehouse_schema

BEGIN = "<!-- schema: written by python -m finembed_core.warehouse.describe -->"
END = "<!-- end of schema -->"


def schema_markdown() -> str:
    """All tables and views with keys, types and meanings, as markdown."""
    tables = warehouse_schema().values()
    facts = [_table(table) for table in tables if not table.is_view]
    views = [f"| `{t.name}` | {t.comment} | {_names(t)} |" for t in tables if t.is_view]
    head = "| view | what it answers | columns |\n|---|---|---|"
    return "\n\n".join([*facts, "\n".join([head, *views])])


def with_schema(page: str) -> str:
    """A page with the text between the two marks replaced."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{schema_markdown()}\n\n{END}{after}"


def _table(table: Table) -> str:
    key = f" Key: {', '.join(f'`{name}`' for name in table.key)}." if table.key else ""
    lines = [
        f"**`{table.name}`**: {table.comment}{key}",
        "",
        "| column | type | meaning |",
        "|---|---|---|",
    ]
    for column in table.columns:
        missing = "" if column.nullable else " not null"
        lines.append(f"| `{column.name}` | {column.type.lower()}{missing} | {column.comment} |")
    return "\n".join(lines)


def _names(table: Table) -> str:
    return ", ".join(f"`{column.name}`" for column in table.columns)


def main(page: Path) -> None:
    """Bring one page up to date."""
    text = with_schema(page.read_text())
    with written_whole(page) as temporary:
        temporary.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
