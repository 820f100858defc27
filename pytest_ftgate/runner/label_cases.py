"""Cases out of labelled inputs: those whose right answer people have named."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.gates.disagreements import known_truths
from pytest_ftgate.suite.cases import expected_error
from pytest_ftgate.suite.model import Case, Inputs, input_digest
from pytest_ftgate.suite.pair_labels import NO_ANSWER, PairLabel
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.scorers import parse_number
from pytest_ftgate.suite.variants import NO_TOOL

#: The tag of such a case: where it comes from.
TAG = "from-production"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledCases:
    """Cases that were made of labels.

    Attributes:
        rows: a row of a case file each.
        unknown: the number of labelled inputs without a right answer that the score can read.
    """

    rows: tuple[Mapping[str, Any], ...]
    unknown: int


def labelled_cases(
    inputs: Inputs, cases: Iterable[Case], labels: Iterable[PairLabel]
) -> LabelledCases:
    """Return the labelled of *inputs* as cases; *cases* are those that the suite has.

    Raises:
        ConfigurationError: the score compares no whole answers.
    """
    kind = inputs.score.kind
    if kind not in _ANSWERS:
        known = ", ".join(_ANSWERS)
        raise ConfigurationError(
            f"--to-cases makes answers for score: {known}; what is expected with score: {kind} "
            "is no reply, so write these cases by hand"
        )
    labels = [one for one in labels if one.instruction == inputs.version and not one.judge]
    right = _right_answers(inputs, labels)
    labelled = {label.input for label in labels}
    rows, taken, unknown = list[dict[str, Any]](), {case.id for case in cases}, 0
    for case in {input_digest(case): case for case in reversed(inputs.cases)}.values():
        key = input_digest(case)
        if answers := right.get(key):
            rows.insert(0, _row(case, answers, taken))
        unknown += key in labelled and key not in right
    return LabelledCases(rows=tuple(rows), unknown=unknown)


def _right_answers(inputs: Inputs, labels: Iterable[PairLabel]) -> dict[str, list[Any]]:
    """Return by input what is right: what people have typed, else the texts they call right."""
    labels = [*labels]
    typed, called = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for label in labels:
        if label.expected:
            typed[label.input].append(_typed(label.expected, inputs.score))
    for (key, text), truth in known_truths(labels, inputs.version).items():
        if truth == 1.0 and text != NO_ANSWER:
            called[key].append(text)
    formats = inputs.cases[0].format if inputs.cases else ()
    found = dict[str, list[Any]]()
    for key, texts in {**called, **typed}.items():
        answers = [_ANSWERS[inputs.score.kind](text, inputs.score) for text in dict.fromkeys(texts)]
        fitting = [
            one for one in answers if one is not None
            and expected_error(one, inputs.score, formats) is None
        ]  # fmt: skip
        if fitting:
            found[key] = fitting
    return found


def _row(case: Case, answers: list[Any], taken: set[str]) -> dict[str, Any]:
    name = case.id
    while name in taken:
        name += "-production"
    taken.add(name)
    messages = [{"role": role, "content": content} for role, content in case.messages]
    optional = {
        "input": case.input, "messages": messages, "vars": dict(case.vars),
        "language": case.language, "max_tokens": case.max_tokens,
    }  # fmt: skip
    written = {key: value for key, value in optional.items() if value}
    # A list of labels is one answer already.
    expected = answers if len(answers) > 1 and not isinstance(answers[0], list) else answers[0]
    return {"id": name, **written, "expected": expected, "tags": [*case.tags, TAG]}


def _typed(text: str, rule: Rule) -> str:
    """Return an answer that a person has typed as a normalised reply has it."""
    number = parse_number(text, rule.options) if rule.kind == "numeric" else None
    return text if number is None else repr(number)


def _text(text: str, _: Rule) -> str:
    return text


def _labels(text: str, rule: Rule) -> list[str]:
    separator = rule.options.get("separator", ",")
    names = text.split(separator if separator in text else ",")
    return [name.strip() for name in names if name.strip()]


def _number(text: str, _: Rule) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if number.is_integer() else number


def _mapping(text: str, _: Rule) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _tool_call(text: str, _: Rule) -> Any:
    try:
        calls = json.loads(text)
    except ValueError:
        return None
    # One call is expected, or none; which of several is the right one, nobody has said.
    if calls == []:
        return NO_TOOL
    is_one = isinstance(calls, list) and len(calls) == 1
    return calls[0] if is_one else calls if isinstance(calls, dict) else None


#: How an answer is written for the scores that compare whole answers.
_ANSWERS: Mapping[str, Callable[[str, Rule], Any]] = {
    "choice": _text,
    "labels": _labels,
    "exact": _text,
    "numeric": _number,
    "fields": _mapping,
    "tool_call": _tool_call,
}
