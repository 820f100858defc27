"""One use of a tool: run here, and told to the model, whatever becomes of it."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from pytest_ftgate.errors import Refused, did_you_mean
from pytest_ftgate.plan.call import Call, Step, ToolCall
from pytest_ftgate.plan.tools import caller

__all__ = ["LONGEST", "ran"]

#: The most characters of a result that a model is given.
LONGEST = 20_000
# A plain function may share state between calls, so none is run beside another.
_POOL = ThreadPoolExecutor(1, thread_name_prefix="ftgate-tools")


class _Failed(Exception):
    """What the model is told of a use that failed."""


async def ran(step: Step, call: Call) -> Step:
    """Return *step* with the result of each use, in their order.

    Raises:
        Refused: a tool was interrupted from the keyboard.
    """
    return replace(step, calls=tuple([await _used(use, call) for use in step.calls]))


async def _used(use: ToolCall, call: Call) -> ToolCall:
    try:
        value = await asyncio.get_running_loop().run_in_executor(_POOL, _called, use, call)
        if inspect.isawaitable(value):
            with _told(use.name):
                value = await value
        with _told(use.name):
            return replace(use, result=_cut(_text(value)))
    except _Failed as error:
        return replace(use, result=_cut(str(error)), failed=True)


def _called(use: ToolCall, call: Call) -> Any:
    references = {tool.name: tool.reference for tool in call.tools}
    if use.name not in references:
        near = did_you_mean(use.name, references) or f"; known: {', '.join(references)}"
        raise _Failed(f'there is no tool "{use.name}"{near}')
    if not isinstance(use.arguments, dict):
        raise _Failed(f"the arguments are no JSON object: {use.arguments}")
    checked = caller(references[use.name], call.origin)
    with _told(use.name):
        return checked.validate_json(json.dumps(use.arguments))


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Turn what breaks in a tool into words for the model; it is never an error of the run."""
    from pydantic import ValidationError

    try:
        yield
    except KeyboardInterrupt as error:
        raise Refused(f"{name} was interrupted") from error
    except ValidationError as error:
        raise _Failed(_wrong(error.errors(include_url=False))) from error
    # BaseException: sys.exit and a skip must not end the loop that awaits this.
    except BaseException as error:
        raise _Failed(f"{type(error).__name__}: {error}") from error


def _wrong(errors: list[Any]) -> str:
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in errors)


def _text(value: Any) -> str:
    """Return what a model reads of a result: text as it is, all else as JSON."""
    from pydantic_core import to_json

    text = value if isinstance(value, str) else to_json(value).decode()
    # Half a character, which a cut may leave, cannot be sent.
    return text.encode("utf-8", "backslashreplace").decode()


def _cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}\n[cut: {len(text) - LONGEST} more characters]"
