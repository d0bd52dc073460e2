"""Nothing that is read from a file is run: no pickle, no shell, no code out of text."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors import SafetensorError

import finembed_core
import finembed_dagster
from finembed_core.daily_panel import read_daily
from finembed_core.embeddings.checkpoint import FundModels
from finembed_core.errors import FinembedError
from finembed_core.learning.models import TrainedModel
from finembed_core.settings import Settings
from finembed_core.settings_file import read_sections
from finembed_core.store import Manifest, PartStore
from finembed_core.warehouse.publish import publish
from tests.daily_worlds import panel, write_panel
from tests.test_import_rules import _dotted

PACKAGES = [Path(str(package.__file__)).parent for package in (finembed_core, finembed_dagster)]
SOURCES = sorted(file for package in PACKAGES for file in package.rglob("*.py"))
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "runpy"}
CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.startfile"}
ENDINGS = {
    *("torch.load", "read_pickle", "import_module", "full_load", "unsafe_load", "load_all"),
    *("yaml.load", "hub.load", "read_database", "load_module", "get_data_as_pickle"),
}


def _dangers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names]
            names = [str(node.module)] if isinstance(node, ast.ImportFrom) else names
            yield from (f"import {name}" for name in names if MODULES & set(name.split(".")[:1]))
        elif isinstance(node, ast.Call):
            name = _dotted(node.func)
            words = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
            if name in CALLS or MODULES & {name.partition(".")[0]}:
                yield name
            if any(name == ending or name.endswith(f".{ending}") for ending in ENDINGS):
                yield name
            if words.get("allow_pickle") or words.get("shell"):
                yield f"{name} with {sorted(map(str, words))}"
            if name in ("np.load", "numpy.load") and words.get("allow_pickle", True):
                yield f"{name} without allow_pickle=False"
            if name.rpartition(".")[2] == "SafeLoader" or "Loader" in words:
                yield f"{name} with a loader"
        elif isinstance(node, ast.Attribute) and node.attr in ("UnsafeLoader", "FullLoader"):
            yield node.attr


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_the_source_unpickles_and_runs_nothing(file: Path) -> None:
    found = sorted(_dangers(ast.parse(file.read_text(encoding="utf-8"))))
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "def f():\n    import marshal",
        "pickle.loads(b'')",
        "torch.load('x', weights_only=True)",
        "np.load(file)",
        "np.load(file, allow_pickle=True)",
        "pd.read_pickle('x')",
        "yaml.load(text)",
        "yaml.load(text, Loader=yaml.Loader)",
        "yaml.FullLoader(text)",
        "eval('1')",
        "os.system('ls')",
        "subprocess.run('ls', shell=True)",
        "importlib.import_module(name)",
    ],
)
def test_a_danger_would_be_seen(source: str) -> None:
    assert list(_dangers(ast.parse(source)))


class Canary:
    """Unpickled, it makes a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.fixture
def sprung(tmp_path: Path) -> Path:
    """What would be there if the canary had sung."""
    return tmp_path / "sprung"


@pytest.fixture
def hostile(sprung: Path) -> bytes:
    """A pickle that makes a file; it is known to work."""
    content = pickle.dumps(Canary(sprung))
    pickle.loads(content)
    assert sprung.exists()
    sprung.rmdir()
    return content


def planted(store: PartStore, manifest: Manifest, suffix: str, content: bytes) -> None:
    """Put other bytes in the place of a stored file, and make the manifest vouch for them."""
    folder = store.root / manifest.table
    mark = hashlib.sha256(content).hexdigest()
    forged = replace(manifest, files={**manifest.files, suffix: mark})
    (folder / f"{manifest.key}.json").write_text(forged.text)
    (folder / f"{manifest.key}@{mark[:16]}.{suffix}").write_bytes(content)


def test_a_pickle_in_the_place_of_an_array_is_an_error(
    store: PartStore, hostile: bytes, sprung: Path
) -> None:
    write_panel(store, panel(np.zeros((4, 2))))
    manifest = store.manifest("daily_panel", "all")
    assert manifest is not None
    objects = io.BytesIO()
    np.save(objects, np.array([Canary(sprung)], dtype=object), allow_pickle=True)
    for content in (hostile, objects.getvalue()):
        planted(store, manifest, "returns.npy", content)
        with pytest.raises(FinembedError, match="daily_panel"):
            read_daily(store)
    assert not sprung.exists()


def test_a_pickle_in_the_place_of_a_frame_is_an_error(
    store: PartStore, hostile: bytes, sprung: Path, tmp_path: Path
) -> None:
    manifest = store.write("funds", "all", pl.DataFrame({"fund_id": ["F"]}))
    planted(store, manifest, "parquet", hostile)
    with pytest.raises(pl.exceptions.PolarsError):
        store.read("funds", "all")
    with pytest.raises(FinembedError, match="damaged"):
        publish(store, tmp_path / "warehouse.duckdb", Settings())
    assert not sprung.exists()


def test_a_pickle_in_the_place_of_a_checkpoint_is_an_error(hostile: bytes, sprung: Path) -> None:
    tree = {"fingerprint": "x", "kind": "lightgbm"}
    for plain in (hostile, json.dumps(tree).encode()):
        files = {"model.safetensors": hostile, "model.json": plain}
        with pytest.raises((ValueError, SafetensorError)):
            FundModels.from_files(files, "x")
        with pytest.raises((ValueError, SafetensorError)):
            TrainedModel.from_files(files)
    assert not sprung.exists()


@pytest.mark.parametrize(
    "text",
    [
        "dataset: !!python/object/apply:os.mkdir [{sprung}]",
        "dataset: !!python/name:os.system",
        "!!python/object/new:os.mkdir [{sprung}]",
        "dataset: !!python/module:os",
        "dataset: {{name: !env HOME}}",
        "dataset: !include /etc/passwd",
    ],
)
def test_tags_in_settings_are_refused(tmp_path: Path, sprung: Path, text: str) -> None:
    file = tmp_path / "finembed.yaml"
    file.write_text(text.format(sprung=sprung))
    with pytest.raises(FinembedError, match="not YAML") as caught:
        read_sections(file, Settings)
    assert "root:" not in str(caught.value)
    assert not sprung.exists()


@pytest.mark.parametrize("kind", ["list", "mapping", "merge", "deep", "endless"])
def test_settings_that_grow_without_end_are_refused(tmp_path: Path, kind: str) -> None:
    doubled = {"list": "[*{0}, *{0}]", "mapping": "{{x: *{0}, y: *{0}}}", "merge": "{{<<: [*{0}]}}"}
    lines = ["a0: &a0 {x: 1}"]
    if kind in doubled:
        lines += [f"a{k + 1}: &a{k + 1} {doubled[kind].format(f'a{k}')}" for k in range(60)]
    lines += ["polymodel: {ridge: *a60}"]
    text = {"deep": "a: " + "[" * 50_000, "endless": "a: &a [*a]"}.get(kind, "\n".join(lines))
    file = tmp_path / "finembed.yaml"
    file.write_text(text)
    with pytest.raises(FinembedError):
        read_sections(file, Settings)
