"""File systems that are small or closed, for who may mount any."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _mount(*arguments: object) -> None:
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of so many bytes (``64k``, ``20m``)."""
    if os.geteuid():
        pytest.skip("only root may mount")
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def resize(disk: Path, size: str) -> None:
    """Make a small disk larger."""
    _mount("-o", f"remount,size={size}", disk)


@contextmanager
def closed(folder: Path) -> Iterator[None]:
    """A folder that can only be read, also by root."""
    if os.geteuid():
        pytest.skip("only root may mount")
    _mount("--bind", folder, folder)
    try:
        _mount("-o", "remount,ro,bind", folder)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
