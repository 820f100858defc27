"""Whether a reply says the right thing: 0 to 1, or None where nothing is expected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.errors import ScorerError, Unavailable
from pytest_ftgate.score.called import called
from pytest_ftgate.score.fields import fields
from pytest_ftgate.score.limit import Late
from pytest_ftgate.score.mark import NOTHING, WRONG, Mark, Scorer, judged
from pytest_ftgate.score.sandbox import code
from pytest_ftgate.score.similar import similarity
from pytest_ftgate.score.texts import TEXTS, contains, matches
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.reference import function
from pytest_ftgate.suite.rules import Rule

__all__ = ["Ruled", "broke", "content", "spoilt", "stands_in"]

#: What judges say of one reply, by the identity of their rule.
Ruled = Mapping[int, Mark]

_SCORERS: Mapping[str, Scorer] = {
    **TEXTS,
    "similarity": similarity,
    "fields": fields,
    "code": code,
}


def content(case: Case, reply: Reply, folder: Path, ruled: Ruled | None = None) -> Mark:
    """Return how far *reply* says what *case* expects, from 0 to 1.

    A refusal is wrong, and so is a reply that was cut off, but for skills cases: how far they let
    a model speak is part of what they ask. Where nothing is expected there is no value.

    Args:
        case: the case, with its scorer.
        reply: what the variant said.
        folder: where ``python`` scorers are looked for first, unless the case says where.
        ruled: what judges say of this reply, by the identity of their rule; one that was not
            asked leaves it without a value.

    Raises:
        ScorerError: the scorer broke, took too long, or returned something that is no score.
    """
    folder = case.folder or folder
    ruled = ruled or {}
    if case.score.kind == "mean":
        return _mean(case, reply, folder, ruled)
    return _marked(case.score, case, reply, folder, ruled)


def _mean(case: Case, reply: Reply, folder: Path, ruled: Ruled) -> Mark:
    marks = [(_marked(rule, case, reply, folder, ruled), rule, w) for rule, w in case.score.value]
    for mark, rule, _ in marks:
        # Without its grade the others would stand for what they do not measure.
        if rule.kind == "judge" and mark.value is None:
            return mark
    marks = [one for one in marks if one[0].value is not None]
    if not marks:
        return NOTHING
    value = sum((m.value or 0.0) * w for m, _, w in marks) / sum(w for _, _, w in marks)
    short = [(m, rule.kind) for m, rule, _ in marks if m.value != 1]
    return Mark(
        value, "\n".join(f"{kind} {m.value:.3g}: {m.why}".rstrip(": ") for m, kind in short)
    )


def _marked(rule: Rule, case: Case, reply: Reply, folder: Path, ruled: Ruled) -> Mark:
    if rule.kind in ("python", "offered"):
        scorer = rule.function or function(str(rule.value), folder)
        return Mark(_by_function(str(rule.value), scorer, case, reply))
    if case.expected is None and not rule.unaided:
        return NOTHING
    if rule.kind == "judge":
        return ruled.get(id(rule), WRONG if spoilt(reply, case) else NOTHING)
    if spoilt(reply, case):
        return WRONG
    return _read(rule, case, reply)


def _read(rule: Rule, case: Case, reply: Reply) -> Mark:
    accepted = case.expected if isinstance(case.expected, list) else [case.expected]
    if rule.kind == "tool_call":
        return judged(called(reply.tool_calls, accepted))
    try:
        return _SCORERS[rule.kind](reply.text.strip(), accepted, rule)
    except Unavailable:
        raise
    except Exception as error:
        raise broke(f"score: {rule.kind}", case, error) from error


def spoilt(reply: Reply, case: Case) -> bool:
    """Tell whether *reply* is wrong whatever it says: refused, or cut off at its token limit."""
    return reply.stop == "refusal" or (reply.stop == "length" and case.skill is None)


def stands_in(case: Case, texts: Iterable[str]) -> list[bool] | None:
    """Return for each text whether an answer that *case* expects stands in it.

    None where that would say nothing: a label or a number need not stand in what it is drawn from.
    """
    answers = case.expected if isinstance(case.expected, list) else [case.expected]
    quotable = case.score.kind in ("exact", "contains", "regex", "python")
    if not quotable or not all(isinstance(answer, str) for answer in answers):
        return None
    find = matches if case.score.kind == "regex" else contains
    return [find(" ".join(text.split()), [str(answer) for answer in answers]) for text in texts]


def broke(reference: str, case: Case, error: BaseException) -> BaseException:
    """Return what to raise where a scorer or a function broke; a skip is a break too."""
    if isinstance(error, KeyboardInterrupt | Late):
        return error
    # What is raised on purpose says what it is.
    what = str(error) if isinstance(error, ScorerError) else f"{type(error).__name__}: {error}"
    return ScorerError(f'{reference} broke on case "{case.id}" ({case.where}): {what}')


def _by_function(reference: str, scorer: Callable[..., Any], case: Case, reply: Reply) -> float:
    try:
        value = float(scorer(case, reply))
    except BaseException as error:
        raise broke(reference, case, error) from error
    if not 0 <= value <= 1:
        raise ScorerError(f'{reference} returned {value} for case "{case.id}"; a score is 0 to 1')
    return value
