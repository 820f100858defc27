"""Internal errors: exceptions that nothing expects, outside of a test. The run still has an end."""

from __future__ import annotations

from collections.abc import Iterator
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
    with suppress(EngineError), config.stash[session_key].internal_errors():
        yield


def reason_of(session: pytest.Session) -> str:
    """Return why the run ends with an internal error, of whichever process; "" if it does not.

    Its exit code follows, and pytest shows it as an error of its own unless a test has shown it.
    """
    config = session.config
    failure = config.stash[session_key].failure
    if failure is not None:
        config.stash[broken_key] = str(failure)
        if not config.stash.get(shown_key, False):
            config.stash[shown_key] = True
            _show(config, failure, f"{failure.traceback}{failure}")
    if broken_key in config.stash:
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
    return config.stash.get(broken_key, "")


def take_from_worker(config: pytest.Config, output: dict[str, str]) -> None:
    """Take over the internal error of a worker of pytest-xdist, if *output* has one."""
    if output.get(BROKEN):
        config.stash[broken_key] = output[BROKEN]
    if text := output.get(UNSHOWN):
        try:
            raise RuntimeError(text)  # noqa: TRY301 - pytest wants one that was raised
        except RuntimeError as error:
            _show(config, error, text)


def _show(config: pytest.Config, error: Exception, text: str) -> None:
    if hasattr(config, "workeroutput"):
        # The hook would end a worker before its results are sent.
        config.workeroutput[UNSHOWN] = text
        return
    if config.pluginmanager.has_plugin("terminalreporter"):
        writer = config.get_terminal_writer()
        if writer.width_of_current_line:
            writer.line()
    shown: Any = _Shown(text)
    excinfo = pytest.ExceptionInfo.from_exception(error)
    config.hook.pytest_internalerror(excrepr=shown, excinfo=excinfo)


class _Shown:
    """What plugins show of an internal error: a text without secrets, which commands nothing."""

    def __init__(self, text: str) -> None:
        self._text = escape_controls(text)

    def __str__(self) -> str:
        return self._text
