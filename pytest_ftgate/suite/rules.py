"""How a reply is read: the kinds of score and format an author may name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from pytest_ftgate.errors import did_you_mean
from pytest_ftgate.suite.defined import form_fault, reference_fault
from pytest_ftgate.suite.patterns import pattern_fault
from pytest_ftgate.suite.source import Source

__all__ = [
    "FORMATS",
    "FORMATS_LATER",
    "SCORES",
    "SCORES_LATER",
    "Expected",
    "Format",
    "Rule",
    "Score",
    "function_fault",
    "later",
    "read_schema",
]

#: score kind -> the options it takes
SCORES: Mapping[str, frozenset[str]] = {
    "exact": frozenset({"ignore_case"}),
    "choice": frozenset(),
    "contains": frozenset({"all"}),
    "regex": frozenset(),
    "numeric": frozenset({"tolerance", "pick"}),
    "python": frozenset(),
    "tool_call": frozenset(),
}
FORMATS = ("choice", "json_schema", "regex", "python")

SCORES_LATER = ("fields", "similarity", "judge", "code")
FORMATS_LATER = (
    *("pydantic", "lines", "xml", "csv", "markdown", "code", "length", "language"),
    *("contains", "avoids", "tool_call"),
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to read a reply.

    Attributes:
        kind: a key of *SCORES*, or one of *FORMATS*.
        value: what the kind needs: labels, a schema, a pattern, ``module:function``.
        options: the settings of a scorer.
    """

    kind: str
    value: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)


def later(what: str) -> PydanticCustomError:
    """Return the fault for *what* is planned and not built: said, never ignored."""
    return PydanticCustomError("later", "{what} is not available yet; remove it", {"what": what})


def _single(raw: Any, of: str, kinds: Sequence[str]) -> tuple[str, Any]:
    if isinstance(raw, str):
        return raw, None
    if isinstance(raw, Mapping) and len(raw) == 1:
        ((kind, value),) = raw.items()
        return str(kind), value
    msg = "{of} is one name, or one name with its value, such as {example}; known: {kinds}"
    example = "{choice: [refund, other]}" if of == "format" else "{numeric: {tolerance: 0.01}}"
    raise PydanticCustomError(
        "rule", msg, {"of": of, "example": example, "kinds": ", ".join(kinds)}
    )


def _unknown(of: str, kind: str, kinds: Sequence[str]) -> PydanticCustomError:
    msg = 'unknown {of} "{kind}"{near}; known: {kinds}'
    facts = {"of": of, "kind": kind, "near": did_you_mean(kind, kinds), "kinds": ", ".join(kinds)}
    return PydanticCustomError("rule", msg, facts)


def _parse_score(raw: Any) -> Rule | None:
    if raw is None or isinstance(raw, Rule):
        return raw
    kind, value = _single(raw, "score", tuple(SCORES))
    if kind in SCORES_LATER:
        raise later(f"score: {kind}")
    if kind not in SCORES:
        raise _unknown("score", kind, tuple(SCORES))
    if kind == "python":
        return Rule(kind, _reference(value))
    options = value or {}
    if not isinstance(options, Mapping) or not set(options) <= SCORES[kind]:
        takes = ", ".join(sorted(SCORES[kind])) or "no options"
        raise PydanticCustomError(
            "rule", "score {kind} takes {takes}", {"kind": kind, "takes": takes}
        )
    for name, given in options.items():
        _check_option(name, given)
    return Rule(kind, None, options)


def _check_option(name: str, given: Any) -> None:
    number = isinstance(given, int | float) and not isinstance(given, bool)
    wanted, fits = {
        "tolerance": ("a number from 0 up", number and given >= 0),
        "pick": ("first or last", given in ("first", "last")),
    }.get(name, ("true or false", isinstance(given, bool)))
    if not fits:
        facts = {"name": name, "wanted": wanted, "given": str(given)}
        raise PydanticCustomError("rule", "{name} must be {wanted}, not {given}", facts)


def _reference(value: Any) -> str:
    if not isinstance(value, str):
        raise PydanticCustomError(
            "rule", "python needs a function, written package.module:function"
        )
    wrong = form_fault(value)
    if wrong:
        raise PydanticCustomError("rule", "python: {wrong}", {"wrong": wrong})
    return value


def _labels(value: Any) -> list[str]:
    if not isinstance(value, list) or not value:
        raise PydanticCustomError("rule", "choice needs a list of labels: {choice: [a, b]}")
    for label in value:
        if not isinstance(label, str):
            msg = 'label {label} is not text; quote it: "{label}"'
            raise PydanticCustomError("rule", msg, {"label": str(label).lower()})
    return value


def _check(raw: Any) -> Rule:
    kind, value = _single(raw, "format", FORMATS)
    if kind in FORMATS_LATER:
        raise later(f"format: {kind}")
    if kind not in FORMATS:
        raise _unknown("format", kind, FORMATS)
    match kind:
        case "choice":
            return Rule(kind, _labels(value))
        case "python":
            return Rule(kind, _reference(value))
        case "regex" if not isinstance(value, str):
            raise PydanticCustomError("rule", 'regex needs a pattern: {regex: "^[A-Z]+$"}')
        case "json_schema" if not isinstance(value, str | Mapping):
            raise PydanticCustomError("rule", "json_schema needs a schema or the path of one")
    return Rule(kind, value)


def _parse_format(raw: Any) -> tuple[Rule, ...]:
    if raw is None:
        return ()
    if isinstance(raw, tuple):
        return raw
    return tuple(_check(one) for one in (raw if isinstance(raw, list) else [raw]))


def _parse_expected(raw: Any) -> Any:
    for one in raw if isinstance(raw, list) else [raw]:
        if isinstance(one, bool):
            text = str(one).lower()
            msg = 'expected is {text}, but an answer is text or a number: write "{text}"'
            raise PydanticCustomError("rule", msg, {"text": text})
        if isinstance(one, Mapping):
            _check_call(one)
        elif not isinstance(one, str | int | float | None):
            raise PydanticCustomError("rule", "expected is text, a number, or a list of either")
    return raw


def _check_call(expected: Mapping[str, Any]) -> None:
    """Hold a mapping to the call of a tool, all that one may expect."""
    fits = isinstance(expected.get("name"), str) and set(expected) <= {"name", "arguments"}
    if not fits or not isinstance(expected.get("arguments", {}), Mapping):
        example = '{name: lookup_order, arguments: {order_id: "17"}}'
        msg = "expected as a mapping is the call of a tool, such as {example}"
        raise PydanticCustomError("rule", msg, {"example": example})


Expected = Annotated[Any, BeforeValidator(_parse_expected)]
Score = Annotated[Any, BeforeValidator(_parse_score)]
Format = Annotated[Any, BeforeValidator(_parse_format)]


def read_schema(source: Source, rule: Rule, line: int) -> Rule:
    """Return *rule* with the file that it names as a JSON Schema read, or its faults noted."""
    if rule.kind == "regex":
        return _compiled(source, rule, line)
    if rule.kind != "json_schema" or not isinstance(rule.value, str):
        return rule
    path = source.find(rule.value, line, "json_schema")
    text = source.text(path, line, "json_schema") if path else None
    try:
        return Rule(rule.kind, json.loads(text or "{}"))
    except ValueError as error:
        source.say(line, f"json_schema: {rule.value} is not JSON: {error}")
    return Rule(rule.kind, {})


def function_fault(rule: Rule, folder: Path) -> str | None:
    """Say why the function of a ``python`` rule cannot be used, or return None.

    Args:
        rule: of any kind.
        folder: of the suite.
    """
    named = rule.kind == "python" and rule.value is not None
    return reference_fault(rule.value, folder) if named else None


def _compiled(source: Source, rule: Rule, line: int) -> Rule:
    fault = pattern_fault(rule.value)
    if fault:
        source.say(line, f"regex: {fault}")
    return rule
