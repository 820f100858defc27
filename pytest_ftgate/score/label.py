"""How well one label is told from the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["LabelRate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRate:
    """How well one label is told from the others; rates are shares, 0 to 1.

    Attributes:
        n: cases that expect it.
        taken_for: how often each other label was said in its place, the commonest first.
        f1_before: the F1 of the side compared with, where there is one.
    """

    label: str
    n: int
    precision: float
    recall: float
    f1: float
    taken_for: Mapping[str, int] = field(default_factory=dict)
    f1_before: float | None = None
