"""Whether what a case expects is something that its score can read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_ftgate.errors import did_you_mean
from pytest_ftgate.suite.patterns import pattern_fault
from pytest_ftgate.suite.rules import Rule

__all__ = ["stranger", "unfit"]


def unfit(expected: Any, score: Rule, form: tuple[Rule, ...]) -> str | None:
    """Say why *expected* does not fit *score* or the labels of *form*, or return None."""
    answers = expected if isinstance(expected, list) else [expected]
    if not answers:
        return "expected is an empty list; name an answer, or leave the key out"
    if score.kind != "tool_call" and any(isinstance(one, Mapping) for one in answers):
        return f"expected is a mapping, which only score: tool_call reads, not {score.kind}"
    # A function reads what it likes.
    if expected is None or score.kind == "python":
        return None
    return _unread(answers, score, form)


def _unread(answers: list[Any], score: Rule, form: tuple[Rule, ...]) -> str | None:
    if score.kind == "numeric":
        bad = [a for a in answers if not _is_number(a)]
        return f'expected "{bad[0]}" is not a number, but score is numeric' if bad else None
    numbers = [a for a in answers if not isinstance(a, str | Mapping)]
    if numbers:
        number = numbers[0]
        return f'expected is the number {number}, but {score.kind} reads text: write "{number}"'
    if score.kind == "regex":
        broken = (fault for fault in map(pattern_fault, answers) if fault)
        return next((f"expected: {fault}" for fault in broken), None)
    return stranger(answers, form) if score.kind == "choice" else None


def stranger(answers: list[str], form: tuple[Rule, ...]) -> str | None:
    """Say which of *answers* is none of the labels of the format; None where all are."""
    labels = [label for rule in form if rule.kind == "choice" for label in rule.value]
    strangers = [a for a in answers if labels and a not in labels]
    if not strangers:
        return None
    near = did_you_mean(strangers[0], labels) or f"; labels: {', '.join(labels)}"
    return f'expected "{strangers[0]}" is not one of the labels of format: choice{near}'


def _is_number(value: Any) -> bool:
    try:
        float(str(value).replace(",", ""))
    except ValueError:
        return False
    return True
