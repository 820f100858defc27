"""Where a ledger lies: opened however the place is, and what is done where it fails."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_ftgate.ask.ledger.committed import write_replies
from pytest_ftgate.ask.ledger.database import Database, is_damage
from pytest_ftgate.ask.ledger.entry import Entry
from pytest_ftgate.ask.ledger.mounts import network_of
from pytest_ftgate.ask.ledger.rescue import lost_its_file, rescue

__all__ = ["Place"]

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
