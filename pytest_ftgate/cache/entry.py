"""One cached reply, with its fingerprint, its origin and its time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """A cached reply with its metadata.

    Attributes:
        fingerprint: the fingerprint of the request.
        run: the run that received the reply.
        at: the time of the reply, in seconds since the epoch.
        provider: the provider; "" in entries from versions that did not store it.
        model: the model, the file of its weights, or the function that replied.
    """

    fingerprint: str
    run: str
    at: float
    provider: str
    model: str
    reply: Reply

    @property
    def row(self) -> tuple[object, ...]:
        """The values of the cache's columns."""
        body = self.reply.to_json()
        return self.fingerprint, self.run, self.at, body, self.provider, self.model

    @classmethod
    def from_row(cls, row: Sequence[object]) -> CacheEntry:
        """Return the entry for the values of the cache's columns.

        Raises:
            TypeError, ValueError: the values are not a valid entry.
        """
        fingerprint, run, at, body, provider, model = row
        return cls(
            fingerprint=str(fingerprint),
            run=str(run),
            at=float(str(at)),
            provider=str(provider),
            model=str(model),
            reply=Reply.from_json(str(body)),
        )


def answering_model(request: Request) -> str:
    """Return the model or function that answers *request*, under the same name on any machine."""
    name = request.model or request.function or ""
    name = Path(name).name if Path(name).is_absolute() else name
    return f"{name} + {request.adapter.path.name}" if request.adapter else name
