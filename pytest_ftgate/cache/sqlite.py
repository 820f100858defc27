"""The SQLite file of the cache: opened for many processes, migrated; its entries and batches."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """A cached reply with its metadata.

    Attributes:
        fingerprint: the fingerprint of the request.
        run: the run that received the reply.
        at: the time of the reply, in seconds since the epoch.
        provider: the provider; "" in entries from versions that did not store it.
        model: the model, the file of its weights, or the function that replied.
    """

    fingerprint: str
    run: str
    at: float
    provider: str
    model: str
    reply: Reply

    @property
    def row(self) -> tuple[object, ...]:
        """The values of the cache's columns."""
        body = self.reply.to_json()
        return self.fingerprint, self.run, self.at, body, self.provider, self.model

    @classmethod
    def from_row(cls, row: Sequence[object]) -> CacheEntry:
        """Return the entry for the values of the cache's columns.

        Raises:
            TypeError, ValueError: the values are not a valid entry.
        """
        fingerprint, run, at, body, provider, model = map(str, row)
        reply = Reply.from_json(body)
        return cls(
            fingerprint=fingerprint,
            run=run,
            at=float(at),
            provider=provider,
            model=model,
            reply=reply,
        )


def answering_model(request: Request) -> str:
    """Return the model or function that answers *request*, under the same name on any machine."""
    name = _portable(request.model or request.function or "")
    return f"{name} + {request.adapter.path.name}" if request.adapter else name


# Cached: a run names few models, and stores many replies.
@lru_cache
def _portable(name: str) -> str:
    """Return *name* without the folders of a path that holds on this machine alone."""
    return Path(name).name if Path(name).is_absolute() else name


#: The columns of the table `replies`.
REPLY_COLUMNS = ("fingerprint", "run", "at", "body", "provider", "model")
#: Adds one row to it, after INSERT and what to do if it exists.
_COLUMNS, _VALUES = ", ".join(REPLY_COLUMNS), ", ".join("?" * len(REPLY_COLUMNS))
INSERT_REPLY = f"INTO replies ({_COLUMNS}) VALUES ({_VALUES})"
#: Each step migrates a file to the next format; a new file takes every step.
_MIGRATIONS = (
    """
    CREATE TABLE replies (
        fingerprint TEXT NOT NULL UNIQUE, run TEXT NOT NULL, at REAL NOT NULL, body TEXT NOT NULL,
        provider TEXT NOT NULL DEFAULT '', model TEXT NOT NULL DEFAULT ''
    );
    CREATE TABLE claims (
        fingerprint TEXT PRIMARY KEY, owner TEXT NOT NULL, at REAL NOT NULL
    ) WITHOUT ROWID
    """,
    # A file of the first format has this table if a run has sent a batch.
    """
    CREATE TABLE IF NOT EXISTS batches (
        key TEXT PRIMARY KEY, id TEXT, address TEXT NOT NULL, at REAL NOT NULL,
        calls TEXT NOT NULL, unsent TEXT NOT NULL
    ) WITHOUT ROWID;
    ALTER TABLE batches RENAME COLUMN calls TO fingerprints
    """,
)
#: How often opening is retried while other processes open the file, and the seconds between.
_OPEN_RETRIES, _RETRY_PAUSE = 600, 0.05
#: Seconds that a statement waits for statements of other processes.
_TIMEOUT = 30.0
# Below SQLite's limit on variables in one statement.
_CHUNK = 500

_Statement = tuple[str, tuple[object, ...]]


class Statements(Protocol):
    """What runs statements on a file."""

    def execute(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""


class NewerFormat(sqlite3.DatabaseError):
    """The format of the file is newer than the formats that this version reads."""


class Database:
    """One open file, created if missing; its errors are those of SQLite.

    Raises:
        sqlite3.Error: the file cannot be opened, read or written, or its format is newer.
    """

    def __init__(self, path: Path | str) -> None:
        self._db = sqlite3.connect(path, timeout=_TIMEOUT, check_same_thread=False)
        self._db.isolation_level = None
        try:
            self._prepare()
        except sqlite3.Error:
            self._db.close()
            raise

    def _prepare(self) -> None:
        # SQLite's timeout does not cover the switch of a new file to WAL: it fails at once if
        # another process switches as well, such as another worker of the run.
        for retries_left in range(_OPEN_RETRIES, -1, -1):
            try:
                # First of all: even the switch to WAL would change the file of a newer version.
                self._version()
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=NORMAL")
                self._migrate()
            except sqlite3.OperationalError as error:
                if not retries_left or _code(error) != sqlite3.SQLITE_BUSY:
                    raise
                time.sleep(_RETRY_PAUSE)
            else:
                return

    def _migrate(self) -> None:
        # A write transaction even if there is nothing to migrate: a file that is not writable must
        # fail here, before any reply has been paid for.
        with suppress(sqlite3.OperationalError):
            self._db.execute("ROLLBACK")
        self._db.execute("BEGIN IMMEDIATE")
        version = self._version()
        if version == len(_MIGRATIONS):
            self._db.execute("ROLLBACK")
            return
        for step in _MIGRATIONS[version:]:
            for statement in step.split(";"):
                self._db.execute(statement)
        self._db.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")
        self._db.execute("COMMIT")

    def _version(self) -> int:
        """Return the number of the file's format; a newer one is an error."""
        ((version,),) = self._db.execute("PRAGMA user_version")
        if version > len(_MIGRATIONS):
            raise NewerFormat(f"its format {version} is newer than this version reads")
        return int(version)

    def execute(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        return self._db.execute(sql, values).fetchall()

    def execute_together(self, statements: Iterable[_Statement]) -> None:
        """Run statements in one transaction."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            # A newer version may have migrated the file since it was opened.
            self._version()
            for sql, values in statements:
                self._db.execute(sql, values)
            self._db.execute("COMMIT")
        except sqlite3.Error:
            # SQLite rolls back by itself after some errors.
            with suppress(sqlite3.OperationalError):
                self._db.execute("ROLLBACK")
            raise

    def copy_into(self, target: sqlite3.Connection) -> None:
        """Replace the contents of *target* by a copy of this database."""
        self._db.backup(target)

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def chunks(values: Iterable[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield *values* in parts that fit in one statement, each with its placeholders."""
    items = tuple(values)
    for start in range(0, len(items), _CHUNK):
        part = items[start : start + _CHUNK]
        yield part, ",".join("?" * len(part))


def is_damage(error: sqlite3.Error) -> bool:
    """Return True if *error* means that the file itself is damaged."""
    if isinstance(error, NewerFormat):
        return False
    if not hasattr(error, "sqlite_errorcode"):
        # Python itself raises the error for text that is not UTF-8, without a code.
        return isinstance(error, sqlite3.OperationalError)
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


#: The file in which Linux lists the mounted file systems.
MOUNTS = Path("/proc/self/mounts")
_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\w*|9p|afs|ceph|lustre|gpfs|beegfs|glusterfs|davfs|"
    r"fuse\.(sshfs|glusterfs|ceph\S*|s3fs|rclone|gcsfuse|goofys|blobfuse2?|davfs\d?|juicefs)"
)
_ESCAPE = re.compile(r"\\([0-7]{3})")


def network_filesystem(folder: Path, mounts: Path = MOUNTS) -> str | None:
    """Return the type of the network file system that *folder* lies on, or None.

    *folder* is absolute. The result is None if *mounts*, the list of mounted file systems, cannot
    be read.
    """
    try:
        lines = mounts.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    # If several file systems are mounted on one folder, the last one is in force.
    deepest = max(_mounts_above(folder, lines), key=lambda mount: len(mount[0].parts), default=None)
    return deepest[1] if deepest and _NETWORK.fullmatch(deepest[1]) else None


def _mounts_above(folder: Path, lines: list[str]) -> Iterator[tuple[Path, str]]:
    for line in reversed(lines):
        match line.split():
            case [_, escaped, filesystem, *_]:
                point = Path(_ESCAPE.sub(lambda match: chr(int(match[1], 8)), escaped))
                if folder.is_relative_to(point):
                    yield point, filesystem


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One batch that was sent and has not been read completely.

    Attributes:
        key: our own id, assigned before the batch is sent.
        id: the provider's id, or None if the process died before it was stored.
        address: the address, the variable with the key and the API version, as JSON.
        at: the time of sending, in seconds since the epoch.
        fingerprints: the fingerprints of its requests.
        unsent: the parameters that were left out of its requests, by model.
    """

    key: str
    id: str | None = None
    address: str
    at: float
    fingerprints: tuple[str, ...]
    unsent: Mapping[str, list[str]] = field(default_factory=dict)


class BatchStore:
    """The pending batches, in a table of the cache."""

    def __init__(self, cache: Statements) -> None:
        self._cache = cache

    def sent_to(self, address: str) -> list[Batch]:
        """Return the batches that were sent to *address*, the oldest first."""
        sql = "SELECT key, id, at, fingerprints, unsent FROM batches WHERE address = ? ORDER BY at"
        return [
            Batch(
                key=key,
                id=batch_id,
                address=address,
                at=at,
                fingerprints=tuple(fingerprints.split()),
                unsent=json.loads(unsent),
            )
            for key, batch_id, at, fingerprints, unsent in self._cache.execute(sql, (address,))
        ]

    def save(self, batch: Batch) -> Batch:
        """Commit *batch* to the disk, and return it."""
        fingerprints, unsent = " ".join(batch.fingerprints), json.dumps(dict(batch.unsent))
        row = (batch.key, batch.id, batch.address, batch.at, fingerprints, unsent)
        self._cache.execute("INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?, ?, ?)", row)
        return batch

    def reduce(self, batch: Batch, remaining: Collection[str]) -> None:
        """Reduce *batch* to the *remaining* fingerprints; delete it if there are none."""
        if remaining:
            self.save(replace(batch, fingerprints=tuple(remaining)))
        else:
            self.delete(batch)

    def delete(self, batch: Batch) -> None:
        """Delete *batch*: no more results are expected from it."""
        self._cache.execute("DELETE FROM batches WHERE key = ?", (batch.key,))


def has_only_log(path: Path) -> bool:
    """Return True if a cache has a log but no file; SQLite would delete the log."""
    file, log = path, path.with_name(f"{path.name}-wal")
    return log.is_file() and log.stat().st_size > 0 and not (file.is_file() and file.stat().st_size)
