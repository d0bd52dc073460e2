"""Texts and names as SQL writes them, where a parameter cannot stand."""

from __future__ import annotations


def literal(value: object) -> str:
    """A text in single quotes.

    >>> literal("O'Brien")
    "'O''Brien'"
    """
    return "'" + str(value).replace("'", "''") + "'"


def identifier(name: str) -> str:
    """The name of a column or table in double quotes.

    >>> identifier('the "first" one')
    '"the ""first"" one"'
    """
    return '"' + name.replace('"', '""') + '"'
