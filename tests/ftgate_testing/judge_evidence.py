"""Samples of grades, and what labels show of the judge that gave them."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_ftgate.gates.design import Levels
from pytest_ftgate.gates.figure import IntervalEstimate, JudgeValidation
from pytest_ftgate.gates.judges import JudgeEvidence
from pytest_ftgate.gates.notes import Note
from pytest_ftgate.gates.samples import CaseSample, Samples, samples_from_cases
from pytest_ftgate.stats.proportions import wilson

LEVELS = Levels()


def interval(value: float, n: int = 200) -> IntervalEstimate:
    """Return a share of *n* labels with Wilson's interval."""
    low, high = wilson(value * n, n, 0.95)
    return IntervalEstimate(value=value, low=float(low), high=float(high), n=n)


def validation(
    good: float = 0.9, bad: float = 0.8, errors: tuple[Note, ...] = ()
) -> JudgeValidation:
    """Return the validation of a judge that finds the shares *good* and *bad* of such replies."""
    return JudgeValidation(
        judge="m", provider="p", rubric="r", labels=400, kappa=interval(0.7),
        sensitivity=interval(good), specificity=interval(bad), is_binary=True, errors=errors,
    )  # fmt: skip


def samples(
    values: Iterable[float | None], name: str = "x", group: str | None = None, weight: float = 1.0
) -> Samples:
    """Return one sample for each of *values*; the replies are those of *name*."""
    return samples_from_cases(
        {
            f"c{i:04}": CaseSample(None if v is None else float(v), 1, f"{name}{i}", group, weight)
            for i, v in enumerate(values)
        }
    )


def evidence(*judges: JudgeValidation, **more: object) -> JudgeEvidence:
    """Return what is known of *judges*, by default of one that labels qualify."""
    return JudgeEvidence(validations=judges or (validation(),), is_sole_score=True, **more)
