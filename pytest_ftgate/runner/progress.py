"""The progress of a run as one line of text."""

from __future__ import annotations

from collections.abc import Callable

from pytest_ftgate.client.progress import Progress
from pytest_ftgate.gates.units import duration, usd

#: Called with the progress of the requests while a run waits for replies.
OnProgress = Callable[[Progress], None]


def progress_line(progress: Progress) -> str:
    """Return the progress of the requests as one line."""
    done, total = progress.received + progress.failed, progress.to_send
    counts = [f"ftgate: {done:,} of {total:,} requests done"]
    counts += [f"{progress.reused:,} from the cache"] * bool(progress.reused)
    counts += [f"{progress.batched:,} in batches"] * bool(progress.batched)
    counts += [f"{progress.failed:,} failed"] * bool(progress.failed)
    counts += [f"{progress.in_flight:,} in flight"] * bool(progress.in_flight)
    parts = [", ".join(counts)]
    parts += [f"{progress.rate:.1f} a second"] * bool(progress.rate)
    parts += [usd(progress.usd)] * bool(progress.usd)
    parts += [f"{duration((total - done) / progress.rate)} left"] if progress.rate else []
    return " · ".join(parts)
