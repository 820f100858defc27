"""The shape in which chat APIs take a conversation with tools, and in which they answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_ftgate.plan.call import Call, Step, ToolCall

__all__ = ["messages_of", "step_of", "tools_of"]


def messages_of(call: Call) -> list[dict[str, Any]]:
    """Return the conversation of *call*: what is asked, and the turns with tools since then."""
    asked = [{"role": role, "content": text} for role, text in call.messages]
    return [*asked, *(message for step in call.steps for message in _turn(step))]


def tools_of(call: Call) -> list[dict[str, Any]]:
    """Return the functions that the model may call; empty where there are none."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": dict(tool.parameters),
            },
        }
        for tool in call.tools
    ]


def step_of(message: Mapping[str, Any]) -> Step | None:
    """Return the uses of tools that the model asks for in *message*, or None where it does not."""
    asked = message.get("tool_calls")
    if not asked:
        return None
    uses = tuple(_use(one, index) for index, one in enumerate(asked))
    return Step(message.get("content") or "", uses)


def _turn(step: Step) -> Iterator[dict[str, Any]]:
    calls = [
        {
            "id": use.id,
            "type": "function",
            "function": {"name": use.name, "arguments": _arguments(use)},
        }
        for use in step.calls
    ]
    yield {"role": "assistant", "content": step.text, "tool_calls": calls}
    for use in step.calls:
        yield {"role": "tool", "tool_call_id": use.id, "content": use.result}


def _arguments(use: ToolCall) -> str:
    # Servers read these again, and some break on what is no JSON; its result tells the model so.
    return json.dumps(use.arguments if isinstance(use.arguments, Mapping) else {})


def _use(asked: Mapping[str, Any], index: int) -> ToolCall:
    function = asked.get("function") or {}
    return ToolCall(
        name=str(function.get("name") or ""),
        arguments=_read(function.get("arguments")),
        # Some servers give none, and a result must name the use that it belongs to.
        id=str(asked.get("id") or f"call_{index}"),
    )


def _read(written: Any) -> Any:
    """Return arguments as a mapping; as text where they are none. No text is no arguments."""
    if isinstance(written, Mapping):
        return dict(written)
    try:
        found = json.loads(written or "{}")
    except (TypeError, ValueError):
        return str(written)
    return found if isinstance(found, dict) else str(written)
