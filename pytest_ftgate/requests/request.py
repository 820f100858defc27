"""A request: fully rendered, with its fingerprint and the conversation so far."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_ftgate.suite.model import Case, Turn, digest
from pytest_ftgate.suite.prices import Tariff

__all__ = ["Adapter", "Ask", "Call", "Passage", "Step", "Tool", "ToolCall", "distinct"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """A LoRA adapter laid over a model's weights."""

    path: Path
    scale: float
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece of a document that was retrieved for a case, and where it comes from."""

    source: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that the model may call.

    Attributes:
        parameters: the JSON Schema of its arguments, an object.
        reference: ``module:function``.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One use that a model made of a tool.

    Attributes:
        arguments: as the model gave them; text where they were no JSON object.
        id: the provider's own name for it.
        result: what the tool returned, or how it failed; None before it was run.
        failed: whether the result is a failure.
    """

    name: str
    arguments: Any
    id: str = ""
    result: str | None = None
    failed: bool = False

    @property
    def written(self) -> str:
        """The arguments as text: as JSON, or as they came where they are none."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


@dataclass(frozen=True, slots=True)
class Step:
    """One turn of a model that used tools: what it said, and the uses it made.

    Attributes:
        blocks: the turn in the provider's own form, where it wants more of it back than text and
            uses, such as signed thinking.
    """

    text: str
    calls: tuple[ToolCall, ...]
    blocks: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, fully rendered.

    Attributes:
        fingerprint: sha256 over everything that can change the reply, and nothing else.
        model: the model's name, or the path of its weights.
        constraint: the format that the provider is asked to hold the reply to, or None.
        tools: what the model may call; *max_turns* bounds how often it is asked in all.
        steps: the turns with tools that this request follows on.
        passages: what was retrieved for the case, already part of *messages*.
        training: the file that a classifier learns from.
        case: the case itself, for providers that answer without a prompt.
        origin: the folder that relative names are read from.
        repeat: which of several replies to the same request this is, from 0.
        served_as: what the server calls the model, where it is not *model*.
        runtime: settings of the machinery that do not change what is asked.
        options: settings that only the provider itself knows.
        batch: it is sent together with others, and costs half; the reply is the same.
        tariff: what it costs.
    """

    fingerprint: str
    provider: str
    model: str
    messages: tuple[Turn, ...]
    max_tokens: int
    sampling: Mapping[str, Any]
    constraint: Mapping[str, Any] | None = None
    tools: tuple[Tool, ...] = ()
    max_turns: int = 1
    steps: tuple[Step, ...] = ()
    passages: tuple[Passage, ...] = ()
    adapter: Adapter | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    api_version: str | None = None
    case: Case | None = None
    function: str | None = None
    replies: Path | None = None
    training: Path | None = None
    origin: Path = Path()
    repeat: int = 0
    served_as: str | None = None
    runtime: Mapping[str, int] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    batch: bool = False
    tariff: Tariff = field(default_factory=Tariff)

    @property
    def is_last_turn(self) -> bool:
        """Whether a model that has used tools must answer now."""
        return bool(self.steps) and len(self.steps) + 1 >= self.max_turns

    def again(self, mark: int | str) -> Call:
        """Return the same request as another call, told from others by *mark*."""
        fingerprint = digest([self.fingerprint, mark])
        return replace(self, repeat=self.repeat + 1, fingerprint=fingerprint)


@dataclass(frozen=True, slots=True)
class Ask:
    """One case put to one variant, and the call that answers it; several may share a call."""

    case: Case
    repeat: int
    call: Call


def distinct(asks: Iterable[Ask]) -> tuple[Call, ...]:
    """Return each call of *asks* once, in the order of its first need."""
    return tuple({ask.call.fingerprint: ask.call for ask in asks}.values())
