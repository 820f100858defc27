"""Whether a model called the tool that a case expects, and how a call is shown to a reader."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pytest_ftgate.plan.call import ToolCall
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.tools import NONE

__all__ = ["called", "shown_expected", "shown_use"]


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
