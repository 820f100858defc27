"""Between a call and the shape in which chat completions take and give it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pytest_ftgate.plan.call import Call, Step, ToolCall

__all__ = ["messages_of", "step_of", "tools_of"]


def messages_of(call: Call) -> list[dict[str, Any]]:
    """Return the messages of *call*, and the turns with tools that it follows on."""
    return [{"role": role, "content": text} for role, text in call.messages]


def tools_of(call: Call) -> list[dict[str, Any]]:
    """Return the tools that the model may call."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            },
        }
        for tool in call.tools
    ]


def step_of(message: Mapping[str, Any]) -> Step | None:
    """Return the turn in which the model wants tools run, or None where it has answered."""
    wanted = message.get("tool_calls") or []
    calls = tuple(
        ToolCall(
            name=one["function"]["name"],
            arguments=_read(one["function"].get("arguments") or "{}"),
            id=one.get("id") or "",
        )
        for one in wanted
    )
    return Step(message.get("content") or "", calls) if calls else None


def _read(written: str) -> Any:
    try:
        return json.loads(written)
    except ValueError:
        return written
