"""Hashes of values, settings and source code: what decides whether a part is current."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl


def digest(*values: Any) -> str:
    """Hash of any nesting of arrays, frames, panels, mappings, sequences and plain values.

    Equal values give equal hashes on every machine; NaNs are equal to each other by their bits.

    Returns
    -------
    str
        32 hexadecimal characters.
    """
    state = hashlib.blake2b(digest_size=16)
    _feed(state, values)
    return state.hexdigest()


def _feed(state: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "OU":
            _feed(state, value.tolist())
            return
        state.update(f"array{value.dtype.str}{value.shape}".encode())
        state.update(value.tobytes())  # dates have no buffer
    elif isinstance(value, pl.DataFrame):
        state.update(f"frame{value.schema}{value.height}".encode())
        for column in value.get_columns():
            _feed_column(state, column)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        state.update(type(value).__name__.encode())
        for field in dataclasses.fields(value):
            _feed(state, getattr(value, field.name))
    elif isinstance(value, Mapping):
        state.update(b"mapping")
        for key in sorted(value, key=str):
            _feed(state, (str(key), value[key]))
    elif isinstance(value, (tuple, list)):
        state.update(f"sequence{len(value)}".encode())
        for item in value:
            _feed(state, item)
    else:
        state.update(f"{type(value).__name__}:{value!r};".encode())


def _feed_column(state: Any, column: pl.Series) -> None:
    """Feed values, not buffers: those of equal columns differ by slicing and chunks."""
    absent = column.null_count() > 0
    state.update(np.packbits(column.is_null().to_numpy()).data if absent else b"whole")
    if isinstance(column.dtype, pl.List):
        lengths = column.list.len().fill_null(0)
        state.update(np.ascontiguousarray(lengths.to_numpy()).data)
        _feed_column(state, column.explode(empty_as_null=False, keep_nulls=False))
    elif column.dtype == pl.String:
        texts = [text or "" for text in column.to_list()]
        state.update(np.array([len(text) for text in texts], dtype=np.int64).data)
        state.update("".join(texts).encode())
    else:
        plain = column.to_physical()
        if absent:
            plain = plain.fill_null(False if plain.dtype == pl.Boolean else 0)
        state.update(np.ascontiguousarray(plain.to_numpy()).data.cast("B") if len(plain) else b"")


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
