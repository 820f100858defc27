"""What the body of an answer of the Messages API says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pytest_ftgate.ask.providers.block_shape import step_of
from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.errors import Transient

__all__ = ["REPLY_TOOL", "reply_of"]

#: The tool that a reply is asked for through where a model takes no schema for replies.
REPLY_TOOL = "give_the_reply"
_STOPS = {
    "end_turn": "end",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "stop_sequence": "stop",
    "refusal": "refusal",
    "tool_use": "tool",
}
#: What replies are counted by, and how the API calls it.
_COUNTS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_write": "cache_creation_input_tokens",
}


def reply_of(body: bytes, headers: Mapping[str, str]) -> Reply:
    """Read a message.

    Raises:
        Transient: it is none.
    """
    try:
        return _reply(json.loads(body), headers)
    except ValueError as error:
        raise Transient(f"the body is cut off or no JSON: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        shown = body.decode(errors="replace")[:80]
        raise Transient(f"the body is no message: {shown!r}") from error


def _reply(message: dict[str, Any], headers: Mapping[str, str]) -> Reply:
    step = step_of(message["content"])
    text = "".join(block["text"] for block in message["content"] if block["type"] == "text")
    stop = _STOPS.get(message.get("stop_reason") or "", "end")
    forced = [use for use in step.calls if use.name == REPLY_TOOL] if step else []
    if forced:
        text, step = forced[0].written, None
        stop = "end" if stop == "tool" else stop
    return Reply(
        text=text,
        stop=stop,
        model=message.get("model"),
        usage=_usage(message["usage"]),
        request_id=headers.get("request-id"),
        steps=(step,) if step else (),
    )


def _usage(usage: Mapping[str, Any]) -> dict[str, int]:
    thought = (usage.get("output_tokens_details") or {}).get("thinking_tokens")
    counts = {ours: usage.get(theirs) or 0 for ours, theirs in _COUNTS.items()}
    return counts | ({"thinking": thought} if thought else {})
