"""The types that the keys of a suite file share: what a number may be, and no key unknown."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Count", "Declared", "Margin", "Number", "Positive", "Share"]

Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Margin = Annotated[float, Field(strict=True, gt=0, lt=1)]
Count = Annotated[int, Field(strict=True, ge=1)]
Number = Annotated[float, Field(strict=True, ge=0)]
Positive = Annotated[float, Field(strict=True, gt=0)]


class Declared(BaseModel):
    """Keys as an author may write them."""

    model_config = ConfigDict(frozen=True, extra="forbid")
