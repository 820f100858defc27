"""Cache statistics, integrity check and pruning."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pytest_ftgate.cache.repair import faults
from pytest_ftgate.cache.sqlite import Database, is_damage
from pytest_ftgate.errors import LedgerError, Unavailable

__all__ = ["Stock", "Stored", "fault_lines", "prune", "stock"]

#: Whatever the bodies of replies take, their rows take some bytes more.
_ROW = 200


@dataclass(frozen=True, slots=True)
class Stored:
    """The replies of one model.

    Attributes:
        bytes: what their bodies take.
        oldest, newest: when they came, in seconds since the epoch.
    """

    provider: str
    model: str
    replies: int
    bytes: int
    oldest: float
    newest: float


@dataclass(frozen=True, slots=True)
class Stock:
    """All that a ledger holds.

    Attributes:
        bytes: what the file and its log take on the disk.
        claims: calls that processes say they are asking; those of killed ones stay for a while.
    """

    bytes: int
    models: tuple[Stored, ...]
    claims: int


def stock(path: Path) -> Stock:
    """Count what the ledger at *path* holds.

    Raises:
        Unavailable: there is none.
        LedgerError: it cannot be read.
    """
    with _opened(path) as database:
        ((claims,),) = database.execute("SELECT count(*) FROM claims")
        rows = database.execute(
            "SELECT provider, model, count(*), sum(length(body)), min(at), max(at) "
            "FROM replies GROUP BY provider, model ORDER BY count(*) DESC, provider, model"
        )
    models = tuple(Stored(*row) for row in rows)  # type: ignore[arg-type]
    return Stock(_size(path), models, int(str(claims)))


def prune(path: Path, *, before: float | None, most: int | None) -> tuple[int, int]:
    """Forget replies, the oldest first; return how many, and what the file takes afterwards.

    Args:
        path: the ledger.
        before: forget those that came before this, in seconds since the epoch.
        most: forget more until the file takes at most so many bytes.

    Raises:
        Unavailable: there is none.
        LedgerError: it cannot be written, or others are at it.
    """
    with _opened(path) as database:
        ((had,),) = database.execute("SELECT count(*) FROM replies")
        if before is not None:
            database.execute("DELETE FROM replies WHERE at < ?", (before,))
        _shrink(database)
        if most is not None:
            _cut(database, path, most)
        ((has,),) = database.execute("SELECT count(*) FROM replies")
    return int(str(had)) - int(str(has)), _size(path)


def _cut(database: Database, path: Path, most: int) -> None:
    newest = (
        "SELECT rowid FROM (SELECT rowid, sum(length(body) + ?) OVER "
        "(ORDER BY at DESC, rowid DESC) AS taken FROM replies) WHERE taken > ?"
    )
    while _size(path) > most and database.execute("SELECT 1 FROM replies LIMIT 1"):
        # What pages and indices take beside the rows is not known before.
        ((total,),) = database.execute("SELECT sum(length(body) + ?) FROM replies", (_ROW,))
        room = float(str(total)) * min(most / _size(path), 0.98)
        database.execute(f"DELETE FROM replies WHERE rowid IN ({newest})", (_ROW, room))  # noqa: S608
        _shrink(database)


def _shrink(database: Database) -> None:
    database.execute("VACUUM")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def fault_lines(path: Path) -> list[str]:
    """Return what is wrong with the ledger at *path*.

    Raises:
        Unavailable: there is none.
    """
    _need(path)
    return faults(path)


@contextmanager
def _opened(path: Path) -> Iterator[Database]:
    _need(path)
    try:
        database = Database(path)
        try:
            yield database
        finally:
            database.close()
    except sqlite3.Error as error:
        remedy = "see pytest-ftgate ledger check" if is_damage(error) else "try again later"
        raise LedgerError(f"the ledger {path} cannot be used: {error}; {remedy}") from error


def _need(path: Path) -> None:
    if not path.is_file():
        told = f"there is no ledger {path}; pytest --ftgate writes it, or name one with --ledger"
        raise Unavailable(told)


def _size(path: Path) -> int:
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.is_file())
