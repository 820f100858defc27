"""How the content of a reply is marked: the kinds of score an author may name, and their options.

Every option is checked here, when the suite is read; the scorers rely on it.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from pytest_ftgate.errors import did_you_mean
from pytest_ftgate.suite.defined import form_fault
from pytest_ftgate.suite.faults import keys_of, sentence
from pytest_ftgate.suite.rules import Rule, function_of
from pytest_ftgate.suite.source import Source

__all__ = [
    "FIELDS",
    "OPTIONS",
    "SCORES",
    "Expected",
    "Options",
    "Score",
    "python_fault",
    "read_score",
]

_Text = Annotated[str, Field(min_length=1)]
_Texts = Annotated[list[_Text], Field(min_length=1)]
_Size = Annotated[float, Field(strict=True, ge=0)]
_Share = Annotated[float, Field(strict=True, ge=0, le=1)]
#: What stands between the digits of thousands.
_Mark = Literal[",", ".", " ", "'"]


class Options(BaseModel):
    """The options of a kind of score."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _Exact(Options):
    ignore_case: StrictBool = False
    normalise: list[Literal["unicode", "spaces", "case", "punctuation"]] = []


class _Choice(Options):
    synonyms: dict[_Text, _Texts] = {}
    none: _Text | None = None


class _Labels(_Choice):
    separator: _Text = ","
    partial: Literal["f1"] | None = None


class _Contains(Options):
    all: StrictBool = False


class _Numeric(Options):
    tolerance: _Size = 0
    relative: _Size = 0
    pick: Literal["first", "last"] = "last"
    decimal: Literal[".", ","] = "."
    thousands: list[_Mark] = []
    fractions: StrictBool = False
    percent: StrictBool = False
    unit: _Texts | None = None


class _Similarity(Options):
    by: Literal["ratio", "rouge", "tfidf"] = "ratio"
    min: _Share | None = None


class _Code(Options):
    tests: _Text | None = None
    seconds: Annotated[float, Field(strict=True, gt=0, le=600)] = 5
    memory_mb: Annotated[int, Field(strict=True, ge=64)] = 1024
    sandbox: Literal["none"] | None = None


#: score kind -> the options it takes
OPTIONS: Mapping[str, type[Options]] = {
    "exact": _Exact,
    "choice": _Choice,
    "labels": _Labels,
    "contains": _Contains,
    "regex": Options,
    "numeric": _Numeric,
    "similarity": _Similarity,
    "code": _Code,
    "tool_call": Options,
}
#: The kinds that mark a whole reply, and those that mark one field of it.
SCORES = (*OPTIONS, "fields", "python", "judge")
FIELDS = (
    *("exact", "choice", "labels", "contains", "regex", "numeric", "similarity"),
    *("set", "sequence"),
)

_RAPIDFUZZ = 'it needs rapidfuzz: pip install "pytest-ftgate[similarity]"'
_EXAMPLES = {
    "judge": "{judge: {rubric: The reply is polite., model: {provider: ..., model: ...}}}",
    "python": '{python: "package.module:function"}',
    "fields": "{fields: {total: {numeric: {tolerance: 0.01}}, items: {set: true}}}",
}


def _fault(told: str) -> PydanticCustomError:
    return PydanticCustomError("rule", "{told}", {"told": told})


def _parse_score(raw: Any) -> Rule | None:
    if raw is None or isinstance(raw, Rule):
        return raw
    if not isinstance(raw, list):
        return _rule(*_single(raw))
    if not raw:
        raise _fault("score is an empty list; name a score")
    return Rule("mean", tuple(_weighed(one) for one in raw))


def _weighed(raw: Any) -> tuple[Rule, float]:
    weight = raw.get("weight", 1) if isinstance(raw, Mapping) else 1
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not weight > 0:
        raise _fault(f"weight must be a number above 0, not {weight}")
    bare = {k: v for k, v in raw.items() if k != "weight"} if isinstance(raw, Mapping) else raw
    offered = [*bare.values()] if isinstance(bare, Mapping) else [bare]
    if len(offered) == 1 and isinstance(offered[0], Rule):
        return offered[0], float(weight)
    return _rule(*_single(bare)), float(weight)


def _single(raw: Any, kinds: tuple[str, ...] = SCORES) -> tuple[str, Any]:
    kind, value = next(iter(raw.items())) if isinstance(raw, Mapping) and raw else (raw, None)
    if not isinstance(kind, str) or (isinstance(raw, Mapping) and len(raw) != 1):
        told = "score is one name, or one name with its value, such as "
        raise _fault(f"{told}{{numeric: {{tolerance: 0.01}}}}; known: {', '.join(kinds)}")
    if kind not in kinds:
        near = did_you_mean(kind, kinds)
        raise _fault(f'unknown score "{kind}"{near}; known: {", ".join(kinds)}')
    return kind, value


def _rule(kind: str, value: Any) -> Rule:
    if kind == "python":
        return _function(value)
    if kind == "judge":
        return _judge(value)
    if kind == "fields":
        return Rule(kind, None, _fields(value))
    options = {} if value is None else value
    try:
        read = OPTIONS[kind].model_validate(options)
    except ValidationError as error:
        raise _fault(_told(kind, dict(error.errors()[0]))) from error
    wrong = _unfit(read)
    if wrong:
        raise _fault(f"score {kind}: {wrong}")
    return Rule(kind, None, options)


def _told(kind: str, error: dict[str, Any]) -> str:
    known = keys_of(OPTIONS[kind])
    if not error["loc"] or (error["type"] == "extra_forbidden" and not known):
        return f"score {kind} takes {', '.join(known) or 'no options'}"
    return f"score {kind}: {sentence(error, known, None)}"


def _unfit(options: Options) -> str | None:
    """Say what no single option shows, or return None."""
    if isinstance(options, _Choice):
        return _taken_twice(options)
    if isinstance(options, _Numeric) and options.decimal in options.thousands:
        other = "," if options.decimal == "." else "."
        told = f'thousands: "{options.decimal}" is the decimal mark already'
        return f'{told}; write decimal: "{other}", or take it out'
    if isinstance(options, _Similarity) and options.by != "tfidf" and not find_spec("rapidfuzz"):
        return _RAPIDFUZZ
    return None


def _taken_twice(options: _Choice) -> str | None:
    meant: dict[str, str] = {label.casefold(): label for label in options.synonyms}
    for label, words in options.synonyms.items():
        for word in words:
            other = meant.setdefault(word.casefold(), label)
            if other != label:
                return f'synonym "{word}" of {label} also means {other}; keep one'
    return None


def _judge(value: Any) -> Rule:
    """Return the rule as it was written; what stands in it is checked where its lines are known."""
    if not isinstance(value, Mapping):
        raise _fault(f"judge needs a rubric and a model, such as {_EXAMPLES['judge']}")
    return Rule("judge", None, dict(value))


def _function(value: Any) -> Rule:
    try:
        reference, options = function_of(value)
    except ValueError as error:
        raise _fault(str(error)) from error
    wrong = form_fault(reference)
    if wrong:
        raise _fault(f"python: {wrong}")
    return Rule("python", reference, options)


def _fields(value: Any) -> dict[str, Rule]:
    if value is not None and not isinstance(value, Mapping):
        raise _fault(f"fields needs a score for each field, such as {_EXAMPLES['fields']}")
    try:
        return {str(path): _field(raw) for path, raw in (value or {}).items()}
    except PydanticCustomError as error:
        raise _fault(f"fields: {error.message()}") from error


def _field(raw: Any) -> Rule:
    kind, value = _single(raw, FIELDS)
    if kind not in ("set", "sequence"):
        return _rule(kind, value)
    if value not in (None, True, {"partial": "f1"}):
        raise _fault(f"{kind} is true, or {{partial: f1}}, not {value}; leave other fields out")
    if kind == "sequence" and value not in (None, True) and not find_spec("rapidfuzz"):
        raise _fault(f"sequence: {_RAPIDFUZZ}")
    return Rule(kind, None, value if isinstance(value, Mapping) else {})


def _parse_expected(raw: Any) -> Any:
    for one in raw if isinstance(raw, list) else [raw]:
        if isinstance(one, bool):
            text = str(one).lower()
            raise _fault(f'expected is {text}, but an answer is text or a number: write "{text}"')
        if not isinstance(one, str | int | float | Mapping | None):
            raise _fault("expected is text, a number, a mapping, or a list of these")
    return raw


Expected = Annotated[Any, BeforeValidator(_parse_expected)]
Score = Annotated[Any, BeforeValidator(_parse_score)]


def read_score(source: Source, rule: Rule, line: int) -> Rule:
    """Return *rule* with the file of tests that it names read, or its faults noted."""
    if rule.kind == "mean":
        parts = ((read_score(source, part, line), weight) for part, weight in rule.value)
        return Rule(rule.kind, tuple(parts))
    if rule.kind != "code" or "tests" not in rule.options:
        return rule
    written = rule.options["tests"]
    path = source.find(written, line, "code: tests")
    text = source.text(path, line, "code: tests") if path else None
    wrong = python_fault(text or "")
    if wrong:
        source.say(line, f"code: tests: {written} is not Python: {wrong}")
    return Rule(rule.kind, text or "", rule.options)


def python_fault(code: str) -> str | None:
    """Say why *code* is not Python, or return None."""
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return str(error)
    return None
