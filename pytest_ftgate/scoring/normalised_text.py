"""The text of a reply as its score reads it: replies with equal texts are right or wrong alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scorers import is_refused_or_truncated, normalise_numbers, parse_json
from pytest_ftgate.scoring.text_scorers import find_label, normal_exact_text, normal_labels
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.pair_labels import NO_ANSWER
from pytest_ftgate.suite.rule import Rule, choice_labels
from pytest_ftgate.suite.scorers import find_numbers


def normal_text(case: Case, reply: Reply, score: Rule) -> str:
    """Return the text of *reply* to *case* as *score* reads it; "" if it has no answer.

    A label is its name, a number its value, JSON and tool calls are written in one form. Other
    scores read texts as they are: white space is a part of code, and a pattern may ask for it.
    """
    if is_refused_or_truncated(reply, case):
        return NO_ANSWER
    calls = [{"name": call.name, "arguments": call.arguments} for call in reply.tool_calls]
    if score.kind == "tool_call":
        return _json_text(calls)
    text = reply.text.strip()
    normal = _NORMAL.get(score.kind)
    if normal is not None:
        return normal(text, score, case) or " ".join(text.split())
    # Several scores, or a function, may read both.
    return _json_text({"text": text, "tool_calls": calls}) if calls else text


def _label(text: str, score: Rule, case: Case) -> str:
    none = score.options.get("none")
    synonyms: Mapping[str, Any] = score.options.get("synonyms") or {}
    known = (*choice_labels(case.format), *synonyms, *([none] if none else ()))
    return find_label(text, dict.fromkeys(known), synonyms) or find_label(text, [text])


def _exact(text: str, score: Rule, _: Case) -> str:
    return normal_exact_text(text, score)


def _labels(text: str, score: Rule, _: Case) -> str:
    # A label may have a comma of its own if another character separates them.
    separator = score.options.get("separator", ",")
    joined = separator if separator.isspace() else f"{separator} "
    return joined.join(sorted(normal_labels(text, score)))


def _number(text: str, score: Rule, _: Case) -> str:
    numbers = find_numbers(text, score.options)
    pick = 0 if score.options.get("pick") == "first" else -1
    return repr(normalise_numbers(numbers[pick])) if numbers else ""


def _fields(text: str, _: Rule, _case: Case) -> str:
    try:
        value = parse_json(text)
        return _json_text(value) if isinstance(value, dict) else ""
    # What the score cannot read is wrong, whatever its words are.
    except (ValueError, RecursionError):
        return ""


def _json_text(value: Any) -> str:
    normal = normalise_numbers(value)
    return json.dumps(normal, ensure_ascii=False, sort_keys=True, default=str)


_NORMAL: Mapping[str, Callable[[str, Rule, Case], str]] = {
    "choice": _label,
    "labels": _labels,
    "exact": _exact,
    "numeric": _number,
    "fields": _fields,
}
