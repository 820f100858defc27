"""The reply cache: a reply is stored by its fingerprint before it is used."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pytest_ftgate.cache.claims import Leases
from pytest_ftgate.cache.entry import Entry, model_of
from pytest_ftgate.cache.export import write_replies
from pytest_ftgate.cache.repair import lost_its_file, rescue
from pytest_ftgate.cache.sqlite import COLUMNS, Database, chunks, is_damage, network_of
from pytest_ftgate.errors import LedgerError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Call

__all__ = ["Ledger", "Place"]

#: What a file is called that may be put aside where it is no database: no slip of the pen.
_OURS = (".sqlite", ".sqlite3", ".db")


class Place:
    """The file of a ledger, as it is found.

    Args:
        path: the file; its folder is made where it is missing.
        recorded: nothing will be kept, so a copy will do where the file cannot be written.
        say: called with a sentence that the user should read.
    """

    def __init__(self, path: Path, *, recorded: bool, say: Callable[[str], None]) -> None:
        self._path, self._recorded, self._say = path, recorded, say
        self._aside: Path | None = None
        self._copy: tempfile.TemporaryDirectory[str] | None = None

    def open(self) -> Database:
        """Open the file, or what can be saved of it.

        Raises:
            OSError, sqlite3.Error: it cannot be opened.
        """
        try:
            return self._opened()
        except (OSError, sqlite3.Error) as error:
            if isinstance(error, sqlite3.Error) and is_damage(error):
                return self._saved(error)
            if not self._recorded:
                raise
        self._path = self._copied()
        return self.open()

    def _opened(self) -> Database:
        # Replies stay out of version control, but only a folder of our own may say so.
        if not self._path.parent.exists():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            (self._path.parent / ".gitignore").write_text("*\n")
        kind = network_of(self._path.parent.resolve())
        if kind:
            self._say(
                f"the ledger {self._path} lies on {kind}: SQLite's WAL does not work over a "
                "network; name a file on a local disk with ftgate_ledger"
            )
        return self.mended() if lost_its_file(self._path) else Database(self._path)

    def _saved(self, error: sqlite3.Error) -> Database:
        if self._path.suffix not in _OURS:
            # Such as a suite that was named by mistake.
            raise error
        return self.mended()

    def mended(self) -> Database:
        """Open the file after what can be read of it was saved.

        Raises:
            OSError, sqlite3.Error: nothing could be done.
        """
        told = rescue(self._path)
        if told:
            self._say(told)
        return Database(self._path)

    def _copied(self) -> Path:
        """Return a copy of the file that can be opened: even to be read, SQLite wants to write."""
        self._recorded = False
        self._copy = tempfile.TemporaryDirectory(prefix="ftgate-", ignore_cleanup_errors=True)
        copy = Path(self._copy.name) / "ledger.sqlite"
        for suffix in ("", "-wal"):
            original = self._path.with_name(f"{self._path.name}{suffix}")
            if original.is_file():
                shutil.copyfile(original, f"{copy}{suffix}")
        return copy

    def set_aside(self, entries: Sequence[Entry], run: str, why: BaseException) -> str:
        """Write replies that cannot be kept to another disk; return the sentence that says so."""
        count = f"{len(entries):,} {'reply' if len(entries) == 1 else 'replies'}"
        told = f"the ledger {self._path} cannot be written: {why}; nothing more is asked"
        try:
            # A folder of its own, which nobody else can read.
            self._aside = self._aside or Path(tempfile.mkdtemp(prefix="ftgate-"))
            path = self._aside / "unkept.replies.jsonl"
            write_replies(path, f"run {run}", entries)
        except OSError as error:
            return f"{told}; {count} could not be kept anywhere: {error}"
        remedy = f"pytest-ftgate ledger import {path}"
        return f"{told}; {count} came all the same; once it can be written again: {remedy}"

    def close(self) -> None:
        """Remove the copy, where there is one."""
        if self._copy is not None:
            self._copy.cleanup()


_T = TypeVar("_T")
_MARKS = ", ".join("?" * len(COLUMNS))
_INSERT = f"INTO replies ({', '.join(COLUMNS)}) VALUES ({_MARKS})"


class Ledger:
    """One file of replies.

    Args:
        path: the file; its folder is made where it is missing.
        run: the name of this run, shared by all of its processes.
        clock: seconds since the epoch.
        recorded: nothing will be kept, so a file that cannot be written will do.
        beside: replies that are not in the file, and are used where it has none.
        say: called with a sentence that the user should read.

    Raises:
        LedgerError: the file cannot be opened, or is no ledger.
    """

    def __init__(
        self,
        path: Path,
        *,
        run: str,
        clock: Callable[[], float],
        recorded: bool = False,
        beside: Mapping[str, Entry] | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.path, self.run, self._clock, self._say = path, run, clock, say
        self._beside = beside or {}
        self._lock = threading.RLock()
        self._unkept: list[Entry] = []
        self._full: LedgerError | None = None
        try:
            self._place = Place(path, recorded=recorded, say=say)
            self._database = self._place.open()
        except (OSError, sqlite3.Error) as error:
            raise self._broken(error) from error
        self._leases = Leases(self._execute, clock)

    def _broken(self, error: Exception) -> LedgerError:
        remedy = "move it away, or name another file with --ftgate-ledger"
        return LedgerError(f"the ledger {self.path} cannot be used: {error}; {remedy}")

    def _do(self, work: Callable[[Database], _T]) -> _T:
        """Do *work* on the file; where that shows damage, once more on what could be saved."""
        with self._lock:
            try:
                try:
                    return work(self._database)
                # A row that holds no reply is damage too.
                except (sqlite3.Error, ValueError) as error:
                    if isinstance(error, sqlite3.Error) and not is_damage(error):
                        raise
                self._database.close()
                self._database = self._place.mended()
                return work(self._database)
            except (OSError, sqlite3.Error, ValueError) as error:
                raise self._broken(error) from error

    def _execute(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        return self._do(lambda database: database.execute(sql, values))

    def replies(self, fingerprints: Iterable[str], *, this_run: bool = False) -> dict[str, Reply]:
        """Return the replies that are here, by fingerprint.

        Args:
            fingerprints: the calls asked for.
            this_run: only replies that came in this run.
        """
        wanted = list(fingerprints)
        runs = (self.run,) if this_run else ()

        def read(database: Database) -> dict[str, Reply]:
            rows = _rows(database, "fingerprint, body", wanted, runs)
            return {str(name): Reply.from_json(str(body)) for name, body in rows}

        found = self._do(read)
        lent = () if this_run else self._lent(wanted, found)
        return found | {entry.fingerprint: entry.reply for entry in lent}

    def entries(self, fingerprints: Iterable[str]) -> list[Entry]:
        """Return the replies that are here with all that is kept of them, in no order."""
        wanted = list(fingerprints)
        columns = ", ".join(COLUMNS)
        found = self._do(lambda db: [Entry.of(row) for row in _rows(db, columns, wanted)])
        return [*found, *self._lent(wanted, {entry.fingerprint for entry in found})]

    def made(self, fingerprints: Iterable[str]) -> list[tuple[float, str]]:
        """Return when each reply that is here came, and in which run; the oldest first."""
        wanted = list(fingerprints)
        found = self._do(lambda db: [*_rows(db, "fingerprint, at, run", wanted)])
        own = [(float(str(at)), str(run)) for _, at, run in found]
        lent = self._lent(wanted, {str(row[0]) for row in found})
        return sorted([*own, *((entry.at, entry.run) for entry in lent)])

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
        rows = self._do(lambda database: [*database.execute(sql, (model, most))])
        return [Reply.from_json(str(body)) for (body,) in rows]

    def _lent(self, wanted: Iterable[str], found: Container[str]) -> Iterator[Entry]:
        """Yield what the file lacks and what lies beside it has."""
        return (self._beside[one] for one in wanted if one in self._beside and one not in found)

    def keep(self, call: Call, reply: Reply) -> None:
        """Commit a reply; when this returns it survives the death of the process.

        Raises:
            LedgerError: it cannot be written; the message says where the reply is instead.
        """
        entry = Entry(
            fingerprint=call.fingerprint,
            run=self.run,
            at=self._clock(),
            provider=call.provider,
            model=model_of(call),
            reply=reply,
        )
        release = "DELETE FROM claims WHERE fingerprint = ? AND owner = ?"
        statements = (
            (f"INSERT OR REPLACE {_INSERT}", entry.row),
            (release, (call.fingerprint, self._leases.owner)),
        )
        try:
            self._do(lambda database: database.together(statements))
        except LedgerError as error:
            self._unkept.append(entry)
            # From now on nothing can be claimed, so nothing more is asked and paid for.
            self._full = LedgerError(
                self._place.set_aside(self._unkept, self.run, error.__cause__ or error)
            )
            raise self._full from error

    def add(self, entries: Sequence[Entry]) -> int:
        """Keep replies from elsewhere, where there are none; return how many were new."""
        before = self.replies(entry.fingerprint for entry in entries)
        statements = [(f"INSERT OR IGNORE {_INSERT}", entry.row) for entry in entries]
        self._do(lambda database: database.together(statements))
        return len({entry.fingerprint for entry in entries} - before.keys())

    def claim(self, fingerprint: str) -> bool:
        """Say that this process asks a call; False where another living one already does.

        Raises:
            LedgerError: a reply could not be kept, so that none should be asked.
        """
        if self._full is not None:
            raise self._full
        return self._leases.claim(fingerprint)

    def free(self, fingerprints: Sequence[str]) -> list[str]:
        """Return those of *fingerprints* that no other living process is asking."""
        return self._leases.free(fingerprints)

    def release(self, fingerprint: str) -> None:
        """Give a claim up."""
        self._leases.release(fingerprint)

    def close(self) -> None:
        """Close the file."""
        self._leases.close()
        with self._lock:
            self._database.close()
            self._place.close()


def _rows(
    database: Database, columns: str, wanted: Sequence[str], runs: Sequence[str] = ()
) -> Iterator[tuple[object, ...]]:
    """Yield what is kept of the replies *wanted*; where a run is named, of those of it alone."""
    for part, marks in chunks(wanted):
        sql = f"SELECT {columns} FROM replies WHERE fingerprint IN ({marks})"  # noqa: S608
        yield from database.execute(sql + " AND run = ?" * len(runs), (*part, *runs))
