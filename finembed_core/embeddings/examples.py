"""Examples of the training loop: a date with all the funds that are listed on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from finembed_core.embeddings.model import FUND
from finembed_core.embeddings.objectives import FundBatch, FundTargets
from finembed_core.embeddings.scale import ChannelScale
from finembed_core.embeddings.windows import Windows
from finembed_core.encoders.inputs import FundInputs
from finembed_core.learning.masks import hide_steps
from finembed_core.panel import FloatArray

Floats32 = NDArray[np.float32]
Bools = NDArray[np.bool_]
Indices = NDArray[np.int64]

FLAT = 0.1
"""Least root mean square of a window, in units of the scale, that errors are divided by: what a
money market fund does once in a while is beyond any unit of its own."""


@dataclass(frozen=True)
class Modalities:
    """What is known of n funds on a date beside their windows, ready for a network.

    Attributes
    ----------
    numbers : ndarray of float32, shape (n, P)
    known : ndarray of bool, shape (n, P)
    category : ndarray of int64, shape (n,)
    text : ndarray of float32, shape (n, E)
    has_text : ndarray of bool, shape (n,)
    """

    numbers: Floats32
    known: Bools
    category: Indices
    text: Floats32
    has_text: Bools


@dataclass(frozen=True)
class NextWindow:
    """Labels of n funds on a date, 0 where the next window is not known.

    Attributes
    ----------
    labelled : ndarray of bool, shape (n,)
    path : ndarray of float32, shape (n, S)
        Decimal returns.
    total : ndarray, shape (n,)
    performance : ndarray of float32, shape (n, 3)
        Standardized; NaN where unknown, the Sharpe ratio also of returns that do not move.
    weight : ndarray, shape (n,)
        Best weights.
    """

    labelled: Bools
    path: Floats32
    total: FloatArray
    performance: Floats32
    weight: FloatArray


@dataclass(frozen=True)
class Sheet:
    """One date.

    Attributes
    ----------
    session : int
    columns : ndarray of int64, shape (n,)
        Funds, as columns of the daily panel.
    modalities : Modalities
    labels : NextWindow or None
        None where nobody may know them.
    """

    session: int
    columns: Indices
    modalities: Modalities
    labels: NextWindow | None = None


@dataclass(frozen=True)
class Hiding:
    """How steps are taken out of windows, for a network to fill them in.

    Attributes
    ----------
    share : float
    steps : int
        Of a block.
    seeded : bool
        Whether the same dates always lose the same steps, so that epochs can be compared.
    """

    share: float
    steps: int
    seeded: bool = False


@dataclass(frozen=True)
class FundDates:
    """Dates as examples.

    Attributes
    ----------
    windows : Windows
    sheets : sequence of Sheet
    scale : ChannelScale
    mixed : bool
        Whether the channels beside the fund's own are handed on.
    hide : Hiding or None
        None leaves the windows whole.
    """

    windows: Windows
    sheets: Sequence[Sheet]
    scale: ChannelScale
    mixed: bool
    hide: Hiding | None = None

    def __len__(self) -> int:
        return len(self.sheets)

    def batch(self, rows: Tensor) -> tuple[FundBatch, FundTargets]:
        """All funds of these dates, date after date, and what they should come to."""
        sheets = [self.sheets[int(row)] for row in rows]
        inputs, shown = self._inputs(sheets), None
        if self.hide is not None:
            hidden = self.hide.share, self.hide.steps
            shown = hide_steps(inputs.visible, *hidden, self._dice(sheets))
        return FundBatch(inputs, shown), self._targets(sheets, inputs, shown)

    def inputs(self, sheet: Sheet) -> FundInputs:
        """The funds of one date."""
        return self._inputs([sheet])

    def _inputs(self, sheets: Sequence[Sheet]) -> FundInputs:
        """Scaled windows (B, C, L), what is visible of them, and the modalities."""
        sessions = np.repeat([s.session for s in sheets], [len(s.columns) for s in sheets])
        columns = np.concatenate([sheet.columns for sheet in sheets])
        raw, seen = self.windows.of(sessions, columns, common=self.mixed)
        windows = torch.from_numpy(self.scale.apply(raw)), torch.from_numpy(seen)
        return FundInputs(*windows, *_joined([sheet.modalities for sheet in sheets]))

    def _dice(self, sheets: Sequence[Sheet]) -> torch.Generator:
        """What chooses the steps to hide: torch's own generator, or one that the dates seed."""
        if self.hide is not None and self.hide.seeded:
            return torch.Generator().manual_seed(sheets[0].session)
        return torch.default_generator

    def _targets(
        self, sheets: Sequence[Sheet], inputs: FundInputs, shown: Tensor | None
    ) -> FundTargets:
        known = [sheet.labels for sheet in sheets if sheet.labels is not None]
        window, visible = inputs.windows[:, FUND], inputs.visible[:, FUND]  # (B, L)
        square = torch.where(visible, window, 0.0).square().sum(dim=1)
        unit = (square / visible.sum(dim=1).clamp_min(1)).sqrt().clamp_min(FLAT)
        sizes = torch.tensor([len(sheet.columns) for sheet in sheets])
        place = torch.arange(int(sizes.max())) < sizes[:, None]  # (dates, G)
        return FundTargets(
            window=window,
            hidden=visible & ~(visible if shown is None else shown[:, FUND]),
            unit=unit,
            labelled=_tensor([part.labelled for part in known]),
            path=_tensor([part.path for part in known]) / self.scale.fund,
            performance=_tensor([part.performance for part in known]),
            total=_tensor([part.total for part in known]).float(),
            weight=_tensor([part.weight for part in known]).float(),
            place=place,
        )

    def dates_of(self, windows: int) -> int:
        """How many dates hold about so many windows."""
        mean = sum(len(sheet.columns) for sheet in self.sheets) / len(self.sheets)
        return max(round(windows / mean), 1)

    def hiding(self, hide: Hiding | None) -> FundDates:
        """The same dates, with steps taken out."""
        return replace(self, hide=hide)


def _joined(parts: Sequence[Modalities]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    return (
        _tensor([part.numbers for part in parts]),
        _tensor([part.known for part in parts]),
        _tensor([part.category for part in parts]),
        _tensor([part.text for part in parts]),
        _tensor([part.has_text for part in parts]),
    )


def _tensor(parts: Sequence[NDArray]) -> Tensor:
    return torch.from_numpy(np.concatenate(parts))
