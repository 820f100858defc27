"""The progress of a run: counts, rate, cost."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Progress"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the asking has come.

    Attributes:
        planned: calls handed in so far.
        reused: of these, replies that the ledger or a file had.
        asked: replies that came in this run.
        failed: calls that brought none.
        seconds: since the first call was sent; 0 before that.
        batched: calls in batches that have not ended.
        flying: calls that are being asked right now.
        peak: the most that were at once.
        usd: what replies cost that came in this run, as far as their price is known.
    """

    planned: int = 0
    reused: int = 0
    asked: int = 0
    failed: int = 0
    seconds: float = 0.0
    batched: int = 0
    flying: int = 0
    peak: int = 0
    usd: float = 0.0

    @property
    def to_ask(self) -> int:
        """How many calls the ledger could not answer."""
        return self.planned - self.reused

    @property
    def unsent(self) -> int:
        """How many calls still wait to be sent for the first time."""
        return self.to_ask - self.asked - self.failed - self.flying - self.batched
