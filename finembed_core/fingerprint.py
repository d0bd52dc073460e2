"""Hashes of values, settings and source code: what decides whether a part is current."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import hashlib
import importlib.util
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import polars as pl

PLAIN = (str, bytes, int, float, type(None), dt.date, dt.time, dt.timedelta)
PLAIN += (enum.Enum, np.generic, PurePath)


def digest(*values: Any) -> str:
    """Hash of any nesting of arrays, frames, dataclasses, mappings, sequences and plain values.

    The same values of the same types give the same hash on every machine, in whatever order a
    mapping holds them. Numbers count by their bits: a NaN equals itself, -0.0 is not 0.0.

    Returns
    -------
    str
        32 hexadecimal characters.

    Raises
    ------
    TypeError
        A value of another type, whose text need not tell all of it (a set, a series, a function).
    """
    state = hashlib.blake2b(digest_size=16)
    _feed(state, values)
    return state.hexdigest()


def _feed(state: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        _feed_array(state, value)
    elif isinstance(value, pl.DataFrame):
        state.update(f"frame{value.schema}{value.height}".encode())
        for column in value.get_columns():
            _feed_column(state, column)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        state.update(f"{type(value).__name__}:".encode())
        for field in dataclasses.fields(value):
            _feed(state, getattr(value, field.name))
    elif isinstance(value, Mapping):
        state.update(f"mapping{len(value)}:".encode())
        for key in sorted(value, key=repr):
            _feed(state, (key, value[key]))
    elif isinstance(value, (tuple, list)):
        state.update(f"sequence{len(value)}:".encode())
        for item in value:
            _feed(state, item)
    elif isinstance(value, PLAIN):
        state.update(f"{type(value).__name__}:{value!r};".encode())
    else:
        raise TypeError(f"no hash for a {type(value).__name__}: turn it into plain values first")


def _feed_array(state: Any, array: np.ndarray) -> None:
    if array.dtype.hasobject or array.dtype.kind == "U":  # pointers; widths
        state.update(f"objects{array.shape}".encode())
        _feed(state, array.ravel().tolist())
    else:
        state.update(f"array{array.dtype.str}{array.shape}".encode())
        state.update(array.tobytes())  # dates have no buffer


def _feed_column(state: Any, column: pl.Series) -> None:
    """Feed values, not buffers: those of equal columns differ by slicing and chunks."""
    if isinstance(column.dtype, pl.Array):
        column = column.arr.to_list()
    elif isinstance(column.dtype, (pl.Categorical, pl.Enum)):
        column = column.cast(pl.String)  # codes depend on what was seen before
    absent = column.null_count() > 0
    state.update(b"absent" if absent else b"whole")
    if absent:
        state.update(np.packbits(column.is_null().to_numpy()).data)
    if isinstance(column.dtype, pl.List):
        lengths = column.list.len().fill_null(0)
        state.update(np.ascontiguousarray(lengths.to_numpy()).data)
        _feed_column(state, column.explode(empty_as_null=False, keep_nulls=False))
    elif column.dtype == pl.String:
        texts = column.fill_null("")
        state.update(np.ascontiguousarray(texts.str.len_chars().cast(pl.Int64).to_numpy()).data)
        state.update((texts.str.join().item() if len(texts) else "").encode())
    elif column.dtype == pl.Boolean or column.dtype.is_temporal() or _is_number(column.dtype):
        plain = column.to_physical()
        if absent:
            plain = plain.fill_null(False if plain.dtype == pl.Boolean else 0)
        state.update(np.ascontiguousarray(plain.to_numpy()).data.cast("B") if len(plain) else b"")
    elif column.dtype != pl.Null:
        raise TypeError(
            f"no hash for a column of {column.dtype}: cast column {column.name!r} first"
        )


def _is_number(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() and not isinstance(dtype, (pl.Decimal, pl.Int128, pl.UInt128))


def settings_fingerprint(*sections: Any) -> str:
    """Hash of settings sections by their canonical JSON, independent of field order."""
    plain = [section.model_dump(mode="json") for section in sections]
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@cache
def code_fingerprint(*modules: str) -> str:
    """Hash of the source files of these modules or packages.

    A changed formula makes the parts built with the old one stale.
    """
    state = hashlib.blake2b(digest_size=16)
    for name in sorted(modules):
        spec = importlib.util.find_spec(name)  # finds without importing: torch is slow to come
        source = Path(str(spec.origin if spec else name))
        files = sorted(source.parent.rglob("*.py")) if source.name == "__init__.py" else [source]
        for file in files:
            state.update(file.name.encode() + b"\0" + file.read_bytes())
    return state.hexdigest()
