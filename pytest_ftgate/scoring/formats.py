"""Format checks: whether a reply has the format that a program needs, and where it breaks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.score import Broken, Reader
from pytest_ftgate.scoring.scorers import broke
from pytest_ftgate.scoring.structured import (
    by_code,
    by_csv,
    by_markdown,
    by_model,
    by_schema,
    by_xml,
    invalid,
)
from pytest_ftgate.scoring.text_scorers import said_label
from pytest_ftgate.suite.formats import validator
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.references import function
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.scorers import search

__all__ = [
    "Forms",
    "by_absence",
    "by_label",
    "by_language",
    "by_length",
    "by_lines",
    "by_pattern",
    "by_presence",
    "can_tell",
    "language_of",
    "loops",
    "refuses",
]

#: Below this share of certainty nothing is said: a label or a number has no language.
_SURE = 0.5
#: Characters that are read: more tell no more.
_READ = 2000


def can_tell() -> bool:
    """Tell whether the package that knows languages is installed."""
    return find_spec("py3langid") is not None


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True, min_confidence=_SURE)


def language_of(text: str) -> str:
    """Return the code of the language of *text*, or "" where that cannot be told."""
    code = str(_identifier().classify(text[:_READ])[0])
    return "" if code == "und" else code


#: Scripts that put no space between words.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
#: What may stand between a label and the edge of a text without being words.
_MARKS = " \t\r\n\"'`*.!"
_SENTENCE_END = re.compile(r"[.!?…]+(?=[\s\"'”’)\]]|$)|[。！？]+")
#: How a reply begins that declines, where the provider does not say so.
_REFUSAL = re.compile(
    r"(?:(?:i['’]m |i am )?(?:very |so |really )?sorry|i apologi[sz]e|unfortunately)?[,.! ]{0,3}"
    r"(?:but )?i (?:can['’]t|cannot|can not|won['’]t|will not|am unable|am not able"
    r"|['’]m unable|must decline)|i['’]m (?:unable|not able) to|as an ai\b"
    r"|(?:es )?tut mir leid|(?:leider )?kann ich (?:ihnen |dir )?(?:dabei |damit )?nicht"
    r"|je (?:suis désolée?|ne peux pas)|lo siento|no puedo ayudar",
)
#: Characters at the end of a text that a loop must fill, and how often at least it turns there.
_TAIL, _TURNS, _SHORTEST = 400, 4, 6


def refuses(text: str) -> bool:
    """Tell whether *text* begins as models do that decline."""
    return _REFUSAL.match(text[:100].casefold()) is not None


def loops(text: str) -> bool:
    """Tell whether *text* ends in one and the same piece over and over again."""
    tail = text[-_TAIL:]
    piece = len(tail) // _TURNS
    if piece < _SHORTEST:
        return False
    # Between two ends of the loop lies its period, a whole number of turns.
    before = tail.rfind(tail[-piece:], 0, len(tail) - 1)
    period = len(tail) - piece - before
    return before >= 0 and period <= piece and tail[period:] == tail[:-period]


def by_label(labels: Sequence[str], folder: Path) -> Reader:
    """Return what reads one of *labels*, exactly."""
    del folder
    known, patterns = frozenset(labels), {label: _whole_words(label) for label in labels}

    def strict(text: str) -> Broken | None:
        return None if text in known else _strange(text, patterns)

    def cased(text: str) -> tuple[str, str]:
        return "wrong label casing", said_label(text, labels) or text

    return Reader(strict, (cased,))


def _strange(text: str, patterns: Mapping[str, re.Pattern[str]]) -> Broken:
    """Say what stands around a label, if just one is named, at the beginning or the end."""
    named = [label for label, pattern in patterns.items() if pattern.search(text)]
    # A label within another one is not named by it.
    named = [one for one in named if not any(one != o and one in o for o in named)]
    if len(named) == 1:
        places = [one.span() for one in patterns[named[0]].finditer(text)]
        if not text[: places[0][0]].strip(_MARKS):
            return Broken("trailing text", f"after {named[0]}")
        if not text[places[-1][1] :].strip(_MARKS):
            return Broken("preamble", f"before {named[0]}")
    return Broken("not in enumeration", f"labels: {', '.join(patterns)}"[:200])


def by_pattern(pattern: str, folder: Path) -> Reader:
    """Return what finds *pattern* anywhere in a text."""
    del folder
    return Reader(partial(_matched, pattern))


def _matched(pattern: str, text: str) -> Broken | None:
    return None if search(pattern, text) else Broken("regex", f"no match for {pattern}"[:200])


def by_lines(value: Mapping[str, Any], folder: Path) -> Reader:
    """Return what counts the lines of a text that are not blank, and holds each to its bounds."""
    del folder
    return Reader(partial(_lines, value))


def _lines(value: Mapping[str, Any], text: str) -> Broken | None:
    lines = [line for line in text.split("\n") if line.strip()]
    low, high = (value.get("count", value.get(end)) for end in ("min", "max"))
    told = _out_of(len(lines), low, high, "lines")
    longest = max(len(line.rstrip("\r")) for line in lines)
    if not told and "longest" in value and longest > value["longest"]:
        told = f"a line of {longest} characters, {value['longest']} at most"
    prefix = value.get("prefix", "")
    others = [line for line in lines if not line.startswith(prefix)]
    if not told and others:
        told = f'a line does not begin with "{prefix}": {others[0]}'[:200]
    return Broken("lines", told) if told else None


def _out_of(count: int, low: int | None, high: int | None, unit: str) -> str:
    if low is not None and count < low:
        return f"{count:,} {unit}, {low:,} at least"
    return f"{count:,} {unit}, {high:,} at most" if high is not None and count > high else ""


_COUNTS: Mapping[str, Callable[[str], int]] = {
    "characters": len,
    "words": lambda text: len(text.split()),
    "sentences": lambda text: max(1, len(_SENTENCE_END.findall(text))),
    # As prompts are counted: no server's own count is there for every reply.
    "tokens": lambda text: -(-len(text) // 4),
}


def by_length(value: Mapping[str, Any], folder: Path) -> Reader:
    """Return what holds the length of a text to its bounds."""
    del folder
    return Reader(partial(_length, value))


def _length(value: Mapping[str, Any], text: str) -> Broken | None:
    unit = value["unit"]
    told = _out_of(_COUNTS[unit](text), value.get("min"), value.get("max"), unit)
    return Broken("length", told) if told else None


def by_language(code: str, folder: Path) -> Reader:
    """Return what refuses a text that is surely in another language than *code*."""
    del folder
    language_of("")  # The package is opened before anything is asked.
    return Reader(partial(_language, code))


def _language(code: str, text: str) -> Broken | None:
    other = language_of(text)
    return None if other in ("", code) else Broken("wrong language", f"it is in {other}")


def _whole_words(words: str) -> re.Pattern[str]:
    """Return a pattern for *words* where no letter touches them, in any case."""
    bound = rf"(?<![^\W{_UNSPACED}])", rf"(?![^\W{_UNSPACED}])"
    before, after = (
        side if re.match(rf"[^\W{_UNSPACED}]", edge) else ""
        for side, edge in zip(bound, (words[0], words[-1]), strict=True)
    )
    return re.compile(before + re.escape(words) + after, re.IGNORECASE)


def _patterns(texts: Iterable[str]) -> list[tuple[str, re.Pattern[str]]]:
    return [(text, _whole_words(text)) for text in texts]


def by_presence(texts: Sequence[str], folder: Path) -> Reader:
    """Return what finds every one of *texts*, as whole words in any case."""
    del folder
    wanted = _patterns(texts)

    def strict(text: str) -> Broken | None:
        lacking = (words for words, pattern in wanted if not pattern.search(text))
        first = next(lacking, None)
        return None if first is None else Broken("contains", f'it lacks "{first}"')

    return Reader(strict)


def by_absence(texts: Sequence[str], folder: Path) -> Reader:
    """Return what finds none of *texts*, as whole words in any case."""
    del folder
    unwanted = _patterns(texts)

    def strict(text: str) -> Broken | None:
        said = next((words for words, pattern in unwanted if pattern.search(text)), None)
        return None if said is None else Broken("avoids", f'it says "{said}"')

    return Reader(strict)


_READERS: Mapping[str, Callable[[Any, Path], Reader]] = {
    "choice": by_label,
    "json_schema": by_schema,
    "pydantic": by_model,
    "regex": by_pattern,
    "lines": by_lines,
    "xml": by_xml,
    "csv": by_csv,
    "markdown": by_markdown,
    "code": by_code,
    "length": by_length,
    "language": by_language,
    "contains": by_presence,
    "avoids": by_absence,
}
_Check = Callable[[Case, Reply, str], Broken | None]


class Forms:
    """Holds replies to the forms of their cases; what a rule needs is made once.

    Args:
        folder: where functions and models of the suite are looked for first.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # By identity, since thousands of cases share a rule; the rule is kept so that it stays.
        self._checks: dict[tuple[int, Path], tuple[Rule, _Check]] = {}

    def ready(self, rules: Iterable[Rule]) -> None:
        """Make sure that *rules* can be used, before anything is asked.

        Raises:
            ScorerError: a JSON Schema is none.
            Unavailable: a function or a model cannot be imported.
        """
        for rule in rules:
            self._check(rule, self._folder)

    def broken(self, case: Case, reply: Reply) -> Broken | None:
        """Return how *reply* breaks the form that *case* wants, or None where it holds.

        The outer white space is no part of a reply; all else is read as a program would.

        Raises:
            ScorerError: a ``python`` format broke, or a pattern does not come to an end.
        """
        if not case.format:
            return None
        if reply.stop == "refusal":
            return Broken("refusal", rules=tuple(rule.kind for rule in case.format))
        text = reply.text.strip()
        found = [
            (rule.kind, broken)
            for rule in case.format
            if (broken := self._check(rule, case.folder or self._folder)(case, reply, text))
        ]
        return _told(found, text, reply) if found else None

    def _check(self, rule: Rule, folder: Path) -> _Check:
        known = self._checks.get((id(rule), folder))
        if known is None:
            known = self._checks[id(rule), folder] = (rule, _made(rule, folder))
        return known[1]


def _made(rule: Rule, folder: Path) -> _Check:
    if rule.kind in ("python", "offered"):
        reference = str(rule.value)
        checker = rule.function or function(reference, folder)
        kind = "python" if rule.function is None else reference
        return _by_function(reference, checker, kind)
    if rule.kind == "tool_call":
        return _by_call(rule.value)
    read = _READERS[rule.kind](rule.value, folder).read
    return lambda _case, _reply, text: read(text) if text else Broken("empty")


def _told(found: list[tuple[str, Broken]], text: str, reply: Reply) -> Broken:
    """Return the one fault that is told: the first rule's, unless the reply as a whole is amiss."""
    first = found[0][1]
    meant = all(broken.meant for _, broken in found)
    kind = first.kind if meant else _amiss(text, reply) or first.kind
    return replace(first, kind=kind, rules=tuple(kind for kind, _ in found), meant=meant)


def _amiss(text: str, reply: Reply) -> str:
    # A loop is cut off too, but a higher limit would only make it longer.
    if loops(text):
        return "repetition loop"
    # The text looks broken because it was cut off; that is the thing to mend.
    if reply.stop == "length":
        return "truncated"
    return "refusal" if refuses(text) else ""


def _by_function(reference: str, checker: Callable[..., Any], kind: str) -> _Check:
    def check(case: Case, reply: Reply, text: str) -> Broken | None:
        if not text:
            return Broken("empty")
        try:
            said = checker(case, reply)
        except BaseException as error:
            raise broke(reference, case, error) from error
        if isinstance(said, str):
            return Broken(kind, said) if said else None
        return None if said else Broken(kind, reference)

    return check


def _by_call(value: Mapping[str, Any]) -> _Check:
    name = value["name"]
    checker = validator(json.dumps(value.get("schema", {})))

    def check(case: Case, reply: Reply, text: str) -> Broken | None:
        del case, text  # A reply may be all call and no text.
        uses = [use for use in reply.tool_calls if use.name == name]
        if not uses:
            others = ", ".join(dict.fromkeys(use.name for use in reply.tool_calls))
            return Broken(
                "tool_call", f"{name} was not called{f', but {others}' if others else ''}"
            )
        faults = [_arguments(checker, use.arguments) for use in uses]
        return None if None in faults else faults[0]

    return check


def _arguments(checker: Any, arguments: Any) -> Broken | None:
    try:
        return invalid(checker, arguments, "tool_call")
    except ValueError as error:
        return Broken("invalid syntax", str(error))
