"""Cache statistics, integrity check and pruning."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pytest_ftgate.cache.repair import find_damage
from pytest_ftgate.cache.sqlite import Database, is_damage
from pytest_ftgate.errors import CacheError, ConfigurationError

#: Bytes that a row takes besides the body of its reply, as an estimate.
_ROW_BYTES = 200


@dataclass(frozen=True, slots=True)
class ModelStats:
    """The cached replies of one model.

    Attributes:
        bytes: the size of their bodies.
        oldest, newest: the first and the last time, in seconds since the epoch.
    """

    provider: str
    model: str
    replies: int
    bytes: int
    oldest: float
    newest: float


@dataclass(frozen=True, slots=True)
class CacheStats:
    """The contents of a cache.

    Attributes:
        bytes: the size of the file and its log on the disk.
        claims: requests claimed by processes; claims of killed processes remain for a while.
    """

    bytes: int
    models: tuple[ModelStats, ...]
    claims: int


def cache_stats(path: Path) -> CacheStats:
    """Return the statistics of the cache at *path*.

    Raises:
        ConfigurationError: the file does not exist.
        CacheError: the file cannot be read.
    """
    with _open_existing(path) as database:
        ((claims,),) = database.execute("SELECT count(*) FROM claims")
        rows = database.execute(
            "SELECT provider, model, count(*), sum(length(body)), min(at), max(at) "
            "FROM replies GROUP BY provider, model ORDER BY count(*) DESC, provider, model"
        )
    models = tuple(ModelStats(*row) for row in rows)
    return CacheStats(_disk_bytes(path), models, claims)


def prune(path: Path, *, before: float | None, max_bytes: int | None) -> tuple[int, int]:
    """Delete replies, the oldest first; return their number and the new size of the file in bytes.

    Replies older than *before*, in seconds since the epoch, are deleted, and then further ones
    until the file is not larger than *max_bytes*.

    Raises:
        ConfigurationError: the file does not exist.
        CacheError: the file cannot be written, or other processes are using it.
    """
    with _open_existing(path) as database:
        ((count_before,),) = database.execute("SELECT count(*) FROM replies")
        if before is not None:
            database.execute("DELETE FROM replies WHERE at < ?", (before,))
        _compact(database)
        if max_bytes is not None:
            _delete_oldest(database, path, max_bytes)
        ((count_after,),) = database.execute("SELECT count(*) FROM replies")
    return count_before - count_after, _disk_bytes(path)


def _delete_oldest(database: Database, path: Path, max_bytes: int) -> None:
    oldest = (
        "SELECT rowid FROM (SELECT rowid, sum(length(body) + ?) OVER "
        "(ORDER BY at DESC, rowid DESC) AS taken FROM replies) WHERE taken > ?"
    )
    while _disk_bytes(path) > max_bytes and database.execute("SELECT 1 FROM replies LIMIT 1"):
        # In a loop, since the size of pages and indices is known only after a deletion.
        ((row_bytes,),) = database.execute(
            "SELECT sum(length(body) + ?) FROM replies", (_ROW_BYTES,)
        )
        target = row_bytes * min(max_bytes / _disk_bytes(path), 0.98)
        database.execute(
            f"DELETE FROM replies WHERE rowid IN ({oldest})",  # noqa: S608
            (_ROW_BYTES, target),
        )
        _compact(database)


def _compact(database: Database) -> None:
    database.execute("VACUUM")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def cache_errors(path: Path) -> list[str]:
    """Return the errors found in the cache at *path*.

    Raises:
        ConfigurationError: the file does not exist.
    """
    _require_file(path)
    return find_damage(path)


@contextmanager
def _open_existing(path: Path) -> Iterator[Database]:
    _require_file(path)
    try:
        database = Database(path)
        try:
            yield database
        finally:
            database.close()
    except sqlite3.Error as error:
        remedy = "see pytest-ftgate cache check" if is_damage(error) else "try again later"
        raise CacheError(f"the cache {path} cannot be used: {error}; {remedy}") from error


def _require_file(path: Path) -> None:
    if not path.is_file():
        remedy = "pytest --ftgate writes it, or name one with --cache"
        raise ConfigurationError(f"there is no cache {path}; {remedy}")


def _disk_bytes(path: Path) -> int:
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.is_file())
