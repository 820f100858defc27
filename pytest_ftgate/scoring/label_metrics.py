"""The metrics of one label: apart from their computation, so that verdicts load without NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMetrics:
    """How well a variant recognizes one label; rates are shares, 0 to 1.

    Attributes:
        n: the number of cases that expect the label.
        taken_for: how often each other label was predicted instead, the most frequent first.
        f1_before: the F1 of the variant compared with, if there is one.
    """

    label: str
    n: int
    precision: float
    recall: float
    f1: float
    taken_for: Mapping[str, int] = field(default_factory=dict)
    f1_before: float | None = None
