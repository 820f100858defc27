"""A lock on a file against other processes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

#: Seconds that a process waits for the lock.
_TIMEOUT = 120.0


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold a lock against other processes that change *path*; it ends with the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f"{path.name}.lock")
    with closing(sqlite3.connect(lock, timeout=_TIMEOUT, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        # The lock file stays: deleting it would break the lock for waiting processes.
        yield
