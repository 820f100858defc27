"""Tools for a model whose chat template has no place for them: told in words, held by a schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_ftgate.plan.call import Call, Step, Tool, ToolCall

__all__ = ["messages_of", "read", "schema_of"]

_HOW = (
    'To use one write {"tool": "its name", "arguments": {…}}, and you will be told what it '
    'returned. To answer write {"answer": …}.'
)


def messages_of(call: Call) -> list[dict[str, str]]:
    """Return the conversation of *call*, with its tools told in the system prompt."""
    told = "\n".join(["You can use these tools:", *map(_line, call.tools), _HOW])
    system = [text for role, text in call.messages if role == "system"]
    asked = [(role, text) for role, text in call.messages if role != "system"]
    turns = [("system", "\n\n".join([*system, told])), *asked, *_since(call.steps)]
    return [{"role": role, "content": text} for role, text in turns]


def _line(tool: Tool) -> str:
    arguments = tool.parameters.get("properties", {})
    known = tool.parameters.get("$defs", {})
    named = ", ".join(f"{name}: {_kind(told, known)}" for name, told in arguments.items())
    return f"- {tool.name}({named}): {' '.join(tool.description.split())}"


def _kind(told: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    meant = {**known.get(str(told.get("$ref", "")).rpartition("/")[2], {}), **told}
    values = " or ".join(json.dumps(value) for value in meant.get("enum", ()))
    kind = values or str(meant.get("type", "any"))
    return f"{kind}, {told['description']}" if "description" in told else kind


def _since(steps: tuple[Step, ...]) -> Iterator[tuple[str, str]]:
    for step in steps:
        (use,) = step.calls
        yield "assistant", json.dumps({"tool": use.name, "arguments": use.arguments})
        yield "user", f"{use.name} {'failed' if use.failed else 'returned'}: {use.result}"


def schema_of(call: Call) -> dict[str, Any]:
    """Return the schema of the next turn: a use of a tool, or the answer; at last the answer."""
    shared: dict[str, Any] = {}
    answer = _object({"answer": _lifted(_answer(call.constraint), "answer", shared)})
    uses = [
        _object(
            {"tool": {"const": one.name}, "arguments": _lifted(one.parameters, one.name, shared)}
        )
        for one in call.tools
    ]
    turn = answer if call.is_last_turn else {"anyOf": [*uses, answer]}
    return {**turn, "$defs": shared} if shared else turn


def _lifted(schema: Any, owner: str, shared: dict[str, Any]) -> Any:
    """Return *schema* with its definitions moved to *shared*: references count from the root."""
    text = json.dumps(schema).replace('"#/$defs/', f'"#/$defs/{owner}.')
    inner = json.loads(text)
    if isinstance(inner, dict):
        found = inner.pop("$defs", {})
        shared.update({f"{owner}.{name}": told for name, told in found.items()})
    return inner


def _answer(constraint: Mapping[str, Any] | None) -> Any:
    if constraint is None:
        return {"type": "string"}
    return {"enum": constraint["choice"]} if "choice" in constraint else constraint["json_schema"]


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    closed = {"required": [*properties], "additionalProperties": False}
    return {"type": "object", "properties": properties, **closed}


def read(text: str) -> tuple[str, Step | None]:
    """Return the answer that a turn gives, or "" and the use of a tool that it asks for.

    A turn that was cut off is neither, and is returned as it is.
    """
    try:
        said = json.loads(text)
    except ValueError:
        return text, None
    if "tool" in said:
        return "", Step("", (ToolCall(name=said["tool"], arguments=said["arguments"]),))
    answer = said["answer"]
    return (answer if isinstance(answer, str) else json.dumps(answer)), None
