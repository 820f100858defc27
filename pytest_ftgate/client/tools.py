"""The tool loop: a model that calls tools is asked again with the results until it answers."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from pytest_ftgate.errors import Refused, did_you_mean
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Call, Step, ToolCall
from pytest_ftgate.requests.tools import caller
from pytest_ftgate.suite.model import digest

__all__ = ["LONGEST", "Keep", "Send", "converse", "ran"]

#: The most characters of a result that a model is given.
LONGEST = 20_000
#: Seconds that a tool may take.
_PATIENCE = 60.0


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
        value = await asyncio.wait_for(_value(use, call), _PATIENCE)
        with _told(use.name):
            return replace(use, result=_cut(_text(value)))
    except TimeoutError:
        told = f"{use.name} did not return within {_PATIENCE:g} seconds"
        return replace(use, result=told, failed=True)
    except _Failed as error:
        return replace(use, result=_cut(str(error)), failed=True)


async def _value(use: ToolCall, call: Call) -> Any:
    value = await _ONE_BY_ONE.run(partial(_called, use, call))
    if inspect.isawaitable(value):
        with _told(use.name):
            value = await value
    return value


class _OneByOne:
    """Runs plain functions in threads, none beside another, since they may share state.

    A thread that hangs is left to itself: it must keep neither the others nor the end of the run.
    """

    def __init__(self) -> None:
        self._free = threading.Lock()

    async def run(self, called: Callable[[], Any]) -> Any:
        """Return what *called* returns, or raise what it raises."""
        loop, free = asyncio.get_running_loop(), self._free
        done: asyncio.Future[Any] = loop.create_future()

        def work() -> None:
            with free:
                try:
                    value, error = called(), None
                # Also what is no Exception: it belongs to whoever waits, not to this thread.
                except BaseException as raised:  # noqa: BLE001
                    value, error = None, raised
            with suppress(RuntimeError):  # the loop is closed where nobody waits any more
                loop.call_soon_threadsafe(_settle, done, value, error)

        threading.Thread(target=work, name="ftgate-tool", daemon=True).start()
        try:
            return await done
        except asyncio.CancelledError:
            self._free = threading.Lock()
            raise


def _settle(done: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(value)
    else:
        done.set_exception(error)


_ONE_BY_ONE = _OneByOne()


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


#: What sends one request and brings its reply.
Send = Callable[[Call], Awaitable[Reply]]
#: What keeps the reply to one request.
Keep = Callable[[Call, Reply], None]


async def converse(call: Call, send: Send, keep: Keep) -> Reply:
    """Return the reply to *call*, with the passages that it was shown.

    Args:
        call: what is asked, with the tools that the model may call.
        send: brings the reply to one request, kept or new.
        keep: called once more with each reply whose tools have been run.
    """
    reply = await (_in_turns(call, send, keep) if call.tools else send(call))
    return replace(reply, passages=call.passages) if call.passages else reply


async def _in_turns(call: Call, send: Send, keep: Keep) -> Reply:
    """Ask, and run the tools that the model wants, until it answers or has had its turns."""
    replies: list[Reply] = []
    while True:
        turn = _turn(call)
        replies.append(await send(turn))
        wanted = replies[-1].steps if replies[-1].stop == "tool" else ()
        if not wanted or len(replies) == call.max_turns:
            return _whole(replies, call.steps, call.served_as or call.model)
        step = wanted[0]
        if not _has_run(step):
            step = await ran(step, call)
            # With its results, so that after a kill no tool that acts is run twice.
            keep(turn, replace(replies[-1], steps=(step,)))
        call = replace(call, steps=(*call.steps, step))


def _turn(call: Call) -> Call:
    """Return the next request as a call of its own: *call* names the whole conversation."""
    steps = [asdict(step) for step in call.steps]
    return replace(call, fingerprint=digest([call.fingerprint, "turn", steps]))


def _has_run(step: Step) -> bool:
    return all(use.result is not None for use in step.calls)


def _whole(replies: Sequence[Reply], steps: tuple[Step, ...], model: str) -> Reply:
    usage: Counter[str] = Counter()
    for reply in replies:
        usage.update(reply.usage)
    last = replies[-1]
    # Each turn must be by the model that is asked for, so a stranger among them is the one told.
    models = [reply.model for reply in replies if reply.model not in (None, model)]
    return replace(
        last,
        model=models[0] if models else last.model,
        unsent=tuple(sorted({name for reply in replies for name in reply.unsent})),
        steps=(*steps, *last.steps),
        usage=dict(usage),
        seconds=sum(reply.seconds for reply in replies),
    )
