"""Repair of a damaged cache file: readable replies are saved, the file is put aside."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from pytest_ftgate.cache.entry import Entry
from pytest_ftgate.cache.sqlite import COLUMNS, Database

__all__ = ["faults", "lost_its_file", "rescue"]

#: Beyond damage the next row is looked for in steps that double so many times.
_FARTHEST = 40
#: Seconds that a process waits for another that is at the same rescue.
_TIMEOUT = 120.0
_SUFFIXES = ("", "-wal")
_Statement = tuple[str, tuple[object, ...]]
#: Bytes of a page and of its beginning that no damage should have touched, and the last byte of
#: the number that says whether the size in the first page is to be trusted.
_PAGE, _HEAD, _VALID_FOR = 4096, 16, 95


def rescue(path: Path) -> str:
    """Put a sound ledger in the place of a damaged one, with all that can be read of it.

    Returns:
        What was done, in one sentence; "" where another process has done it.

    Raises:
        sqlite3.Error, OSError: the file cannot be written or put aside.
    """
    with _alone(path):
        found = faults(path)
        if not found:
            return ""
        aside = _put_aside(path)
        saved, more = _readable(path)
        _fill(path, saved, more)
    return (
        f"the ledger {path} was damaged ({found[0]}): {len(saved):,} replies could be read and "
        f"are kept, what else it held will be asked again; the old file is {aside}"
    )


def lost_its_file(path: Path) -> bool:
    """Tell whether the log of a ledger is here without it; SQLite would throw it away."""
    log = path.with_name(f"{path.name}-wal")
    return _size(log) > 0 and not _size(path)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def faults(path: Path) -> list[str]:
    """Return what is wrong with the ledger at *path*: with the file, else with its rows."""
    if lost_its_file(path):
        return ["only its write-ahead log is there"]
    try:
        with closing(_look_at(path)) as db:
            told = "\n".join(str(line) for (line,) in db.execute("PRAGMA quick_check"))
            lines = [line for line in told.splitlines() if not line.startswith("***")]
            return [*_broken_rows(db)] if lines == ["ok"] else lines
    except sqlite3.Error as error:
        return [str(error)]


def _look_at(path: Path) -> sqlite3.Connection:
    """Open *path* as it is: what does not exist is not made."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=_TIMEOUT)


def _broken_rows(db: sqlite3.Connection) -> Iterator[str]:
    # Bytes that are no text would end the reading, and make no reply anyway.
    db.text_factory = _text
    for row in db.execute(f"SELECT {_columns(db)} FROM replies"):  # noqa: S608
        try:
            Entry.of(row)
        except ValueError as error:
            yield f"reply {str(row[0])[:12]}: {error}"


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _columns(db: sqlite3.Connection) -> str:
    """Return the columns to read; those that an older file lacks are empty."""
    there = {row[1] for row in db.execute("PRAGMA table_info(replies)")}
    return ", ".join(one if one in there else f"'' AS {one}" for one in COLUMNS)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes that find the same damage waiting; one that dies lets them go on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f"{path.name}.lock")
    with closing(sqlite3.connect(lock, timeout=_TIMEOUT, isolation_level=None)) as held:
        held.execute("BEGIN EXCLUSIVE")
        # The file stays, empty: to remove it would break it for those who wait.
        yield


def _put_aside(path: Path) -> Path:
    """Copy the file and its log, under the first name that is free."""
    names = (path.with_name(f"{path.name}.damaged-{number}") for number in count(1))
    aside = next(name for name in names if not any(_beside(name, s).exists() for s in _SUFFIXES))
    return _copied(path, aside)


def _copied(path: Path, to: Path) -> Path:
    """Copy a file and its log; return the copy, or that of the log where there is no more."""
    # The log first: it may vanish meanwhile, once another process has moved it into the file.
    for suffix in reversed(_SUFFIXES):
        with suppress(FileNotFoundError):
            shutil.copy2(_beside(path, suffix), _beside(to, suffix))
    return to if to.exists() else _beside(to, _SUFFIXES[-1])


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}{suffix}")


def _readable(path: Path) -> tuple[list[Entry], list[_Statement]]:
    """Return the replies of a damaged file that can be read, and what brings back all else."""
    found: dict[str, Entry] = {}
    more: list[_Statement] = []
    with TemporaryDirectory(prefix="ftgate-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / "copy"
        _copied(path, copy)
        _make_readable(copy)
        with suppress(sqlite3.Error), closing(_look_at(copy)) as db:
            db.text_factory = _text
            found |= {entry.fingerprint: entry for entry in _around_damage(db)}
            more += _all_else(db)
    return [*found.values()], more


def _all_else(db: sqlite3.Connection) -> Iterator[_Statement]:
    """Yield what brings back the other tables, such as of claims, and of batches on their way."""
    named = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name <> 'replies'"
    for name, sql in db.execute(named).fetchall():
        yield str(sql).replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1), ()
        with suppress(sqlite3.Error):
            for row in db.execute(f'SELECT * FROM "{name}"'):  # noqa: S608
                yield f'INSERT OR IGNORE INTO "{name}" VALUES ({_marks(row)})', row  # noqa: S608


def _marks(row: Sequence[object]) -> str:
    return ", ".join("?" * len(row))


def _make_readable(path: Path) -> None:
    """Mend the first page of a copy, without which SQLite would read none of the others."""
    log, spare = _beside(path, "-wal"), _beside(path, "-spare")
    if lost_its_file(path):
        log.replace(spare)
        Database(path).close()
        spare.replace(log)
        return
    with TemporaryDirectory(prefix="ftgate-", ignore_cleanup_errors=True) as folder:
        Database(Path(folder) / "new").close()
        sound = (Path(folder) / "new").read_bytes()[:_PAGE]
    with path.open("r+b") as file:
        first = file.read(_PAGE)
        # Every ledger begins with the same page, but for its size and counters.
        page = bytearray(first if first.startswith(sound[:_HEAD]) else sound)
        # Unlike the counter of changes, so that the size is read from the file, which may be cut.
        page[_VALID_FOR] ^= 1
        file.seek(0)
        file.write(page)


def _around_damage(db: sqlite3.Connection) -> Iterator[Entry]:
    """Yield all rows that can be read: up to each damage, and from the next one that can again."""
    last: int | None = 0
    while last is not None:
        for number, row in _scan(db, "rowid > ? ORDER BY rowid", last):
            last = number
            with suppress(ValueError):
                yield Entry.of(row)
        last = _beyond(db, last)


def _scan(
    db: sqlite3.Connection, where: str, *values: int
) -> Iterator[tuple[int, tuple[object, ...]]]:
    with suppress(sqlite3.Error):
        for number, *row in db.execute(
            f"SELECT rowid, {_columns(db)} FROM replies WHERE {where}",  # noqa: S608
            values,
        ):
            yield number, tuple(row)


def _beyond(db: sqlite3.Connection, last: int) -> int | None:
    """Return the number before the first row after *last* that can be read; None without one."""
    for step in (2**power for power in range(_FARTHEST)):
        found = [n for n, _ in _scan(db, "rowid > ? ORDER BY rowid LIMIT 1", last + step)]
        if found:
            # Back from there as far as it goes: the steps were wide.
            between = _scan(db, "rowid > ? AND rowid < ? ORDER BY rowid DESC", last, found[0])
            return max(last + 1, min([found[0], *(number for number, _ in between)]) - 1)
    return None


def _fill(path: Path, saved: list[Entry], more: list[_Statement]) -> None:
    """Put *saved*, and what *more* brings back, in the place of all that *path* holds."""
    fresh = Database(":memory:")
    sql = f"INSERT INTO replies ({', '.join(COLUMNS)}) VALUES ({_marks(COLUMNS)})"  # noqa: S608
    fresh.together([*((sql, entry.row) for entry in saved), *more])
    try:
        # Within the file, and under its locks, so that others who have it open go on with it.
        _copy(fresh, path)
    except sqlite3.DatabaseError:
        for suffix in ("-wal", "-shm"):
            _beside(path, suffix).unlink(missing_ok=True)
        path.write_bytes(b"")
        _copy(fresh, path)
    finally:
        fresh.close()


def _copy(fresh: Database, path: Path) -> None:
    if lost_its_file(path):
        _beside(path, "-wal").unlink()
    with closing(sqlite3.connect(path, timeout=_TIMEOUT)) as db:
        fresh.copy_into(db)
