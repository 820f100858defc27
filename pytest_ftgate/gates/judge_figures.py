"""How well a judge agrees with people, as values that reports show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_ftgate.gates.notes import Note


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalEstimate:
    """A share or a kappa with its 95 % interval, and the number of ratings behind it."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeValidation:
    """The validation of one judge against human labels of the same replies.

    Attributes:
        judge, provider: the model of the judge, and its provider.
        rubric: the beginning of the rubric.
        labels: the number of replies with a human label; 0 if the judge was never validated.
        unread: the number of labelled replies without a readable grade of the judge.
        agreement: the share of replies on which judge and people agree.
        kappa: Cohen's kappa, with quadratic weights for more than two grades.
        sensitivity, specificity: the share of good, or bad, replies (by human label) that the
            judge grades so too; None if the judge compares two replies.
        consistency: the share of pairs with the same grade in both orders.
        repeats: the share of replies with the same grade in two samples; None without repeats.
        length, length_p: Spearman's correlation between the judge's error and the length of the
            reply, and its p-value.
        padded: the number of bad replies that were graded again with their text doubled.
        padded_up, padded_down: the padded replies with a better, or a worse, grade.
        minimum: the required minimum by figure; the lower end of the interval must reach it.
        errors, warnings: why the judge may not gate, and its further weaknesses.
        is_binary: the judge gives only two grades, so that rates can be corrected.
    """

    judge: str
    provider: str
    rubric: str
    labels: int = 0
    unread: int = 0
    agreement: IntervalEstimate | None = None
    kappa: IntervalEstimate | None = None
    sensitivity: IntervalEstimate | None = None
    specificity: IntervalEstimate | None = None
    consistency: IntervalEstimate | None = None
    repeats: IntervalEstimate | None = None
    length: float | None = None
    length_p: float | None = None
    padded: int = 0
    padded_up: int = 0
    padded_down: int = 0
    minimum: Mapping[str, float] = field(default_factory=dict)
    errors: tuple[Note, ...] = ()
    warnings: tuple[Note, ...] = ()
    is_binary: bool = False

    @property
    def found_shares(self) -> tuple[IntervalEstimate, IntervalEstimate] | None:
        """Sensitivity and specificity; None if either is unknown, or with more than two grades."""
        if not self.is_binary or self.sensitivity is None or self.specificity is None:
            return None
        return self.sensitivity, self.specificity
