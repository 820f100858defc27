"""What the body of an answer to a chat completion says: a reply, or why there is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pytest_ftgate.ask.providers.chat_shape import step_of
from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.ask.status import said_in, trouble
from pytest_ftgate.errors import ReplyError, Transient

__all__ = ["REPLY_TOOL", "is_closed", "refusal_of", "reply_of"]

#: The tool that a reply is asked for through where a server takes no schema for replies.
REPLY_TOOL = "give_the_reply"
_STOPS = {
    "stop": "end",
    "length": "length",
    "content_filter": "refusal",
    "tool_calls": "tool",
    "function_call": "tool",
}
#: So much is shown of a body that cannot be read.
_SHOWN = 80


def reply_of(body: bytes, headers: Mapping[str, str]) -> Reply:
    """Read a completion.

    Raises:
        Transient: it is none.
    """
    try:
        completion = json.loads(body)
        choice = completion["choices"][0]
        message = {key: value for key, value in choice["message"].items() if value is not None}
    except ValueError as error:
        raise Transient(f"the body is cut off or no JSON: {error}") from error
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise Transient(f"the body is no completion: {_start(body)}") from error
    text, stop = message.get("content", ""), _STOPS.get(choice.get("finish_reason") or "", "end")
    step = step_of(message)
    forced = [use for use in step.calls if use.name == REPLY_TOOL] if step else []
    if forced:
        text, step = forced[0].written, None
        stop = "end" if stop == "tool" else stop
    if message.get("refusal"):
        text, stop = message["refusal"], "refusal"
    return Reply(
        text=text,
        # A turn that was cut off holds half a call at the most.
        stop="tool" if step and stop not in ("length", "refusal") else stop,
        model=completion.get("model") or None,
        usage=_usage(completion.get("usage")),
        request_id=headers.get("x-request-id"),
        steps=(step,) if step else (),
    )


def refusal_of(
    status: int, body: bytes, headers: Mapping[str, str], *, answers: bool
) -> ReplyError:
    """Return the error that an answer with *status* is.

    Args:
        status: from 400 up.
        body: of the answer.
        headers: of the answer.
        answers: the server has answered others of these calls.
    """
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    error = told.get("error") if isinstance(told, Mapping) else None
    code = error.get("code") if isinstance(error, Mapping) else None
    return trouble(status, said_in(told, _start(body)), headers, code, answers=answers)


def is_closed(schema: Any) -> bool:
    """Tell whether each object of *schema* names all of its keys and requires them."""
    if isinstance(schema, list):
        return all(map(is_closed, schema))
    if not isinstance(schema, Mapping):
        return True
    named = schema.get("properties")
    open_ = isinstance(named, Mapping) and set(named) != set(schema.get("required", ()))
    loose = schema.get("type") == "object" and schema.get("additionalProperties") is not False
    return not (open_ or loose) and all(map(is_closed, schema.values()))


def _start(body: bytes) -> str:
    return body.decode(errors="replace")[:_SHOWN]


def _usage(usage: Any) -> dict[str, int]:
    if not isinstance(usage, Mapping):
        return {}
    read = _part(usage, "prompt_tokens_details", "cached_tokens")
    counts = {
        # As at other providers, what was read from a cache is counted apart.
        "input": (usage.get("prompt_tokens") or 0) - read,
        "output": usage.get("completion_tokens") or 0,
        "cache_read": read,
        "thinking": _part(usage, "completion_tokens_details", "reasoning_tokens"),
    }
    return {key: count for key, count in counts.items() if count or key in ("input", "output")}


def _part(usage: Mapping[str, Any], details: str, name: str) -> int:
    return int((usage.get(details) or {}).get(name) or 0)
