"""Claims: which process is asking a request. A claim expires when its process dies."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from pytest_ftgate.cache.sqlite import chunks
from pytest_ftgate.errors import LedgerError

__all__ = ["Leases"]

#: Seconds between two renewals, and without one until a claim is nobody's.
_BEAT, _LAPSED = 20.0, 60.0
#: A claim from elsewhere that is older by the clock is nobody's without being watched: no two
#: clocks differ by so many seconds that are set at all.
_ANCIENT = 600.0

_Execute = Callable[[str, tuple[object, ...]], Sequence[tuple[object, ...]]]
_Claim = tuple[str, float]


class Leases:
    """The claims of one process, and what it knows of those of others.

    A claim of another process is watched: it is abandoned once it has not changed for a minute by
    this process's own steady clock. So clocks that differ, or are set, end no lease and prolong
    none.

    Args:
        execute: runs a statement on the ledger.
        clock: seconds since the epoch.
        steady: seconds that nobody sets.
    """

    def __init__(
        self,
        execute: _Execute,
        clock: Callable[[], float],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._execute, self._clock, self._steady = execute, clock, steady
        # Process ids are given out again, so the id alone names no process for long.
        self.owner = f"{_here()} {os.getpid()} {secrets.token_hex(4)}"
        self._watched: dict[str, tuple[_Claim, float]] = {}
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def claim(self, fingerprint: str) -> bool:
        """Say that this process asks a call; False where another living one already does."""
        self._keep_alive()
        sql = "INSERT OR IGNORE INTO claims VALUES (?, ?, ?) RETURNING 1"
        if self._execute(sql, (fingerprint, self.owner, self._clock())):
            return True
        found = dict(self._claims([fingerprint])).get(fingerprint)
        if found is None:
            return self.claim(fingerprint)
        if found[0] == self.owner:
            return True
        return self._abandoned(fingerprint, found) and self._taken_over(fingerprint, found)

    def _taken_over(self, fingerprint: str, found: _Claim) -> bool:
        # Only as it was found: one that has been renewed, or taken by a third, stays.
        sql = "UPDATE claims SET owner = ?, at = ? WHERE fingerprint = ? AND owner = ? AND at = ?"
        values = (self.owner, self._clock(), fingerprint, *found)
        return bool(self._execute(f"{sql} RETURNING 1", values))

    def release(self, fingerprint: str) -> None:
        """Give a claim up."""
        sql = "DELETE FROM claims WHERE fingerprint = ? AND owner = ?"
        self._execute(sql, (fingerprint, self.owner))

    def free(self, fingerprints: Sequence[str]) -> list[str]:
        """Return those of *fingerprints* that no other living process is asking."""
        claims = dict(self._claims(fingerprints))
        return [one for one in fingerprints if one not in claims or self._is_free(one, claims[one])]

    def _is_free(self, fingerprint: str, found: _Claim) -> bool:
        return found[0] == self.owner or self._abandoned(fingerprint, found)

    def _claims(self, fingerprints: Iterable[str]) -> Iterator[tuple[str, _Claim]]:
        for part, marks in chunks(fingerprints):
            sql = f"SELECT fingerprint, owner, at FROM claims WHERE fingerprint IN ({marks})"  # noqa: S608
            for fingerprint, owner, at in self._execute(sql, part):
                yield str(fingerprint), (str(owner), float(str(at)))

    def _abandoned(self, fingerprint: str, found: _Claim) -> bool:
        owner, at = found
        lives = _lives_here(owner)
        if lives is False or (lives is None and self._clock() - at > _ANCIENT):
            return True
        known, since = self._watched.get(fingerprint, (None, 0.0))
        if known != found:
            self._watched[fingerprint] = found, self._steady()
            return False
        return self._steady() - since > _LAPSED

    def renew(self) -> None:
        """Show that this process lives, for all of its claims at once."""
        self._execute("UPDATE claims SET at = ? WHERE owner = ?", (self._clock(), self.owner))

    def _keep_alive(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._beat, name="ftgate-claims", daemon=True)
            self._thread.start()

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT):
            # A file that is busy or full now may be neither at the next beat.
            with suppress(LedgerError):
                self.renew()

    def close(self) -> None:
        """Stop renewing."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()


def _here() -> str:
    """Return what tells apart places whose process ids mean different processes."""
    # Containers may share a name, and do not see each other's processes.
    with suppress(OSError):
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    return f"{socket.gethostname()} here"


def _lives_here(owner: str) -> bool | None:
    """Tell whether the process of a claim is there; None where that cannot be seen from here."""
    place, _, rest = owner.rpartition(" ")[0].rpartition(" ")
    # Elsewhere than on POSIX, signal 0 is no question but ends the process.
    if place != _here() or os.name != "posix":
        return None
    try:
        os.kill(int(rest), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
