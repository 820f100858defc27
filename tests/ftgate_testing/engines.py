"""Requests to send, and a cache for their replies."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ftgate_testing.scripted import Scripted
from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.client import engine as module
from pytest_ftgate.client.engine import Engine
from pytest_ftgate.client.rate_limit import RetryPolicy
from pytest_ftgate.requests.request import Request
from pytest_ftgate.suite.model import digest


def _request(text: str = "hello", **changes) -> Request:
    """Return a request with its own fingerprint for each *text* and change."""
    values = {
        "provider": "python", "model": "m", "messages": (("user", text),), "max_tokens": 16,
        "sampling": {}, **changes,
    }  # fmt: skip
    return Request(fingerprint=digest(values), **values)


@pytest.fixture(scope="session")
def call() -> Callable[..., Request]:
    return _request


@pytest.fixture
def open_cache(tmp_path, request) -> Callable[..., Cache]:
    def opened(
        run: str = "run-1", path: Path = tmp_path / "replies.sqlite", clock=time.time, **options
    ) -> Cache:
        cache = Cache(path, run=run, clock=clock, **options)
        request.addfinalizer(cache.close)
        return cache

    return opened


@pytest.fixture
def cache(open_cache) -> Cache:
    return open_cache()


@pytest.fixture
def providers(monkeypatch) -> dict[str, Scripted]:
    """Replace the providers, by the name of the model; a missing one cannot be opened."""
    scripted = {"m": Scripted(), "n": Scripted()}
    monkeypatch.setattr(
        module, "open_provider", lambda requests, *rest: scripted[requests[0].model]
    )
    return scripted


@pytest.fixture
def backoffs(monkeypatch) -> list[tuple[int, float | None]]:
    """Shorten the backoff between attempts, and return the arguments of each."""
    arguments: list[tuple[int, float | None]] = []

    def backoff(self, retries, retry_after, *_):
        arguments.append((retries, retry_after))
        return 0.001

    monkeypatch.setattr(RetryPolicy, "_backoff", backoff)
    return arguments


@pytest.fixture
def start(open_cache, providers, backoffs, request):
    def started(run: str = "run-1", environ: Mapping[str, str] = {}, **options) -> Engine:
        engine = Engine(open_cache(run), environ, **options)

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
    """Start Python code in another process, with pipes to it."""
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
