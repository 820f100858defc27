"""How a reply is marked: the kinds of score an author may name, and what a case may expect."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from pytest_ftgate.errors import did_you_mean
from pytest_ftgate.suite.defined import form_fault, reference_fault

__all__ = [
    "SCORES",
    "SCORES_LATER",
    "Expected",
    "Rule",
    "Score",
    "function_fault",
    "later",
    "pattern_fault",
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

SCORES_LATER = ("fields", "similarity", "judge", "code")


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to read a reply.

    Attributes:
        kind: a key of *SCORES*, or one of the formats.
        value: what the kind needs: labels, a schema, a pattern, ``module:function``.
        options: the settings of a scorer.
    """

    kind: str
    value: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)


def later(what: str) -> PydanticCustomError:
    """Return the fault for *what* is planned and not built: said, never ignored."""
    return PydanticCustomError("later", "{what} is not available yet; remove it", {"what": what})


def _single(raw: Any, kinds: Sequence[str]) -> tuple[str, Any]:
    if isinstance(raw, str):
        return raw, None
    if isinstance(raw, Mapping) and len(raw) == 1:
        ((kind, value),) = raw.items()
        return str(kind), value
    msg = "score is one name, or one name with its value, such as {example}; known: {kinds}"
    facts = {"example": "{numeric: {tolerance: 0.01}}", "kinds": ", ".join(kinds)}
    raise PydanticCustomError("rule", msg, facts)


def _unknown(kind: str, kinds: Sequence[str]) -> PydanticCustomError:
    msg = 'unknown score "{kind}"{near}; known: {kinds}'
    facts = {"kind": kind, "near": did_you_mean(kind, kinds), "kinds": ", ".join(kinds)}
    return PydanticCustomError("rule", msg, facts)


def _parse_score(raw: Any) -> Rule | None:
    if raw is None or isinstance(raw, Rule):
        return raw
    kind, value = _single(raw, tuple(SCORES))
    if kind in SCORES_LATER:
        raise later(f"score: {kind}")
    if kind not in SCORES:
        raise _unknown(kind, tuple(SCORES))
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


def function_fault(rule: Rule, folder: Path) -> str | None:
    """Say why what a rule names in Python cannot be used, or return None.

    Args:
        rule: of any kind.
        folder: of the suite.
    """
    named = rule.kind in ("python", "pydantic") and rule.value is not None
    return reference_fault(rule.value, folder) if named else None


def pattern_fault(pattern: str) -> str | None:
    """Say why *pattern* is no regular expression, or return None."""
    try:
        re.compile(pattern)
    except re.error as error:
        return f"{pattern!r} is not a pattern: {error}"
    return None
