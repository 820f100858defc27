"""What was found out about a judge before its grades may decide anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Examined", "Figure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A share or a kappa with its 95 % interval, and how many ratings it rests on."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What one judge is worth, by what people said of the same replies.

    Attributes:
        judge: its model.
        provider: who serves it.
        rubric: how its rubric begins.
        labels: how many replies people labelled; 0 where it was never examined.
        unread: how many of these it gave no grade.
        agreement: how often it says what people say.
        kappa: Cohen's, by scikit-learn; of more than two grades with quadratic weights.
        sensitivity, specificity: of the replies that people call good, or bad, the share that it
            calls so too; None where it compares.
        consistency: how often it says the same of two replies in both orders.
        repeats: how often two samples of it say the same; None where it was asked once.
        length: Spearman's correlation of its error with the length of the reply, *length_p* how
            easily so much comes by chance.
        padded: of so many bad replies *padded_up* became better by being said twice, and
            *padded_down* worse.
        floor: what it had to reach, each by the lower end of its interval.
        fault: why it may not gate, or "".
        warnings: what else speaks against it.
        is_binary: a reply is wholly good or wholly bad to it, so that rates can be corrected.
    """

    judge: str
    provider: str
    rubric: str
    labels: int = 0
    unread: int = 0
    agreement: Figure | None = None
    kappa: Figure | None = None
    sensitivity: Figure | None = None
    specificity: Figure | None = None
    consistency: Figure | None = None
    repeats: Figure | None = None
    length: float | None = None
    length_p: float | None = None
    padded: int = 0
    padded_up: int = 0
    padded_down: int = 0
    floor: Mapping[str, float] = field(default_factory=dict)
    fault: str = ""
    warnings: tuple[str, ...] = ()
    is_binary: bool = False

    @property
    def shows(self) -> tuple[float, float] | None:
        """How much of a true change its grades show, and at least; None where it is not known."""
        if not self.is_binary or self.sensitivity is None or self.specificity is None:
            return None
        seen = self.sensitivity.value + self.specificity.value - 1
        return seen, self.sensitivity.low + self.specificity.low - 1
