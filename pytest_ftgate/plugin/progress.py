"""What a run shows while it works, written through pytest's terminal reporter."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ftgate.client.budget import Progress
from pytest_ftgate.plugin.state import session_key, verbosity_of
from pytest_ftgate.reporting.text import (
    LastingStream,
    break_command,
    encodable,
    escape_controls,
    shorten,
)
from pytest_ftgate.runner.progress_log import progress_line

if TYPE_CHECKING:
    from pytest_ftgate.gates.design import Look
    from pytest_ftgate.runner.progress_log import RunLog
    from pytest_ftgate.suite.model import Suite, Variant

#: Seconds between two progress lines if the output is not a terminal.
_PLAIN_INTERVAL = 30.0
#: Seconds until the first line, and until the first on a terminal: a quick run shows none.
_FIRST_INTERVAL, _FIRST_ON_TERMINAL = 2.0, 1.0
#: Seconds until the first line while no provider is open: a key that is missing is found out first.
_OPENING_INTERVAL = 10.0
_CLEAR = "\r\x1b[K"
#: The log of the run, and whether its first lines were written.
run_log_key: pytest.StashKey[RunLog] = pytest.StashKey()
_begun_key = pytest.StashKey[bool]()


def show_sentence(config: pytest.Config, text: str) -> None:
    """Show *text* on a line of its own, except in quiet runs; also from an xdist worker."""
    with _uncaptured(config):
        if hasattr(config, "workerinput") and not _is_quiet(config):
            # The error stream of a worker is that of the whole run.
            sys.stderr.write(f"{text}\n")
        elif reporter := _reporter(config):
            reporter.ensure_newline()
            reporter.write_line(text)
            reporter.flush()


@contextmanager
def live_progress(config: pytest.Config) -> Iterator[None]:
    """Show the progress while the run waits in this context, but for quiet runs and xdist."""
    reporter = _reporter(config)
    with _ends_once(config), _terminable():
        if reporter is None:
            yield
            return
        line = _ProgressLine(config, reporter)
        try:
            with config.stash[session_key].replies.show_progress(line):
                yield
        finally:
            line.end()


def wait_for_task(config: pytest.Config, suite: Suite, variant: Variant, look: Look) -> None:
    """Send the requests of *variant* for the cases of *suite* at *look*, and wait for replies.

    Raises:
        FtgateError: they cannot be sent, or too few replies came.
        EngineError: an unexpected exception ended the run.
    """
    session = config.stash[session_key]
    with session.replies.internal_errors(), live_progress(config):
        requests = session.built.task(suite, variant, look)
        session.replies.checked_results([requests], suite.name)


@contextmanager
def _ends_once(config: pytest.Config) -> Iterator[None]:
    """After an interruption, take the next Ctrl-C as the wish to wait for no reply.

    pytest breaks off with a traceback, and without the closing section, where an interruption meets
    it while it handles another one.
    """
    try:
        yield
    except KeyboardInterrupt:
        # With --pdb the run goes on.
        if _handles(signal.SIGINT, signal.default_int_handler) and not config.option.usepdb:
            _hold_interruption(config)
        raise


def _hold_interruption(config: pytest.Config) -> None:
    def cancel(number: int, _frame: object) -> None:
        signal.signal(number, signal.default_int_handler)
        config.stash[session_key].replies.cancel()

    def restore() -> None:
        if signal.getsignal(signal.SIGINT) is cancel:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, cancel)
    config.add_cleanup(restore)


def _handles(number: int, handler: object) -> bool:
    """Return True if this thread gets the signal *number*, and *handler* handles it."""
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and signal.getsignal(number) is handler


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM, by which build servers cancel a job, end the run as Ctrl-C does, once.

    A handler of the process itself stays.
    """
    if not _handles(signal.SIGTERM, signal.SIG_DFL):
        yield
        return
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _interrupt(number: int, _frame: object) -> None:
    signal.signal(number, signal.SIG_DFL)
    raise KeyboardInterrupt(signal.Signals(number).name)


class _ProgressLine:
    def __init__(self, config: pytest.Config, reporter: pytest.TerminalReporter) -> None:
        self._config, self._reporter, self._shown = config, reporter, False
        self._next = time.monotonic() + (_FIRST_ON_TERMINAL if reporter.isatty else _FIRST_INTERVAL)
        self._opened_by = time.monotonic() + _OPENING_INTERVAL
        self._writer = config.get_terminal_writer()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now < self._next or not progress.to_send:
            return
        # No request can be sent yet, or none at all.
        if not progress.seconds and (now < self._opened_by or progress.failed):
            return
        if not self._reporter.isatty:
            self._next = time.monotonic() + _PLAIN_INTERVAL
        with _uncaptured(self._config):
            if not self._shown:
                self._reporter.ensure_newline()
            for line in self._log_lines(progress):
                self._write(line, "\n")
            # A line that fills the last column would wrap.
            columns, in_place = self._writer.fullwidth - 1, bool(self._reporter.isatty)
            self._write(progress_line(progress, columns, bar=in_place), "" if in_place else "\n")
        self._shown = True

    def _log_lines(self, progress: Progress) -> Iterator[str]:
        """Yield the first lines of the run, once, and what became known since the last call."""
        log = self._config.stash.get(run_log_key, None)
        if log is None:
            return
        if not self._config.stash.get(_begun_key, False):
            self._config.stash[_begun_key] = True
            yield from log.first_lines(progress)
        yield from log.new_lines(progress)

    def _write(self, line: str, end: str) -> None:
        head = _CLEAR if self._reporter.isatty else ""
        # Names of suites, variants and models are not ours.
        text = shorten(escape_controls(line), self._writer.fullwidth - 1)
        shown = encodable(break_command(text), writer_encoding(self._writer))
        self._reporter.write(f"{head}{shown}{end}", flush=True)

    def end(self) -> None:
        if self._shown and self._reporter.isatty:
            with _uncaptured(self._config):
                self._reporter.write(_CLEAR, flush=True)


def take_output(config: pytest.Config) -> str:
    """Return what was printed since the last call and is captured; pytest does not show it then."""
    capture = config.pluginmanager.get_plugin("capturemanager")
    return "".join(capture.read_global_capture()) if capture else ""


def outlast_reader(config: pytest.Config) -> None:
    """Let pytest's terminal writer go on, to nowhere, when its reader has closed the pipe."""
    writer: Any = config.get_terminal_writer()
    if hasattr(writer, "_file"):
        stream = LastingStream(writer._file)  # noqa: SLF001 - pytest offers no other way
        writer._file = stream  # noqa: SLF001
        # The console script of pytest flushes once more, and would end with 1.
        config.add_cleanup(stream.flush)


def writer_encoding(writer: Any) -> str | None:
    """Return the encoding of what pytest's terminal writer writes to."""
    return getattr(getattr(writer, "_file", sys.stdout), "encoding", None)


def _is_quiet(config: pytest.Config) -> bool:
    return verbosity_of(config) <= -2  # noqa: PLR2004


def _reporter(config: pytest.Config) -> pytest.TerminalReporter | None:
    """Return the terminal reporter, or None in quiet runs and xdist workers."""
    if hasattr(config, "workerinput") or _is_quiet(config):
        return None
    reporter: pytest.TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
    return reporter


def _uncaptured(config: pytest.Config) -> AbstractContextManager[None]:
    # Suspends the capture of test output, so that a line reaches the terminal.
    capture = config.pluginmanager.get_plugin("capturemanager")
    if capture is None:
        return nullcontext()
    suspended: AbstractContextManager[None] = capture.global_and_fixture_disabled()
    return suspended
