"""What a run shows while it works, written through pytest's terminal reporter."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ftgate.client.budget import Progress
from pytest_ftgate.plugin.state import begun_key, session_key, verbosity_of
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
#: The log of the run.
run_log_key: pytest.StashKey[RunLog] = pytest.StashKey()


def show_sentence(config: pytest.Config, text: str) -> None:
    """Show *text* on a line of its own, except in quiet runs; also from an xdist worker."""
    with _uncaptured(config):
        if hasattr(config, "workerinput") and not _is_quiet(config):
            # The error stream of a worker is that of the whole run.
            sys.stderr.write(f"{text}\n")
        elif reporter := _reporter(config):
            begin_line(config)
            _writer(config).line(text)
            reporter.flush()


@contextmanager
def live_progress(config: pytest.Config) -> Iterator[None]:
    """Show the progress while the run waits in this context, but for quiet runs and xdist."""
    with _ends_once(config), _terminable():
        line = _ProgressLine(config, _reporter(config))
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


def begin_line(config: pytest.Config) -> None:
    """Go to the start of a line of pytest's terminal reporter, which goes on with its file."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    writer = _writer(config)
    if verbosity_of(config) > 0:
        reporter.ensure_newline()
    elif writer.width_of_current_line:
        writer.line()


def write_verdict(config: pytest.Config, parts: Iterable[tuple[str, dict[str, bool]]]) -> None:
    """Write a verdict on a line of its own; *parts* are texts, each with its colours."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    writer = _writer(config)
    begin_line(config)
    for text, colours in parts:
        writer.write(encodable(break_command(text), writer_encoding(writer)), **colours)
    if verbosity_of(config) > 0:
        # pytest ends the line itself, as it ends its own: it would put an empty one between them.
        reporter.currentfspath = -2
    else:
        writer.line()
    writer.flush()


def _writer(config: pytest.Config) -> Any:
    return config.get_terminal_writer()


class _ProgressLine:
    """The progress in a terminal; without a *reporter* it only notes that a process waits."""

    def __init__(self, config: pytest.Config, reporter: pytest.TerminalReporter | None) -> None:
        self._config, self._reporter, self._shown = config, reporter, False
        in_place = reporter is not None and reporter.isatty
        self._next = time.monotonic() + (_FIRST_ON_TERMINAL if in_place else _FIRST_INTERVAL)
        self._opened_by = time.monotonic() + _OPENING_INTERVAL

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now < self._next or not progress.to_send:
            return
        # No request can be sent yet, or none at all.
        if not progress.seconds and (now < self._opened_by or progress.failed):
            return
        if self._reporter is None:
            self._config.stash[begun_key] = True
            return
        if not self._reporter.isatty:
            self._next = time.monotonic() + _PLAIN_INTERVAL
        with _uncaptured(self._config):
            if not self._shown:
                begin_line(self._config)
            if log := self._config.stash.get(run_log_key, None):
                progress = log.complete(progress)
            for line in self._log_lines(progress):
                self._write(line)
            # A line that fills the last column would wrap.
            columns, in_place = _writer(self._config).fullwidth - 1, bool(self._reporter.isatty)
            self._write(progress_line(progress, columns, bar=in_place), in_place=in_place)
        self._shown = True

    def _log_lines(self, progress: Progress) -> Iterator[str]:
        """Yield the first lines of the run, once, and what became known since the last call."""
        log = self._config.stash.get(run_log_key, None)
        if log is None:
            return
        if not self._config.stash.get(begun_key, False):
            self._config.stash[begun_key] = True
            yield from log.first_lines(progress)
        yield from log.new_lines(progress)

    def _write(self, line: str, *, in_place: bool = False) -> None:
        writer = _writer(self._config)
        # Names of suites, variants and models are not ours.
        text = shorten(escape_controls(line), writer.fullwidth - 1)
        shown = encodable(break_command(text), writer_encoding(writer))
        self._clear()
        if in_place:
            _stream(writer).write(shown)
        else:
            writer.line(shown)
        writer.flush()

    def _clear(self) -> None:
        # pytest would count what it cannot know to be gone as the beginning of its next line.
        if self._reporter is not None and self._reporter.isatty:
            _stream(_writer(self._config)).write(_CLEAR)

    def end(self) -> None:
        if self._shown:
            with _uncaptured(self._config):
                self._clear()
                _writer(self._config).flush()


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
    return getattr(_stream(writer), "encoding", None)


def _stream(writer: Any) -> Any:
    return getattr(writer, "_file", sys.stdout)


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
