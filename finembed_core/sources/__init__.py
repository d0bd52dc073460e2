"""Where data comes from: each source yields the input tables.

`load` reads everything; `month_bounds` tells which months a dataset decides, reading next to
nothing, because Dagster asks for it whenever it loads the definitions.
"""

from __future__ import annotations

from finembed_core.calendar import Month
from finembed_core.errors import SettingsError
from finembed_core.settings import DatasetSettings
from finembed_core.sources import files, packaged, simulated
from finembed_core.sources.tables import InputTables

__all__ = ["InputTables", "load", "month_bounds"]

_SOURCES = {"packaged": packaged, "files": files, "simulated": simulated}


def load(settings: DatasetSettings) -> InputTables:
    """Read the dataset of these settings.

    Raises
    ------
    InputError
        A file is missing, unreadable or breaks its contract.
    SettingsError
        The settings name no such dataset.
    """
    return _SOURCES[settings.source].load(settings)


def month_bounds(settings: DatasetSettings) -> tuple[Month, Month | None]:
    """First and last month that a dataset decides; the last is None where it is open-ended.

    Raises
    ------
    SettingsError
        ``first_month`` or ``last_month`` lie outside the dataset or contradict each other.
    """
    first, last = _SOURCES[settings.source].month_bounds(settings)
    wanted_first = first if settings.first_month is None else Month.parse(settings.first_month)
    wanted_last = last if settings.last_month is None else Month.parse(settings.last_month)
    if last is not None and wanted_last is not None and wanted_last > last:
        raise SettingsError(
            f"the dataset ends with {last}, not {wanted_last}",
            where="settings, dataset.last_month",
            remedy=f"give {last} or an earlier month, or leave it out",
        )
    if wanted_last is not None and wanted_first > wanted_last:
        raise SettingsError(
            f"the first month {wanted_first} comes after the last, {wanted_last}",
            where="settings, dataset.first_month",
            remedy="swap them",
        )
    return wanted_first, wanted_last
