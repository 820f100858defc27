"""The tool loop: a model that calls tools gets the results until it answers."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from pytest_ftgate.errors import RequestRejected, did_you_mean
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request, Step, ToolCall
from pytest_ftgate.suite.model import digest

#: The most characters of a tool result that a model gets.
MAX_RESULT_LENGTH = 20_000
#: Seconds that a tool may take.
_TOOL_TIMEOUT = 60.0


class _ToolFailure(Exception):
    """A tool call failed; the model gets the message."""


async def run_tools(step: Step, request: Request) -> Step:
    """Return *step* with the result of each tool call, run in their order.

    Raises:
        RequestRejected: a tool was interrupted from the keyboard.
    """
    calls = [await _run_tool_call(tool_call, request) for tool_call in step.calls]
    return replace(step, calls=tuple(calls))


async def _run_tool_call(tool_call: ToolCall, request: Request) -> ToolCall:
    try:
        value = await asyncio.wait_for(_call_tool(tool_call, request), _TOOL_TIMEOUT)
        with _failures_for_model(tool_call.name):
            return replace(tool_call, result=_truncate(_result_text(value)))
    except TimeoutError:
        message = f"{tool_call.name} did not return within {_TOOL_TIMEOUT:g} seconds"
        return replace(tool_call, result=message, failed=True)
    except _ToolFailure as error:
        return replace(tool_call, result=_truncate(str(error)), failed=True)


async def _call_tool(tool_call: ToolCall, request: Request) -> Any:
    value = await _TOOL_THREADS.run(partial(_call_function, tool_call, request))
    if inspect.isawaitable(value):
        with _failures_for_model(tool_call.name):
            value = await value
    return value


class _ToolThreads:
    """Runs plain functions in threads, one at a time, since they may share state.

    A thread that hangs is abandoned: it blocks neither the next functions nor the end of the run.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    async def run(self, function: Callable[[], Any]) -> Any:
        """Return what *function* returns, or raise what it raises."""
        future, lock = Future[Any](), self._lock
        # After this call the future cannot be cancelled, so the thread can always set it.
        future.set_running_or_notify_cancel()

        def call_function() -> None:
            with lock:
                try:
                    future.set_result(function())
                # BaseException too: it belongs to the awaiting code, not to this thread.
                except BaseException as error:  # noqa: BLE001
                    future.set_exception(error)

        threading.Thread(target=call_function, name="ftgate-tool", daemon=True).start()
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            self._lock = threading.Lock()
            raise


_TOOL_THREADS = _ToolThreads()


def _call_function(tool_call: ToolCall, request: Request) -> Any:
    from pytest_ftgate.requests.tools import tool_caller

    name, arguments = tool_call.name, tool_call.arguments
    references = {tool.name: tool.reference for tool in request.tools}
    if name not in references:
        hint = did_you_mean(name, references) or f"; known: {', '.join(references)}"
        raise _ToolFailure(f'there is no tool "{name}"{hint}')
    if not isinstance(arguments, dict):
        raise _ToolFailure(f"the arguments are no JSON object: {arguments}")
    caller = tool_caller(references[name], request.folder)
    with _failures_for_model(name):
        return caller.validate_json(json.dumps(arguments))


@contextmanager
def _failures_for_model(name: str) -> Iterator[None]:
    """Turn an exception of a tool into a message for the model; it is no error of the run."""
    from pydantic import ValidationError

    try:
        yield
    except KeyboardInterrupt as error:
        raise RequestRejected(f"{name} was interrupted") from error
    except ValidationError as error:
        found = error.errors(include_url=False)
        messages = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found)
        raise _ToolFailure("; ".join(messages)) from error
    # BaseException: sys.exit and pytest.skip must not end the loop that awaits this.
    except BaseException as error:
        raise _ToolFailure(f"{type(error).__name__}: {error}") from error


def _result_text(value: Any) -> str:
    """Return a result as text for the model: text as it is, any other value as JSON."""
    from pydantic_core import to_json

    text = value if isinstance(value, str) else to_json(value).decode()
    # Lone surrogates cannot be encoded as UTF-8, so they are escaped.
    return text.encode("utf-8", "backslashreplace").decode()


def _truncate(text: str) -> str:
    if len(text) <= MAX_RESULT_LENGTH:
        return text
    rest = len(text) - MAX_RESULT_LENGTH
    return f"{text[:MAX_RESULT_LENGTH]}\n[cut: {rest} more characters]"


#: Sends one request and returns its reply.
Send = Callable[[Request], Awaitable[Reply]]
#: Stores the reply to one request.
Store = Callable[[Request, Reply], None]


async def run_tool_loop(request: Request, send: Send, store: Store) -> Reply:
    """Return the reply to *request*, with the passages in its prompt.

    *request* has the tools that the model may call. *send* returns the reply to one request, cached
    or new. *store* is called with each reply again, once its tools have run.
    """
    reply = await (_run_turns(request, send, store) if request.tools else send(request))
    return replace(reply, passages=request.passages) if request.passages else reply


async def _run_turns(request: Request, send: Send, store: Store) -> Reply:
    """Send turns and run the requested tools until the model answers or the turns are used up."""
    replies: list[Reply] = []
    while True:
        steps = [asdict(step) for step in request.steps]
        # The request itself stands for the whole conversation.
        turn = replace(request, fingerprint=digest([request.fingerprint, "turn", steps]))
        replies.append(await send(turn))
        called = replies[-1].steps if replies[-1].stop == "tool" else ()
        if not called or len(replies) == request.max_turns:
            return _merge_turns(replies, request.steps, request.served_model or request.model)
        step = called[0]
        if any(tool_call.result is None for tool_call in step.calls):
            step = await run_tools(step, request)
            # Stored with its results, so that no tool with side effects runs twice after a kill.
            store(turn, replace(replies[-1], steps=(step,)))
        request = replace(request, steps=(*request.steps, step))


def _merge_turns(replies: Sequence[Reply], steps: tuple[Step, ...], model: str) -> Reply:
    """Return one reply for all turns: the text of the last one, with the usage of all."""
    usage: Counter[str] = Counter()
    for reply in replies:
        usage.update(reply.usage)
    last = replies[-1]
    # If any turn came from another model than the requested one, report that model.
    other_models = [reply.model for reply in replies if reply.model not in (None, model)]
    return replace(
        last,
        model=other_models[0] if other_models else last.model,
        unsent=tuple(sorted({name for reply in replies for name in reply.unsent})),
        steps=(*steps, *last.steps),
        usage=dict(usage),
        thought="\n\n".join(reply.thought for reply in replies if reply.thought),
        seconds=sum(reply.seconds for reply in replies),
    )
