"""A reply: what came back from one request."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from sys import intern
from typing import Any

from pytest_ftgate.requests.request import Call, Passage, Step, ToolCall
from pytest_ftgate.suite.prices import price

__all__ = ["Reply", "paid"]

#: One for all: a run may hold hundreds of thousands of replies.
_NOTHING: dict[str, Any] = {}
#: What holds values of its own.
_NESTED = ("steps", "passages")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One reply as the provider gave it.

    Attributes:
        text: what the model said.
        stop: why it stopped: ``end``, ``length``, ``stop``, ``refusal`` or ``tool``.
        model: the model that the server says has answered, or None where it says nothing.
        usage: tokens: ``input``, ``output``, ``cache_read``, ``cache_write``, ``thinking``.
        seconds: from sending the request to having the whole reply.
        request_id: the provider's own name for the request.
        steps: the turns in which the model used tools before it answered.
        passages: what was retrieved for the case and shown to the model.
        unsent: settings that were declared, and that the server would not take.
        facts: what the server says of the model, such as its parent or when it retires.
        processing: ``batch`` where it was asked in a batch, which costs half; else "".
    """

    text: str
    stop: str = "end"
    model: str | None = None
    usage: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    seconds: float = 0.0
    request_id: str | None = None
    steps: tuple[Step, ...] = ()
    passages: tuple[Passage, ...] = ()
    unsent: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    processing: str = ""

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Every use of a tool, in order."""
        return tuple(chain.from_iterable(step.calls for step in self.steps))

    def to_json(self) -> str:
        """Return the reply as one line of JSON; what is empty is left out."""
        told = {name: value for name in Reply.__slots__ if (value := getattr(self, name))}
        told |= {name: [asdict(one) for one in told[name]] for name in _NESTED if name in told}
        told["text"] = self.text
        # ASCII, since a reply cut inside an emoji holds half a surrogate pair, which no file takes.
        return json.dumps(told)

    @classmethod
    def from_json(cls, text: str) -> Reply:
        """Read what *to_json* wrote; keys of later versions are left out.

        Raises:
            ValueError: it holds no reply.
        """
        return cls.of(json.loads(text))

    @classmethod
    def of(cls, raw: Any) -> Reply:
        """Return the reply that JSON told of.

        Raises:
            ValueError: it is none.
        """
        if not isinstance(raw, dict) or not isinstance(raw.get("text"), str):
            raise ValueError('a reply is an object with "text"')  # noqa: TRY004 - of what a file holds
        known = {key: value for key, value in raw.items() if key in cls.__slots__}
        try:
            known |= {key: read(known[key]) for key, read in _READ.items() if key in known}
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"no reply: {type(error).__name__}: {error}") from error
        return cls(**known)


def paid(call: Call, reply: Reply) -> Decimal | None:
    """Return what *reply* to *call* cost in USD, or None where nobody knows."""
    return price(call.tariff, reply.usage, batch=reply.processing == "batch")


def _step(raw: Mapping[str, Any]) -> Step:
    calls = tuple(ToolCall(**call) for call in raw["calls"])
    return Step(raw["text"], calls, tuple(raw.get("blocks", ())))


def _named(told: Mapping[str, Any]) -> Mapping[str, Any]:
    return _shared(tuple(told.items()))


@lru_cache(maxsize=4096)
def _shared(told: tuple[tuple[str, Any], ...]) -> Mapping[str, Any]:
    return {intern(name): value for name, value in told}


#: What JSON has no type for; and what is the same in reply after reply, which JSON makes anew.
_READ: Mapping[str, Callable[[Any], Any]] = {
    "model": lambda name: name and intern(name),
    "usage": _named,
    "steps": lambda steps: tuple(map(_step, steps)),
    "passages": lambda passages: tuple(Passage(**passage) for passage in passages),
    "unsent": tuple,
}
