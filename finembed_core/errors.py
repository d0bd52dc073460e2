"""Errors for people: what is wrong, where, and what to do about it."""

from __future__ import annotations


class FinembedError(Exception):
    """Base of every error that finembed raises on purpose.

    Parameters
    ----------
    what : str
        The mistake, in one sentence.
    where : str, optional
        File, table, row, column, month or fund.
    remedy : str, optional
        What the user can do.
    """

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where:  {self.where}")
        if self.remedy:
            lines.append(f"  remedy: {self.remedy}")
        return "\n".join(lines)

    def __reduce__(self):  # keyword arguments survive the way back from a worker process
        return _rebuild, (type(self), self.what, self.where, self.remedy)


def _rebuild(
    kind: type[FinembedError], what: str, where: str | None, remedy: str | None
) -> FinembedError:
    return kind(what, where=where, remedy=remedy)


class SettingsError(FinembedError):
    """A setting is misspelt, out of range or contradicts another."""


class InputError(FinembedError):
    """An input table breaks its contract (a structural fault)."""


class NothingToEvaluateError(InputError):
    """Nothing has been decided yet, or nothing is earned after it: no fault of the input."""


class NoRiskError(InputError):
    """No fund varies, so that every portfolio has the least variance."""


class UnpayableError(InputError):
    """What is to be dealt costs all there is."""


class HomeError(FinembedError):
    """The home folder is missing, damaged or was made by another version."""


class MissingPartError(FinembedError):
    """A month or another part that is needed has not been built, or cannot exist."""


class IntegrityError(FinembedError):
    """A stored part does not hold the bytes that its manifest promises."""


class WarehouseError(FinembedError):
    """The warehouse is missing or damaged, a fact breaks its rules, or a query is wrong."""


class SolverError(FinembedError):
    """A numerical method ended without a result that can be vouched for."""
