"""The scorer ``fields``: JSON replies, scored field by field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pytest_ftgate.scoring.score import CORRECT, INCORRECT, ContentScore, Scorer, binary_score
from pytest_ftgate.scoring.structured import last_code_block, read_json
from pytest_ftgate.scoring.text_scorers import TEXT_SCORERS, score_labels, score_similarity
from pytest_ftgate.suite.cases import leaf_fields
from pytest_ftgate.suite.rule import Rule

_SCORERS: Mapping[str, Scorer] = {**TEXT_SCORERS, "similarity": score_similarity}
_ABSENT = object()
_LIST_KINDS = ("set", "sequence")
#: The most characters of a wrong value that a reason shows, and the most wrong fields.
_MAX_VALUE_CHARACTERS, _MAX_FIELDS = 200, 20


def score_fields(text: str, accepted: list[Any], rule: Rule) -> ContentScore:
    """Score the JSON in *text* by the share of correct fields; the best accepted answer counts."""
    try:
        value = _parse_json(text)
    # Nested too deep, or a number of thousands of digits: a program cannot read such JSON.
    except (ValueError, RecursionError) as error:
        return ContentScore(0.0, f"no JSON: {error}")
    if not isinstance(value, dict):
        return ContentScore(0.0, "no JSON object")
    scores = [_compare_fields(value, answer, rule.options) for answer in accepted]
    return scores[0] if len(scores) == 1 else max(scores, key=lambda score: score.value or 0.0)


def _parse_json(text: str) -> Any:
    """Return *text* as JSON, or else the JSON in its last code block."""
    try:
        return read_json(text)
    except ValueError:
        block = last_code_block(text)
        if block is None:
            raise
    return read_json(block)


def _compare_fields(
    reply: Mapping[str, Any], answer: Mapping[str, Any], rules: Mapping[str, Rule]
) -> ContentScore:
    if not rules and _has_texts(reply, answer):
        return CORRECT
    mistakes, total, count = [], 0.0, 0
    for keys, expected in leaf_fields(answer, rules):
        path, value = ".".join(keys), _value_at(reply, keys)
        score = _score_field(value, expected, rules.get(path))
        total, count = total + (score.value or 0.0), count + 1
        if score.value != 1:
            got = "nothing" if value is _ABSENT else _to_json(value)
            mistakes.append(f"{path}: expected {_cut(_to_json(expected))}, got {_cut(got)}")
    more = [f"{len(mistakes) - _MAX_FIELDS} more fields"] * (len(mistakes) > _MAX_FIELDS)
    return ContentScore(total / count, "\n".join([*mistakes[:_MAX_FIELDS], *more]))


def _has_texts(reply: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    """Return True if *answer* is texts only, and *reply* has them all, as most replies do."""
    return all(isinstance(text, str) and reply.get(key) == text for key, text in answer.items())


def _cut(text: str) -> str:
    limit = _MAX_VALUE_CHARACTERS
    return text if len(text) <= limit else f"{text[:limit]}…"


def _value_at(value: Any, keys: tuple[str, ...]) -> Any:
    """Return the part of *value*, which is JSON, to which *keys* lead, or ``_ABSENT``."""
    for key in keys:
        value = value.get(key, _ABSENT) if isinstance(value, dict) else _ABSENT
    return value


def _score_field(value: Any, expected: Any, rule: Rule | None) -> ContentScore:
    if rule is None or expected is None:
        return binary_score(_is_same_json(value, expected))
    answers = expected if isinstance(expected, list) else [expected]
    if rule.kind in _LIST_KINDS:
        return _score_list(value, answers, rule)
    if value is _ABSENT:
        return INCORRECT
    if rule.kind == "labels" and isinstance(value, list):
        return score_labels([_to_text(item) for item in value], answers, rule)
    return _SCORERS[rule.kind](_to_text(value).strip(), answers, rule)


def _is_same_json(first: Any, second: Any) -> bool:
    """Return True if *first*, of a reply, is the same JSON. In JSON, true and 1 differ."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, dict) and isinstance(second, Mapping):
        same_keys = first.keys() == second.keys()
        return same_keys and all(_is_same_json(first[key], second[key]) for key in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(_is_same_json, first, second))
    return bool(first == second)


def _score_list(value: Any, expected: list[Any], rule: Rule) -> ContentScore:
    """Return 0 or 1 for a list, or with ``partial`` the F1 of its items."""
    if not isinstance(value, list):
        return INCORRECT
    # Texts make the comparison of long lists fast. 1 and 1.0 are the same JSON.
    items, expected_items = ([_item_text(item) for item in list_] for list_ in (value, expected))
    if rule.kind == "set":
        items, expected_items = sorted(set(items)), sorted(set(expected_items))
    if not rule.options.get("partial") or items == expected_items:
        return binary_score(items == expected_items)
    shared = _count_shared(items, expected_items, rule.kind)
    return ContentScore(2 * shared / (len(items) + len(expected_items)))


def _item_text(value: Any) -> str:
    return json.dumps(_normalise_numbers(value), sort_keys=True)


def _normalise_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _normalise_numbers(item) for key, item in value.items()}
    return [_normalise_numbers(item) for item in value] if isinstance(value, list) else value


def _count_shared(first: list[str], second: list[str], kind: str) -> int:
    """Return the number of items that two lists share; in a sequence, in the same order."""
    if kind == "set":
        return len({*first} & {*second})
    from rapidfuzz.distance import LCSseq

    return int(LCSseq.similarity(first, second))


def _to_text(value: Any) -> str:
    return value if isinstance(value, str) else _to_json(value)


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
