"""Whether what a case expects is something that its score can read."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pytest_ftgate.errors import did_you_mean
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.numbers import number
from pytest_ftgate.suite.patterns import pattern_fault
from pytest_ftgate.suite.rules import Rule
from pytest_ftgate.suite.scores import python_fault

__all__ = ["leaves", "score_fault", "stranger", "unfit", "unmet"]

_CALL = '{name: lookup_order, arguments: {order_id: "17"}}'


def unfit(expected: Any, score: Rule, form: tuple[Rule, ...]) -> str | None:
    """Say why *expected* does not fit *score* or the labels of *form*, or return None."""
    if expected is None:
        return None
    answers = expected if isinstance(expected, list) else [expected]
    told = (_unread(answers, part, form) for part in score.parts)
    return next((one for one in told if one), None)


def _unread(answers: list[Any], score: Rule, form: tuple[Rule, ...]) -> str | None:
    # A function reads what it likes, and a judge what there is.
    if score.kind in ("python", "marked", "offered", "judge", "set", "sequence"):
        return None
    none = score.options.get("none")
    if not answers and not (score.kind == "labels" and none):
        return "expected is an empty list; name an answer, or leave the key out"
    if score.kind in _READERS:
        return _READERS[score.kind](answers, score)
    return _no_text(answers, score) or (
        stranger([a for a in answers if a != none], form) if score.kind == "choice" else None
    )


def _no_text(answers: list[Any], score: Rule) -> str | None:
    for one in answers:
        if isinstance(one, Mapping):
            return _no_mapping(score)
        if not isinstance(one, str):
            told = json.dumps(one, ensure_ascii=False, default=str)
            what = "" if isinstance(one, bool | list) else "the number "
            return f'expected is {what}{told}, but {score.kind} reads text: write "{told}"'
    return None


def _no_mapping(score: Rule) -> str:
    return f"expected is a mapping, which only score: tool_call and fields read, not {score.kind}"


def _no_number(answers: list[Any], score: Rule) -> str | None:
    for one in answers:
        if isinstance(one, Mapping):
            return _no_mapping(score)
        if number(one, score.options) is None:
            return f'expected "{one}" is not a number, but score is numeric'
    return None


def _no_pattern(answers: list[Any], score: Rule) -> str | None:
    broken = (fault for fault in map(pattern_fault, filter(_is_text, answers)) if fault)
    return _no_text(answers, score) or next((f"expected: {fault}" for fault in broken), None)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _no_code(answers: list[Any], score: Rule) -> str | None:
    if len(answers) > 1:
        return "expected is a list, but score: code runs one text of tests; write it as one"
    told = _no_text(answers, score)
    wrong = None if told else python_fault(answers[0])
    return f"expected is no tests in Python: {wrong}" if wrong else told


def _no_call(answers: list[Any], score: Rule) -> str | None:
    for one in answers:
        if isinstance(one, Mapping) and not _is_call(one):
            return f"expected as a mapping is the call of a tool, such as {_CALL}"
    return _no_text([one for one in answers if not isinstance(one, Mapping)], score)


def _is_call(expected: Mapping[str, Any]) -> bool:
    named = isinstance(expected.get("name"), str) and set(expected) <= {"name", "arguments"}
    return named and isinstance(expected.get("arguments", {}), Mapping)


def _no_fields(answers: list[Any], score: Rule) -> str | None:
    for one in answers:
        if not isinstance(one, Mapping) or not one:
            return "expected is no mapping of fields, but score is fields: write {total: 12}"
        for keys, value in leaves(one, score.options):
            path = ".".join(keys)
            rule = score.options.get(path)
            wrong = unfit(value, rule, ()) if rule else None
            if wrong:
                return f"{path}: {wrong}"
    return None


_READERS: Mapping[str, Callable[[list[Any], Rule], str | None]] = {
    "numeric": _no_number,
    "regex": _no_pattern,
    "code": _no_code,
    "tool_call": _no_call,
    "fields": _no_fields,
}


def leaves(
    expected: Mapping[str, Any], whole: Collection[str], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the keys that lead to each field of *expected* that is compared, and its value.

    Args:
        expected: what a case expects.
        whole: paths, such as ``a.b``, that are not gone into though a mapping stands there.
        above: the keys that lead to *expected* itself.
    """
    for key, value in expected.items():
        keys = (*above, str(key))
        if isinstance(value, Mapping) and value and ".".join(keys) not in whole:
            yield from leaves(value, whole, keys)
        else:
            yield keys, value


def stranger(answers: Iterable[str], form: tuple[Rule, ...]) -> str | None:
    """Say which of *answers* is none of the labels of the format; None where all are."""
    labels = _labels(form)
    strangers = [a for a in answers if labels and a not in labels]
    if not strangers:
        return None
    near = did_you_mean(strangers[0], labels) or f"; labels: {', '.join(labels)}"
    return f'expected "{strangers[0]}" is not one of the labels of format: choice{near}'


def _labels(form: tuple[Rule, ...]) -> list[str]:
    return [label for rule in form if rule.kind == "choice" for label in rule.value]


def score_fault(score: Rule, form: tuple[Rule, ...]) -> str | None:
    """Say which synonyms of *score* are of no label of *form*, or are another label; else None."""
    labels = _labels(form)
    for rule in score.parts:
        if rule.kind != "choice" or not labels:
            continue
        known = [*labels, *filter(None, [rule.options.get("none")])]
        for label, words in rule.options.get("synonyms", {}).items():
            if label not in known:
                near = did_you_mean(label, known) or f"; labels: {', '.join(known)}"
                return f'synonyms of "{label}", which is not one of the labels{near}'
            taken = next((word for word in words if word in known and word != label), None)
            if taken:
                return f'synonym "{taken}" of {label} is a label itself; take it out'
    return None


def unmet(score: Rule, cases: Sequence[Case]) -> str | None:
    """Say which field that *score* names no case of *cases* expects, or return None."""
    for rule in score.parts:
        marked = [case.expected for case in cases if rule in case.score.parts]
        answers = [a for one in marked for a in (one if isinstance(one, list) else [one])]
        told = [answer for answer in answers if isinstance(answer, Mapping)]
        if rule.kind != "fields" or not told:
            continue
        met = {".".join(keys) for answer in told for keys, _ in leaves(answer, rule.options)}
        strange = next((path for path in rule.options if path not in met), None)
        if strange:
            return f'fields: no case expects "{strange}"{did_you_mean(strange, met)}'
    return None
