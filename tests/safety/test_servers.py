"""What listens, listens to this machine alone unless somebody asked for more."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.dagster.served import DAEMONS, free_port, served
from tests.study_runs import finembed

LISTENING = "0A"
LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}


def processes(root: int) -> Iterator[int]:
    """A process and all that it started."""
    yield root
    with suppress(FileNotFoundError):  # ended meanwhile
        for task in Path(f"/proc/{root}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from processes(int(child))


def sockets(process: int) -> Iterator[str]:
    """Inodes of the sockets that a process holds."""
    for path in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            kind, _, inode = str(path.readlink()).partition(":")
            if kind == "socket":
                yield inode.strip("[]")


def listeners(root: int) -> set[tuple[str, int]]:
    """Address and port of every TCP socket on which one of these processes listens."""
    found = set()
    for process in processes(root):
        with suppress(FileNotFoundError):  # ended meanwhile
            own = set(sockets(process))
            for line in _tables(process):
                _, local, _, state, *rest = line.split()
                if state == LISTENING and rest[5] in own:
                    address, _, port = local.partition(":")
                    found.add((address, int(port, 16)))
    return found


def _tables(process: int) -> list[str]:
    """Sockets of the machine as a process sees it, IPv4 and IPv6."""
    texts = (Path(f"/proc/{process}/net/{table}").read_text() for table in ("tcp", "tcp6"))
    return [line for text in texts for line in text.splitlines()[1:]]


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_the_page_is_asked_to_listen_to_this_machine_and_warns_of_more(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, command: commands.append(command))
    for host, open_to_others in (
        ("127.0.0.1", False),
        ("localhost", False),
        ("0.0.0.0", True),
        *((("::1", False),) if _has_ipv6() else ()),
    ):
        given = [] if host == "127.0.0.1" else ["--host", host]
        finembed("ui", "--port", free_port(), *given)
        assert commands[-1][commands[-1].index("--host") + 1] == host
        assert ("no login" in capsys.readouterr().err) == open_to_others


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="sockets are read from /proc")
def test_page_daemon_and_code_server_listen_on_loopback_alone(study: Path) -> None:
    with served(study) as (page, process):
        page.wait_for(lambda: page.healthy_daemons() >= DAEMONS, "page with healthy daemons")
        found = listeners(process.pid)
        assert page.port in {own for _, own in found}
        assert {address for address, _ in found} <= LOOPBACK


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="sockets are read from /proc")
def test_a_ray_cluster_of_ones_own_listens_on_loopback_alone() -> None:
    from finembed_core.execution_ray import ray_workers

    with ray_workers(abs, 2) as submit:
        assert submit(-1)() == 1
        found = listeners(os.getpid())
        assert found and {address for address, _ in found} <= LOOPBACK
