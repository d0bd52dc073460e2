"""The web page and its daemon as `finembed ui` starts them: a real server, asked over HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE = 180.0
DAEMONS = {"SENSOR", "SCHEDULER", "BACKFILL", "QUEUED_RUN_COORDINATOR", "MONITORING"}
HEALTH = "{ instance { daemonHealth { allDaemonStatuses { daemonType healthy } } } }"


class Page:
    """A server's address and the file that its output goes to."""

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self._url, self._log = f"http://127.0.0.1:{port}", log

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """Data of a GraphQL answer."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"{self._url}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = json.load(answer)
        assert "errors" not in found, found["errors"]
        return found["data"]

    def healthy_daemons(self) -> set[str]:
        """Types of the daemons that have lately said that they live."""
        statuses = self.ask(HEALTH)["instance"]["daemonHealth"]["allDaemonStatuses"]
        return {status["daemonType"] for status in statuses if status["healthy"]}

    def wait_for(
        self, condition: Callable[[], bool], what: str, patience: float = PATIENCE
    ) -> None:
        """Ask until it holds; a server that does not answer yet is one where it does not."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            try:
                if condition():
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                pass
            time.sleep(0.5)
        raise AssertionError(f"no {what} after {patience:.0f} s:\n{self._log.read_text()}")


def alive(group: int) -> bool:
    """Whether any process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def served(study: Path) -> Iterator[tuple[Page, subprocess.Popen[bytes]]]:
    """`finembed ui` in its own process group, of which nothing is left afterwards."""
    port, log = free_port(), study / "ui.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "finembed_dagster.cli", "ui", "--port", str(port)],
            cwd=study,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Page(port, log), process
    finally:
        if alive(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
