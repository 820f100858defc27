"""Replies on disk, by fingerprint: nothing paid for is asked again or lost.

SQLite in WAL mode: each reply is committed before anything uses it, a kill at any moment leaves
the file whole, and two processes may share it. A claim says that a living process is asking.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.errors import LedgerError

__all__ = ["Ledger"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
    fingerprint TEXT PRIMARY KEY, run TEXT NOT NULL, at REAL NOT NULL, body TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS claims (
    fingerprint TEXT PRIMARY KEY, owner TEXT NOT NULL, at REAL NOT NULL
) WITHOUT ROWID;
"""
#: Seconds after which a claim is nobody's: longer than any call with all its retries takes.
_ABANDONED = 7200.0
# Under SQLite's own limit on variables in one statement.
_CHUNK = 500
#: How often a file that others are opening is tried again, and the seconds between.
_OPENINGS, _PAUSE = 600, 0.05


class Ledger:
    """One file of replies.

    Args:
        path: the file; its folder is made where it is missing.
        run: the name of this run, shared by all of its processes.
        clock: seconds since the epoch.

    Raises:
        LedgerError: the file cannot be opened, or is no ledger.
    """

    def __init__(self, path: Path, *, run: str, clock: Callable[[], float]) -> None:
        self.path, self.run, self._clock = path, run, clock
        self._owner = f"{socket.gethostname()} {os.getpid()}"
        self._lock = threading.Lock()
        try:
            # Replies stay out of version control, but only a folder of our own may say so.
            if not path.parent.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                (path.parent / ".gitignore").write_text("*\n")
            self._db = sqlite3.connect(path, timeout=30, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise self._broken(error) from error
        self._db.isolation_level = None
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._db.close()
            raise self._broken(error) from error

    def _prepare(self) -> None:
        # Unlike all else here, turning a new file to WAL fails at once where another process is
        # at it too, as the workers of one run are.
        for patience in range(_OPENINGS, -1, -1):
            try:
                self._db.executescript(f"PRAGMA journal_mode=WAL; {_SCHEMA}")
                self._db.execute("PRAGMA synchronous=NORMAL")
            except sqlite3.OperationalError as error:
                if not patience or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                time.sleep(_PAUSE)
            else:
                return

    def _broken(self, error: Exception) -> LedgerError:
        remedy = "move it away, or name another file with --ftgate-ledger"
        return LedgerError(f"the ledger {self.path} cannot be used: {error}; {remedy}")

    def _execute(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[str, ...]]:
        with self._lock:
            try:
                return self._db.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise self._broken(error) from error

    def replies(self, fingerprints: Iterable[str], *, this_run: bool = False) -> dict[str, Reply]:
        """Return the replies that are here, by fingerprint.

        Args:
            fingerprints: the calls asked for.
            this_run: only replies that came in this run.
        """
        wanted, found = list(fingerprints), dict[str, Reply]()
        for start in range(0, len(wanted), _CHUNK):
            part = wanted[start : start + _CHUNK]
            marks = ",".join("?" * len(part))
            sql = f"SELECT fingerprint, body FROM replies WHERE fingerprint IN ({marks})"  # noqa: S608
            sql += " AND run = ?" if this_run else ""
            rows = self._execute(sql, (*part, self.run) if this_run else tuple(part))
            found.update((fingerprint, self._read(body)) for fingerprint, body in rows)
        return found

    def made(self, fingerprints: Iterable[str]) -> list[tuple[float, str]]:
        """Return when each reply that is here came, and in which run; the oldest first."""
        wanted, found = list(fingerprints), list[tuple[float, str]]()
        for start in range(0, len(wanted), _CHUNK):
            part = wanted[start : start + _CHUNK]
            marks = ",".join("?" * len(part))
            sql = f"SELECT at, run FROM replies WHERE fingerprint IN ({marks})"  # noqa: S608
            found += [(float(at), run) for at, run in self._execute(sql, tuple(part))]
        return sorted(found)

    def of_model(self, model: str, most: int = 200) -> list[Reply]:
        """Return the latest replies of a model by the name that its server gives it.

        Args:
            model: the name; a dated one, such as ``…-20251001``, counts for the undated.
            most: how many at most.
        """
        sql = (
            "SELECT body FROM replies WHERE json_extract(body, '$.model') = ?1 "
            "OR json_extract(body, '$.model') GLOB ?1 || '-20[0-9][0-9]*' ORDER BY at DESC LIMIT ?2"
        )
        return [self._read(body) for (body,) in self._execute(sql, (model, most))]

    def _read(self, body: str) -> Reply:
        try:
            return Reply.from_json(body)
        except (AttributeError, TypeError, ValueError) as error:
            raise self._broken(error) from error

    def keep(self, fingerprint: str, reply: Reply) -> None:
        """Commit a reply; when this returns it survives the death of the process."""
        sql = "INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?)"
        self._execute(sql, (fingerprint, self.run, self._clock(), reply.to_json()))
        self.release(fingerprint)

    def claim(self, fingerprint: str) -> bool:
        """Say that this process asks a call; False where another living one already does."""
        now = self._clock()
        sql = "INSERT OR IGNORE INTO claims VALUES (?, ?, ?) RETURNING 1"
        if self._execute(sql, (fingerprint, self._owner, now)):
            return True
        rows = self._execute("SELECT owner, at FROM claims WHERE fingerprint = ?", (fingerprint,))
        if not rows:
            return self.claim(fingerprint)
        owner, at = rows[0]
        if owner == self._owner or not (_dead(owner) or now - float(at) > _ABANDONED):
            return owner == self._owner
        sql = "UPDATE claims SET owner = ?, at = ? WHERE fingerprint = ? AND owner = ? RETURNING 1"
        return bool(self._execute(sql, (self._owner, now, fingerprint, owner)))

    def release(self, fingerprint: str) -> None:
        """Give a claim up."""
        sql = "DELETE FROM claims WHERE fingerprint = ? AND owner = ?"
        self._execute(sql, (fingerprint, self._owner))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def _dead(owner: str) -> bool:
    """Tell whether the process that made a claim is gone; one on another host is taken to live."""
    host, _, pid = owner.rpartition(" ")
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
