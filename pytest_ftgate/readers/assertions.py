"""Assertions of promptfoo, as the score and the formats of a case."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import regex

from pytest_ftgate.readers.answer_rows import text_of
from pytest_ftgate.readers.imported_suite import AGREES
from pytest_ftgate.readers.text import json_or_text

#: The score of a reply that has to contain all texts.
_ALL = {"contains": {"all": True}}
_VARIABLE = re.compile(r"\{\{-?\s*([\w.]+)\s*-?\}\}")
#: ``output.includes('x')`` and ``output.length < 80``, the commonest of JavaScript.
_INCLUDES = re.compile(r"output(?:\.toLowerCase\(\))?\.includes\((['\"])(.+?)\1\)")
_LENGTH = re.compile(r"output\.length\s*(<=?|>=?)\s*(\d+)")


class _Answer(NamedTuple):
    """What makes a reply right: a score, and the expected answers."""

    score: Any
    expected: Any

    @property
    def kind(self) -> str:
        return self.score if isinstance(self.score, str) else next(iter(self.score))


@dataclass(slots=True)
class CarriedRules:
    """What the assertions of one test become.

    Attributes:
        rubrics: what a judge grades by.
        limits: of latency in milliseconds, and of cost in USD, by the assertion's type.
        skipped: a sentence for each assertion that is not carried over.
    """

    answers: list[_Answer] = field(default_factory=list)
    formats: list[dict[str, Any]] = field(default_factory=list)
    rubrics: list[str] = field(default_factory=list)
    limits: dict[str, float] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def keys(self) -> dict[str, Any]:
        """Return the keys ``expected``, ``score`` and ``format`` of a case."""
        answers = _merged(self.answers)
        scored = None if self.rubrics else next(iter(answers), None)
        rest = answers if scored is None else answers[1:]
        formats = [*self.formats, *filter(None, map(self._as_format, rest))]
        keys: dict[str, Any] = {} if scored is None else scored._asdict()
        return keys | ({"format": formats} if formats else {})

    def _as_format(self, answer: _Answer) -> dict[str, Any] | None:
        texts = answer.expected if isinstance(answer.expected, list) else [answer.expected]
        if answer.kind == "contains" and (len(texts) == 1 or not isinstance(answer.score, str)):
            return {"contains": texts}
        if answer.kind == "contains":
            return {"regex": f"(?i)(?:{'|'.join(map(re.escape, texts))})"}
        if answer.kind == "exact":
            return {"regex": rf"^\s*(?:{'|'.join(map(re.escape, texts))})\s*$"}
        if answer.kind == "regex":
            return {"regex": texts[0]}
        self.skipped.append(f"{answer.kind} beside another assertion that decides the score")
        return None


#: The first of these decides the score; the others are formats.
_PRIORITY = ("exact", "fields", "contains", "regex", "similarity")


def _merged(answers: Iterable[_Answer]) -> list[_Answer]:
    """Return *answers*, the most decisive first; texts that must all occur are one answer."""
    every = [a for a in answers if a.score == _ALL]
    merged = [a for a in answers if a not in every]
    texts = list(dict.fromkeys(text for answer in every for text in answer.expected))
    if len(texts) == 1:
        merged.append(_Answer("contains", texts[0]))
    elif texts:
        merged.append(_Answer(_ALL, texts))
    return sorted(merged, key=lambda answer: _PRIORITY.index(answer.kind))


def carry_assertions(
    assertions: Iterable[Any],
    variables: Mapping[str, Any],
    read: Callable[[str], str],
    rules: CarriedRules | None = None,
) -> CarriedRules:
    """Return what *assertions* become, beside *rules*.

    *read* returns the text behind ``file://``, and raises ConfigurationError for a file that cannot
    be read.
    """
    rules = rules or CarriedRules()
    for assertion in assertions:
        if not isinstance(assertion, Mapping):
            rules.skipped.append(f'assertion "{assertion}" is not a mapping')
        elif assertion.get("type") == "assert-set":
            if assertion.get("threshold") is not None:
                rules.skipped.append("threshold of an assert-set: all of its assertions must hold")
            carry_assertions(assertion.get("assert") or (), variables, read, rules)
        else:
            _carry(rules, assertion, variables, read)
    return rules


def _carry(
    rules: CarriedRules,
    assertion: Mapping[str, Any],
    variables: Mapping[str, Any],
    read: Callable[[str], str],
) -> None:
    kind = str(assertion.get("type", ""))
    carry = _CARRY.get(kind.replace("icontains", "contains"))
    if carry is None:
        rules.skipped.append(f"assertion {kind or 'without a type'}")
        return
    value = _filled(assertion.get("value"), variables)
    if isinstance(value, str) and value.startswith("file://"):
        name = value.removeprefix("file://")
        if not name.endswith((".txt", ".md", ".json", ".yaml", ".yml")):
            rules.skipped.append(f"assertion {kind} of {value}")
            return
        text = read(name)
        value = json_or_text(text) if kind.endswith("json") else _filled(text, variables)
    problem = carry(rules, value, assertion)
    if problem:
        rules.skipped.append(f"assertion {kind}{problem}")
    for key in ("transform", "contextTransform"):
        if assertion.get(key):
            rules.skipped.append(f"{key} of an assertion {kind}: the whole reply is read")


def _filled(value: Any, variables: Mapping[str, Any]) -> Any:
    """Return *value* with the variables in its texts replaced."""
    if isinstance(value, list):
        return [_filled(item, variables) for item in value]
    if not isinstance(value, str):
        return value

    def text(match: re.Match[str]) -> str:
        name = match[1].removeprefix("vars.")
        return (text_of(variables[name]) or "") if name in variables else match[0]

    return _VARIABLE.sub(text, value)


# One carrier for each kind: it returns "", or why the assertion is not carried over.

_Carrier = Callable[[CarriedRules, Any, Mapping[str, Any]], str]


def _to(part: str, make: Callable[[Any], Any], problem: str = " without a value") -> _Carrier:
    """Return a carrier that adds what *make* returns for a value to a list of `CarriedRules`.

    For None it returns *problem*, with the value in place of ``{}``.
    """

    def carry(rules: CarriedRules, value: Any, _: Mapping[str, Any]) -> str:
        made = make(value)
        if made is None:
            return problem.format(text_of(value) or "")
        getattr(rules, part).append(made)
        return ""

    return carry


def _answer_of(score: Any, texts: list[str]) -> _Answer | None:
    return _Answer(score, texts) if texts else None


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if len(values) == 1 and isinstance(value, str) and "," in value:
        values = [part.strip() for part in value.split(",")]
    return [text for text in map(text_of, values) if text]


def _equals(rules: CarriedRules, value: Any, _: Mapping[str, Any]) -> str:
    if isinstance(value, Mapping) and value:
        rules.answers.append(_Answer("fields", {str(k): v for k, v in value.items()}))
    elif isinstance(value, list) or not text_of(value):
        return " with a list" if isinstance(value, list) else " without a value"
    else:
        rules.answers.append(_Answer("exact", text_of(value)))
    return ""


def _contained(value: Any) -> _Answer | None:
    text = None if isinstance(value, list) else text_of(value)
    return _Answer(_ALL, [text]) if text and text.strip() else None


def _pattern(value: Any) -> _Answer | None:
    pattern = text_of(value) or ""
    return _Answer("regex", pattern) if _is_pattern(pattern) else None


def _is_pattern(pattern: str) -> bool:
    try:
        return bool(regex.compile(pattern).pattern)
    except regex.error:
        return False


def _similar(rules: CarriedRules, value: Any, _: Mapping[str, Any]) -> str:
    texts = value if isinstance(value, list) else [text_of(value)]
    rules.answers.append(_Answer({"similarity": {"by": "tfidf"}}, texts))
    rules.skipped.append("similar compares embeddings in promptfoo, and words (tfidf) here")
    return ""


def _is_json(rules: CarriedRules, value: Any, _: Mapping[str, Any]) -> str:
    schema = json_or_text(value) if isinstance(value, str) else value
    rules.formats.append({"json_schema": schema if isinstance(schema, Mapping) else {}})
    return " with a schema that is no mapping" if isinstance(schema, str) else ""


def _avoided(value: Any) -> dict[str, Any] | None:
    text = text_of(value)
    return {"avoids": [text]} if text else None


def _avoided_pattern(value: Any) -> dict[str, Any] | None:
    pattern = f"(?s)^(?!.*(?:{text_of(value)}))"
    return {"regex": pattern} if _is_pattern(pattern) else None


def _words(value: Any) -> dict[str, Any] | None:
    bounds = value if isinstance(value, Mapping) else {"min": value, "max": value}
    limits = {k: int(bounds[k]) for k in ("min", "max") if str(bounds.get(k, "")).isdecimal()}
    return {"length": {"unit": "words", **limits}} if limits else None


def _strings(value: Any) -> Iterator[str]:
    inner = value.values() if isinstance(value, Mapping) else value
    if isinstance(inner, str):
        yield inner
    elif inner is not None and not isinstance(inner, bool | int | float):
        for item in inner:
            yield from _strings(item)


def _limit(rules: CarriedRules, _: Any, assertion: Mapping[str, Any]) -> str:
    threshold = assertion.get("threshold")
    if not isinstance(threshold, int | float) or threshold <= 0:
        return " without a threshold"
    rules.limits[str(assertion["type"])] = float(threshold)
    return ""


def _javascript(rules: CarriedRules, value: Any, _: Mapping[str, Any]) -> str:
    code = str(value).strip().removeprefix("return ").rstrip("; \n")
    parts = [part.strip(" ()\n") + ")" * part.strip().endswith(")") for part in code.split("&&")]
    rest = [part for part in parts if not _simple_javascript(rules, part)]
    return f": {' '.join(code.split())[:60]}" if rest else ""


def _simple_javascript(rules: CarriedRules, code: str) -> bool:
    """Return True after carrying over an expression that says what a reply contains."""
    if match := _INCLUDES.fullmatch(code):
        rules.answers.append(_Answer(_ALL, [match[2]]))
    elif match := _LENGTH.fullmatch(code):
        size, strict = int(match[2]), "=" not in match[1]
        bound = {"max": size - strict} if match[1][0] == "<" else {"min": size + strict}
        rules.formats.append({"length": {"unit": "characters", **bound}})
    return match is not None


#: Our score knows no upper and lower case, so that icontains is read like contains.
_CARRY: Mapping[str, _Carrier] = {
    "equals": _equals,
    "contains": _to("answers", _contained),
    "contains-all": _to("answers", lambda value: _answer_of(_ALL, _texts(value))),
    "contains-any": _to("answers", lambda value: _answer_of("contains", _texts(value))),
    "regex": _to("answers", _pattern, " {}: not a pattern of Python"),
    "starts-with": _to(
        "answers", lambda value: _Answer("regex", "^" + re.escape(text_of(value) or ""))
    ),
    "similar": _similar,
    "is-json": _is_json,
    "not-contains": _to("formats", _avoided),
    "not-contains-any": _to("formats", lambda value: {"avoids": _texts(value)}),
    "not-regex": _to("formats", _avoided_pattern, " of a pattern that Python does not read"),
    "not-equals": _to(
        "formats", lambda value: {"regex": rf"^(?!\s*{re.escape(text_of(value) or '')}\s*$)"}
    ),
    "word-count": _to("formats", _words, " without a number"),
    "not-empty": _to("formats", lambda _: {"length": {"unit": "characters", "min": 1}}),
    **dict.fromkeys(
        ("llm-rubric", "g-eval", "model-graded-closedqa"),
        _to("rubrics", lambda value: "\n".join(_strings(value)) or None, " without a rubric"),
    ),
    **dict.fromkeys(
        ("model-graded-factuality", "factuality"),
        _to("rubrics", lambda value: AGREES.replace("{{ expected }}", text_of(value) or "")),
    ),
    "latency": _limit,
    "cost": _limit,
    "javascript": _javascript,
}


def assertion_of_cell(text: str) -> dict[str, Any]:
    """Return the assertion that a cell of the column ``__expected`` declares."""
    name, colon, value = text.partition(":")
    kind, _, threshold = name.strip().partition("(")
    kind = {"grade": "llm-rubric", "fn": "javascript", "eval": "javascript"}.get(kind, kind)
    if not colon and kind not in ("is-json", "not-empty"):
        return {"type": "equals", "value": text}
    if kind not in _CARRY and not re.fullmatch(r"[a-z][a-z-]+", kind):
        return {"type": "equals", "value": text}
    found: dict[str, Any] = {"type": kind, "value": value.strip() or None}
    if threshold:
        found["threshold"] = float(threshold.rstrip(")"))
    return found
