"""Kill runs of the command line in every stage, go on, and compare with undisturbed studies.

    python -m benchmarks.kills

Prints kills by stage, how many homes ended byte for byte as the undisturbed one, and seconds; ends
with exit code 1 where one did not.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from tests.faults.harness import Zygote, zygote
from tests.faults.lives import STUDIES, Study, live, undisturbed


def kill_often(processes: Zygote, name: str, study: Study, folder: Path) -> int:
    """Run the lives of a study, print its table; the number of homes that differ."""
    kills: Counter[str] = Counter()
    differ, seconds = 0, 0.0
    whole = undisturbed(processes, study, folder / "undisturbed")
    for seed in range(study.lives):
        life = live(processes, whole, folder / str(seed), seed)
        kills, seconds = kills + life.kills, seconds + life.seconds
        differ += bool(life.difference)
        print(f"home {seed}: {life.kills.total()} kills, {life.difference or 'identical'}")
    print(f"\n{name}\n" + "\n".join(f"{stage:<18}{kills[stage]:>4}" for stage in study.stages))
    same = f"{study.lives - differ} of {study.lives} homes identical"
    print(f"{kills.total()} kills, {same}, {seconds:.0f} s\n", flush=True)
    return differ


def main() -> int:
    """Every study in turn."""
    with tempfile.TemporaryDirectory() as root, zygote() as processes:
        differ = [
            kill_often(processes, name, study, Path(root) / str(number))
            for number, (name, study) in enumerate(STUDIES.items())
        ]
    return int(any(differ))


if __name__ == "__main__":
    raise SystemExit(main())
