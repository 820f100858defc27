"""JSON replies, scored field by field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pytest_ftgate.scoring.score import WRONG, Mark, Scorer, judged
from pytest_ftgate.scoring.structured import last_fenced
from pytest_ftgate.scoring.text_scorers import TEXTS, labelled, similarity
from pytest_ftgate.suite.cases import leaves
from pytest_ftgate.suite.rule import Rule

__all__ = ["fields"]

_SCORERS: Mapping[str, Scorer] = {**TEXTS, "similarity": similarity}
_ABSENT = object()
_LISTS = ("set", "sequence")
#: Of a wrong value so many characters are told, and so many wrong fields at most.
_LONGEST, _MOST = 200, 20


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
            wrong.append(f"{path}: expected {_cut(_json(wanted))}, got {_cut(got)}")
    more = [f"{len(wrong) - _MOST} more fields"] * (len(wrong) > _MOST)
    return Mark(total / count, "\n".join([*wrong[:_MOST], *more]))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _at(said: Any, keys: tuple[str, ...]) -> Any:
    """Return what the reply has where *keys* lead, or *_ABSENT*."""
    for key in keys:
        said = said.get(key, _ABSENT) if isinstance(said, Mapping) else _ABSENT
    return said


def _field(found: Any, wanted: Any, rule: Rule | None) -> Mark:
    if rule is None or wanted is None:
        return judged(_same(found, wanted))
    answers = wanted if isinstance(wanted, list) else [wanted]
    if rule.kind in _LISTS:
        return _list(found, answers, rule)
    if found is _ABSENT:
        return WRONG
    if rule.kind == "labels" and isinstance(found, list):
        return labelled([_text(one) for one in found], answers, rule)
    text = _text(found)
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


def _list(found: Any, wanted: list[Any], rule: Rule) -> Mark:
    """Mark a list as right or wrong, or by how much it shares with the other: F1 of its items."""
    if not isinstance(found, list):
        return WRONG
    # As text, so that long lists are compared in a moment; 1 and 1.0 are the same JSON.
    said, meant = ([_key(one) for one in some] for some in (found, wanted))
    if rule.kind == "set":
        said, meant = sorted(set(said)), sorted(set(meant))
    if not rule.options.get("partial") or said == meant:
        return judged(said == meant)
    return Mark(2 * _shared(said, meant, rule.kind) / (len(said) + len(meant)))


def _key(value: Any) -> str:
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _shared(said: list[str], meant: list[str], kind: str) -> int:
    """Return how many items two lists have in common, of sequences in the same order."""
    if kind == "set":
        return len({*said} & {*meant})
    from rapidfuzz.distance import LCSseq

    return int(LCSseq.similarity(said, meant))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
