"""Format checks: whether a reply has the format that a program needs, and how it breaks it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ScorerError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.score import FormatError, LenientReader, scorer_error
from pytest_ftgate.scoring.text_scorers import contains_text, find_label
from pytest_ftgate.suite.formats import json_schema_validator
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import JAVASCRIPT, Rule
from pytest_ftgate.suite.scorers import search_pattern

#: The least confidence in a detected language. A label or a number has no language.
_MIN_CONFIDENCE = 0.5
#: The most characters that are read to detect a language. More do not improve the result.
_MAX_CHARACTERS = 2000


def can_detect_language() -> bool:
    """Return True if the package that detects languages is installed."""
    return find_spec("py3langid") is not None


@lru_cache(maxsize=1)
def _language_identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(
        MODEL_FILE, norm_probs=True, min_confidence=_MIN_CONFIDENCE
    )


def detect_language(text: str) -> str:
    """Return the language code of *text*, or "" if the language is uncertain."""
    return _language_of(text[:_MAX_CHARACTERS])


#: Holds about as many texts of the baseline as are compared with each variant.
@lru_cache(maxsize=512)
def _language_of(text: str) -> str:
    code = str(_language_identifier().classify(text)[0])
    return "" if code == "und" else code


#: Letters of scripts that put no space between words.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
#: Characters around a label that do not count as words.
_PUNCTUATION = " \t\r\n\"'`*.!"
_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]+(?=[\s\"'”’)\]]|$)|[。！？]+")
#: How refusals begin. Needed for providers that do not mark a refusal.
_REFUSAL = re.compile(
    r"(?:(?:i['’]m |i am )?(?:very |so |really )?sorry|i apologi[sz]e|unfortunately)?[,.! ]{0,3}"
    r"(?:but )?i (?:can['’]t|cannot|can not|won['’]t|will not|am unable|am not able"
    r"|['’]m unable|must decline)|i['’]m (?:unable|not able) to|as an ai\b"
    r"|(?:es )?tut mir leid|(?:leider )?kann ich (?:ihnen |dir )?(?:dabei |damit )?nicht"
    r"|je (?:suis désolée?|ne peux pas)|lo siento|no puedo ayudar"
)
#: How a reply hedges, looked for at its beginning.
_HEDGE = re.compile(
    r"\b(?:i(?: am|['’]m) not (?:\w+ )?(?:sure|certain)|i (?:think|believe|guess|suppose)"
    r"|(?:it|this|that) (?:seems|appears|depends)|perhaps|maybe|probably|possibly|presumably"
    r"|(?:might|may|could) be|as far as i know|to the best of my knowledge|hard to (?:say|tell)"
    r"|as an ai|vielleicht|wahrscheinlich|vermutlich|peut-être|sans doute|quizás?|tal vez)\b"
)
_HEDGE_CHARACTERS = 300
#: A loop fills the last so many characters of a text, at least 4 times with at least 6 characters.
_TAIL, _MIN_TURNS, _MIN_PIECE = 400, 4, 6


def looks_like_refusal(text: str) -> bool:
    """Return True if *text* begins like a refusal."""
    return _REFUSAL.match(text[:100].casefold()) is not None


def looks_like_hedge(text: str) -> bool:
    """Return True if *text* hedges at its beginning, as in "I think" or "it depends"."""
    return _HEDGE.search(text[:_HEDGE_CHARACTERS].casefold()) is not None


def ends_in_loop(text: str) -> bool:
    """Return True if the end of *text* repeats one piece again and again."""
    tail = text[-_TAIL:]
    piece_length = len(tail) // _MIN_TURNS
    if piece_length < _MIN_PIECE:
        return False
    # The last piece occurs before: the distance between the two is the period of the loop.
    before = tail.rfind(tail[-piece_length:], 0, len(tail) - 1)
    period = len(tail) - piece_length - before
    return before >= 0 and period <= piece_length and tail[period:] == tail[:-period]


def _label_error(labels: Sequence[str], text: str) -> FormatError | None:
    """Return the error of *text*: text around a single label, or no label at all."""
    if text in labels:
        return None
    named = [label for label in labels if _whole_words(label).search(text)]
    # A label that is only part of a longer label does not count.
    named = [
        label for label in named if not any(label != longer and label in longer for longer in named)
    ]
    if len(named) == 1:
        spans = [match.span() for match in _whole_words(named[0]).finditer(text)]
        if not text[: spans[0][0]].strip(_PUNCTUATION):
            return FormatError("trailing text", f"after {named[0]}")
        if not text[spans[-1][1] :].strip(_PUNCTUATION):
            return FormatError("preamble", f"before {named[0]}")
    return FormatError("not in enumeration", f"labels: {', '.join(dict.fromkeys(labels))}"[:200])


def _fix_casing(labels: Sequence[str], text: str) -> tuple[str, str]:
    return "wrong label casing", find_label(text, labels) or text


def _pattern_error(pattern: str, text: str) -> FormatError | None:
    if search_pattern(pattern, text):
        return None
    return FormatError("regex", f"no match for {pattern}"[:200])


def _lines_error(value: Mapping[str, Any], text: str) -> FormatError | None:
    """Return how the number, the length or the prefix of the non-blank lines breaks a limit."""
    lines = [line for line in text.split("\n") if line.strip()]
    low, high = (value.get("count", value.get(key)) for key in ("min", "max"))
    message = _range_message(len(lines), low, high, "lines")
    longest = max(len(line.rstrip("\r")) for line in lines)
    if not message and "longest" in value and longest > value["longest"]:
        message = f"a line of {longest} characters, {value['longest']} at most"
    prefix = value.get("prefix", "")
    unprefixed = [line for line in lines if not line.startswith(prefix)]
    if not message and unprefixed:
        message = f'a line does not begin with "{prefix}": {unprefixed[0]}'[:200]
    return FormatError("lines", message) if message else None


def _range_message(count: int, low: int | None, high: int | None, unit: str) -> str:
    """Return why *count* is outside of *low* to *high*, or ""."""
    if low is not None and count < low:
        return f"{count:,} {unit}, {low:,} at least"
    return f"{count:,} {unit}, {high:,} at most" if high is not None and count > high else ""


_COUNTERS: Mapping[str, Callable[[str], int]] = {
    "characters": len,
    "words": lambda text: len(text.split()),
    "sentences": lambda text: max(1, len(_SENTENCE_END.findall(text))),
    # The estimate for prompts, 4 characters each: not every server reports a token count.
    "tokens": lambda text: -(-len(text) // 4),
}


def _length_error(value: Mapping[str, Any], text: str) -> FormatError | None:
    unit = value["unit"]
    message = _range_message(_COUNTERS[unit](text), value.get("min"), value.get("max"), unit)
    return FormatError("length", message) if message else None


def _language_error(code: str, text: str) -> FormatError | None:
    """Return an error if *text* is certainly not in the language *code*."""
    language = detect_language(text)
    if language in ("", code):
        return None
    return FormatError("wrong language", f"it is in {language}")


@lru_cache(maxsize=4096)
def _whole_words(words: str) -> re.Pattern[str]:
    """Return a pattern that finds *words*, in any case, if no letter touches them."""
    boundaries = rf"(?<![^\W{_UNSPACED}])", rf"(?![^\W{_UNSPACED}])"
    before, after = (
        boundary if re.match(rf"[^\W{_UNSPACED}]", edge) else ""
        for boundary, edge in zip(boundaries, (words[0], words[-1]), strict=True)
    )
    return re.compile(before + re.escape(words) + after, re.IGNORECASE)


def _found_texts(value: Any, text: str) -> dict[str, bool]:
    """Return for each text that ``contains`` or ``avoids`` lists whether *text* contains it."""
    if not isinstance(value, Mapping):
        return {words: _whole_words(words).search(text) is not None for words in value}
    return {words: contains_text(text, words, value) for words in value["texts"]}


def _contains_error(value: Any, text: str) -> FormatError | None:
    found = _found_texts(value, text)
    missing = [words for words, is_there in found.items() if not is_there]
    needs_one = isinstance(value, Mapping) and value.get("any")
    is_held = len(missing) < len(found) if needs_one else not missing
    return None if is_held else FormatError("contains", f'it lacks "{missing[0]}"')


def _avoids_error(value: Any, text: str) -> FormatError | None:
    present = [words for words, is_there in _found_texts(value, text).items() if is_there]
    return FormatError("avoids", f'it says "{present[0]}"') if present else None


#: kind of format -> the check of a text, given the value of the rule
_CHECKS: Mapping[str, Callable[[Any, str], FormatError | None]] = {
    "choice": _label_error,
    "regex": _pattern_error,
    "lines": _lines_error,
    "length": _length_error,
    "language": _language_error,
    "contains": _contains_error,
    "avoids": _avoids_error,
}


def _reader(rule: Rule, folder: Path) -> LenientReader:
    if rule.kind not in _CHECKS:
        from pytest_ftgate.scoring.structured import structured_reader

        return structured_reader(rule, folder)
    if rule.kind == "language":
        detect_language("")  # Load the model before the first request.
    repairs = (partial(_fix_casing, rule.value),) if rule.kind == "choice" else ()
    return LenientReader(partial(_CHECKS[rule.kind], rule.value), repairs)


#: Returns how a reply to a case breaks one rule, or None. The text is that of the reply, stripped.
_RuleCheck = Callable[[Case, Reply, str], FormatError | None]


class FormatChecker:
    """Checks replies against the formats of their cases. Each rule is prepared only once.

    Functions and models of the suite are searched in *folder* first.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        #: By the key of the rule, since thousands of cases share a rule.
        self._checks: dict[tuple[str, Path], _RuleCheck] = {}

    def find_error(self, case: Case, reply: Reply) -> FormatError | None:
        """Return how *reply* breaks the formats of *case*, or None if it is valid.

        Outer white space is ignored. The rest is read as a program would read it.

        Raises:
            ScorerError: a ``python`` format failed, or the search for a pattern does not end.
        """
        if not case.format:
            return None
        if reply.stop == "refusal":
            return FormatError("refusal", rules=tuple(rule.kind for rule in case.format))
        text = reply.text.strip()
        errors = [
            (rule.kind, error)
            for rule in case.format
            if (error := self._check(rule, case.folder or self._folder)(case, reply, text))
        ]
        return _combined_error(errors, case, text, reply) if errors else None

    def _check(self, rule: Rule, folder: Path) -> _RuleCheck:
        check = self._checks.get((rule.key, folder))
        if check is None:
            check = self._checks[rule.key, folder] = rule_check(rule, folder)
        return check


def rule_check(rule: Rule, folder: Path) -> _RuleCheck:
    """Return the check of *rule*; its functions and models are searched in *folder* first.

    Raises:
        ScorerError: a JSON Schema is invalid.
        ConfigurationError: a function or a model cannot be imported, or JavaScript not be run.
    """
    if rule.kind in ("python", "offered"):
        from pytest_ftgate.suite.function_references import load_function

        reference = str(rule.value)
        function = rule.function or load_function(reference, folder)
        kind = "python" if rule.function is None else reference
        return _function_check(reference, function, kind)
    if rule.kind == JAVASCRIPT:
        return _javascript_check(rule, folder)
    if rule.kind == "tool_call":
        return _tool_call_check(rule.value)
    find_error = _reader(rule, folder).find_error
    return lambda _case, _reply, text: find_error(text) if text else FormatError("empty")


def _combined_error(
    errors: list[tuple[str, FormatError]], case: Case, text: str, reply: Reply
) -> FormatError:
    """Return the error of the first broken rule, with the kind that describes the reply best."""
    first = errors[0][1]
    lenient = all(error.lenient for _, error in errors)
    kind = first.kind if lenient else _whole_reply_kind(case, text, reply) or first.kind
    return replace(first, kind=kind, rules=tuple(kind for kind, _ in errors), lenient=lenient)


def _whole_reply_kind(case: Case, text: str, reply: Reply) -> str:
    """Return the kind of an error that concerns the whole reply, or ""."""
    # Checked before "truncated": a higher token limit would only make a loop longer.
    if ends_in_loop(text):
        return "repetition loop"
    if reply.stop == "length":
        # The token limit is the cause, and the broken format only follows from it; unless what it
        # cut off stands behind a whole answer.
        return "trailing text" if goes_on(case, text) else "truncated"
    return "refusal" if looks_like_refusal(text) else ""


#: The scorers that take nothing but the answer itself.
_BARE_ANSWERS = ("exact", "choice")


def goes_on(case: Case, text: str) -> bool:
    """Return True if *text* begins with an answer to *case*, or one of its labels, and goes on.

    Where a scorer looks for the answer in a longer text, what follows belongs to the reply.
    """
    text = text.strip(_PUNCTUATION)
    starts = [label for rule in case.format if rule.kind == "choice" for label in rule.value]
    if any(rule.kind in _BARE_ANSWERS for rule in case.score.parts):
        starts += [str(answer) for answer in case.answers if isinstance(answer, str | int)]
    # What was cut off may have been a longer label.
    if any(words.casefold().startswith(text.casefold()) for words in starts):
        return False
    return any(_answer_first(words).match(text) for words in starts if words.strip())


@lru_cache(maxsize=4096)
def _answer_first(words: str) -> re.Pattern[str]:
    """Return a pattern of texts that begin with *words*, in any case.

    A letter behind them makes another word of them. A model that does not end writes ``_item`` or
    the same words behind them.
    """
    is_spaced = re.match(rf"[^\W{_UNSPACED}]", words[-1])
    after = rf"(?:(?![^\W_{_UNSPACED}])|{re.escape(words)})" if is_spaced else ""
    return re.compile(re.escape(words) + after, re.IGNORECASE)


def _function_check(reference: str, function: Callable[..., Any], kind: str) -> _RuleCheck:
    def check(case: Case, reply: Reply, text: str) -> FormatError | None:
        if not text:
            return FormatError("empty")
        try:
            result = function(case, reply)
        except BaseException as error:
            raise scorer_error(reference, case, error) from error
        if isinstance(result, str):
            return FormatError(kind, result) if result else None
        return None if result else FormatError(kind, reference)

    return check


def _javascript_check(rule: Rule, folder: Path) -> _RuleCheck:
    from pytest_ftgate.scoring.javascript import javascript_error, require_javascript

    require_javascript(rule, folder)

    def check(case: Case, reply: Reply, text: str) -> FormatError | None:
        if not text and not reply.tool_calls:
            return FormatError("empty")
        try:
            return javascript_error(rule, case, reply, folder)
        except ScorerError as error:
            raise scorer_error(f"format: {JAVASCRIPT}", case, error) from error

    return check


def _tool_call_check(value: Mapping[str, Any]) -> _RuleCheck:
    name = value["name"]
    validator = json_schema_validator(json.dumps(value.get("schema", {})))

    def check(case: Case, reply: Reply, text: str) -> FormatError | None:
        del case, text  # A reply may consist of tool calls without text.
        calls = [call for call in reply.tool_calls if call.name == name]
        if not calls:
            others = ", ".join(dict.fromkeys(call.name for call in reply.tool_calls))
            return FormatError(
                "tool_call", f"{name} was not called{f', but {others}' if others else ''}"
            )
        errors = [_arguments_error(validator, call.arguments) for call in calls]
        return None if None in errors else errors[0]

    return check


def _arguments_error(validator: Any, arguments: Any) -> FormatError | None:
    from pytest_ftgate.scoring.structured import find_schema_error

    try:
        return find_schema_error(validator, arguments, "tool_call")
    except ValueError as error:
        return FormatError("invalid syntax", str(error))
