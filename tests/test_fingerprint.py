"""Hashes tell apart whatever differs, and nothing else, in every process."""

import copy
import datetime as dt
import enum
import hashlib
import importlib
import os
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finembed_core.calendar import Month
from finembed_core.fingerprint import code_fingerprint, digest, settings_fingerprint
from finembed_core.settings import MacroSettings, PolyModelSettings, Settings

PLAIN = st.sampled_from(
    ["", "a", "1", "b;", b"", b"a", 0, 1, -1, 1.0, 0.0, -0.0, float("nan"), True, False, None]
)
KEYS = st.sampled_from(["a", "b", "1", 1])
NESTED = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=8,
)
COLUMNS = {
    pl.Int8: st.integers(0, 2),
    pl.Float64: st.sampled_from([0.0, 1.0, float("nan")]),
    pl.Boolean: st.booleans(),
    pl.String: st.sampled_from(["", "a", "aa", "é"]),
    pl.Date: st.sampled_from([dt.date(2000, 1, 1), dt.date(1970, 1, 1)]),
    pl.List(pl.String): st.lists(st.sampled_from(["", "a", None]), max_size=2),
    pl.List(pl.List(pl.Int8)): st.lists(st.lists(st.integers(0, 1), max_size=2), max_size=2),
}


class Color(enum.Enum):
    RED = 1
    BLUE = 2


@dataclass
class Here:
    x: Any


@dataclass
class There:
    x: Any


def plainly(value: Any) -> Any:
    """The same nesting with types spelled out, so that ``==`` tells all apart that differ."""
    if isinstance(value, dict):
        return "mapping", sorted((repr(key), plainly(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return "sequence", [plainly(item) for item in value]
    return type(value).__name__, repr(value)


def frame(*values: Any, dtype: Any = None, name: str = "x") -> pl.DataFrame:
    return pl.DataFrame({name: pl.Series(values, dtype=dtype, strict=False)})


def column_of(kind: Any, values: list[Any]) -> pl.DataFrame:
    return pl.DataFrame({"x": pl.Series(values, dtype=kind)})


@given(NESTED, NESTED)
def test_hashes_are_equal_where_values_are(one: Any, two: Any) -> None:
    assert digest(one) == digest(copy.deepcopy(one))
    assert (digest(one) == digest(two)) == (plainly(one) == plainly(two))


@given(st.data(), st.sampled_from(list(COLUMNS)))
def test_hashes_of_columns_are_equal_where_their_values_are(data: st.DataObject, kind: Any) -> None:
    values = st.lists(st.none() | COLUMNS[kind], max_size=4)
    one, two = data.draw(values), data.draw(values)
    same = column_of(kind, one).equals(column_of(kind, two))
    assert (digest(column_of(kind, one)) == digest(column_of(kind, two))) == same


@given(st.data(), st.sampled_from(list(COLUMNS)), st.integers(0, 4))
def test_columns_hash_alike_however_they_lie_in_memory(
    data: st.DataObject, kind: Any, cut: int
) -> None:
    values = data.draw(st.lists(st.none() | COLUMNS[kind], max_size=4))
    whole = column_of(kind, values)
    chunks = pl.concat([whole[:cut], whole[cut:]], rechunk=False)
    sliced = column_of(kind, [*values[:1], *values, *values[:1]])[bool(values) :][: len(values)]
    assert digest(chunks) == digest(sliced) == digest(whole)


A = np.arange(6.0).reshape(2, 3)
PATTERN = np.unpackbits(np.frombuffer(b"whole", dtype=np.uint8))
DIFFERENT = {
    "text and number": ("1", 1),
    "text and bytes": ("a", b"a"),
    "number and truth": (1, True),
    "whole and real number": (1, 1.0),
    "width of a number": (np.float64(1), np.float32(1)),
    "nothing and not a number": (None, float("nan")),
    "nothing and its name": (None, "None"),
    "nothing and empty text": (None, ""),
    "signs of zero": (0.0, -0.0),
    "day and its text": (dt.date(2000, 1, 1), "2000-01-01"),
    "day and midnight": (dt.date(2000, 1, 1), dt.datetime(2000, 1, 1)),
    "choices": (Color.RED, Color.BLUE),
    "names of classes": (Here(1), There(1)),
    "values of a class": (Here(1), Here(2)),
    "months": (Month.parse("2000-01"), Month.parse("2000-02")),
    "order": ([1, 2], [2, 1]),
    "grouping": ([[1], 2], [1, [2]]),
    "depth": ([1], [[1]]),
    "where a sequence ends": ([[1], 2], [[1, 2]]),
    "empty and absent": ([[]], []),
    "key and value": ({"a": "b"}, {"b": "a"}),
    "types of keys": ({1: "x"}, {"1": "x"}),
    "mapping and its pairs": ({"a": 1}, [("a", 1)]),
    "where a mapping ends": (
        [{"a": 1}, ("b", 2), {"c": 3, "d": 4}],
        [{"a": 1, "b": 2}, {"c": 3}, ("d", 4)],
    ),
    "types of arrays": (A, A.astype(np.float32)),
    "signs of arrays": (np.zeros(2, dtype=np.int64), np.zeros(2, dtype=np.uint64)),
    "shapes of arrays": (A, A.reshape(3, 2)),
    "axes of arrays": (np.arange(4).reshape(2, 2), np.arange(4).reshape(2, 2).T),
    "empty arrays": (np.empty((0, 2)), np.empty((2, 0))),
    "array and list": (np.array([1.0]), [1.0]),
    "one cell of an array": (A, np.where(A == 4, np.nan, A)),
    "units of days": (np.array([1], dtype="M8[D]"), np.array([1], dtype="M8[M]")),
    "text arrays": (np.array(["ab", "c"]), np.array(["a", "bc"])),
    "shapes of text arrays": (np.array([["a", "b"]]), np.array([["a"], ["b"]])),
    "empty text arrays": (np.empty((0, 2), dtype=str), np.empty(0, dtype=str)),
    "text and objects in arrays": (np.array(["1"], dtype=object), np.array([1], dtype=object)),
    "frame and its array": (frame(1.0), np.array([[1.0]])),
    "names of columns": (frame(1), frame(1, name="y")),
    "order of columns": (pl.DataFrame({"x": [1], "y": [1]}), pl.DataFrame({"y": [1], "x": [1]})),
    "order of rows": (frame(1, 2), frame(2, 1)),
    "types of columns": (frame(1, dtype=pl.Int32), frame(1, dtype=pl.Int64)),
    "time zones": (frame(dtype=pl.Datetime("us", "UTC")), frame(dtype=pl.Datetime("us"))),
    "rows of nothing": (frame(None), frame(None, None)),
    "null and zero": (frame(None, dtype=pl.Int64), frame(0)),
    "null and false": (frame(None, dtype=pl.Boolean), frame(False)),
    "null and not a number": (frame(None, dtype=pl.Float64), frame(float("nan"))),
    "null and empty text": (frame(None, dtype=pl.String), frame("")),
    "null and the epoch": (frame(None, dtype=pl.Date), frame(dt.date(1970, 1, 1))),
    "null and empty list": (frame(None, dtype=pl.List(pl.Int64)), frame([], dtype=pl.List(int))),
    "null within a list": (frame([None, 1]), frame([0, 1])),
    "where a list ends": (frame([1], [2, 3]), frame([1, 2], [3])),
    "where a text ends": (frame("ab", "c"), frame("a", "bc")),
    "a pattern of nulls that spells": (
        frame(*(None if bit else "x" for bit in PATTERN)),
        frame(*("" if bit else "x" for bit in PATTERN)),
    ),
    "categories": (frame("a", dtype=pl.Categorical), frame("b", dtype=pl.Categorical)),
    "fixed lists": (frame([1, 2], dtype=pl.Array(int, 2)), frame([1, 3], dtype=pl.Array(int, 2))),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_what_differs_has_another_hash(case: str) -> None:
    one, two = DIFFERENT[case]
    assert digest(one) != digest(two)
    assert digest("before", one, "after") != digest("before", two, "after")
    assert digest(one) == digest(copy.deepcopy(one))


ALIKE = {
    "mappings in another order": ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}),
    "lists and tuples": ([1, [2]], (1, (2,))),
    "arrays by columns": (A, np.asfortranarray(A)),
    "strided arrays": (A[:, ::2], A[:, ::2].copy()),
    "arrays of missing values": (np.full(2, np.nan), np.array([np.nan, float("nan")])),
    "text arrays of another width": (np.array(["a", "b"]), np.array(["a", "b", "long"])[:2]),
    "text as objects": (np.array(["a", "b"]), np.array(["a", "b"], dtype=object)),
    "text of variable width": (
        np.array(["a", "x" * 99], dtype=np.dtypes.StringDType()),
        np.array(["a", "x" * 99]),
    ),
    "categories seen in another order": (
        frame("b", "a", dtype=pl.Categorical)[1:],
        frame("a", dtype=pl.Categorical),
    ),
}


@pytest.mark.parametrize("case", ALIKE)
def test_what_only_lies_differently_hashes_alike(case: str) -> None:
    one, two = ALIKE[case]
    assert digest(one) == digest(two)


@pytest.mark.parametrize(
    "value",
    [
        {"a", "b"},
        pl.Series([1]),
        Settings(),
        len,
        object(),
        frame(b"x"),
        frame({"a": "x"}),
        frame([{"a": 1}]),
        frame(Decimal("1.1")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_stable_text_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="no hash for a"):
        digest([value])


def test_other_processes_find_the_same_hashes() -> None:
    """Whatever the order of their sets, the names in their memory or the seed of their hashes."""
    program = (
        "from finembed_core.fingerprint import *\n"
        "from finembed_core.settings import Settings\n"
        "import numpy as np, polars as pl\n"
        "names = [f'n{k}' for k in range(9)]\n"
        "values = {name: k for k, name in sorted(enumerate(names), key=lambda p: hash(p[1]))}\n"
        "print(digest(values, np.array(names), pl.DataFrame({'n': names}), Settings().study),\n"
        "      settings_fingerprint(Settings()), code_fingerprint('finembed_core.macro'))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    names = [f"n{k}" for k in range(9)]
    own = digest(
        {name: k for k, name in enumerate(names)},
        np.array(names),
        pl.DataFrame({"n": names}),
        Settings().study,
    )
    macro = code_fingerprint("finembed_core.macro")
    assert printed == {f"{own} {settings_fingerprint(Settings())} {macro}\n"}


def test_settings_hash_by_their_values_in_whatever_order_they_came() -> None:
    one = PolyModelSettings.model_validate({"ridge": 2, "alpha": 0.05})
    two = PolyModelSettings.model_validate({"alpha": 0.05, "ridge": 2.0, "seed": 1})
    assert settings_fingerprint(one) == settings_fingerprint(two)
    assert settings_fingerprint(one) != settings_fingerprint(PolyModelSettings())
    assert settings_fingerprint(one, MacroSettings()) != settings_fingerprint(one)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package ``formulas`` with a module, a package inside and a file of another kind."""
    folder = tmp_path / "formulas"
    (folder / "inner").mkdir(parents=True)
    for name in ("__init__.py", "sums.py", "inner/__init__.py", "inner/means.py", "notes.txt"):
        (folder / name).write_text(f"raise RuntimeError('{name} was imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    return folder


def fresh_code(*modules: str) -> str:
    """As a new process finds it: one process takes its own source as fixed."""
    code_fingerprint.cache_clear()
    return code_fingerprint(*modules)


def test_code_is_hashed_without_being_run(package: Path) -> None:
    before = fresh_code("formulas")
    assert before == fresh_code("formulas")
    assert "formulas" not in sys.modules
    assert fresh_code("formulas", "json") == fresh_code("json", "formulas") != before


@pytest.mark.parametrize("file", ["__init__.py", "sums.py", "inner/means.py", "inner/new.py"])
def test_any_source_file_of_a_package_counts(package: Path, file: str) -> None:
    before = fresh_code("formulas")
    with (package / file).open("a") as source:
        source.write("# other\n")
    assert fresh_code("formulas") != before


def test_a_renamed_source_file_counts_and_other_files_do_not(package: Path) -> None:
    before = fresh_code("formulas")
    (package / "notes.txt").write_text("other")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "sums.cpython-311.pyc").write_bytes(b"compiled")
    assert fresh_code("formulas") == before
    (package / "sums.py").rename(package / "totals.py")
    assert fresh_code("formulas") != before


def test_a_module_counts_by_its_own_file_alone(package: Path) -> None:
    (package / "__init__.py").write_text("")
    try:
        before = fresh_code("formulas.sums")
        (package / "inner" / "means.py").write_text("other")
        assert fresh_code("formulas.sums") == before
        (package / "sums.py").write_text("other")
        assert fresh_code("formulas.sums") != before
    finally:
        sys.modules.pop("formulas", None)  # looking for a part of a package imports the package


def test_texts_are_hashed_by_lengths_and_letters_of_all_rows() -> None:
    """The definition in plain Python, so that a faster way to it makes no stored part stale."""
    column = pl.Series("name", ["a", "ü€😀", None, "", "xy"])
    letters = [text or "" for text in column]
    by_hand = hashlib.blake2b(digest_size=16)
    by_hand.update(b"sequence1:" + f"frame{pl.Schema({'name': pl.String})}5".encode())
    by_hand.update(b"absent" + np.packbits([text is None for text in column]).tobytes())
    by_hand.update(np.array([len(text) for text in letters], dtype=np.int64).tobytes())
    by_hand.update("".join(letters).encode())
    assert digest(column.to_frame()) == by_hand.hexdigest()
