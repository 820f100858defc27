"""Replies that are plain text: a label, some lines, so many words, in a language, with words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pytest_ftgate.score.reader import Broken, Reader
from pytest_ftgate.score.texts import said_label
from pytest_ftgate.score.tongue import language_of
from pytest_ftgate.suite.patterns import search

__all__ = [
    "by_absence",
    "by_label",
    "by_language",
    "by_length",
    "by_lines",
    "by_pattern",
    "by_presence",
    "loops",
    "refuses",
]

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
