"""The shape in which the Messages API takes and gives a conversation: blocks of content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.plan.call import Call, Step, ToolCall

__all__ = ["REPLY", "reply_of", "step_of", "tools_of", "turns_of"]

#: The tool that a reply is asked for through where a model takes no schema for replies.
REPLY = "give_the_reply"
_STOPS = {
    "end_turn": "end",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "stop_sequence": "stop",
    "refusal": "refusal",
    "tool_use": "tool",
}


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


def step_of(blocks: Iterable[Any]) -> Step | None:
    """Return the uses of tools that *blocks* ask for, or None where they ask for none."""
    told = list(blocks)
    uses = tuple(
        ToolCall(name=block.name, arguments=block.input, id=block.id)
        for block in told
        if block.type == "tool_use"
    )
    if not uses:
        return None
    more = any(block.type not in ("text", "tool_use") for block in told)
    whole = tuple(block.model_dump(mode="json", exclude_unset=True) for block in told)
    said = "".join(block.text for block in told if block.type == "text")
    return Step(said, uses, whole if more else ())


def reply_of(message: Any, seconds: float) -> Reply:
    """Return the reply that *message*, as the SDK gives it, is."""
    usage = message.usage
    counts = {
        "input": usage.input_tokens or 0,
        "output": usage.output_tokens or 0,
        "cache_read": usage.cache_read_input_tokens or 0,
        "cache_write": usage.cache_creation_input_tokens or 0,
    }
    thought = getattr(usage.output_tokens_details, "thinking_tokens", None)
    counts |= {"thinking": thought} if thought else {}
    step = step_of(message.content)
    text = "".join(block.text for block in message.content if block.type == "text")
    stop = _STOPS.get(message.stop_reason or "", "end")
    forced = [use for use in step.calls if use.name == REPLY] if step else []
    if forced:
        text, step = forced[0].written, None
        stop = "end" if stop == "tool" else stop
    return Reply(
        text=text,
        # A turn that was cut off holds half a call at the most.
        stop=stop,
        model=message.model,
        usage=counts,
        seconds=seconds,
        request_id=getattr(message, "_request_id", None),
        steps=(step,) if step else (),
    )


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
