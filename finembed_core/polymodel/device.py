"""Where float32 products are taken: numpy on the CPU, torch on an accelerator.

Both understand the same expressions; numpy is the faster one on a CPU at these shapes. The float32
results only ever point out what float64 on the CPU decides, so the device changes no number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finembed_core.errors import SettingsError

CACHE_NUMBERS = 2**19  # float32 numbers in flight that stay in a core's own cache
ACCELERATOR_NUMBERS = 2**30


@dataclass(frozen=True)
class Device:
    """A place for float32 arrays.

    Attributes
    ----------
    name : str
        ``cpu``, or a name that torch knows, as ``cuda``.
    block : int
        Numbers worth having in flight at once.
    """

    name: str = "cpu"
    block: int = CACHE_NUMBERS

    @classmethod
    def named(cls, name: str) -> Device:
        """Device of the setting ``execution.device``.

        Raises
        ------
        SettingsError
            It is not at hand.
        """
        if name == "cpu":
            return cls()
        import torch

        if not torch.cuda.is_available():
            raise SettingsError(
                f"there is no device {name!r} on this machine that torch can use",
                where="settings, execution.device",
                remedy="set it to cpu, or install the CUDA build of torch on a machine with a GPU",
            )
        return cls(name, ACCELERATOR_NUMBERS)

    def put(self, values: NDArray[Any]) -> Any:
        """The array there."""
        if self.name == "cpu":
            return values
        import torch

        return torch.from_numpy(np.ascontiguousarray(values)).to(self.name)

    def fetch(self, values: Any) -> NDArray[Any]:
        """The array here."""
        return values if self.name == "cpu" else values.cpu().numpy()

    def shuffled(self, columns: Any, index: Any) -> Any:
        """Columns (q, n) with their rows in the orders (K, n), shape (q, K, n)."""
        return columns.take(index, axis=1) if self.name == "cpu" else columns[:, index]

    def count(self, mask: Any) -> NDArray[np.int64]:
        """True cells of (J, K, N) along K; as small integers, which is an order faster."""
        if self.name == "cpu":
            narrow = np.uint8 if mask.shape[1] < 2**8 else np.uint16
            return mask.view(np.uint8).sum(1, dtype=narrow).astype(np.int64)
        return self.fetch(mask.sum(1))
