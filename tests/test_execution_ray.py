"""Which Ray cluster is used, and that nothing of it remains."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from finembed_core.errors import FinembedError, SettingsError
from finembed_core.execution import map_items
from finembed_core.execution_ray import ADDRESS, PRIVATE, load_ray
from finembed_core.settings import ExecutionSettings
from tests.study_runs import SETTINGS, finembed, store_bytes

RAY = ExecutionSettings(mode="ray", workers=2)
BY_ADDRESS = """\
import ray
from finembed_core.execution import map_items
from finembed_core.settings import ExecutionSettings

results = map_items(abs, [-1, -2, -3], ExecutionSettings(mode="ray", workers=2))
print(next(results), ray.get_runtime_context().gcs_address)
print(*results, ray.is_initialized())
"""


class CountsItsPickles:
    pickles = 0

    def __call__(self, item: int) -> int:
        return -item

    def __getstate__(self) -> None:
        CountsItsPickles.pickles += 1


@pytest.fixture(autouse=True)
def without_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ADDRESS, raising=False)


def test_a_cluster_of_this_machine_is_private_can_be_joined_and_ends_with_the_results() -> None:
    ray, terminate = load_ray(), signal.getsignal(signal.SIGTERM)
    with closing(map_items(CountsItsPickles(), count(), RAY)) as results:
        assert [next(results) for _ in range(3)] == [0, -1, -2]
        (node,) = ray.nodes()
        assert node["NodeManagerAddress"] == "127.0.0.1"
        assert node["Resources"]["CPU"] == RAY.workers
        assert signal.getsignal(signal.SIGTERM) is terminate
        assert CountsItsPickles.pickles == 1

        address = ray.get_runtime_context().gcs_address
        joined = subprocess.run(
            [sys.executable, "-c", BY_ADDRESS],
            env=os.environ | PRIVATE | {ADDRESS: address},
            capture_output=True,
            text=True,
        )
        assert joined.stdout.splitlines() == [f"1 {address}", "2 3 False"], joined.stderr
        assert [next(results) for _ in range(3)] == [-3, -4, -5]

        with pytest.raises(KeyboardInterrupt):
            results.throw(KeyboardInterrupt)
    assert not ray.is_initialized()


def test_without_the_extra_its_installation_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsError, match="Ray is not installed") as caught:
        list(map_items(abs, ["alone"], RAY))
    assert "execution.mode" in str(caught.value.where)
    assert "pip install 'finembed[ray]'" in str(caught.value.remedy)


def test_an_address_where_nobody_listens_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    for wrong in (address, f"ray://{address}", "nowhere"):
        monkeypatch.setenv(ADDRESS, wrong)
        with pytest.raises(FinembedError, match="no Ray cluster can be used") as caught:
            list(map_items(abs, range(3), RAY))
        assert wrong in str(caught.value.where)


@pytest.mark.slow
def test_a_run_over_ray_writes_the_same_store(finished_study: Path, tmp_path: Path) -> None:
    settings = tmp_path / "finembed.yaml"
    settings.write_text(SETTINGS.replace("mode: serial, workers: 1", "mode: ray, workers: 2"))
    assert finembed("run", "--home", tmp_path / "home", "--settings", settings) == 0
    assert store_bytes(tmp_path / "home") == store_bytes(finished_study / "home")
