"""What keeps a case from being used: parts that are valid each, and do not fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_ftgate.errors import did_you_mean
from pytest_ftgate.suite.declared import DeclaredCase
from pytest_ftgate.suite.model import ReplyRules
from pytest_ftgate.suite.rules import Rule, function_fault, pattern_fault

__all__ = ["misfit"]


def misfit(case: DeclaredCase, reply: ReplyRules, folder: Path) -> str | None:
    """Say what keeps *case* from being used, or return None.

    Args:
        case: as declared.
        reply: the suite's rules, where the case has none of its own.
        folder: of the suite, where functions are looked for.
    """
    for key in case.model_fields_set:
        if (DeclaredCase.model_fields[key].json_schema_extra or {}) == {"later": True}:
            return f"{key} is not available yet; remove it"
    if case.must_pass and case.expected is None and (case.score or reply.score).kind != "python":
        return "must_pass needs expected: without it no reply is wrong"
    if not case.input and not case.messages:
        return 'a case needs "input" or "messages"'
    if case.input and case.messages:
        return 'a case has "input" or "messages", not both; put the input into the messages'
    score: Rule = case.score or reply.score
    unfit = _unfit(case.expected, score, case.format or reply.format)
    return unfit or _absent(case, folder)


def _absent(case: DeclaredCase, folder: Path) -> str | None:
    own = [("score", case.score)] if case.score else []
    for key, rule in (*own, *(("format", rule) for rule in case.format or ())):
        fault = function_fault(rule, folder)
        if fault:
            return f"{key}: {fault}"
    return None


def _unfit(expected: Any, score: Rule, form: tuple[Rule, ...]) -> str | None:
    answers = expected if isinstance(expected, list) else [expected]
    if not answers:
        return "expected is an empty list; name an answer, or leave the key out"
    # A function reads what it likes.
    if expected is None or score.kind == "python":
        return None
    if score.kind == "numeric":
        bad = [a for a in answers if not _is_number(a)]
        return f'expected "{bad[0]}" is not a number, but score is numeric' if bad else None
    numbers = [a for a in answers if not isinstance(a, str)]
    if numbers:
        number = numbers[0]
        return f'expected is the number {number}, but {score.kind} reads text: write "{number}"'
    if score.kind == "regex":
        broken = (fault for fault in map(pattern_fault, answers) if fault)
        return next((f"expected: {fault}" for fault in broken), None)
    return _stranger(answers, form) if score.kind == "choice" else None


def _stranger(answers: list[str], form: tuple[Rule, ...]) -> str | None:
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
