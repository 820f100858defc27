"""The progress of a run as one line of text."""

from __future__ import annotations

from collections.abc import Callable

from pytest_ftgate.client.progress import Progress
from pytest_ftgate.gates.units import duration, usd

#: Called with the progress of the requests while a run waits for replies.
OnProgress = Callable[[Progress], None]


def progress_line(progress: Progress, columns: int | None = None) -> str:
    """Return the progress of the requests as one line, of at most *columns* columns.

    What matters least is left out first: the cache, the batches, the requests in flight.
    """
    done, total = progress.received + progress.failed, progress.to_send
    left = f"{duration((total - done) / progress.rate)} left" if progress.rate else ""
    parts = [
        (0, f"ftgate: {done:,} of {total:,} requests done"),
        (1, f"{progress.failed:,} failed" if progress.failed else ""),
        (5, f"{progress.reused:,} from the cache" if progress.reused else ""),
        (4, f"{progress.batched:,} in batches" if progress.batched else ""),
        (6, f"{progress.in_flight:,} in flight" if progress.in_flight else ""),
        (3, f"{progress.rate:.1f} a second" if progress.rate else ""),
        (2, usd(progress.usd) if progress.usd else ""),
        (1, left),
    ]
    for least in range(6, -1, -1):
        line = " · ".join(text for rank, text in parts if text and rank <= least)
        if columns is None or len(line) <= columns:
            return line
    return line[:columns]
