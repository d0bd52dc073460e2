"""The sections of the report in their order; a new one is a function and a line here."""

from __future__ import annotations

from finembed_core.report.section import MakeSection
from finembed_core.report.sections.attribution import contributions, exposures
from finembed_core.report.sections.embeddings import (
    embedding_checks,
    embedding_information,
    fund_map,
)
from finembed_core.report.sections.evaluations import embedding_evaluations
from finembed_core.report.sections.exceptions import quality, solver
from finembed_core.report.sections.luck import significance
from finembed_core.report.sections.orders import orders
from finembed_core.report.sections.predictions import information, reliability
from finembed_core.report.sections.sensitivity import sensitivity
from finembed_core.report.sections.trading import ownership, turnover
from finembed_core.report.sections.verdict import verdict
from finembed_core.report.sections.wealth import drawdowns, rolling, wealth, years

SECTIONS: tuple[MakeSection, ...] = (
    verdict,
    orders,
    wealth,
    drawdowns,
    years,
    rolling,
    sensitivity,
    turnover,
    ownership,
    reliability,
    information,
    significance,
    exposures,
    contributions,
    fund_map,
    embedding_evaluations,
    embedding_information,
    embedding_checks,
    quality,
    solver,
)
"""The name of each function is also where the address of its section ends."""
