"""Sheets: everything about the funds of one date, from what was known at a decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from finembed_core.calendar import DecisionCalendar, Month
from finembed_core.embeddings.characteristics import (
    Characteristics,
    CharacteristicScaler,
    Monthly,
    characteristics,
)
from finembed_core.embeddings.examples import Modalities, NextWindow, Sheet
from finembed_core.embeddings.text import TextVectors
from finembed_core.embeddings.windows import Windows
from finembed_core.fingerprint import digest
from finembed_core.learning.forward import Forward, forward_labels, label_sessions
from finembed_core.learning.objectives import MEASURES, PerformanceScale
from finembed_core.portfolio.best_weights import best_weights
from finembed_core.settings import EmbeddingsSettings


@dataclass(frozen=True)
class Information:
    """What may be known when a session is decided; nothing in it is younger.

    Attributes
    ----------
    session : int
        The decision, counted in the sessions of `windows`.
    windows : Windows
        Cut at the session.
    calendar : DecisionCalendar
        When the monthly figures of a month count as known.
    funds : DataFrame
        Attributes of the funds (`sources.tables.FUNDS`).
    texts : TextVectors
        Sentence vectors of the funds; empty without the text tower.
    monthly : mapping of Month to Monthly
        Assets and returns by month, where any fund reports assets.
    """

    session: int
    windows: Windows
    calendar: DecisionCalendar
    funds: pl.DataFrame
    texts: TextVectors
    monthly: Mapping[Month, Monthly] = field(default_factory=dict)

    def digest(self) -> str:
        """Hash of all of it."""
        months = {str(month): (m.aum, m.returns) for month, m in self.monthly.items()}
        windows = self.windows.digest()
        return digest(self.session, windows, self.calendar, self.funds, self.texts, months)


@dataclass(frozen=True)
class DateFacts:
    """The funds that are listed on a date, and what is known of each beside its window."""

    session: int
    columns: NDArray[np.int64]
    characteristics: Characteristics
    texts: TextVectors


class SheetMaker:
    """Makes sheets of any session up to the decision.

    Parameters
    ----------
    information : Information
    settings : EmbeddingsSettings
    """

    def __init__(self, information: Information, settings: EmbeddingsSettings) -> None:
        self.information = information
        self.settings = settings

    def sessions(self) -> tuple[list[int], list[int]]:
        """Training and validation sessions whose labels are known, purged."""
        own, training = self.settings, self.settings.training
        train, valid = label_sessions(
            self.information.session,
            lag=own.dealing_lag_sessions,
            horizon=own.horizon,
            every=training.every_sessions,
            train=training.train_sessions,
            valid=training.valid_sessions,
            first=own.lookback - 1,
        )
        return train.tolist(), valid.tolist()

    def facts(self, session: int) -> DateFacts:
        """Who is listed at the close of a session, and what was known then."""
        windows, funds = self.information.windows, self.information.funds
        columns = windows.listed(session).columns
        ids = [windows.panel.ids[column] for column in columns]
        day = windows.panel.days[session].item()
        month = self.information.calendar.latest_decided(day)
        return DateFacts(
            session,
            columns,
            characteristics(
                windows.panel,
                funds,
                session,
                columns,
                windows.panel.market,
                self.information.monthly.get(month),
            ),
            self.information.texts.select(ids),
        )

    def sheet(
        self,
        facts: DateFacts,
        scaler: CharacteristicScaler,
        labels: NextWindow | None = None,
    ) -> Sheet:
        """The sheet of a date."""
        scaled = scaler.apply(facts.characteristics)
        used = self.settings.fusion.characteristics
        count = len(facts.columns)
        modalities = Modalities(
            scaled.numbers if used else np.empty((count, 0), np.float32),
            scaled.known if used else np.empty((count, 0), np.bool_),
            scaled.category if used else np.zeros(count, np.int64),
            *self._texts(facts),
        )
        return Sheet(facts.session, facts.columns, modalities, labels)

    def _texts(self, facts: DateFacts) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        if self.settings.fusion.text:
            return facts.texts.vectors, facts.texts.has_text
        return np.empty((len(facts.columns), 0), np.float32), np.zeros(len(facts.columns), np.bool_)

    def past(self, scaler: CharacteristicScaler) -> list[tuple[Sheet, Forward]]:
        """The last dates before the decision whose next windows do not overlap, and what came."""
        own, decision = self.settings, self.information.session
        latest = decision - own.dealing_lag_sessions - own.horizon
        first = max(own.lookback - 1, latest - own.training.train_sessions)
        dates = [self.facts(s) for s in range(latest, first - 1, -own.horizon)]
        return [(self.sheet(date, scaler), self.forward(date, decision)) for date in dates]

    def forward(self, date: DateFacts, known: int) -> Forward:
        """What the funds of a date earned next, as read at the close of session `known`."""
        own = self.settings
        return forward_labels(
            self.information.windows.panel,
            date.session,
            date.columns,
            lag=own.dealing_lag_sessions,
            horizon=own.horizon,
            known=known,
        )

    def labels(self, forward: Forward, measures: PerformanceScale) -> NextWindow:
        """The same as a network takes it."""
        labelled = ~np.isnan(forward.total)
        path = np.where(labelled[:, None], forward.path, np.float32(0.0))
        standard = measures.standardized(performance(forward)).float().numpy()
        weight = np.zeros(len(labelled))
        if labelled.any():
            weight[labelled] = best_weights(
                path[labelled].T.astype(np.float64), self.settings.objectives.risk_aversion
            )
        return NextWindow(labelled, path, np.where(labelled, forward.total, 0.0), standard, weight)


def performance(forward: Forward) -> torch.Tensor:
    """Figures of `MEASURES`, shape (n, 3); NaN where unknown."""
    return torch.from_numpy(np.stack([getattr(forward, name) for name in MEASURES], axis=1))
