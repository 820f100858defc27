"""Suites and columns of scores for the tests of gates, without asking anybody."""

from collections.abc import Sequence
from pathlib import Path

from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.score import Broken
from pytest_ftgate.scoring.scores import Column, Row, Score
from pytest_ftgate.suite.model import Case, Gate, ReplyRules, Suite, Variant
from pytest_ftgate.suite.rule import Rule

LABELS = Rule("choice", ["refund", "late_delivery"])
EXACT = Rule("exact")


def case(name: str, *, skill: str | None = None) -> Case:
    return Case(
        id=name, where=f"cases.jsonl:{name}", input=f"ask {name}", expected="right", score=EXACT,
        format=() if skill else (LABELS,), skill=skill,
    )  # fmt: skip


def row(name: str, right: float, text: str, *, skill: str | None = None) -> Row:
    broken = None if skill or text in LABELS.value else Broken("not in enumeration")
    return Row(
        case=case(name, skill=skill),
        replies=(Reply(text=text),),
        scores=(Score(right, broken),),
        calls=(f"call {name} {text}",),
    )


def column(variant: str, marks: Sequence[float], *, text: str = "refund") -> Column:
    rows = [row(f"c{i:03}", right, f"{text}" if right else "no") for i, right in enumerate(marks)]
    return Column(variant, {one.case.id: one for one in rows})


def skills_column(
    variant: str, skills: dict[str, tuple[int, int]], *, wrong: str = "no idea"
) -> Column:
    """Make *right* right and *wrong* wrong answers for each skill."""
    rows = [
        row(
            f"{skill}-{i}", float(i < right), f"{variant} says" if i < right else wrong, skill=skill
        )
        for skill, (right, amiss) in skills.items()
        for i in range(right + amiss)
    ]
    return Column(variant, {one.case.id: one for one in rows})


def suite(*gates: Gate, variants: Sequence[str] = ("current", "new")) -> Suite:
    made = {
        name: Variant(
            name=name, line=1, provider="llamacpp", model="m", base="b" if name == "new" else None
        )
        for name in variants
    }
    return Suite(
        path=Path("/suite.ftgate.yaml"), name="suite.ftgate.yaml", cases=(),
        reply=ReplyRules(format=(LABELS,), score=EXACT), variants=made, baseline="current",
        gates={gate.kind: gate for gate in gates},
    )  # fmt: skip
