"""Which batches are on their way, kept beside the replies: a batch outlives the run that sent it.

The table stands in the file of the ledger, so that whoever has the ledger can pick up what is paid
for. A batch is noted before it is sent and again once it has a name, and is dropped when all of
its results have been read.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import LedgerError

__all__ = ["Batch", "Sent"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    key TEXT PRIMARY KEY, id TEXT, address TEXT NOT NULL, at REAL NOT NULL,
    calls TEXT NOT NULL, unsent TEXT NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One batch on its way.

    Attributes:
        key: our own name for it, which it has before it is sent.
        id: the provider's name for it, or None where nobody lived to note it.
        address: where it was sent, and the variable that holds the key.
        at: when it was sent, in seconds since the epoch.
        calls: the fingerprints of its calls.
        unsent: settings that its requests were sent without, by model.
    """

    key: str
    id: str | None = None
    address: str
    at: float
    calls: tuple[str, ...]
    unsent: Mapping[str, list[str]] = field(default_factory=dict)


class Sent:
    """The batches on their way that one ledger knows of.

    Args:
        path: the ledger's file, which is there already.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def to(self, address: str) -> list[Batch]:
        """Return the batches that were sent to *address*, the oldest first."""
        sql = "SELECT key, id, at, calls, unsent FROM batches WHERE address = ? ORDER BY at"
        return [
            Batch(
                key=key,
                id=name,
                address=address,
                at=at,
                calls=tuple(calls.split()),
                unsent=json.loads(unsent),
            )
            for key, name, at, calls, unsent in self._execute(sql, (address,))
        ]

    def note(self, batch: Batch) -> None:
        """Keep what is known of *batch*; when this returns it survives the death of the process."""
        calls, unsent = " ".join(batch.calls), json.dumps(dict(batch.unsent))
        row = (batch.key, batch.id, batch.address, batch.at, calls, unsent)
        self._execute("INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?, ?, ?)", row)

    def shorten(self, batch: Batch, left: Collection[str]) -> None:
        """Keep of *batch* only the calls *left*; drop it where none are."""
        if not left:
            self.forget(batch)
            return
        sql = "UPDATE batches SET calls = ? WHERE key = ?"
        self._execute(sql, (" ".join(left), batch.key))

    def forget(self, batch: Batch) -> None:
        """Drop *batch*, which brings nothing any more."""
        self._execute("DELETE FROM batches WHERE key = ?", (batch.key,))

    def _execute(self, sql: str, values: tuple[object, ...]) -> list[Any]:
        # A connection for each: there are few, from several threads.
        try:
            with closing(sqlite3.connect(self._path, timeout=30)) as database, database:
                database.execute(_SCHEMA)
                return database.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            told = f"the batches in {self._path} cannot be read or written: {error}"
            raise LedgerError(told) from error
