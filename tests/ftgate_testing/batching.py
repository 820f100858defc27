"""Requests that are sent in batches, and what became of them."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ftgate_testing.asking import ENVIRON
from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.cache.sqlite import Batch
from pytest_ftgate.client import batches
from pytest_ftgate.client.batches import _address
from pytest_ftgate.client.engine import Engine
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take the credentials of this machine away, and long waits."""
    for name in [name for name in os.environ if name.startswith(("ANTHROPIC_", "OPENAI_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name, seconds in (("_FIRST_POLL", 0.01), ("_MAX_POLL", 0.02), ("_POLL", 0.02)):
        monkeypatch.setattr(batches, name, seconds)


@pytest.fixture
def start(
    open_cache: Callable[..., Cache], request: pytest.FixtureRequest
) -> Callable[..., Engine]:
    def started(run: str = "run-1", environ: Mapping[str, str] = ENVIRON, **options: Any) -> Engine:
        engine = Engine(open_cache(run), environ, **options)
        request.addfinalizer(engine.close)
        return engine

    return started


def batched_calls(call: Callable[..., Request], url: str, **known: str) -> Callable[..., Any]:
    """Return a function that makes requests to *url* that go in batches."""
    where = {"base_url": url, "api_key_env": "TEAM_KEY", "batch": True, **known}

    def made(*texts: str, **changes: Any) -> list[Request]:
        return [call(text, **{**where, **changes}) for text in texts]

    return made


def answers_of(engine: Engine, calls: Iterable[Request]) -> list[Reply | FtgateError]:
    """Return what *engine* has for each of *calls*, once it has all."""
    calls = [*calls]
    found = engine.wait(calls)
    return [found[one.fingerprint] for one in calls]


def texts_of(engine: Engine, calls: Iterable[Request]) -> list[str]:
    """Return the text of each answer, or of its error."""
    return [getattr(answer, "text", str(answer)) for answer in answers_of(engine, calls)]


def on_their_way(engine: Engine) -> int:
    """Return how many batches the cache knows of once the run has ended."""
    engine.close()
    with closing(sqlite3.connect(engine._cache.path)) as database:
        (count,) = database.execute("SELECT count(*) FROM batches").fetchone()
    return int(count)


def sent_before(engine: Engine, calls: Sequence[Request], **changes: object) -> None:
    """Note in the cache of *engine* that an earlier run has sent *calls* in a batch."""
    batch: dict[str, Any] = {"key": "k", "address": _address(calls[0]), "at": time.time()}
    batch |= {"fingerprints": tuple(call.fingerprint for call in calls), **changes}
    engine._cache.batches.save(Batch(**batch))
