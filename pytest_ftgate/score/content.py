"""Whether a reply says the right thing: 0 to 1, or None where nothing is expected."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.errors import ScorerError
from pytest_ftgate.score.called import called
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.patterns import search
from pytest_ftgate.suite.reference import function

__all__ = ["Scorer", "broke", "content", "said_label", "stands_in"]

# A sign right after a digit or a letter is a dash: "10-12".
_NUMBER = re.compile(r"(?:(?<!\w)[-+−])?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)")
#: What people and models put around a label without meaning anything by it.
_AROUND = " \t\r\n\"'`.,;:!*"

Scorer = Callable[[str, list[Any], Mapping[str, Any]], bool]


def content(case: Case, reply: Reply, folder: Path) -> float | None:
    """Return how far *reply* says what *case* expects, from 0 to 1.

    A refusal is wrong, and so is a reply that was cut off, but for skills cases: how far they let
    a model speak is part of what they ask. Where nothing is expected the answer is None.

    Args:
        case: the case, with its scorer.
        reply: what the variant said.
        folder: where ``python`` scorers are looked for first.

    Raises:
        ScorerError: the scorer broke, or returned something that is no score.
    """
    rule = case.score
    if rule.kind == "python":
        return _by_function(str(rule.value), case, reply, folder)
    if case.expected is None:
        return None
    if reply.stop == "refusal" or (reply.stop == "length" and case.skill is None):
        return 0.0
    accepted = case.expected if isinstance(case.expected, list) else [case.expected]
    if rule.kind == "tool_call":
        return float(called(reply.tool_calls, accepted))
    return float(_SCORERS[rule.kind](reply.text.strip(), accepted, rule.options))


def stands_in(case: Case, texts: Iterable[str]) -> list[bool] | None:
    """Return for each text whether an answer that *case* expects stands in it.

    None where that would say nothing: a label or a number need not stand in what it is drawn from.
    """
    answers = case.expected if isinstance(case.expected, list) else [case.expected]
    quotable = case.score.kind in ("exact", "contains", "regex", "python")
    if not quotable or not all(isinstance(answer, str) for answer in answers):
        return None
    find = _regex if case.score.kind == "regex" else _contains
    return [find(" ".join(text.split()), answers, {}) for text in texts]


def broke(reference: str, case: Case, error: BaseException) -> BaseException:
    """Return what to raise where a function of the suite broke; a skip is a break too."""
    if isinstance(error, KeyboardInterrupt):
        return error
    what = f"{type(error).__name__}: {error}"
    return ScorerError(f'{reference} broke on case "{case.id}" ({case.where}): {what}')


def _exact(text: str, accepted: list[Any], options: Mapping[str, Any]) -> bool:
    if options.get("ignore_case"):
        return text.casefold() in {answer.casefold() for answer in accepted}
    return text in accepted


def said_label(text: str, labels: Iterable[str]) -> str:
    """Return the label that *text* is, whatever case and punctuation it is written in, or ""."""
    said = text.strip(_AROUND).casefold()
    return next((label for label in labels if label.strip(_AROUND).casefold() == said), "")


def _choice(text: str, accepted: list[Any], options: Mapping[str, Any]) -> bool:
    del options
    return said_label(text, accepted) != ""


def _contains(text: str, accepted: list[Any], options: Mapping[str, Any]) -> bool:
    found = (_whole_words(answer).search(text) is not None for answer in accepted)
    return all(found) if options.get("all") else any(found)


@lru_cache(maxsize=4096)
def _whole_words(answer: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(answer)}(?!\w)", re.IGNORECASE)


def _regex(text: str, accepted: list[Any], options: Mapping[str, Any]) -> bool:
    del options
    return any(search(pattern, text) is not None for pattern in accepted)


def _numeric(text: str, accepted: list[Any], options: Mapping[str, Any]) -> bool:
    found = _NUMBER.findall(text)
    if not found:
        return False
    said = _number(found[0] if options.get("pick") == "first" else found[-1])
    # A hair's breadth, so that 0.1 + 0.2 equals 0.3.
    tolerance = float(options.get("tolerance", 0)) + 1e-9
    return any(abs(said - _number(answer)) <= tolerance for answer in accepted)


def _number(written: object) -> float:
    return float(str(written).replace(",", "").replace("−", "-"))


_SCORERS: Mapping[str, Scorer] = {
    "exact": _exact,
    "choice": _choice,
    "contains": _contains,
    "regex": _regex,
    "numeric": _numeric,
}


def _by_function(reference: str, case: Case, reply: Reply, folder: Path) -> float:
    scorer = function(reference, folder)
    try:
        value = float(scorer(case, reply))
    except BaseException as error:
        raise broke(reference, case, error) from error
    if not 0 <= value <= 1:
        raise ScorerError(f'{reference} returned {value} for case "{case.id}"; a score is 0 to 1')
    return value
