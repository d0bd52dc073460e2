"""Part store: tables cut into parts (months, mostly), each committed by its manifest.

A part is written in three steps: every file under a temporary name, flushed to disk, then renamed
to a name that holds its hash; last the manifest, renamed over the old one. Until that last rename
the old part stands; whatever a crash leaves behind is never read and goes with the next write.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from finembed_core.errors import IntegrityError, MissingPartError
from finembed_core.files import written_whole

FRAME = "parquet"
SEAL = "seal"
PART_FILE = re.compile(r"[\w-]+@([0-9a-f]{16}|[a-z0-9_]{8})\.[a-z_.]+")  # its hash, or no name yet
GROUP = 2**16  # rows of a Parquet row group, of which a query reads those that may hold its rows


@dataclass(frozen=True)
class Manifest:
    """What a part holds and from what it was made.

    Attributes
    ----------
    table, key : str
        For example ``polymodel_features``, ``2001-03``.
    inputs, settings, code : str
        Hashes of the information that went in, of the settings and of the source code.
    rows : int
        Rows of the part's frame (0 when it has none).
    files : mapping of str to str
        File suffix to sha256 of its bytes.
    notes : mapping
        Small plain values about the part (counts, shares); a function of its inputs alone.
    """

    table: str
    key: str
    inputs: str
    settings: str
    code: str
    rows: int
    files: Mapping[str, str]
    notes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | bytes) -> Manifest:
        """A manifest from its file.

        Raises
        ------
        ValueError, TypeError
            The text is none, or was changed after it was written.
        """
        fields: dict[str, Any] = json.loads(text)
        seal = fields.pop(SEAL, None)  # absent in what older versions wrote
        found = cls(**fields)
        if seal not in (None, found.seal):
            raise ValueError("the seal does not fit")
        return found

    @classmethod
    def read(cls, path: Path) -> Manifest | None:
        """The manifest in a file; None unless it is whole and in its place.

        Raises
        ------
        FileNotFoundError
            There is no file.
        """
        try:
            found = cls.parse(path.read_bytes())
        except (ValueError, TypeError, AttributeError):
            return None
        return found if (found.table, found.key) == (path.parent.name, path.stem) else None

    @property
    def text(self) -> str:
        """What its file holds: the fields, and the seal by which damage shows."""
        return json.dumps(vars(self) | {SEAL: self.seal}, indent=1, sort_keys=True)

    @property
    def seal(self) -> str:
        """Hash of all fields."""
        read_back = json.loads(json.dumps(vars(self)))  # where every key is a string
        return hashlib.sha256(json.dumps(read_back, sort_keys=True).encode()).hexdigest()

    @property
    def content(self) -> str:
        """Hash of the part's bytes: the input hash for whatever is built on it."""
        return hashlib.sha256(json.dumps(dict(self.files), sort_keys=True).encode()).hexdigest()


class PartStore:
    """A folder of parts.

    Parameters
    ----------
    root : Path
        Folder; made on the first write.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def write(
        self,
        table: str,
        key: str,
        frame: pl.DataFrame | None = None,
        *,
        files: Mapping[str, bytes] | None = None,
        inputs: str = "",
        settings: str = "",
        code: str = "",
        notes: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """Commit one part: a frame, other files by suffix, or both."""
        payload = dict(files or {})
        if frame is not None:
            buffer = io.BytesIO()
            several = frame.height > GROUP  # or else statistics tell nothing apart
            frame.write_parquet(
                buffer, compression="zstd", statistics=several, row_group_size=GROUP
            )
            payload[FRAME] = buffer.getvalue()
        hashes = {s: hashlib.sha256(payload[s]).hexdigest() for s in sorted(payload)}
        rows = 0 if frame is None else frame.height
        manifest = Manifest(table, key, inputs, settings, code, rows, hashes, dict(notes or {}))
        folder = self.root / table
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, content in payload.items():
            _write_whole(folder / _file_name(key, hashes[suffix], suffix), key, content)
        _write_whole(folder / f"{key}.json", key, manifest.text.encode())
        keep = {_file_name(key, h, s) for s, h in hashes.items()}
        for leftover in folder.glob(f"{key}@*"):
            if leftover.name not in keep:
                leftover.unlink(missing_ok=True)
        return manifest

    def manifest(self, table: str, key: str) -> Manifest | None:
        """The part's manifest, or None where the part is absent or not whole."""
        path = self.root / table / f"{key}.json"
        before = None
        try:
            while (found := Manifest.read(path)) not in (None, before):
                if all(path.exists() for path in self.paths(found).values()):
                    return found
                before = found  # and again: a writer may have come between
        except FileNotFoundError:
            return None
        return None

    def is_current(self, table: str, key: str, *, inputs: str, settings: str, code: str) -> bool:
        """Whether the part stands and was made from exactly these."""
        found = self.manifest(table, key)
        return found is not None and (found.inputs, found.settings, found.code) == (
            inputs,
            settings,
            code,
        )

    def keys(self, table: str) -> list[str]:
        """Keys of the committed parts, sorted."""
        found = (self.root / table).glob("*.json")
        return sorted(path.stem for path in found if "@" not in path.name)

    def manifests(self, table: str) -> list[Manifest]:
        """Manifests of the committed parts, in key order."""
        found = (self.manifest(table, key) for key in self.keys(table))
        return [manifest for manifest in found if manifest is not None]

    def paths(self, manifest: Manifest) -> dict[str, Path]:
        """Files that a manifest names, by suffix."""
        return {suffix: self._path(manifest, suffix) for suffix in manifest.files}

    def frame_path(self, manifest: Manifest) -> Path | None:
        """Parquet file of a committed part's frame, for readers that take files; None without."""
        return self._path(manifest, FRAME) if FRAME in manifest.files else None

    def committed_at(self, table: str, key: str) -> dt.datetime:
        """File time of the part's manifest (UTC): when it was written, a stamp in no hash."""
        written = (self.root / table / f"{key}.json").stat().st_mtime
        return dt.datetime.fromtimestamp(written, dt.UTC)

    def tables(self) -> list[str]:
        """Tables with at least one part."""
        if not self.root.exists():
            return []
        return sorted(p.name for p in self.root.iterdir() if p.is_dir() and self.keys(p.name))

    def file_path(self, table: str, key: str, suffix: str) -> Path:
        """Place of one file of a part, for memory mapping; its bytes are those committed.

        A part that is written anew meanwhile takes the name away, not the bytes from who has
        opened them.

        Raises
        ------
        MissingPartError, IntegrityError
            As in `read_file`.
        """
        manifest = self._manifest_with(table, key, suffix)
        path = self._path(manifest, suffix)
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:  # replaced since the manifest was read
            return self.file_path(table, key, suffix)
        _check_bytes(manifest, path, suffix, found)
        return path

    def read_file(self, table: str, key: str, suffix: str) -> bytes:
        """Bytes of one file of a part, checked against the manifest.

        Raises
        ------
        MissingPartError
            The part has not been built.
        IntegrityError
            The bytes are not those that were committed.
        """
        manifest = self._manifest_with(table, key, suffix)
        path = self._path(manifest, suffix)
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # replaced since the manifest was read
            return self.read_file(table, key, suffix)
        _check_bytes(manifest, path, suffix, hashlib.sha256(content).hexdigest())
        return content

    def read(self, table: str, key: str) -> pl.DataFrame:
        """Frame of one part (errors as in `read_file`)."""
        return pl.read_parquet(io.BytesIO(self.read_file(table, key, FRAME)))

    def read_many(self, table: str, keys: Iterable[str] | None = None) -> pl.DataFrame:
        """Frames of these parts (all of them by default) under each other, in key order."""
        chosen = self.keys(table) if keys is None else list(keys)
        if not chosen:
            raise MissingPartError(
                f"{table} has no parts yet",
                where=str(self.root / table),
                remedy="run `finembed run`, or materialize the asset in the Dagster page",
            )
        return pl.concat([self.read(table, key) for key in chosen])

    def delete(self, table: str, key: str) -> None:
        """Remove one part, manifest first."""
        folder = self.root / table
        (folder / f"{key}.json").unlink(missing_ok=True)
        for path in folder.glob(f"{key}@*"):
            path.unlink(missing_ok=True)

    def leftovers(self, irreplaceable: Collection[str] = ()) -> list[Path]:
        """Files of parts that no manifest names: what killed writers left.

        Those of a writer at work look the same: ask while nobody writes. Where a manifest is
        damaged nobody can tell what it named: all files of that part stay.

        Parameters
        ----------
        irreplaceable : collection of str
            Tables whose files stay, too, where a manifest is lost.
        """
        found: set[Path] = set()
        for table in self.root.glob("*"):
            files: dict[str, set[Path]] = {}
            for path in table.glob("*@*"):
                if PART_FILE.fullmatch(path.name) and path.is_file():
                    files.setdefault(path.name.partition("@")[0], set()).add(path)
            for key, own in files.items():
                named = self._named(table, key)
                if named is None or (not named and table.name in irreplaceable):
                    continue
                found |= own - named
        return sorted(found)

    def _named(self, table: Path, key: str) -> set[Path] | None:
        """Files that a part's manifest names, there or not; None where it cannot be read."""
        try:
            manifest = Manifest.read(table / f"{key}.json")
        except FileNotFoundError:
            return set()
        return None if manifest is None else set(self.paths(manifest).values())

    def _manifest_with(self, table: str, key: str, suffix: str) -> Manifest:
        manifest = self.manifest(table, key)
        if manifest is None or suffix not in manifest.files:
            raise MissingPartError(
                f"{table} has no part {key}",
                where=str(self.root / table),
                remedy=f"materialize {table} for {key} first (`finembed status` shows what stands)",
            )
        return manifest

    def _path(self, manifest: Manifest, suffix: str) -> Path:
        folder = self.root / manifest.table
        return folder / _file_name(manifest.key, manifest.files[suffix], suffix)


def _check_bytes(manifest: Manifest, path: Path, suffix: str, found: str) -> None:
    if found != manifest.files[suffix]:
        raise IntegrityError(
            f"{manifest.table} {manifest.key} was changed or damaged after it was written",
            where=str(path),
            remedy="run `finembed doctor --repair`, then `finembed run`: the part is rebuilt",
        )


def _file_name(key: str, sha256: str, suffix: str) -> str:
    return f"{key}@{sha256[:16]}.{suffix}"


def _write_whole(path: Path, key: str, content: bytes) -> None:
    with written_whole(path, prefix=f"{key}@") as temporary:
        temporary.write_bytes(content)
