"""Write the schema's tables into the documentation: ``python -m finembed_core.warehouse.describe``.

The text stands between two marks of the page; a test compares it with the schema.
"""

from __future__ import annotations

import sys
from pathlib import Path

from finembed_core.files import written_whole
from finembed_core.warehouse.schema import Column, Table, warehouse_schema

BEGIN = "<!-- schema: written by python -m finembed_core.warehouse.describe -->"
END = "<!-- end of schema -->"


def schema_markdown() -> str:
    """All tables and views with keys, types and meanings, as markdown."""
    tables = warehouse_schema().values()
    facts = [f"| `{t.name}` | {t.comment} | {_columns(t)} |" for t in tables if not t.is_view]
    views = [f"| `{t.name}` | {t.comment} | {_columns(t)} |" for t in tables if t.is_view]
    rule = "|---|---|---|"
    head = ["| table | what it holds | columns, the key in bold |", rule]
    return "\n".join([*head, *facts, "", "| view | what it answers | columns |", rule, *views])


def with_schema(page: str) -> str:
    """A page with the text between the two marks replaced."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{schema_markdown()}\n\n{END}{after}"


def _columns(table: Table) -> str:
    if table.is_view:
        return ", ".join(f"`{column.name}`" for column in table.columns)
    return "; ".join(_column(column, column.name in table.key) for column in table.columns)


def _column(column: Column, in_key: bool) -> str:
    name = f"**`{column.name}`**" if in_key else f"`{column.name}`"
    missing = "" if column.nullable else ", not null"
    meaning = f": {column.comment}" if column.comment else ""
    return f"{name} ({column.type.lower()}{missing}){meaning}"


def main(page: Path) -> None:
    """Bring one page up to date."""
    text = with_schema(page.read_text())
    with written_whole(page) as temporary:
        temporary.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
