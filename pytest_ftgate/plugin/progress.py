"""The live progress line, written through pytest's terminal reporter."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pytest

from pytest_ftgate.client.progress import Progress
from pytest_ftgate.runner.progress import OnProgress, progress_line

#: Seconds between two progress lines if the output is not a terminal.
_PLAIN_INTERVAL = 30.0
_CLEAR = "\r\x1b[K"


@contextmanager
def live_progress(config: pytest.Config) -> Iterator[OnProgress | None]:
    """Yield a callback that shows the progress, or None in quiet runs and xdist workers."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput") or config.get_verbosity() <= -2:  # noqa: PLR2004
        yield None
        return
    line = _ProgressLine(config, reporter)
    try:
        yield line
    finally:
        line.end()


class _ProgressLine:
    def __init__(self, config: pytest.Config, reporter: pytest.TerminalReporter) -> None:
        self._capture = config.pluginmanager.get_plugin("capturemanager")
        self._reporter, self._shown = reporter, False
        self._next = time.monotonic() + (0.0 if reporter.isatty else _PLAIN_INTERVAL)

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() < self._next or not progress.to_send:
            return
        if not self._reporter.isatty:
            self._next = time.monotonic() + _PLAIN_INTERVAL
        with self._uncaptured():
            if not self._shown:
                self._reporter.ensure_newline()
            end = "" if self._reporter.isatty else "\n"
            head = _CLEAR if self._reporter.isatty else ""
            self._reporter.write(f"{head}{progress_line(progress)}{end}", flush=True)
        self._shown = True

    def end(self) -> None:
        if self._shown and self._reporter.isatty:
            with self._uncaptured():
                self._reporter.write(_CLEAR, flush=True)

    def _uncaptured(self) -> AbstractContextManager[None]:
        # Suspends the capture of test output, so that the line reaches the terminal.
        if self._capture is None:
            return nullcontext()
        suspended: AbstractContextManager[None] = self._capture.global_and_fixture_disabled()
        return suspended
