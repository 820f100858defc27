"""Calls to ask, and a ledger to keep their replies in."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_ftgate.ask.ledger import Ledger
from pytest_ftgate.plan.call import Call
from pytest_ftgate.suite.model import digest


def _call(text: str = "hello", **changes) -> Call:
    """Make a call as the plan would, with its own fingerprint for each *text* and change."""
    asked = {
        "provider": "python",
        "model": "m",
        "messages": (("user", text),),
        "max_tokens": 16,
        "sampling": {},
        **changes,
    }
    return Call(fingerprint=digest(asked), **asked)


@pytest.fixture(scope="session")
def call() -> Callable[..., Call]:
    return _call


@pytest.fixture
def open_ledger(tmp_path, request) -> Callable[..., Ledger]:
    def opened(
        run: str = "run-1", path: Path = tmp_path / "replies.sqlite", clock=time.time, **options
    ) -> Ledger:
        ledger = Ledger(path, run=run, clock=clock, **options)
        request.addfinalizer(ledger.close)
        return ledger

    return opened


@pytest.fixture
def ledger(open_ledger) -> Ledger:
    return open_ledger()


@pytest.fixture
def soon() -> Callable[[Callable[[], bool]], None]:
    """Wait until a condition holds, and fail where it does not come true."""

    def poll(condition: Callable[[], bool], seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come true in time"
            time.sleep(0.005)

    return poll


@pytest.fixture
def start_python(tmp_path):
    """Start Python code in another process, talked to over its pipes."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: str) -> subprocess.Popen[str]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        command = [sys.executable, "-c", code, *arguments]
        started.append(subprocess.Popen(command, cwd=tmp_path, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()
