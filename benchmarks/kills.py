"""Kill runs of the command line in every stage, go on, and compare with an undisturbed study.

    python -m benchmarks.kills [lives]

Prints kills by stage, how many homes ended byte for byte as the undisturbed one, and seconds.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.faults.harness import write_study, zygote
from tests.faults.lives import live
from tests.faults.stages import STAGES


def main(lives: int = 6) -> int:
    """Run the lives, print the table; the number of homes that differ."""
    kills: Counter[str] = Counter()
    differ, seconds = 0, 0.0
    with tempfile.TemporaryDirectory() as name, zygote() as processes:
        undisturbed = write_study(Path(name) / "undisturbed")
        events = processes.run(undisturbed).events
        for seed in range(lives):
            life = live(processes, Path(name) / str(seed), undisturbed, events, STAGES, seed)
            kills, seconds = kills + life.kills, seconds + life.seconds
            differ += bool(life.difference)
            print(f"home {seed}: {life.kills.total()} kills, {life.difference or 'identical'}")
    print("\n".join(f"{stage:<14}{kills[stage]:>4}" for stage in STAGES))
    print(f"{kills.total()} kills, {lives - differ} of {lives} homes identical, {seconds:.0f} s")
    return differ


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:2])))
