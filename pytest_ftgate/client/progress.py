"""The progress of a run: counts, rate, cost."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Progress"]


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of the requests of a run.

    Attributes:
        planned: requests submitted so far.
        reused: requests whose reply came from the cache or a file.
        received: requests whose reply came in this run.
        failed: requests that failed.
        seconds: the time since the first request was sent; 0 before that.
        batched: requests in batches that have not ended.
        in_flight: requests in flight now.
        peak_in_flight: the largest number of requests in flight so far.
        usd: the cost of the replies of this run, as far as their price is known.
    """

    planned: int = 0
    reused: int = 0
    received: int = 0
    failed: int = 0
    seconds: float = 0.0
    batched: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    usd: float = 0.0

    @property
    def to_send(self) -> int:
        """The requests whose reply was not in the cache."""
        return self.planned - self.reused
