"""The funds nearest to one, as the embeddings see them: a table, a map, and what to distrust."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import duckdb

from finembed_core.errors import InputError, MissingPartError
from finembed_core.report.maps import fund_map
from finembed_core.report.page import document, notes, scripts
from finembed_core.report.render import block
from finembed_core.report.run import model_name
from finembed_core.report.section import Column, Table
from finembed_core.warehouse.query import answer
from finembed_core.warehouse.quoting import literal

MOST = 10
REASONS = {
    "too_short": "too few days of the look-back have a return",
    "constant": "its returns do not move",
    "silent": "it had no return in the last five sessions",
    "all_hidden": "nothing in the look-back was known by then",
}
DISTRUST = (
    "similar is what looks alike to the model in what it was trained on: no forecast that the "
    "funds will move together, and no reason to hold one for the other"
)
HOW_TO_READ = (
    "Each point is a fund, the star the one asked for, rings the nearest by cosine similarity. The "
    "map keeps of all differences only what its two axes explain: what lies side by side here may "
    "be far apart, and the table counts. Axes have no unit, and each date has its own."
)


@dataclass(frozen=True)
class Similar:
    """What the embeddings say about the neighborhood of a fund.

    Attributes
    ----------
    fund_id : str
    date : date
        Session of the embeddings.
    table : Table
        The nearest funds, with the SQL that gives them.
    facts, notes : tuple of str
        What to say about them, and what to know before believing it.
    """

    fund_id: str
    date: dt.date
    table: Table
    facts: tuple[str, ...]
    notes: tuple[str, ...]


def require_embeddings(connection: duckdb.DuckDBPyConnection) -> None:
    """Refuse a warehouse without embeddings.

    Raises
    ------
    MissingPartError
        It holds none, or comes from a version that knew none.
    """
    there = connection.execute(
        "SELECT 1 FROM duckdb_tables() WHERE table_name = 'embeddings'"
    ).fetchall()
    if not there or not connection.execute("SELECT 1 FROM embeddings LIMIT 1").fetchall():
        raise MissingPartError(
            "this home has no embeddings",
            where="table embeddings of the warehouse",
            remedy="they need daily returns of funds and the section `embeddings` of the settings; "
            "then `finembed run`",
        )


def find_date(
    connection: duckdb.DuckDBPyConnection, fund_id: str, day: dt.date | None = None
) -> dt.date:
    """The last date with embeddings at or before a day.

    Parameters
    ----------
    connection : DuckDBPyConnection
    fund_id : str
        A fund that must have an embedding on that date.
    day : date, optional
        By default the last one that the fund has.

    Raises
    ------
    InputError
        There is none by that day, or none of this fund on that date; the message says why.
    """
    first, last = _span(connection)
    own_first, own_last = _span(connection, fund_id)
    if day is None and own_last is not None:
        return own_last
    (date,) = connection.execute(
        "SELECT max(date) FROM embeddings WHERE date <= ?", [day or last]
    ).fetchall()[0]
    if date is None:
        raise InputError(
            f"there are no embeddings by {day}",
            where=f"table embeddings: {first} to {last}",
            remedy=f"ask for {first} or later",
        )
    _, own_date = _span(connection, fund_id, date)
    if own_date != date:
        raise InputError(
            f"{fund_id} has no embedding on {date}: {_reason(connection, date, fund_id)}",
            where="tables embeddings and embedding_exclusions",
            remedy=_other_date(own_date, own_first),
        )
    return date


def similar(
    connection: duckdb.DuckDBPyConnection, fund_id: str, date: dt.date, count: int = MOST
) -> Similar:
    """The nearest funds.

    Parameters
    ----------
    connection : DuckDBPyConnection
        On a warehouse.
    fund_id : str
    date : date
        One on which the fund has an embedding, of `find_date`.
    count : int
        How many.
    """
    encoder, mode, retrained = connection.execute(
        "SELECT encoder, mode, max(retrained) FROM embeddings WHERE date = ? AND fund_id = ?"
        " GROUP BY encoder, mode ORDER BY encoder, mode LIMIT 1",
        [date, fund_id],
    ).fetchall()[0]
    sql = f"""\
SELECT fund_id, name, category, similarity, lowest, highest, n_seeds
FROM similar_funds({literal(fund_id)}, DATE {literal(str(date))})
WHERE encoder = {literal(encoder)} AND mode = {literal(mode)}
ORDER BY similarity DESC, fund_id LIMIT {count}"""
    table = Table(
        f"Nearest to {fund_id}, {date}: cosine similarity, mean and range of the seeds",
        sql,
        answer(connection, sql),
        {
            "fund_id": Column("fund"),
            "name": Column("name"),
            "category": Column("category"),
            "similarity": Column("similarity", "+.3f"),
            "lowest": Column("lowest seed", "+.3f"),
            "highest": Column("highest", "+.3f"),
        },
    )
    seeds = table.frame["n_seeds"].max() if table.frame.height else 0
    facts = [
        f"{model_name(encoder, mode)}, {seeds} seed{'s' if seeds != 1 else ''}, "
        f"retrained {retrained}",
        *_category(connection, table, fund_id, date),
    ]
    said = [DISTRUST]
    if seeds == 1:
        said.append("one seed: nothing says how much of the order is luck of the training")
    if table.frame.height < count:
        said.append(f"no more than {table.frame.height} other funds have an embedding on {date}")
    return Similar(fund_id, date, table, tuple(facts), tuple(said))


def page(
    connection: duckdb.DuckDBPyConnection, title: str, found: Similar, said: Sequence[str] = ()
) -> str:
    """HTML of the neighborhood, which loads nothing; `said` are the notes to show."""
    chart = fund_map(connection, found.date, found.fund_id, found.table.frame["fund_id"].to_list())
    facts = "<br>".join(escape(fact) for fact in found.facts)
    parts = [f"<h1>{escape(title)}</h1>", f'<p class="facts">{facts}</p>', notes(said)]
    if found.fund_id in chart.frame["fund_id"]:
        parts += [block("map", chart), f"<p>{HOW_TO_READ}</p>"]
    return document(title, [*parts, block("nearest", found.table), *scripts()])


def _span(
    connection: duckdb.DuckDBPyConnection,
    fund_id: str | None = None,
    until: dt.date | None = None,
) -> tuple[dt.date | None, dt.date | None]:
    """First and last date with embeddings, of a fund or of any, up to a day."""
    sql = (
        "SELECT min(date), max(date) FROM embeddings"
        " WHERE ($fund IS NULL OR fund_id = $fund) AND ($until IS NULL OR date <= $until)"
    )
    return connection.execute(sql, {"fund": fund_id, "until": until}).fetchall()[0]


def _reason(connection: duckdb.DuckDBPyConnection, date: dt.date, fund_id: str) -> str:
    found = connection.execute(
        "SELECT reason FROM embedding_exclusions WHERE fund_id = ? AND date = ?", [fund_id, date]
    ).fetchall()
    if not found:
        return "no reason is recorded, it may not have been listed"
    reason = str(found[0][0])
    return REASONS.get(reason, reason)


def _other_date(before: dt.date | None, first: dt.date | None) -> str:
    """Where a fund has an embedding: the last date before the one asked for, else its first."""
    if first is None:
        return "no other date has one either"
    if before is None:
        return f"ask for {first}, the first date on which it has one"
    return f"ask for {before}, the last date before on which it has one"


def _category(
    connection: duckdb.DuckDBPyConnection, table: Table, fund_id: str, date: dt.date
) -> Iterator[str]:
    """How many neighbors share the fund's category, and how many would by chance."""
    found = connection.execute(
        "WITH listed AS (SELECT DISTINCT fund_id FROM embeddings WHERE date = $day),"
        " own AS (SELECT category FROM daily_funds WHERE fund_id = $fund)"
        " SELECT own.category, avg((daily_funds.category IS NOT DISTINCT FROM own.category)::INT)"
        " FROM own, listed LEFT JOIN daily_funds USING (fund_id)"
        " WHERE listed.fund_id <> $fund AND own.category IS NOT NULL GROUP BY own.category",
        {"day": date, "fund": fund_id},
    ).fetchall()
    for category, share in found:
        same = table.frame.filter(category=category).height
        yield (
            f"{same} of the {table.frame.height} nearest are in its category, {category}; "
            f"of all other funds {share:.0%} are"
        )
