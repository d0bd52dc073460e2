"""The counts that docs/trust.md names are those of what is tested."""

import re
from pathlib import Path

import pytest

from benchmarks.quality_defects import KINDS
from tests.cli.test_daily_restatements import CASES as DAILY_CASES
from tests.cli.test_restatements import CASES
from tests.determinism.variants import MACHINES, VARIANTS
from tests.faults.corpus import every_case
from tests.faults.damage import MENDED
from tests.faults.lives import STUDIES
from tests.faults.test_repair import TOGETHER
from tests.ingest.test_gate_thresholds import WITHOUT_THRESHOLD
from tests.leakage.mutants import MUTANTS
from tests.safety.hostile import FACTORS, TEXTS, UNSEEN
from tests.safety.test_hostile_study import SECRETS
from tests.safety.test_sql import ASKS, BOMBS, READS, TRACELESS, WRITES

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "trust.md").read_text(encoding="utf-8")
KILLS = sum(study.lives * len(study.stages) for study in STUDIES.values())
SAID = [
    f"{len(MUTANTS)} of {len(MUTANTS)}",
    f"{len(CASES)} kinds and a new month",
    f"{len(DAILY_CASES)} kinds of daily NAVs",
    f"{len(WITHOUT_THRESHOLD)} rules have none",
    f"{len(KINDS)} kinds, 40 of each",
    f"{len(every_case())} of {len(every_case())}",
    f"{KILLS} of {KILLS}",
    f"{sum(study.lives for study in STUDIES.values())} homes identical",
    f"{len(MENDED)} kinds singly, {len(TOGETHER)} of them together",
    f"equal in {len(VARIANTS)} variants",
    f"{len(MACHINES)} kinds of kernels",
    f"{len(WRITES.splitlines())} statements that write or change something at 3 targets",
    f"{len(READS)} that read the machine",
    f"{len(TRACELESS.splitlines())} that leave no trace",
    f"{len(ASKS.splitlines())} that ask the network",
    f"{len(BOMBS)} bombs",
    f"{len(TEXTS)} hostile names of funds, {len(TEXTS) - len(UNSEEN)} of them as ids",
    f"{len(FACTORS)} of series",
    f"{len(SECRETS)} planted secrets",
]


@pytest.mark.parametrize("said", SAID)
def test_a_count_is_the_one_of_the_tests(said: str) -> None:
    assert re.search(rf"\b{re.escape(said)}\b", PAGE)
