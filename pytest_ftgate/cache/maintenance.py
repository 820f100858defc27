"""Repair of a damaged cache file, and the statistics, the check and the pruning of a sound one."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from tempfile import TemporaryDirectory

from pytest_ftgate.cache.sqlite import (
    INSERT_REPLY,
    REPLY_COLUMNS,
    CacheEntry,
    Database,
    has_only_log,
    is_damage,
)
from pytest_ftgate.errors import CacheError, ConfigurationError
from pytest_ftgate.machine import exclusive_lock

#: The widest step of row ids in the search for the next row behind damage.
_MAX_STEP = 2**40
#: Seconds that a process waits while another one repairs the same file.
_TIMEOUT = 120.0
#: The file and its write-ahead log.
_SUFFIXES = ("", "-wal")
#: The size of a page and of the magic string at its start in bytes, and the positions in the first
#: page of the last byte of the change counter, and of the counter that validates the file size.
_PAGE, _MAGIC, _COUNTER, _VALID_FOR = 4096, 16, 27, 95

_Row = tuple[object, ...]


def repair(path: Path) -> str:
    """Replace a damaged cache by a sound one with everything that is readable.

    Returns:
        A sentence about what was done; "" if another process has repaired the file already.

    Raises:
        sqlite3.Error, OSError: the file cannot be written or copied.
    """
    with exclusive_lock(path), closing(Database(":memory:")) as new:
        errors = find_damage(path)
        if not errors:
            return ""
        copy = _copy_aside(path)
        _repair_first_page(path)
        with closing(_connect(path)) as damaged:
            with suppress(sqlite3.Error):
                _copy_readable_rows(damaged, new)
            # In place and under SQLite's locks, so that processes with the file open can go on.
            new.copy_into(damaged)
        ((replies,),) = new.execute("SELECT count(*) FROM replies")
    return (
        f"the cache {path} was damaged ({errors[0]}): {replies:,} replies could be read and "
        f"are still cached, the others will be requested again; the old file is {copy}"
    )


def find_damage(path: Path) -> list[str]:
    """Return the errors of the file at *path*, or else the errors of its rows."""
    if has_only_log(path):
        return ["only its write-ahead log is there"]
    try:
        with closing(_connect(path)) as db:
            report = "\n".join(str(line) for (line,) in db.execute("PRAGMA quick_check"))
            lines = [line for line in report.splitlines() if not line.startswith("***")]
            return [*_row_errors(db)] if lines == ["ok"] else lines
    except sqlite3.Error as error:
        return [str(error)]


def _connect(path: Path) -> sqlite3.Connection:
    """Open *path* without creating it, and read even text that is not UTF-8."""
    uri = f"{path.resolve().as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, timeout=_TIMEOUT)
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return connection


def _row_errors(db: sqlite3.Connection) -> Iterator[str]:
    for row in db.execute(f"SELECT {', '.join(REPLY_COLUMNS)} FROM replies"):  # noqa: S608
        try:
            CacheEntry.from_row(row)
        except ValueError as error:
            yield f"reply {str(row[0])[:12]}: {error}"


def _copy_aside(path: Path) -> Path:
    """Copy the file and its log under the first free name; return the copy of either."""
    names = (path.with_name(f"{path.name}.damaged-{number}") for number in count(1))
    free = next(
        name
        for name in names
        if not any(name.with_name(f"{name.name}{suffix}").exists() for suffix in _SUFFIXES)
    )
    copies: list[Path] = []
    # The log first: it may vanish meanwhile, when another process moves it into the file.
    for suffix in reversed(_SUFFIXES):
        with suppress(FileNotFoundError):
            original = path.with_name(f"{path.name}{suffix}")
            copies.append(Path(shutil.copy2(original, free.with_name(f"{free.name}{suffix}"))))
    return copies[-1]


def _repair_first_page(path: Path) -> None:
    """Repair the first page of *path*; without it SQLite reads none of the others."""
    path.touch()
    with TemporaryDirectory(prefix="ftgate-", ignore_cleanup_errors=True) as folder:
        Database(Path(folder) / "new").close()
        new_page = (Path(folder) / "new").read_bytes()[:_PAGE]
    with path.open("r+b") as file:
        first_page = file.read(_PAGE)
        # All caches share the first page, except for its size and counters.
        page = bytearray(first_page if first_page.startswith(new_page[:_MAGIC]) else new_page)
        # A mismatch with the change counter makes SQLite take the size from the file, which may
        # be truncated.
        page[_VALID_FOR] = page[_COUNTER] ^ 1
        file.seek(0)
        file.write(page)


def _copy_readable_rows(damaged: sqlite3.Connection, new: Database) -> None:
    """Copy the readable replies, and the other tables: claims and pending batches."""
    for _, *reply in _readable_replies(damaged):
        with suppress(ValueError):
            new.execute(f"INSERT OR REPLACE {INSERT_REPLY}", CacheEntry.from_row(reply).row)
    for table in ("claims", "batches"):
        for row in _readable(damaged, f"SELECT * FROM {table}"):  # noqa: S608
            values = ", ".join("?" * len(row))
            new.execute(f"INSERT OR IGNORE INTO {table} VALUES ({values})", row)  # noqa: S608


def _readable_replies(db: sqlite3.Connection) -> Iterator[_Row]:
    """Yield all readable rows with their row ids: up to each damage, and again behind it."""
    select = f"SELECT rowid, {', '.join(REPLY_COLUMNS)} FROM replies WHERE rowid > ?"  # noqa: S608
    last, step = 0, 0
    while step < _MAX_STEP:
        rows = _readable(db, f"{select} ORDER BY rowid", last + step)
        first = next(rows, None)
        # Damage can also show as row ids that do not rise, and the search must not turn back.
        if first is None or int(str(first[0])) <= last + step:
            step = 2 * step or 1
            continue
        # Backwards, since a wide step may have skipped readable rows.
        skipped = f"{select} AND rowid < ? ORDER BY rowid DESC"
        yield from _readable(db, skipped, last, first[0]) if step else ()
        for row in chain([first], rows):
            last = max(last, int(str(row[0])))
            yield row
        step = 0


def _readable(db: sqlite3.Connection, sql: str, *values: object) -> Iterator[_Row]:
    """Yield the rows up to the first one that cannot be read."""
    with suppress(sqlite3.Error):
        yield from db.execute(sql, values)


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
