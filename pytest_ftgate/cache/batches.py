"""The batches that were sent and have not been read; the next run reads those of a killed one."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from pytest_ftgate.cache.sqlite import Execute


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One batch that was sent and has not been read completely.

    Attributes:
        key: our own id, assigned before the batch is sent.
        id: the provider's id, or None if the process died before it was stored.
        address: the address, the variable with the key and the API version, as JSON.
        at: the time of sending, in seconds since the epoch.
        fingerprints: the fingerprints of its requests.
        unsent: the parameters that were left out of its requests, by model.
    """

    key: str
    id: str | None = None
    address: str
    at: float
    fingerprints: tuple[str, ...]
    unsent: Mapping[str, list[str]] = field(default_factory=dict)


class BatchStore:
    """The pending batches, in a table of the cache; *execute* runs a statement on it."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    def sent_to(self, address: str) -> list[Batch]:
        """Return the batches that were sent to *address*, the oldest first."""
        sql = "SELECT key, id, at, fingerprints, unsent FROM batches WHERE address = ? ORDER BY at"
        return [
            Batch(
                key=key,
                id=batch_id,
                address=address,
                at=at,
                fingerprints=tuple(fingerprints.split()),
                unsent=json.loads(unsent),
            )
            for key, batch_id, at, fingerprints, unsent in self._execute(sql, (address,))
        ]

    def save(self, batch: Batch) -> Batch:
        """Commit *batch* to the disk, and return it."""
        fingerprints, unsent = " ".join(batch.fingerprints), json.dumps(dict(batch.unsent))
        row = (batch.key, batch.id, batch.address, batch.at, fingerprints, unsent)
        self._execute("INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?, ?, ?)", row)
        return batch

    def reduce(self, batch: Batch, remaining: Collection[str]) -> None:
        """Reduce *batch* to the *remaining* fingerprints; delete it if there are none."""
        if remaining:
            self.save(replace(batch, fingerprints=tuple(remaining)))
        else:
            self.delete(batch)

    def delete(self, batch: Batch) -> None:
        """Delete *batch*: no more results are expected from it."""
        self._execute("DELETE FROM batches WHERE key = ?", (batch.key,))
