"""How a reply is read: what a rule is, and the kinds of format an author may name."""

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
    "Format",
    "Rule",
    "function_fault",
    "later",
    "read_schema",
]

FORMATS = ("choice", "json_schema", "regex", "python")

FORMATS_LATER = (
    *("pydantic", "lines", "xml", "csv", "markdown", "code", "length", "language"),
    *("contains", "avoids", "tool_call"),
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to read a reply.

    Attributes:
        kind: a kind of score, ``mean`` for several of them, or one of *FORMATS*.
        value: what the kind needs: labels, a schema, a pattern, tests, ``module:function``; of a
            mean the scores, each with its weight.
        options: the settings of a scorer.
    """

    kind: str
    value: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[Rule, ...]:
        """The scores that it is the mean of, or itself alone."""
        return tuple(rule for rule, _ in self.value) if self.kind == "mean" else (self,)

    @property
    def unaided(self) -> bool:
        """Whether it marks a reply even where a case expects nothing: by a function, by tests."""
        return any(one.kind == "python" or "tests" in one.options for one in self.parts)


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
    facts = {"of": of, "example": "{choice: [refund, other]}", "kinds": ", ".join(kinds)}
    raise PydanticCustomError("rule", msg, facts)


def _unknown(of: str, kind: str, kinds: Sequence[str]) -> PydanticCustomError:
    msg = 'unknown {of} "{kind}"{near}; known: {kinds}'
    facts = {"of": of, "kind": kind, "near": did_you_mean(kind, kinds), "kinds": ", ".join(kinds)}
    return PydanticCustomError("rule", msg, facts)


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
    named = (part.value for part in rule.parts if part.kind == "python" and part.value is not None)
    return next((fault for one in named if (fault := reference_fault(one, folder))), None)


def _compiled(source: Source, rule: Rule, line: int) -> Rule:
    fault = pattern_fault(rule.value)
    if fault:
        source.say(line, f"regex: {fault}")
    return rule
