"""The reply cache: a reply is stored by its fingerprint before it is used."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pytest_ftgate.cache.claims import RELEASE_CLAIM, Claims
from pytest_ftgate.cache.sqlite import (
    INSERT_REPLY,
    REPLY_COLUMNS,
    BatchStore,
    CacheEntry,
    Database,
    NewerFormat,
    answering_model,
    chunks,
    has_only_log,
    is_damage,
    network_filesystem,
)
from pytest_ftgate.errors import CacheError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request

#: A damaged file is replaced only if its name ends like that of a database. Any other file was
#: probably named by mistake.
_SUFFIXES = (".sqlite", ".sqlite3", ".db")


_T = TypeVar("_T")


class CacheFile:
    """The open file of a cache, for one operation at a time; damage is repaired when it is found.

    Its folder is created if missing. If *recorded*, the run stores nothing, and a copy replaces a
    file that is not writable. *warn* is called with messages for the user, one sentence each.

    Raises:
        CacheError: the file cannot be opened, read or written.
    """

    def __init__(self, path: Path, *, recorded: bool, warn: Callable[[str], None]) -> None:
        #: The file in messages, and the one that is open.
        self._named = self._path = path
        self._recorded, self._warn, self._lock = recorded, warn, threading.RLock()
        self._fallback_folder: Path | None = None
        self._copy_folder: tempfile.TemporaryDirectory[str] | None = None
        try:
            self._database = self._open()
        except (OSError, sqlite3.Error) as error:
            raise self._error(error) from error

    def _error(self, error: Exception) -> CacheError:
        remedy = "move it away, or name another file with --ftgate-cache"
        return CacheError(f"the cache {self._named} cannot be used: {error}; {remedy}")

    def _open(self) -> Database:
        """Open the file; repair it first if it is damaged."""
        try:
            return self._open_database()
        except sqlite3.Error as error:
            if is_damage(error) and self._path.suffix in _SUFFIXES:
                return self._open_repaired()
            if isinstance(error, NewerFormat) or is_damage(error) or not self._recorded:
                raise
        except OSError:
            if not self._recorded:
                raise
        self._path = self._copy_to_temporary_folder()
        return self._open()

    def _open_database(self) -> Database:
        # Replies stay out of version control, but an existing folder is the user's to configure.
        if not self._path.parent.exists():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            (self._path.parent / ".gitignore").write_text("*\n")
        filesystem = network_filesystem(self._path.parent.resolve())
        if filesystem:
            self._warn(
                f"the cache {self._path} lies on {filesystem}: SQLite's WAL does not work over a "
                "network; name a file on a local disk with ftgate_cache"
            )
        if has_only_log(self._path):
            return self._open_repaired()
        return Database(self._path)

    def _open_repaired(self) -> Database:
        from pytest_ftgate.cache.maintenance import repair

        message = repair(self._path)
        if message:
            self._warn(message)
        return Database(self._path)

    def _copy_to_temporary_folder(self) -> Path:
        """Return a copy that can be opened: SQLite needs to write even for reading."""
        self._recorded = False
        self._copy_folder = tempfile.TemporaryDirectory(
            prefix="ftgate-", ignore_cleanup_errors=True
        )
        copy = Path(self._copy_folder.name) / "cache.sqlite"
        for suffix in ("", "-wal"):
            original = self._path.with_name(f"{self._path.name}{suffix}")
            if original.is_file():
                shutil.copyfile(original, f"{copy}{suffix}")
        return copy

    def run(self, operation: Callable[[Database], _T]) -> _T:
        """Run *operation*; if it finds damage, repair the file and run it once more."""
        with self._lock:
            try:
                try:
                    return operation(self._database)
                # A row without a valid reply is damage too.
                except (sqlite3.Error, ValueError) as error:
                    if isinstance(error, sqlite3.Error) and not is_damage(error):
                        raise
                self._database.close()
                self._database = self._open_repaired()
                return operation(self._database)
            except (OSError, sqlite3.Error, ValueError) as error:
                raise self._error(error) from error

    def execute(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        return self.run(lambda database: database.execute(sql, values))

    def save_elsewhere(self, entries: Sequence[CacheEntry], run: str, reason: BaseException) -> str:
        """Write replies that the cache cannot store to a temporary folder; return a message."""
        from pytest_ftgate.cache.export import write_replies

        count = f"{len(entries):,} {'reply' if len(entries) == 1 else 'replies'}"
        message = (
            f"the cache {self._path} cannot be written: {reason}; the run sends no more requests"
        )
        try:
            # mkdtemp: other users of the machine cannot read this folder.
            self._fallback_folder = self._fallback_folder or Path(
                tempfile.mkdtemp(prefix="ftgate-")
            )
            path = self._fallback_folder / "unstored.replies.jsonl"
            write_replies(path, f"run {run}", entries)
        except OSError as error:
            return f"{message}; {count} could not be stored anywhere: {error}"
        remedy = f"pytest-ftgate cache import {path}"
        return f"{message}; {count} came all the same; once it can be written again: {remedy}"

    def close(self) -> None:
        """Close the file, and remove the temporary copy, if there is one."""
        with self._lock:
            self._database.close()
            if self._copy_folder is not None:
                self._copy_folder.cleanup()


class Cache:
    """The cached replies of one file, shared by processes.

    *batches* are the batches that were sent and have not been read.

    Args:
        path: the file; its folder is created if missing.
        run: the name of this run, shared by all of its processes.
        clock: returns seconds since the epoch.
        recorded: True if the run stores nothing; then the file need not be writable.
        committed_replies: replies from elsewhere, used if the file does not have them.
        warn: called with messages for the user, one sentence each.

    Raises:
        CacheError: the file cannot be opened or is not a cache.
    """

    def __init__(
        self,
        path: Path,
        *,
        run: str,
        clock: Callable[[], float],
        recorded: bool = False,
        committed_replies: Mapping[str, CacheEntry] | None = None,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.path, self.run, self._clock = path, run, clock
        self._committed_replies = committed_replies or {}
        self._unstored: list[CacheEntry] = []
        self._write_error: CacheError | None = None
        self._file = CacheFile(path, recorded=recorded, warn=warn)
        self._claims = Claims(self._file, clock)
        self.batches = BatchStore(self._file)

    def replies(self, fingerprints: Iterable[str], *, this_run: bool = False) -> dict[str, Reply]:
        """Return the cached replies, by fingerprint; with *this_run*, only those of this run."""
        wanted = list(fingerprints)
        runs = (self.run,) if this_run else ()

        def read(database: Database) -> dict[str, Reply]:
            rows = _select_replies(database, "fingerprint, body", wanted, runs)
            return {fingerprint: Reply.from_json(body) for fingerprint, body in rows}

        replies = self._file.run(read)
        committed = () if this_run else self._committed_entries(wanted, replies)
        return replies | {entry.fingerprint: entry.reply for entry in committed}

    def entries(self, fingerprints: Iterable[str]) -> list[CacheEntry]:
        """Return the cached replies with their metadata, in no particular order."""
        wanted = list(fingerprints)
        columns = ", ".join(REPLY_COLUMNS)
        entries = self._file.run(
            lambda database: [
                CacheEntry.from_row(row) for row in _select_replies(database, columns, wanted)
            ]
        )
        stored = {entry.fingerprint for entry in entries}
        return [*entries, *self._committed_entries(wanted, stored)]

    def origins(self, fingerprints: Iterable[str]) -> list[tuple[float, str]]:
        """Return the time and the run of each cached reply, the oldest first."""
        wanted = list(fingerprints)
        rows = self._file.run(
            lambda database: [*_select_replies(database, "fingerprint, at, run", wanted)]
        )
        committed = self._committed_entries(wanted, {name for name, _, _ in rows})
        origins = [(entry.at, entry.run) for entry in committed]
        return sorted([*origins, *((at, run) for _, at, run in rows)])

    def latest_of_model(self, model: str, limit: int = 200) -> list[Reply]:
        """Return the latest replies of a model, by the name that the server reports.

        *model* matches dated names such as ``…-20251001`` as well.
        """
        sql = (
            "SELECT body FROM replies WHERE json_extract(body, '$.model') = ? "
            "OR json_extract(body, '$.model') GLOB ? || '-20[0-9][0-9]*' ORDER BY at DESC LIMIT ?"
        )
        return [Reply.from_json(body) for (body,) in self._file.execute(sql, (model, model, limit))]

    def _committed_entries(
        self, wanted: Iterable[str], stored: Container[str]
    ) -> Iterator[CacheEntry]:
        """Yield the committed replies that the file does not have."""
        committed = self._committed_replies
        return (
            committed[fingerprint]
            for fingerprint in wanted
            if fingerprint in committed and fingerprint not in stored
        )

    def store(self, request: Request, reply: Reply) -> None:
        """Commit a reply to the disk, and release the claim of its request.

        Raises:
            CacheError: the reply cannot be written; the message names the file that has it.
        """
        self.store_all([(request, reply)])

    def store_all(self, exchanges: Sequence[tuple[Request, Reply]]) -> None:
        """Commit replies to the disk in one transaction, as `store` does with one.

        Raises:
            CacheError: they cannot be written; the message names the file that has them.
        """
        entries = [
            CacheEntry(
                fingerprint=request.fingerprint,
                run=self.run,
                at=self._clock(),
                provider=request.provider,
                model=answering_model(request),
                reply=reply,
            )
            for request, reply in exchanges
        ]
        owner = self._claims.owner
        statements: list[tuple[str, tuple[object, ...]]] = []
        for entry in entries:
            statements.append((f"INSERT OR REPLACE {INSERT_REPLY}", entry.row))
            statements.append((RELEASE_CLAIM, (entry.fingerprint, owner)))
        try:
            self._file.run(lambda database: database.execute_together(statements))
        except CacheError as error:
            self._unstored += entries
            # From now on every claim fails, so that no further request is sent and paid for.
            self._write_error = CacheError(
                self._file.save_elsewhere(self._unstored, self.run, error.__cause__ or error)
            )
            raise self._write_error from error

    def add(self, entries: Sequence[CacheEntry]) -> int:
        """Add replies from elsewhere that the cache does not have; return how many were new."""
        before = self.replies(entry.fingerprint for entry in entries)
        statements = [(f"INSERT OR IGNORE {INSERT_REPLY}", entry.row) for entry in entries]
        self._file.run(lambda database: database.execute_together(statements))
        return len({entry.fingerprint for entry in entries} - before.keys())

    def claim(self, fingerprint: str) -> bool:
        """Claim a request for this process; return False if another live process has claimed it.

        Raises:
            CacheError: an earlier reply could not be stored.
        """
        return bool(self.claim_all([fingerprint]))

    def claim_all(self, fingerprints: Sequence[str]) -> set[str]:
        """Claim requests; return those that no other live process has claimed.

        Raises:
            CacheError: an earlier reply could not be stored.
        """
        if self._write_error is not None:
            raise self._write_error
        return self._claims.claim_all(fingerprints)

    def claim_free(self, fingerprints: Sequence[str]) -> list[str]:
        """Claim *fingerprints*; return those that no other live process has claimed.

        Raises:
            CacheError: an earlier reply could not be stored.
        """
        # One read for all of them before a write.
        free = self._claims.claimable(fingerprints)
        claimed = self.claim_all(free) if free else set[str]()
        return [name for name in free if name in claimed]

    def release(self, fingerprint: str) -> None:
        """Release a claim."""
        self._claims.release(fingerprint)

    def close(self) -> None:
        """Close the file."""
        self._claims.close()
        self._file.close()


def _select_replies(
    database: Database, columns: str, wanted: Sequence[str], runs: Sequence[str] = ()
) -> Iterator[tuple[Any, ...]]:
    """Yield *columns* of the *wanted* replies; if *runs* names a run, only of its replies."""
    for part, placeholders in chunks(wanted):
        sql = f"SELECT {columns} FROM replies WHERE fingerprint IN ({placeholders})"  # noqa: S608
        yield from database.execute(sql + " AND run = ?" * len(runs), (*part, *runs))
