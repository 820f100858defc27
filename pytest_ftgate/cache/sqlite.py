"""The SQLite file of the cache: opened for many processes, created and migrated."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["COLUMNS", "MOUNTS", "Database", "NewerFormat", "chunks", "is_damage", "network_of"]

#: The columns of a reply.
COLUMNS = ("fingerprint", "run", "at", "body", "provider", "model")
#: What turns a file of each format into one of the next; a new file takes every step.
_STEPS = (
    """
    CREATE TABLE IF NOT EXISTS replies (
        fingerprint TEXT PRIMARY KEY, run TEXT NOT NULL, at REAL NOT NULL, body TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS claims (
        fingerprint TEXT PRIMARY KEY, owner TEXT NOT NULL, at REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE with_models (
        fingerprint TEXT NOT NULL UNIQUE, run TEXT NOT NULL, at REAL NOT NULL, body TEXT NOT NULL,
        provider TEXT NOT NULL DEFAULT '', model TEXT NOT NULL DEFAULT ''
    );
    INSERT INTO with_models (fingerprint, run, at, body)
        SELECT fingerprint, run, at, body FROM replies ORDER BY at;
    DROP TABLE replies;
    ALTER TABLE with_models RENAME TO replies
    """,
)
#: How often a file that others are opening is tried again, and the seconds between.
_OPENINGS, _PAUSE = 600, 0.05
#: Seconds that a statement waits for those of other processes.
_TIMEOUT = 30.0
# Under SQLite's own limit on variables in one statement.
_CHUNK = 500

_Statement = tuple[str, tuple[object, ...]]


class NewerFormat(sqlite3.DatabaseError):
    """The file is of a later format than this version knows."""


class Database:
    """One open file; its errors are SQLite's own.

    Args:
        path: the file; made where it is missing.

    Raises:
        sqlite3.Error: it cannot be opened, read or written, or is of a later version.
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
        # Unlike all else here, turning a new file to WAL fails at once where another process is
        # at it too, as the workers of one run are.
        for patience in range(_OPENINGS, -1, -1):
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=NORMAL")
                self._migrate()
            except sqlite3.OperationalError as error:
                if not patience or _code(error) != sqlite3.SQLITE_BUSY:
                    raise
                time.sleep(_PAUSE)
            else:
                return

    def _migrate(self) -> None:
        # A transaction that writes, even where nothing is to be done: a file that cannot be
        # written must be found out before a reply has been paid for.
        with suppress(sqlite3.OperationalError):
            self._db.execute("ROLLBACK")
        self._db.execute("BEGIN IMMEDIATE")
        ((found,),) = self._db.execute("PRAGMA user_version")
        if found > len(_STEPS):
            self._db.execute("ROLLBACK")
            raise NewerFormat(f"its format {found} is newer than this version reads")
        if found == len(_STEPS):
            self._db.execute("ROLLBACK")
            return
        for step in _STEPS[found:]:
            for statement in step.split(";"):
                self._db.execute(statement)
        self._db.execute(f"PRAGMA user_version = {len(_STEPS)}")
        self._db.execute("COMMIT")

    def execute(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        """Run one statement and return its rows."""
        return self._db.execute(sql, values).fetchall()

    def together(self, statements: Iterable[_Statement]) -> None:
        """Run statements of which all take effect, or none."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for sql, values in statements:
                self._db.execute(sql, values)
            self._db.execute("COMMIT")
        except sqlite3.Error:
            # Some errors have rolled it back already.
            with suppress(sqlite3.OperationalError):
                self._db.execute("ROLLBACK")
            raise

    def copy_into(self, other: sqlite3.Connection) -> None:
        """Put all that is here in the place of all that *other* holds."""
        self._db.backup(other)

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def chunks(values: Iterable[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield *values* in parts that one statement has room for, each with its question marks."""
    wanted = tuple(values)
    for start in range(0, len(wanted), _CHUNK):
        part = wanted[start : start + _CHUNK]
        yield part, ",".join("?" * len(part))


def is_damage(error: sqlite3.Error) -> bool:
    """Tell whether *error* means that the file itself is damaged."""
    if isinstance(error, NewerFormat):
        return False
    if not hasattr(error, "sqlite_errorcode"):
        # Text that is no UTF-8 is found out by Python, and has no code.
        return isinstance(error, sqlite3.OperationalError)
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


#: Where Linux tells what is mounted.
MOUNTS = Path("/proc/self/mounts")
_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\w*|9p|afs|ceph|lustre|gpfs|beegfs|glusterfs|davfs|"
    r"fuse\.(sshfs|glusterfs|ceph\S*|s3fs|rclone|gcsfuse|goofys|blobfuse2?|davfs\d?|juicefs)",
)
_ESCAPE = re.compile(r"\\([0-7]{3})")


def network_of(folder: Path, mounts: Path = MOUNTS) -> str | None:
    """Return the kind of network file system that *folder* lies on; None where it lies on none.

    Args:
        folder: an absolute path.
        mounts: the list of what is mounted; where it cannot be read nothing is known.
    """
    try:
        lines = mounts.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    # Of several mounts over one another the last is in force.
    deepest = max(_over(folder, lines), key=lambda mount: len(mount[0].parts), default=None)
    return deepest[1] if deepest and _NETWORK.fullmatch(deepest[1]) else None


def _over(folder: Path, lines: list[str]) -> Iterator[tuple[Path, str]]:
    for line in reversed(lines):
        match line.split():
            case [_, where, kind, *_]:
                point = Path(_ESCAPE.sub(lambda found: chr(int(found[1], 8)), where))
                if folder.is_relative_to(point):
                    yield point, kind
