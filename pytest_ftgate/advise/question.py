"""Should this be fine-tuned? What is looked at to answer, and what a gain is worth."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_ftgate.advise.evidence import GitFacts
from pytest_ftgate.advise.parts import BreakEven, Challenge, Gain, Retirement, Standing
from pytest_ftgate.suite.ladder import Economics, Thresholds

__all__ = ["Question", "pays", "worth", "worth_the_price"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Should this be fine-tuned? What the rules look at to answer.

    Attributes:
        lines: the thresholds.
        below: the best rung without tuning, which the fine-tune would replace.
        tuned: the fine-tune; None where none was measured.
        gain: of the fine-tune over *below*.
        as_good: that the fine-tune is worse than *below* by ``worth`` is ruled out.
        wanted: the accuracy that the suite's floor asks for, or None.
        examples: labelled rows that there are, or None where the suite names none.
        git: how often the task changed.
        rag: a rung with retrieval, and *without* the one that it was added to; *fixed* is the
            share of the failures of *without* that retrieval mends.
        held: a rung whose replies are held to a schema.
        economics: the declared volume, or None.
        break_even: of the fine-tune against *below*, or None where prices are not known.
        challenges: whether untuned variants have become as good.
        retiring: models that will be gone.
    """

    lines: Thresholds
    below: Standing
    tuned: Standing | None = None
    gain: Gain | None = None
    as_good: bool = False
    wanted: float | None = None
    examples: int | None = None
    git: GitFacts
    rag: Standing | None = None
    without: Standing | None = None
    rag_gain: Gain | None = None
    fixed: float | None = None
    held: Standing | None = None
    economics: Economics | None = None
    break_even: BreakEven | None = None
    challenges: tuple[Challenge, ...] = ()
    retiring: tuple[Retirement, ...] = ()


def worth(q: Question) -> float:
    """Return the gain that is worth a fine-tune: as declared, or what its cost a month comes to."""
    money, own = q.economics, q.break_even
    if money is None or money.wrong_usd is None or own is None or own.saves_per_month is None:
        return q.lines.worth
    each = money.wrong_usd * money.calls_per_month
    return max(0.0, -own.saves_per_month / each) if each else q.lines.worth


def pays(q: Question) -> bool:
    """Tell whether the fine-tune is cheaper than *below*, and soon has paid for its training."""
    own = q.break_even
    saves = own is not None and own.saves_per_month is not None and own.saves_per_month > 0.0
    days = own.days if own else None
    return saves and days is not None and days <= q.lines.payback_days


def worth_the_price(q: Question) -> bool:
    """Tell whether what a wrong reply costs, where that is declared, makes up for its cost."""
    money = q.economics
    return bool(
        money and money.wrong_usd is not None and q.gain and q.gain.certain
        and q.gain.change >= worth(q)
    )  # fmt: skip
