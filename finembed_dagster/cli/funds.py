"""Find the fund that a person means."""

from __future__ import annotations

from difflib import get_close_matches

import polars as pl

from finembed_core.errors import InputError

MOST_LIKE, LEAST_LIKENESS = 5, 0.5


def find_fund(funds: pl.DataFrame, text: str, table: str) -> tuple[str, str | None]:
    """Id and name of the fund that is called so: by its id, else by its name if it is unique.

    Parameters
    ----------
    funds : DataFrame
        Columns fund_id and name.
    text : str
        What the person typed.
    table : str
        Table of the warehouse that names all funds.

    Raises
    ------
    InputError
        No fund is called so, or several are; the message names those that are most like it.
    """
    spoken = text.strip().lower()
    for called in (
        pl.col("fund_id") == text,
        pl.col("fund_id").str.to_lowercase() == spoken,
        pl.col("name").str.to_lowercase() == spoken,
    ):
        found = funds.filter(called)
        if found.height > 1:
            raise InputError(
                f"{found.height} funds are called {text!r}",
                where=", ".join(found["fund_id"]),
                remedy="give one of these ids as it is written here",
            )
        if found.height:
            return found.row(0)
    raise InputError(
        f"no fund is called {text!r}",
        where=f"table {table}, {funds.height} of them",
        remedy=_lookalikes(funds, spoken, table),
    )


def _lookalikes(funds: pl.DataFrame, spoken: str, table: str) -> str:
    """A remedy that names the funds with the ids and names that are most like it."""
    known = {called.lower(): row for row in funds.rows() for called in row if called}
    like = [called for called in known if spoken in called]
    like += get_close_matches(spoken, known, MOST_LIKE, LEAST_LIKENESS)
    rows = dict.fromkeys(known[called] for called in like)
    named = [" = ".join(dict.fromkeys(filter(None, row))) for row in rows]
    every = f'`finembed query "select fund_id, name from {table}"` names all'
    return f"{'; '.join(named[:MOST_LIKE])}? {every}" if named else every
