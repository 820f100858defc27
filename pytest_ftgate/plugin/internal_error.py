"""Internal errors: exceptions that nothing expects, outside of a test. The run still has an end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from pytest_ftgate.errors import EngineError
from pytest_ftgate.plugin.state import broken_key, session_key, shown_key
from pytest_ftgate.reporting.text import escape_controls

#: In the output of a worker of pytest-xdist: why it is broken, and what is shown of it nowhere.
BROKEN, UNSHOWN = "ftgate_broken", "ftgate_unshown"


@contextmanager
def noted(config: pytest.Config) -> Iterator[None]:
    """Keep an unexpected exception in this context as the failure of the run, and go on."""
    with suppress(EngineError), config.stash[session_key].replies.internal_errors():
        yield


def reason_of(session: pytest.Session) -> str:
    """Return why the run ends with an internal error, of whichever process; "" if it does not.

    Its exit code follows, and pytest shows it as an error of its own unless a test has shown it.
    """
    config = session.config
    failure = config.stash[session_key].replies.failure
    if failure is not None:
        config.stash[broken_key] = str(failure)
        if not config.stash.get(shown_key, False):
            config.stash[shown_key] = True
            excinfo = pytest.ExceptionInfo.from_exception(failure)
            _show(config, f"{failure.traceback}{failure}", excinfo)
    if broken_key in config.stash:
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
    return config.stash.get(broken_key, "")


def take_from_worker(config: pytest.Config, output: Mapping[str, str]) -> None:
    """Take over the internal error of a worker of pytest-xdist, if *output* has one."""
    if output.get(BROKEN):
        config.stash[broken_key] = output[BROKEN]
    if text := output.get(UNSHOWN):
        _show(config, text, pytest.ExceptionInfo.for_later())


def _show(config: pytest.Config, text: str, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    if hasattr(config, "workeroutput"):
        # The hook would end a worker before its results are sent.
        config.workeroutput[UNSHOWN] = text
        return
    if config.pluginmanager.has_plugin("terminalreporter"):
        writer = config.get_terminal_writer()
        if writer.width_of_current_line:
            writer.line()
    # Plugins show the text of *excrepr*: this one has no secrets, and commands no build server.
    shown: Any = escape_controls(text)
    config.hook.pytest_internalerror(excrepr=shown, excinfo=excinfo)
