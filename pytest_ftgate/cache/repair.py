"""Repair of a damaged cache file: readable replies are saved, the damaged file is backed up."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from pytest_ftgate.cache.entry import CacheEntry
from pytest_ftgate.cache.sqlite import COLUMNS, Database

__all__ = ["find_damage", "has_only_log", "repair"]

#: The search for the next row behind damage doubles its step this many times.
_MAX_DOUBLINGS = 40
#: Seconds that a process waits while another one repairs the same file.
_TIMEOUT = 120.0
_SUFFIXES = ("", "-wal")
_Statement = tuple[str, tuple[object, ...]]
#: The size of a page and of the magic string at its start in bytes, and the position of the last
#: byte of the number that validates the file size in the first page.
_PAGE, _MAGIC, _VALID_FOR = 4096, 16, 95


def repair(path: Path) -> str:
    """Replace a damaged cache by a sound one with everything that is readable.

    Returns:
        A sentence about what was done; "" if another process has repaired the file already.

    Raises:
        sqlite3.Error, OSError: the file cannot be written or backed up.
    """
    with _exclusive_lock(path):
        errors = find_damage(path)
        if not errors:
            return ""
        backup = _back_up(path)
        entries, other_tables = _read_damaged(path)
        _replace_contents(path, entries, other_tables)
    return (
        f"the cache {path} was damaged ({errors[0]}): {len(entries):,} replies could be read and "
        f"are still cached, the others will be requested again; the old file is {backup}"
    )


def has_only_log(path: Path) -> bool:
    """Return True if a cache has a log but no file; SQLite would delete the log."""
    log = path.with_name(f"{path.name}-wal")
    return _file_size(log) > 0 and not _file_size(path)


def _file_size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def find_damage(path: Path) -> list[str]:
    """Return the errors of the file at *path*, or else the errors of its rows."""
    if has_only_log(path):
        return ["only its write-ahead log is there"]
    try:
        with closing(_connect_existing(path)) as db:
            report = "\n".join(str(line) for (line,) in db.execute("PRAGMA quick_check"))
            lines = [line for line in report.splitlines() if not line.startswith("***")]
            return [*_row_errors(db)] if lines == ["ok"] else lines
    except sqlite3.Error as error:
        return [str(error)]


def _connect_existing(path: Path) -> sqlite3.Connection:
    """Open *path* without creating it."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=_TIMEOUT)


def _row_errors(db: sqlite3.Connection) -> Iterator[str]:
    # With the default factory, the first row with invalid UTF-8 would end the loop.
    db.text_factory = _decode
    for row in db.execute(f"SELECT {_column_list(db)} FROM replies"):  # noqa: S608
        try:
            CacheEntry.from_row(row)
        except ValueError as error:
            yield f"reply {str(row[0])[:12]}: {error}"


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _column_list(db: sqlite3.Connection) -> str:
    """Return the columns to select, with "" for columns that an older file does not have."""
    existing = {row[1] for row in db.execute("PRAGMA table_info(replies)")}
    return ", ".join(column if column in existing else f"'' AS {column}" for column in COLUMNS)


@contextmanager
def _exclusive_lock(path: Path) -> Iterator[None]:
    """Hold a lock against other processes that repair *path*; it ends with the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f"{path.name}.lock")
    with closing(sqlite3.connect(lock, timeout=_TIMEOUT, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        # The lock file stays: deleting it would break the lock for waiting processes.
        yield


def _back_up(path: Path) -> Path:
    """Copy the file and its log under the first free name; return the copy."""
    names = (path.with_name(f"{path.name}.damaged-{number}") for number in count(1))
    backup = next(
        name
        for name in names
        if not any(_with_suffix(name, suffix).exists() for suffix in _SUFFIXES)
    )
    return _copy_files(path, backup)


def _copy_files(path: Path, target: Path) -> Path:
    """Copy a file and its log; return the copy of the file, or of the log if there is no file."""
    # The log first: it may vanish meanwhile, when another process moves it into the file.
    for suffix in reversed(_SUFFIXES):
        with suppress(FileNotFoundError):
            shutil.copy2(_with_suffix(path, suffix), _with_suffix(target, suffix))
    return target if target.exists() else _with_suffix(target, _SUFFIXES[-1])


def _with_suffix(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}{suffix}")


def _read_damaged(path: Path) -> tuple[list[CacheEntry], list[_Statement]]:
    """Return the readable replies of a damaged file, and statements that restore its other tables.

    The file itself stays unchanged.
    """
    entries: dict[str, CacheEntry] = {}
    statements: list[_Statement] = []
    with TemporaryDirectory(prefix="ftgate-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / "copy"
        _copy_files(path, copy)
        _repair_first_page(copy)
        with suppress(sqlite3.Error), closing(_connect_existing(copy)) as db:
            db.text_factory = _decode
            entries |= {entry.fingerprint: entry for entry in _readable_entries(db)}
            statements += _restore_other_tables(db)
    return [*entries.values()], statements


def _restore_other_tables(db: sqlite3.Connection) -> Iterator[_Statement]:
    """Yield the statements that restore all tables but the replies: claims, pending batches."""
    tables = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name <> 'replies'"
    for name, sql in db.execute(tables).fetchall():
        yield str(sql).replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1), ()
        with suppress(sqlite3.Error):
            for row in db.execute(f'SELECT * FROM "{name}"'):  # noqa: S608
                insert = f'INSERT OR IGNORE INTO "{name}" VALUES ({_placeholders(row)})'  # noqa: S608
                yield insert, row


def _placeholders(row: Sequence[object]) -> str:
    return ", ".join("?" * len(row))


def _repair_first_page(path: Path) -> None:
    """Repair the first page of a copy; without it SQLite reads none of the others."""
    log, spare = _with_suffix(path, "-wal"), _with_suffix(path, "-spare")
    if has_only_log(path):
        log.replace(spare)
        Database(path).close()
        spare.replace(log)
        return
    with TemporaryDirectory(prefix="ftgate-", ignore_cleanup_errors=True) as folder:
        Database(Path(folder) / "new").close()
        new_page = (Path(folder) / "new").read_bytes()[:_PAGE]
    with path.open("r+b") as file:
        first_page = file.read(_PAGE)
        # All caches share the first page, except for its size and counters.
        page = bytearray(first_page if first_page.startswith(new_page[:_MAGIC]) else new_page)
        # A mismatch with the change counter makes SQLite take the size from the file, which may
        # be truncated.
        page[_VALID_FOR] ^= 1
        file.seek(0)
        file.write(page)


def _readable_entries(db: sqlite3.Connection) -> Iterator[CacheEntry]:
    """Yield all readable rows: up to each damage, and again from the next readable row on."""
    last: int | None = 0
    while last is not None:
        for number, row in _scan_rows(db, "rowid > ? ORDER BY rowid", last):
            last = number
            with suppress(ValueError):
                yield CacheEntry.from_row(row)
        last = _before_next_readable(db, last)


def _scan_rows(
    db: sqlite3.Connection, where: str, *values: int
) -> Iterator[tuple[int, tuple[object, ...]]]:
    with suppress(sqlite3.Error):
        for number, *row in db.execute(
            f"SELECT rowid, {_column_list(db)} FROM replies WHERE {where}",  # noqa: S608
            values,
        ):
            yield number, tuple(row)


def _before_next_readable(db: sqlite3.Connection, last: int) -> int | None:
    """Return the row id before the first readable row after *last*; None if there is none."""
    for step in (2**power for power in range(_MAX_DOUBLINGS)):
        rows = [*_scan_rows(db, "rowid > ? ORDER BY rowid LIMIT 1", last + step)]
        if rows:
            # Then scan backwards, since the wide step may have skipped readable rows.
            first, _ = rows[0]
            skipped = _scan_rows(db, "rowid > ? AND rowid < ? ORDER BY rowid DESC", last, first)
            return max(last + 1, min([first, *(number for number, _ in skipped)]) - 1)
    return None


def _replace_contents(
    path: Path, entries: list[CacheEntry], other_tables: list[_Statement]
) -> None:
    """Replace the contents of *path* by *entries* and *other_tables*."""
    new = Database(":memory:")
    sql = f"INSERT INTO replies ({', '.join(COLUMNS)}) VALUES ({_placeholders(COLUMNS)})"  # noqa: S608
    new.execute_together([*((sql, entry.row) for entry in entries), *other_tables])
    try:
        # In place and under SQLite's locks, so that processes with the file open can go on.
        _copy_into_file(new, path)
    except sqlite3.DatabaseError:
        for suffix in ("-wal", "-shm"):
            _with_suffix(path, suffix).unlink(missing_ok=True)
        path.write_bytes(b"")
        _copy_into_file(new, path)
    finally:
        new.close()


def _copy_into_file(database: Database, path: Path) -> None:
    if has_only_log(path):
        _with_suffix(path, "-wal").unlink()
    with closing(sqlite3.connect(path, timeout=_TIMEOUT)) as target:
        database.copy_into(target)
