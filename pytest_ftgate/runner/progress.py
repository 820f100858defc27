"""The progress of a run as one line of text."""

from __future__ import annotations

from collections.abc import Callable

from pytest_ftgate.client.progress import Progress
from pytest_ftgate.gates.units import duration, usd

#: The cells of the bar.
_BAR = 16

#: Called with the progress of the requests while a run waits for replies.
OnProgress = Callable[[Progress], None]


def progress_line(progress: Progress, columns: int, *, bar: bool = True) -> str:
    """Return the progress of the requests as one line, of at most *columns* columns.

    Without *bar*, the line is for a log and begins with the time. What matters least is left out
    first: the requests in flight, the cache, the batches.
    """
    done, total = progress.received + progress.failed, progress.to_send
    share = done / total if total else 0.0
    rest = (total - done) / progress.rate if progress.rate else 0.0
    head = f"{_bar(share)} " if bar else f"[{duration(progress.seconds)}] "
    parts = [
        (0, f"{head} {done:,} of {total:,} requests ({int(100 * share)} %)"),
        (1, f"{progress.failed:,} failed" if progress.failed else ""),
        (5, f"{progress.reused:,} from the cache" if progress.reused else ""),
        (4, f"{progress.batched:,} in batches" if progress.batched else ""),
        (6, f"{progress.in_flight:,} in flight" if progress.in_flight else ""),
        (3, f"{progress.rate:.1f} a second" if progress.rate else ""),
        (2, usd(progress.usd) if progress.usd else ""),
        (1, f"about {duration(rest)} left" if rest else ""),
    ]
    for least in range(6, -1, -1):
        line = " · ".join(text for rank, text in parts if text and rank <= least)
        if len(line) <= columns:
            return line
    return line[:columns]


def _bar(share: float) -> str:
    filled = int(_BAR * share)
    return "█" * filled + "░" * (_BAR - filled)
