"""Calls to ask, and a ledger to keep their replies in."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from scripted import Scripted

from pytest_ftgate.cache.cache import Ledger
from pytest_ftgate.client import engine as module
from pytest_ftgate.client.engine import Engine
from pytest_ftgate.client.retry import Patience
from pytest_ftgate.requests.request import Call
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
def providers(monkeypatch) -> dict[str, Scripted]:
    """Stand in for the providers, by the name of the model; one that is missing cannot open."""
    known = {"m": Scripted(), "n": Scripted()}
    monkeypatch.setattr(module, "open_provider", lambda calls, *rest: known[calls[0].model])
    return known


@pytest.fixture
def pauses(monkeypatch) -> list[tuple[int, float | None]]:
    """Shorten the pauses between attempts, and note what they were made from."""
    made: list[tuple[int, float | None]] = []

    def pause(self, attempt, asked_for, *_):
        made.append((attempt, asked_for))
        return 0.001

    monkeypatch.setattr(Patience, "_pause", pause)
    return made


@pytest.fixture
def start(open_ledger, providers, pauses, request):
    def started(run: str = "run-1", **options) -> Engine:
        engine = Engine(open_ledger(run), {}, **options)

        def end() -> None:
            for provider in providers.values():
                provider.open.set()
            engine.close()

        request.addfinalizer(end)
        return engine

    return started


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
