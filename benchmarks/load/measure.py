"""Seconds and peak memory of work in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def memory_of(process: int | str = "self", what: str = "VmHWM") -> int:
    """Bytes of a process: the most it ever held (``VmHWM``), or what it holds (``VmRSS``)."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(what))


def in_process(call: str, *arguments: object) -> Any:
    """What a function prints as JSON on its last line, in a fresh interpreter.

    Parameters
    ----------
    call : str
        ``package.module:function``.
    *arguments
        Plain values.
    """
    module, function = call.split(":")
    code = f"from {module} import {function}; {function}(*{arguments!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])
