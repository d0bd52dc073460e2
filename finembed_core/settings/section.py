"""What every section of the settings shares: strictness, and the kinds of plain values."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from finembed_core.calendar import Month
from finembed_core.errors import FinembedError

Share = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveInt = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]  # what every generator in use takes


class Section(BaseModel):
    """A part of the tree: unknown names are errors, values are finite and do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _month_name(text: str) -> str:
    try:
        return str(Month.parse(text))
    except FinembedError as error:  # pydantic adds which setting it is
        raise ValueError(f"{error.what}; {error.remedy}") from None


def check_order(first: str | None, last: str | None) -> None:
    """Refuse a range of months that ends before it begins."""
    if first and last and first > last:
        raise ValueError(f"first_month ({first}) comes after last_month ({last})")


MonthName = Annotated[str, AfterValidator(_month_name)]
