"""What is advised about a suite, and every number it rests on: plain values for all reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pytest_ftgate.advise.parts import (
    Challenge,
    Condition,
    Confirmation,
    Debt,
    Money,
    Reason,
    Retirement,
    Rollback,
    Standing,
)

__all__ = ["Advice", "Recommendation"]


class Recommendation(StrEnum):
    """What to do; exactly one of these."""

    STOP = "stop here"
    NEXT = "try the next rung first"
    FINE_TUNE = "fine-tune"
    NOT_JUSTIFIED = "fine-tuning not justified"
    KEEP = "keep the fine-tune"
    ROLL_BACK = "roll back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What is advised about one suite.

    Attributes:
        suite: the suite file, relative to the root directory.
        recommendation: what to do; *subject* is the variant or the rung that it speaks of.
        variant: what should serve as things stand.
        below: the best rung without tuning, which fine-tunes are held against; "" for none.
        headline: both in a sentence.
        reasons: why, each with a number of the table.
        rungs: the table, least effort first.
        frontier_by: ``usd`` or ``time``: what *frontier* holds against accuracy; "" for nothing.
        conditions: what speaks for and against fine-tuning, where that is the question.
        unmeasured: variants without a row, and why.
    """

    suite: str
    recommendation: Recommendation
    subject: str
    variant: str
    headline: str
    reasons: tuple[Reason, ...]
    below: str
    rungs: tuple[Standing, ...]
    frontier_by: str = ""
    conditions: tuple[Condition, ...] = ()
    money: Money | None = None
    challenges: tuple[Challenge, ...] = ()
    confirmation: Confirmation | None = None
    retiring: tuple[Retirement, ...] = ()
    rollback: Rollback | None = None
    debt: Debt = field(default_factory=Debt)
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
