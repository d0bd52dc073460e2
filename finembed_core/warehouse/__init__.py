"""The warehouse: one DuckDB file, derived from the part store, rebuilt beside and swapped in.

`publish.publish` makes it, `query.query` asks it, `query.export` copies a table out of it.
"""
