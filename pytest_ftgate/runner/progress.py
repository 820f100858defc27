"""The live progress line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import pytest

from pytest_ftgate.gates.units import clock, usd

if TYPE_CHECKING:
    from pytest_ftgate.client.progress import Progress

__all__ = ["line_of", "ticking"]

#: Seconds between two lines where they cannot overwrite each other.
_PLAIN_EVERY = 30.0
_CLEAR = "\r\x1b[K"


def line_of(progress: Progress) -> str:
    """Return how far the asking has come, in one line."""
    done, wanted = progress.asked + progress.failed, progress.to_ask
    rate = done / progress.seconds if progress.seconds else 0.0
    told = [f"ftgate: {done:,} of {wanted:,} replies asked"]
    told += [f"{progress.reused:,} from the ledger"] * bool(progress.reused)
    told += [f"{progress.batched:,} in batches"] * bool(progress.batched)
    told += [f"{progress.failed:,} failed"] * bool(progress.failed)
    told += [f"{progress.flying:,} in flight"] * bool(progress.flying)
    parts = [", ".join(told)]
    parts += [f"{rate:.1f} a second"] * bool(rate)
    parts += [usd(progress.usd)] * bool(progress.usd)
    parts += [f"{clock((wanted - done) / rate)} left"] if rate else []
    return " · ".join(parts)


@contextmanager
def ticking(config: pytest.Config) -> Iterator[Callable[[Progress], None] | None]:
    """Yield what to call with the progress; None where the user wants to see nothing."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput") or config.get_verbosity() <= -2:  # noqa: PLR2004
        yield None
        return
    show = _Line(config, reporter)
    try:
        yield show
    finally:
        show.end()


class _Line:
    def __init__(self, config: pytest.Config, reporter: pytest.TerminalReporter) -> None:
        self._capture = config.pluginmanager.get_plugin("capturemanager")
        self._reporter, self._shown = reporter, False
        self._next = time.monotonic() + (0.0 if reporter.isatty else _PLAIN_EVERY)

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() < self._next or not progress.to_ask:
            return
        if not self._reporter.isatty:
            self._next = time.monotonic() + _PLAIN_EVERY
        with self._uncaptured():
            if not self._shown:
                self._reporter.ensure_newline()
            end = "" if self._reporter.isatty else "\n"
            head = _CLEAR if self._reporter.isatty else ""
            self._reporter.write(f"{head}{line_of(progress)}{end}", flush=True)
        self._shown = True

    def end(self) -> None:
        if self._shown and self._reporter.isatty:
            with self._uncaptured():
                self._reporter.write(_CLEAR, flush=True)

    def _uncaptured(self) -> AbstractContextManager[None]:
        # While a test's output is captured the terminal must be reached around the capture.
        if self._capture is None:
            return nullcontext()
        free: AbstractContextManager[None] = self._capture.global_and_fixture_disabled()
        return free
