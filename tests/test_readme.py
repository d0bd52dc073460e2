"""What the README tells a reader to write, runs."""

import re
import subprocess
import sys
from pathlib import Path

from finembed_core.store import PartStore

README = Path(__file__).parent.parent / "README.md"


def test_the_library_example_runs(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    subprocess.run([sys.executable, "-c", example], cwd=tmp_path, check=True)
    assert PartStore(tmp_path / "store").keys("macro_factors")[-1] == "2017-03"
