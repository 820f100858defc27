"""One fine-tune under the rules: what speaks for it, what against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytest_ftgate.advise.climb import floor_of
from pytest_ftgate.advise.compare import challenges
from pytest_ftgate.advise.evidence import Evidence
from pytest_ftgate.advise.ladder import Ladder
from pytest_ftgate.advise.parts import Challenge, Condition, Reason, Standing
from pytest_ftgate.advise.question import Question
from pytest_ftgate.advise.rules import conditions

__all__ = ["FineTune", "fine_tune"]

#: A score from which on a reply counts as right, where it is not simply right or wrong.
_RIGHT = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTune:
    """A fine-tune, measured or only thought of, with what the rules found about it.

    Attributes:
        row: its row, or None where none was measured.
        name: what it is called.
    """

    row: Standing | None
    name: str
    conditions: tuple[Condition, ...]
    challenges: tuple[Challenge, ...]

    @property
    def failing(self) -> tuple[Condition, ...]:
        """The needed conditions that do not hold."""
        return tuple(one for one in self.conditions if one.needed and one.holds is False)

    def reasons(self, *, failing: bool) -> tuple[Reason, ...]:
        """Return what is told of it: the conditions that fail, or those that hold."""
        holding = (one for one in self.conditions if one.needed and one.holds)
        told = self.failing if failing else holding
        return tuple(Reason(told=one.told, variant=self.name, figure=one.name) for one in told)


def fine_tune(
    evidence: Evidence, ladder: Ladder, below: Standing, row: Standing | None
) -> FineTune:
    """Hold a fine-tune against the best rung without tuning.

    Args:
        evidence: what is known.
        ladder: what was measured.
        below: the rung that it would replace.
        row: the fine-tune, or None for one that is not there yet.
    """
    suite, name = evidence.suite, row.variant if row else None
    key = (below.variant, name or "")
    question = Question(
        lines=suite.ladder,
        below=below,
        tuned=row,
        gain=ladder.found.gains.get(key),
        as_good=key in ladder.found.p_worse and ladder.found.as_good(key[1], key[0]),
        wanted=floor_of(suite, "accuracy"),
        examples=evidence.examples,
        git=evidence.git,
        held=_held(evidence, ladder),
        economics=suite.economics,
        break_even=ladder.break_even(name, below.variant) if name else None,
        challenges=challenges(ladder.found, suite.challengers, name),
        retiring=ladder.retiring,
        **_retrieval(evidence, ladder),
    )
    found = tuple(conditions(question))
    return FineTune(
        row=row, name=name or "a fine-tune", conditions=found, challenges=question.challenges
    )


def _held(evidence: Evidence, ladder: Ladder) -> Standing | None:
    """Return the rung whose replies are held to a schema and break their form least."""
    variants = evidence.suite.variants
    held = [
        row
        for row in ladder.rows
        if variants[row.variant].constrained or variants[row.variant].schema is not None
    ]
    return max(held, key=lambda row: row.form or 0.0, default=None)


def _retrieval(evidence: Evidence, ladder: Ladder) -> dict[str, Any]:
    """Return what retrieval mends of the rung below it, where one was measured."""
    place = next((i for i, row in enumerate(ladder.rows) if row.rung == "rag"), 0)
    if place == 0:
        return {}
    rag, without = ladder.rows[place], ladder.rows[place - 1]
    mine, its = (evidence.columns[one.variant].rows for one in (rag, without))
    failed = [
        key
        for key, row in its.items()
        if row.correct is not None and row.correct < _RIGHT and key in mine
    ]
    mended = [key for key in failed if (mine[key].correct or 0.0) >= _RIGHT]
    return {
        "rag": rag,
        "without": without,
        "rag_gain": ladder.found.gains.get((without.variant, rag.variant)),
        "fixed": len(mended) / len(failed) if failed else None,
    }
