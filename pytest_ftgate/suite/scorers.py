"""The scores that a suite may name, and their options."""

from __future__ import annotations

import ast
import math
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, ValidationError
from pydantic_core import PydanticCustomError

from pytest_ftgate.errors import ScorerError, did_you_mean
from pytest_ftgate.readers.source import Source, keys_of, sentence
from pytest_ftgate.suite.references import form_fault
from pytest_ftgate.suite.rule import Rule, function_of

if TYPE_CHECKING:
    from regex import Match, Pattern

__all__ = [
    "FIELDS",
    "OPTIONS",
    "SCORES",
    "Expected",
    "Options",
    "Score",
    "number",
    "numbers",
    "pattern_fault",
    "python_fault",
    "read_score",
    "search",
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


#: What is meant by a mark between thousands: its look-alikes too.
_ALIKE = {" ": " \u00a0\u202f\u2009", "'": "'’"}
_FRACTION = (
    r"(?<![/\d])(?:(?P<whole>\d+)\s)?(?P<up>\d+)\s?[/⁄]\s?(?P<down>\d+)(?![/\d])"
    r"|(?P<ones>\d*)\s?(?P<vulgar>[¼-¾⅐-⅞])"
)


def numbers(text: str, options: Mapping[str, Any]) -> list[float]:
    """Return the numbers that stand in *text*, in their order.

    With a unit only those are read that have it beside them.

    Args:
        text: of a reply.
        options: of ``numeric``, checked.
    """
    pattern = _pattern(*_key(options), tuple(options.get("unit") or ()))
    wanted = (m for m in pattern.finditer(text) if not options.get("unit") or m["pre"] or m["post"])
    return [value for match in wanted if (value := _value(match)) is not None]


def number(written: object, options: Mapping[str, Any]) -> float | None:
    """Return the number that an author wrote, as text or plainly; None where it is none."""
    if isinstance(written, str):
        match = _pattern(*_key(options), ()).fullmatch(written.strip())
        value = _value(match) if match else _plain(written.replace(",", ""))
    else:
        value = _plain(written)
    return value if value is not None and math.isfinite(value) else None


def _plain(written: Any) -> float | None:
    try:
        return None if isinstance(written, bool) else float(written)
    except (ValueError, TypeError, OverflowError):
        return None


def _key(options: Mapping[str, Any]) -> tuple[str, str, bool, bool]:
    decimal = options.get("decimal", ".")
    marks = options.get("thousands") or ("," if decimal == "." else ".")
    alike = "".join(_ALIKE.get(mark, mark) for mark in marks)
    return decimal, alike, options.get("fractions", False), options.get("percent", False)


@lru_cache(maxsize=256)
def _pattern(
    decimal: str,
    thousands: str,
    fractions: bool,  # noqa: FBT001 - a key of the cache
    percent: bool,  # noqa: FBT001
    units: tuple[str, ...],
) -> re.Pattern[str]:
    marks, point = re.escape(thousands), re.escape(decimal)
    grouped = rf"\d{{1,3}}(?:[{marks}]\d{{3}})+(?!\d)"
    plain = rf"(?:(?P<front>{grouped}|\d+)(?:{point}(?P<part>\d+))?|{point}(?P<tail>\d+))"
    amount = f"(?:{_FRACTION}|{plain})" if fractions else plain
    hundredth = r"(?P<percent>\s?(?:%|per\s?cent\b))?" if percent else ""
    before, after = _beside(units)
    # A sign right after a digit or a letter is a dash: "10-12".
    sign = r"(?:(?<!\w)[-+−])?"
    pre = rf"(?P<pre>(?P<outer>{sign})(?:{before})\s?)?" if units else ""
    post = rf"(?P<post>\s?(?:{after}))?" if units else ""
    return re.compile(f"{pre}(?P<sign>{sign}){amount}{hundredth}{post}")


def _beside(units: tuple[str, ...]) -> tuple[str, str]:
    """Return what finds a unit before a number, and what finds one after it; each a whole word."""
    longest = sorted(units, key=len, reverse=True)
    before = (r"(?<!\w)" * _word(unit[0]) + re.escape(unit) for unit in longest)
    after = (re.escape(unit) + r"(?!\w)" * _word(unit[-1]) for unit in longest)
    return "|".join(before), "|".join(after)


def _word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _value(match: re.Match[str]) -> float | None:
    said = match.groupdict()
    value = _amount(said)
    if value is None:
        return None
    signs = said["sign"] + (said.get("outer") or "")
    value = -value if "-" in signs or "−" in signs else value
    return value / 100 if said.get("percent") else value


def _amount(said: Mapping[str, str | None]) -> float | None:
    up, down = said.get("up"), said.get("down")
    if up and down:
        return float(said["whole"] or 0) + float(up) / float(down) if float(down) else None
    vulgar = said.get("vulgar")
    if vulgar:
        return float(said["ones"] or 0) + unicodedata.numeric(vulgar)
    front = re.sub(r"\D", "", said["front"] or "0")
    return float(f"{front}.{said['part'] or said['tail'] or 0}")


#: Seconds that a pattern may take on one text; a usual one takes microseconds.
_LIMIT = 1.0


def search(pattern: str, text: str) -> Match[str] | None:
    """Return where *pattern* is found first in *text*, or None where it is not.

    Raises:
        ScorerError: it took longer than a second, as a pattern that repeats a repetition may.
    """
    try:
        return _compiled(pattern).search(text, timeout=_LIMIT)
    except TimeoutError as error:
        told = f"{pattern!r} took longer than {_LIMIT:g} s on a reply"
        raise ScorerError(f"{told}; write it without a repetition inside another") from error


def pattern_fault(pattern: str) -> str | None:
    """Say why *pattern* is no regular expression, or return None."""
    import regex

    try:
        _compiled(pattern)
    except (regex.error, OverflowError, RecursionError) as error:
        return f"{pattern!r} is not a pattern: {error}"
    return None


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> Pattern[str]:
    # The standard library's engine has no limit of time.
    import regex

    return regex.compile(pattern)
