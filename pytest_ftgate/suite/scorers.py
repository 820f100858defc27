"""The kinds of scores that a suite may declare, and their options."""

from __future__ import annotations

import ast
import math
import re
import unicodedata
import warnings
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache, partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StrictBool, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from pytest_ftgate.errors import ScorerError, did_you_mean
from pytest_ftgate.readers.source import (
    Declared,
    NonNegative,
    Share,
    Text,
    Texts,
    declared_keys,
    rule_error,
    validation_message,
)
from pytest_ftgate.suite.removed import removed_key
from pytest_ftgate.suite.rule import JAVASCRIPT, Rule

if TYPE_CHECKING:
    from regex import Match, Pattern

_ThousandsSeparator = Literal[",", ".", " ", "'"]


class ScoreOptions(Declared):
    """The options of a kind of score."""


class _Exact(ScoreOptions):
    ignore_case: StrictBool = False
    normalise: list[Literal["unicode", "spaces", "case", "punctuation"]] = Field(default=[])


class _Choice(ScoreOptions):
    synonyms: dict[Text, Texts] = Field(default={})
    none: Text | None = None


class _Labels(_Choice):
    separator: Text = ","
    partial: Literal["f1"] | None = None


class _Contains(ScoreOptions):
    all: StrictBool = False
    case: StrictBool = False
    whole_words: StrictBool = True


class _Numeric(ScoreOptions):
    tolerance: NonNegative = 0
    relative: NonNegative = 0
    pick: Literal["first", "last"] = "last"
    decimal: Literal[".", ","] = "."
    thousands: list[_ThousandsSeparator] = Field(default=[])
    fractions: StrictBool = False
    percent: StrictBool = False
    unit: Texts | None = None


class _Similarity(ScoreOptions):
    by: Literal["ratio", "rouge", "tfidf"] = "ratio"
    min: Share | None = None


class _Recorded(ScoreOptions):
    partial: StrictBool = False


class _Code(ScoreOptions):
    tests: Text | None = None
    seconds: Annotated[float, Field(strict=True, gt=0, le=600)] = 5
    memory_mb: Annotated[int, Field(strict=True, ge=64)] = 1024
    sandbox: Literal["none"] | None = None


#: score kind -> the options that it takes
SCORE_OPTIONS: Mapping[str, type[ScoreOptions]] = {
    "exact": _Exact,
    "choice": _Choice,
    "labels": _Labels,
    "contains": _Contains,
    "regex": ScoreOptions,
    "numeric": _Numeric,
    "similarity": _Similarity,
    "code": _Code,
    "tool_call": ScoreOptions,
    "recorded": _Recorded,
}
#: The kinds that score a whole reply, and those that score one field of it.
SCORE_KINDS = (*SCORE_OPTIONS, "fields", "python", JAVASCRIPT, "judge", "all")
FIELD_SCORE_KINDS = (
    *("exact", "choice", "labels", "contains", "regex", "numeric", "similarity"),
    *("set", "sequence"),
)

_NEEDS_RAPIDFUZZ = 'it needs rapidfuzz: pip install "pytest-ftgate[similarity]"'
_JUDGE_EXAMPLE = "{judge: {rubric: The reply is polite., model: {provider: ..., model: ...}}}"
_FIELDS_EXAMPLE = "{fields: {total: {numeric: {tolerance: 0.01}}, items: {set: true}}}"


#: A function of a plugin: called with a case, a reply and the options in the suite.
RuleFunction = Callable[..., Any]


def offered_rule(raw: Any, functions: Mapping[str, RuleFunction]) -> Rule | None:
    """Return the rule of one of the *functions* of plugins if *raw* names one.

    *raw* is the name of a function, or a mapping of the name to its options.
    """
    is_mapping = isinstance(raw, Mapping) and len(raw) == 1
    name, value = next(iter(raw.items())) if is_mapping else (raw, None)
    if not isinstance(name, str) or name not in functions:
        return None
    options = dict(value) if isinstance(value, Mapping) else {}
    function = partial(functions[name], **options) if options else functions[name]
    return Rule("offered", name, options, function)


def split_score(raw: Any, kinds: tuple[str, ...] = SCORE_KINDS) -> tuple[str, Any]:
    """Return the kind of a declared score, one of *kinds*, and its value, as `split_kind`."""
    usage = "score is one name, or one name with its value, such as {numeric: {tolerance: 0.01}}"
    return split_kind(raw, kinds, "score", usage)


def split_kind(raw: Any, kinds: Collection[str], noun: str, usage: str) -> tuple[str, Any]:
    """Return the kind of a declared score or format, and its value.

    *raw* is the name of a kind, or a mapping of the name to the value. For messages, *noun* is
    ``score`` or ``format``, and *usage* is how to write one.

    Raises:
        PydanticCustomError: the name is unknown, or *raw* is something else.
    """
    kind, value = next(iter(raw.items())) if isinstance(raw, Mapping) and raw else (raw, None)
    known = f"known: {', '.join(kinds)}"
    if not isinstance(kind, str) or (isinstance(raw, Mapping) and len(raw) != 1):
        raise rule_error(f"{usage}; {known}")
    if instead := removed_key((noun, kind)):
        raise rule_error(f'{noun} "{kind}" is no longer supported: {instead}')
    if kind not in kinds:
        raise rule_error(f'unknown {noun} "{kind}"{did_you_mean(kind, kinds)}; {known}')
    return kind, value


def parse_rule(kind: str, value: Any) -> Rule:
    """Return the rule of a single score; *value* is what stands behind its *kind*.

    Raises:
        PydanticCustomError: the value does not fit the kind. The message holds the remedy.
    """
    if kind == "python":
        return parse_function(value)
    if kind == JAVASCRIPT:
        return parse_javascript(value)
    if kind == "judge":
        if not isinstance(value, Mapping):
            raise rule_error(f"judge needs a rubric and a model, such as {_JUDGE_EXAMPLE}")
        # `extract_judges` checks its keys, with their lines.
        return Rule(kind, None, dict(value))
    if kind == "fields":
        return Rule(kind, None, _parse_fields(value))
    written_options = {} if value is None else value
    try:
        options = SCORE_OPTIONS[kind].model_validate(written_options)
    except ValidationError as error:
        raise rule_error(_options_error(kind, dict(error.errors()[0]))) from error
    if conflict := _options_conflict(options):
        raise rule_error(f"score {kind}: {conflict}")
    return Rule(kind, None, written_options)


def _options_error(kind: str, error: dict[str, Any]) -> str:
    known = declared_keys(SCORE_OPTIONS[kind])
    if not error["loc"] or (error["type"] == "extra_forbidden" and not known):
        return f"score {kind} takes {', '.join(known) or 'no options'}"
    return f"score {kind}: {validation_message(error, known, None)}"


def _options_conflict(options: ScoreOptions) -> str | None:
    """Return the error of options that are valid one by one but not together, or None."""
    if isinstance(options, _Choice):
        return _ambiguous_synonym(options)
    if isinstance(options, _Numeric) and options.decimal in options.thousands:
        other_mark = "," if options.decimal == "." else "."
        conflict = f'thousands: "{options.decimal}" is the decimal mark already'
        return f'{conflict}; write decimal: "{other_mark}", or take it out'
    if isinstance(options, _Similarity) and options.by != "tfidf" and not find_spec("rapidfuzz"):
        return _NEEDS_RAPIDFUZZ
    return None


def _ambiguous_synonym(options: _Choice) -> str | None:
    labels: dict[str, str] = {label.casefold(): label for label in options.synonyms}
    for label, synonyms in options.synonyms.items():
        for synonym in synonyms:
            other_label = labels.setdefault(synonym.casefold(), label)
            if other_label != label:
                return f'synonym "{synonym}" of {label} also means {other_label}; keep one'
    return None


#: The longest timeout of a function that scores a reply, in seconds.
_MAX_SECONDS = 600


def parse_function(written: Any) -> Rule:
    """Return the rule that ``python`` declares: a reference, or one with a timeout.

    Raises:
        PydanticCustomError: the value is neither. The message holds the remedy.
    """
    from pytest_ftgate.suite.function_references import reference_syntax_error

    keys = {"function": written} if isinstance(written, str) else written
    if not isinstance(keys, Mapping) or not isinstance(keys.get("function"), str):
        raise rule_error("python needs a function, written package.module:function")
    reference = str(keys["function"])
    options: dict[str, Any] = {k: value for k, value in keys.items() if k != "function"}
    unknown = next((key for key in options if key != "seconds"), None)
    if unknown is not None:
        example = "{python: {function: package.module:function, seconds: 60}}"
        raise rule_error(f'python: unknown key "{unknown}", as in {example}')
    seconds = options.get("seconds", 1)
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 0 < seconds <= _MAX_SECONDS:
        raise rule_error(f"python: seconds must be above 0 and at most 600, not {seconds}")
    if message := reference_syntax_error(reference):
        raise rule_error(f"python: {message}")
    return Rule("python", reference, options)


#: Seconds of JavaScript for one reply if the rule declares none.
JAVASCRIPT_SECONDS: float = 5
_JAVASCRIPT_EXAMPLE = '{javascript: "output.length < 200"}, or {javascript: {file: checks.mjs}}'


class DeclaredJavaScript(Declared):
    """The keys of ``javascript``: the code itself, or the file of a function."""

    code: Text | None = None
    file: Text | None = None
    function: Text | None = None
    seconds: Annotated[float, Field(strict=True, gt=0, le=600)] = JAVASCRIPT_SECONDS
    threshold: Annotated[float, Field(strict=True, allow_inf_nan=False)] | None = None
    throws: Literal["wrong"] | None = None
    inverse: StrictBool = False
    config: Any = None

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if (self.code is None) == (self.file is None):
            raise rule_error(f"javascript needs code or file, one of them: {_JAVASCRIPT_EXAMPLE}")
        if self.code is not None and self.function is not None:
            raise rule_error("javascript: function is one of a file; leave it out beside code")
        return self


def parse_javascript(written: Any) -> Rule:
    """Return the rule that ``javascript`` declares: code, or a mapping of its keys.

    Raises:
        PydanticCustomError: it is neither, or Node.js is missing. The message holds the remedy.
    """
    keys = {"code": written} if isinstance(written, str) else written
    if not isinstance(keys, Mapping):
        raise rule_error(f"javascript needs code or a file: {_JAVASCRIPT_EXAMPLE}")
    try:
        declared = DeclaredJavaScript.model_validate(keys)
    except ValidationError as error:
        first = dict(error.errors()[0])
        message = validation_message(first, declared_keys(DeclaredJavaScript), None)
        message = message if message.startswith(JAVASCRIPT) else f"javascript: {message}"
        raise rule_error(message) from error
    if not (declared.code or declared.file or "").strip():
        raise rule_error(f"javascript is empty; write {_JAVASCRIPT_EXAMPLE}")
    from pytest_ftgate.suite.javascript import NEEDS_NODE, node_path

    if node_path() is None:
        raise rule_error(f"javascript: {NEEDS_NODE}")
    options = declared.model_dump(exclude_unset=True, exclude_none=True, exclude={"code"})
    return Rule(JAVASCRIPT, declared.code, options)


def _parse_fields(value: Any) -> dict[str, Rule]:
    if value is not None and not isinstance(value, Mapping):
        raise rule_error(f"fields needs a score for each field, such as {_FIELDS_EXAMPLE}")
    try:
        return {str(path): _parse_field(raw) for path, raw in (value or {}).items()}
    except PydanticCustomError as error:
        raise rule_error(f"fields: {error.message()}") from error


def _parse_field(raw: Any) -> Rule:
    kind, value = split_score(raw, FIELD_SCORE_KINDS)
    if kind not in ("set", "sequence"):
        return parse_rule(kind, value)
    if value not in (None, True, {"partial": "f1"}):
        allowed = f"{kind} is true, or {{partial: f1}}"
        raise rule_error(f"{allowed}, not {value}; leave other fields out")
    if kind == "sequence" and value not in (None, True) and not find_spec("rapidfuzz"):
        raise rule_error(f"sequence: {_NEEDS_RAPIDFUZZ}")
    return Rule(kind, None, value if isinstance(value, Mapping) else {})


def _parse_expected(raw: Any) -> Any:
    for answer in raw if isinstance(raw, list) else [raw]:
        if isinstance(answer, bool):
            text = str(answer).lower()
            message = f"expected is {text}, but an answer is text or a number"
            raise rule_error(f'{message}: write "{text}"')
        if not isinstance(answer, str | int | float | Mapping | None):
            raise rule_error("expected is text, a number, a mapping, or a list of these")
    return raw


DeclaredExpected = Annotated[Any, BeforeValidator(_parse_expected)]


def python_syntax_error(code: str) -> str | None:
    """Return why *code* is not valid Python, or None if it is."""
    try:
        with warnings.catch_warnings():
            # Warnings about the style of the code are no errors.
            warnings.simplefilter("ignore")
            ast.parse(code)
    # Deep nesting raises one of the last two.
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return str(error) or "nested too deep"
    return None


#: thousands separator -> all characters that are read as it
_SEPARATOR_CHARACTERS = {" ": " \u00a0\u202f\u2009", "'": "'’"}
_FRACTION = (
    r"(?<![/\d])(?:(?P<whole>\d+)\s)?(?P<numerator>\d+)\s?[/⁄]\s?(?P<denominator>\d+)(?![/\d])"
    r"|(?P<ones>\d*)\s?(?P<vulgar>[¼-¾⅐-⅞])"
)


def find_numbers(text: str, options: Mapping[str, Any]) -> list[float]:
    """Return the numbers in *text*, in their order.

    *options* are the validated options of ``numeric``. With the option ``unit``, return only the
    numbers that have a unit next to them.
    """
    units = tuple(options.get("unit") or ())
    pattern = _number_pattern(_notation(options), units)
    matches = (m for m in pattern.finditer(text) if not units or m["pre"] or m["post"])
    return [value for match in matches if (value := _signed_value(match)) is not None]


def parse_number(written: object, options: Mapping[str, Any]) -> float | None:
    """Return an expected value, text or a number, as a finite number, or None if it is neither.

    *options* are the validated options of ``numeric``.
    """
    if isinstance(written, str):
        match = _number_pattern(_notation(options), ()).fullmatch(written.strip())
        value = _signed_value(match) if match else _to_float(written.replace(",", ""))
    else:
        value = _to_float(written)
    return value if value is not None and math.isfinite(value) else None


def _to_float(written: Any) -> float | None:
    try:
        return None if isinstance(written, bool) else float(written)
    except (ValueError, TypeError, OverflowError):
        return None


def _notation(options: Mapping[str, Any]) -> tuple[str, str, bool, bool]:
    """Return the decimal mark, the thousands separators, ``fractions`` and ``percent``."""
    decimal = options.get("decimal", ".")
    separators = options.get("thousands") or ("," if decimal == "." else ".")
    thousands = "".join(_SEPARATOR_CHARACTERS.get(mark, mark) for mark in separators)
    return decimal, thousands, options.get("fractions", False), options.get("percent", False)


@lru_cache(maxsize=256)
def _number_pattern(
    notation: tuple[str, str, bool, bool], units: tuple[str, ...]
) -> re.Pattern[str]:
    """Return the pattern of a number in a *notation*, see `_notation`, with *units* beside it."""
    decimal, thousands, fractions, percent = notation
    separators, point = re.escape(thousands), re.escape(decimal)
    grouped = rf"\d{{1,3}}(?:[{separators}]\d{{3}})+(?!\d)"
    plain = rf"(?:(?P<front>{grouped}|\d+)(?:{point}(?P<part>\d+))?|{point}(?P<tail>\d+))"
    amount = f"(?:{_FRACTION}|{plain})" if fractions else plain
    percent_sign = r"(?P<percent>\s?(?:%|per\s?cent\b))?" if percent else ""
    before, after = _unit_patterns(units)
    # A sign right after a digit or a letter is a dash: "10-12".
    sign = r"(?:(?<!\w)[-+−])?"
    pre = rf"(?P<pre>(?P<outer>{sign})(?:{before})\s?)?" if units else ""
    post = rf"(?P<post>\s?(?:{after}))?" if units else ""
    return re.compile(f"{pre}(?P<sign>{sign}){amount}{percent_sign}{post}")


def _unit_patterns(units: tuple[str, ...]) -> tuple[str, str]:
    """Return two patterns: for a unit before a number, and after it. A unit is a whole word."""
    longest_first = sorted(units, key=len, reverse=True)
    before = (r"(?<!\w)" * _is_word_char(unit[0]) + re.escape(unit) for unit in longest_first)
    after = (re.escape(unit) + r"(?!\w)" * _is_word_char(unit[-1]) for unit in longest_first)
    return "|".join(before), "|".join(after)


def _is_word_char(character: str) -> bool:
    return character.isalnum() or character == "_"


def _signed_value(match: re.Match[str]) -> float | None:
    groups = match.groupdict()
    value = _unsigned_value(groups)
    if value is None:
        return None
    signs = groups["sign"] + (groups.get("outer") or "")
    value = -value if "-" in signs or "−" in signs else value
    return value / 100 if groups.get("percent") else value


def _unsigned_value(groups: Mapping[str, str | None]) -> float | None:
    numerator, denominator = groups.get("numerator"), groups.get("denominator")
    if numerator and denominator:
        divisor = float(denominator)
        return float(groups["whole"] or 0) + float(numerator) / divisor if divisor else None
    vulgar = groups.get("vulgar")
    if vulgar:
        return float(groups["ones"] or 0) + unicodedata.numeric(vulgar)
    front = re.sub(r"\D", "", groups["front"] or "0")
    return float(f"{front}.{groups['part'] or groups['tail'] or 0}")


#: Seconds that a pattern may take on one text. A usual pattern takes microseconds.
_PATTERN_TIMEOUT = 1.0


def search_pattern(pattern: str, text: str) -> Match[str] | None:
    """Return the first match of *pattern* in *text*, or None if there is none.

    Raises:
        ScorerError: the search took longer than one second, as nested repetitions can.
    """
    try:
        return _compile(pattern).search(text, timeout=_PATTERN_TIMEOUT)
    except TimeoutError as error:
        message = f"{pattern!r} took longer than {_PATTERN_TIMEOUT:g} s on a reply"
        raise ScorerError(f"{message}; write it without a repetition inside another") from error


#: The most characters of a pattern in a message.
_MAX_SHOWN = 80


def pattern_error(pattern: str) -> str | None:
    """Return why *pattern* is not a regular expression, or None if it is."""
    import regex

    try:
        _compile(pattern)
    except (regex.error, OverflowError, RecursionError) as error:
        shown = pattern if len(pattern) <= _MAX_SHOWN else f"{pattern[:_MAX_SHOWN]}…"
        return f"{shown!r} is not a pattern: {error}"
    return None


@lru_cache(maxsize=4096)
def _compile(pattern: str) -> Pattern[str]:
    # The standard library's engine has no time limit.
    import regex

    return regex.compile(pattern)
