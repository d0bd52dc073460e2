"""Ways to damage a home, each a function of the home folder that returns what it touched."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

Damage = Callable[[Path], Path]


def content(home: Path, table: str, key: str) -> Path:
    """File that holds a part's frame."""
    (found,) = (home / "store" / table).glob(f"{key}@*.parquet")
    return found


def flip(path: Path, place: int, bit: int = 0) -> Path:
    """Turn over one bit of a file, as a bad disk or memory does."""
    held = bytearray(path.read_bytes())
    held[place] ^= 1 << bit
    path.write_bytes(held)
    return path


def truncate(path: Path) -> Path:
    """Keep the first half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def flipped_part(home: Path) -> Path:
    return flip(content(home, "polymodel_features", "1993-04"), 40)


def truncated_part(home: Path) -> Path:
    return truncate(content(home, "fund_observations", "1991-02"))


def lost_part(home: Path) -> Path:
    path = content(home, "predictions", "1994-02")
    path.unlink()
    return path.with_name("1994-02.json")


def flipped_manifest(home: Path) -> Path:
    """A number of the notes or rows, which is still valid JSON."""
    path = home / "store" / "universe" / "1992-07.json"
    fields = json.loads(path.read_text())
    fields["rows"] += 1
    path.write_text(json.dumps(fields, indent=1, sort_keys=True))
    return path


def truncated_manifest(home: Path) -> Path:
    return truncate(home / "store" / "macro_factors" / "1993-01.json")


def lost_manifest(home: Path) -> Path:
    """Its files remain, which nothing names any more."""
    path = home / "store" / "seed_predictions" / "1994-03.json"
    path.unlink()
    return content(home, "seed_predictions", "1994-03")


def misplaced_manifest(home: Path) -> Path:
    """One month's manifest under the name of another."""
    folder = home / "store" / "macro_loadings"
    (folder / "1993-06.json").write_bytes((folder / "1993-05.json").read_bytes())
    return folder / "1993-06.json"


def damaged_run(home: Path) -> Path:
    (path,) = (home / "store" / "trades").glob("*.parquet")
    return truncate(path)


def temporary_of_a_part(home: Path) -> Path:
    path = home / "store" / "predictions" / "1994-02@ab12_x9z.parquet"
    path.write_bytes(b"half")
    return path


def replaced_content(home: Path) -> Path:
    """What a kill between two renames and the tidying leaves."""
    path = home / "store" / "predictions" / f"1994-02@{'0' * 16}.parquet"
    path.write_bytes(b"old")
    return path


def building(home: Path) -> Path:
    path = home / "warehouse.duckdb.building"
    path.write_bytes(b"half")
    return path


def temporary_report(home: Path) -> Path:
    path = home / "reports" / ".writing-ab12cd34.html"
    path.write_text("<html>")
    return path


def damaged_warehouse(home: Path) -> Path:
    """A block of data; the header is whole, so that the file can be opened."""
    path = home / "warehouse.duckdb"
    return flip(path, path.stat().st_size // 2)


def warehouse_of_noise(home: Path) -> Path:
    path = home / "warehouse.duckdb"
    path.write_bytes(b"not a database" * 1000)
    return path


def damaged_stamp(home: Path) -> Path:
    (home / "home.json").write_bytes(b'{"layo')
    return home


def lost_stamp(home: Path) -> Path:
    (home / "home.json").unlink()
    return home


def damaged_run_log(home: Path) -> Path:
    path = home / "dagster" / "history" / "runs.db"
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 8000)
    return path


MENDED: dict[str, Damage] = {
    made.__name__: made
    for made in (
        *(flipped_part, truncated_part, lost_part),
        *(flipped_manifest, truncated_manifest, lost_manifest, misplaced_manifest),
        *(damaged_run, temporary_of_a_part, replaced_content, building, temporary_report),
        *(damaged_warehouse, warehouse_of_noise, damaged_stamp, lost_stamp, damaged_run_log),
    )
}
"""What ``finembed doctor --repair`` finds and mends."""
