"""The shape in which the Messages API takes a conversation with tools: blocks of content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_ftgate.plan.call import Call, Step, ToolCall

__all__ = ["step_of", "tools_of", "turns_of"]


def turns_of(call: Call) -> list[dict[str, Any]]:
    """Return the conversation of *call* without the system prompt, which goes its own way."""
    asked = [{"role": role, "content": text} for role, text in call.messages if role != "system"]
    return [*asked, *(turn for step in call.steps for turn in _turns(step))]


def tools_of(call: Call) -> list[dict[str, Any]]:
    """Return the functions that the model may call; empty where there are none."""
    return [
        {"name": one.name, "description": one.description, "input_schema": dict(one.parameters)}
        for one in call.tools
    ]


def step_of(blocks: Sequence[Mapping[str, Any]]) -> Step | None:
    """Return the uses of tools that *blocks* ask for, or None where they ask for none."""
    uses = tuple(
        ToolCall(name=block["name"], arguments=block["input"], id=block["id"])
        for block in blocks
        if block["type"] == "tool_use"
    )
    if not uses:
        return None
    more = any(block["type"] not in ("text", "tool_use") for block in blocks)
    said = "".join(block["text"] for block in blocks if block["type"] == "text")
    return Step(said, uses, tuple(blocks) if more else ())


def _turns(step: Step) -> Iterator[dict[str, Any]]:
    # A block of empty text is refused.
    said = [{"type": "text", "text": step.text}] if step.text else []
    spoken = list(step.blocks) or [*said, *map(_use, step.calls)]
    yield {"role": "assistant", "content": spoken}
    yield {"role": "user", "content": [_result(use) for use in step.calls]}


def _use(use: ToolCall) -> dict[str, Any]:
    given = use.arguments if isinstance(use.arguments, Mapping) else {}
    return {"type": "tool_use", "id": use.id, "name": use.name, "input": given}


def _result(use: ToolCall) -> dict[str, Any]:
    told = {"type": "tool_result", "tool_use_id": use.id, "content": use.result}
    return {**told, "is_error": True} if use.failed else told
