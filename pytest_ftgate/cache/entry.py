"""One cached reply, with its fingerprint, its origin and its time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Call

__all__ = ["Entry", "model_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A reply that is kept.

    Attributes:
        fingerprint: of the call that it answers.
        run: the run that it came in.
        at: when it came, in seconds since the epoch.
        provider: what brought it; "" in what was kept before this was noted.
        model: the model, the file of its weights, or the function that answered.
    """

    fingerprint: str
    run: str
    at: float
    provider: str
    model: str
    reply: Reply

    @property
    def row(self) -> tuple[object, ...]:
        """The values of the ledger's columns."""
        body = self.reply.to_json()
        return self.fingerprint, self.run, self.at, body, self.provider, self.model

    @classmethod
    def of(cls, row: Sequence[object]) -> Entry:
        """Read the values of the ledger's columns.

        Raises:
            TypeError, ValueError: they hold no reply.
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


def model_of(call: Call) -> str:
    """Return what answers *call*, by a name that means the same on every machine."""
    name = call.model or call.function or ""
    name = Path(name).name if Path(name).is_absolute() else name
    return f"{name} + {call.adapter.path.name}" if call.adapter else name
