"""What came back from one call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Reply"]


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
    """

    text: str
    stop: str = "end"
    model: str | None = None
    usage: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    request_id: str | None = None

    def to_json(self) -> str:
        """Return the reply as one line of JSON."""
        # ASCII, since a reply cut inside an emoji holds half a surrogate pair, which no file takes.
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Reply:
        """Read what *to_json* wrote; keys of later versions are left out."""
        raw: dict[str, Any] = json.loads(text)
        return cls(**{key: value for key, value in raw.items() if key in cls.__slots__})
