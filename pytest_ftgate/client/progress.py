"""The progress of a run: counts, rate, cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

#: The rate is that of the last so many seconds.
_RECENT = 30


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of the requests of a run.

    Attributes:
        planned: requests submitted so far.
        reused: requests whose reply came from the cache or a file.
        received: requests whose reply came in this run.
        failed: requests that failed.
        seconds: the time since the first request was sent; 0 before that.
        rate: the replies and failures a second, in the last half minute.
        batched: requests in batches that have not ended.
        in_flight: requests in flight now.
        peak_in_flight: the largest number of requests in flight so far.
        failing: why the request that failed last is sent again; "" once a reply came.
        usd: the cost of the replies of this run, as far as their price is known.
    """

    planned: int = 0
    reused: int = 0
    received: int = 0
    failed: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    batched: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    failing: str = ""
    usd: float = 0.0

    @property
    def to_send(self) -> int:
        """The requests whose reply was not in the cache."""
        return self.planned - self.reused


class RecentRate:
    """The rate of the last half minute; may be read in another thread than it is counted in."""

    def __init__(self) -> None:
        #: The requests that finished in each second since the start.
        self._counts: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Count one finished request, *seconds* after the start."""
        self._counts[int(seconds)] += 1

    def per_second(self, seconds: float) -> float:
        """Return the finished requests a second, in the half minute before *seconds*."""
        first, last = max(0, int(seconds) + 1 - _RECENT), int(seconds)
        count = sum(self._counts[second] for second in range(first, last + 1))
        return count / (seconds - first) if count and seconds > first else 0.0
