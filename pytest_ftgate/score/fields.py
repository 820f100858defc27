"""Replies that are JSON: marked field by field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pytest_ftgate.score.fences import last_fenced
from pytest_ftgate.score.mark import WRONG, Mark, Scorer, judged
from pytest_ftgate.score.similar import similarity
from pytest_ftgate.score.texts import TEXTS
from pytest_ftgate.suite.expected import leaves
from pytest_ftgate.suite.rules import Rule

__all__ = ["fields"]

_SCORERS: Mapping[str, Scorer] = {**TEXTS, "similarity": similarity}
_ABSENT = object()


def fields(text: str, accepted: list[Any], rule: Rule) -> Mark:
    """Mark the JSON of *text* by the share of the fields that are right."""
    try:
        said = _json_in(text)
    # Nested too deep, or a number of thousands of digits: JSON that a program cannot take.
    except (ValueError, RecursionError) as error:
        return Mark(0.0, f"no JSON: {error}")
    if not isinstance(said, Mapping):
        return Mark(0.0, "no JSON object")
    marks = (_compared(said, answer, rule.options) for answer in accepted)
    return max(marks, key=lambda mark: mark.value or 0.0)


def _json_in(text: str) -> Any:
    """Return the JSON that *text* is, or else that of its last code fence."""
    try:
        return _loads(text)
    except ValueError:
        fenced = last_fenced(text)
        if fenced is None:
            raise
    return _loads(fenced)


def _loads(text: str) -> Any:
    return json.loads(text, parse_constant=_no_constant)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def _compared(
    said: Mapping[str, Any], answer: Mapping[str, Any], rules: Mapping[str, Rule]
) -> Mark:
    wrong, total, count = [], 0.0, 0
    for keys, wanted in leaves(answer, rules):
        path, found = ".".join(keys), _at(said, keys)
        mark = _field(found, wanted, rules.get(path))
        total, count = total + (mark.value or 0.0), count + 1
        if mark.value != 1:
            got = "nothing" if found is _ABSENT else _json(found)
            wrong.append(f"{path}: expected {_json(wanted)}, got {got}")
    return Mark(total / count, "\n".join(wrong))


def _at(said: Any, keys: tuple[str, ...]) -> Any:
    """Return what the reply has where *keys* lead, or *_ABSENT*."""
    for key in keys:
        said = said.get(key, _ABSENT) if isinstance(said, Mapping) else _ABSENT
    return said


def _field(found: Any, wanted: Any, rule: Rule | None) -> Mark:
    if rule is None or wanted is None:
        return judged(_same(found, wanted))
    if rule.kind == "set":
        return judged(_same_set(found, wanted if isinstance(wanted, list) else [wanted]))
    if found is _ABSENT:
        return WRONG
    text = found if isinstance(found, str) else _json(found)
    answers = wanted if isinstance(wanted, list) else [wanted]
    return _SCORERS[rule.kind](text.strip(), answers, rule)


def _same(one: Any, other: Any) -> bool:
    """Tell whether two values are the same JSON: true is no 1, though it equals it in Python."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _same_set(found: Any, wanted: list[Any]) -> bool:
    """Tell whether two lists hold the same, in whatever order and however often."""
    return isinstance(found, list) and _within(found, wanted) and _within(wanted, found)


def _within(some: list[Any], others: list[Any]) -> bool:
    return all(any(_same(one, other) for other in others) for one in some)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
