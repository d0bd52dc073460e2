"""Run the command line many times over in forked processes, and kill some of them.

Started as ``python -m tests.faults.zygote``, it imports everything once and takes one order per
line. A process that is to die says when its n-th event in a stage is about to happen (it writes,
renames or removes a file there), and is sent SIGKILL right then or some time later: so kills fall
into every stage, also into the middle of what other languages do.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from tests.faults.stages import stage_of

ANNOUNCED = b"!"
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
EVENTS = {"open", "os.rename", "os.remove", "os.symlink", "os.mkdir"}


def obey(order: dict[str, Any]) -> dict[str, Any]:
    """Fork, run the command, kill it if so ordered; how it ended."""
    reader, writer = os.pipe()
    number = os.fork()
    if number == 0:
        os.close(reader)
        _become_the_command(order, writer)
    os.close(writer)
    kill = order.get("kill")
    first = os.read(reader, 1)
    if kill and first == ANNOUNCED:
        time.sleep(kill["delay"])
        os.kill(number, signal.SIGKILL)
    counted = first + b"".join(iter(lambda: os.read(reader, 65536), b""))
    os.close(reader)
    _, status = os.waitpid(number, 0)
    code = os.waitstatus_to_exitcode(status)
    return {"code": code, "events": json.loads(counted.strip(ANNOUNCED) or b"{}")}


def _become_the_command(order: dict[str, Any], writer: int) -> None:
    os.setsid()
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(order["folder"])
    seen = _watch(Path(order["folder"]) / "home", order.get("kill"), writer)
    try:
        code = main(order["arguments"])
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException as error:
        print(repr(error), file=sys.stderr)
        code = 1
    sys.stdout.flush()
    os.write(writer, json.dumps(seen).encode())
    os._exit(code)


def _watch(home: Path, kill: dict[str, Any] | None, writer: int) -> dict[str, int]:
    """Count the events of each stage; announce the one that is waited for."""
    seen: dict[str, int] = {}
    root = f"{home}/"

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in EVENTS or not isinstance(arguments[0], (str, Path)):
            return
        if event == "open" and not arguments[2] & WRITES:
            return
        path = str(arguments[0])
        if not path.startswith(root):
            return
        stage = stage_of(path.removeprefix(root))
        seen[stage] = seen.get(stage, 0) + 1
        if kill and (stage, seen[stage]) == (kill["stage"], kill["event"]):
            os.write(writer, ANNOUNCED)
            if not kill["delay"]:
                time.sleep(60)

    sys.addaudithook(hook)
    return seen


if __name__ == "__main__":
    from finembed_dagster.cli import main

    warnings.simplefilter("ignore")
    for line in sys.stdin:
        print(json.dumps(obey(json.loads(line))), flush=True)
