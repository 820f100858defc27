"""What became of requests that were sent in batches."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any

from pytest_ftgate.cache.sqlite import Batch
from pytest_ftgate.client.batches import _address
from pytest_ftgate.client.engine import Engine
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request


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
