"""Scorers: whether a reply says the right thing, 0 to 1."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ScorerError, Unavailable
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import ToolCall
from pytest_ftgate.scoring.field_scorer import fields
from pytest_ftgate.scoring.sandbox import Late, code
from pytest_ftgate.scoring.score import NOTHING, WRONG, Mark, Scorer, judged
from pytest_ftgate.scoring.text_scorers import TEXTS, contains, matches, similarity
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.references import function
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.variants import NONE

__all__ = [
    "Ruled",
    "broke",
    "called",
    "content",
    "shown_expected",
    "shown_use",
    "spoilt",
    "stands_in",
]


def called(uses: Sequence[ToolCall], accepted: Iterable[Any]) -> bool:
    """Tell whether one of *uses* is one of the *accepted*, or whether there is none as expected."""
    wanted = [_call(answer) for answer in accepted]
    if not uses:
        return any(name == NONE for name, _ in wanted)
    return any(_is(use, name, arguments) for use in uses for name, arguments in wanted)


def _call(answer: Any) -> tuple[str, Mapping[str, Any]]:
    if isinstance(answer, Mapping):
        return answer["name"], answer.get("arguments", {})
    return str(answer), {}


def _is(use: ToolCall, name: str, arguments: Mapping[str, Any]) -> bool:
    given = use.arguments if isinstance(use.arguments, Mapping) else {}
    return use.name == name and all(
        key in given and given[key] == value for key, value in arguments.items()
    )


def shown_expected(case: Case) -> str:
    """Return what *case* expects in one line: a call in the form of one, fields as JSON."""
    if case.expected is None:
        return ""
    answers = case.expected if isinstance(case.expected, list) else [case.expected]
    kinds = {rule.kind for rule in case.score.parts}
    show = _called if "tool_call" in kinds else _plainly
    return (", " if "labels" in kinds else " | ").join(map(show, answers))


def _called(answer: Any) -> str:
    return _signature(*_call(answer)) if isinstance(answer, Mapping) else str(answer)


def _plainly(answer: Any) -> str:
    return _json(answer) if isinstance(answer, Mapping) else str(answer)


def shown_use(use: ToolCall) -> str:
    """Return a use of a tool in one line: the call, and what came of it."""
    given = use.arguments if isinstance(use.arguments, Mapping) else {"": use.arguments}
    call = _signature(use.name, given)
    if use.failed:
        return f"{call} failed: {use.result}"
    return f"{call} -> {_value(use.result)}" if use.result else call


def _signature(name: str, arguments: Mapping[str, Any]) -> str:
    told = (f"{key}={_json(v)}" if key else str(v) for key, v in arguments.items())
    return f"{name}({', '.join(told)})"


def _value(result: str) -> str:
    """Return JSON as it is, and text between quotes."""
    try:
        json.loads(result)
    except ValueError:
        return _json(result)
    return result


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


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
