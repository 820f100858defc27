"""Claims: which process is sending a request. A claim expires when its process dies."""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from pytest_ftgate.cache.sqlite import Statements, chunks
from pytest_ftgate.errors import CacheError

#: Seconds between two renewals, and seconds without a renewal after which a claim expires.
_RENEWAL, _EXPIRY = 20.0, 60.0
#: A claim from another machine that is this many seconds old expires without being watched. The
#: clocks of two machines never differ by so much if they are set at all.
_MAX_CLOCK_DIFFERENCE = 600.0

#: Releases the claim of a fingerprint and an owner.
RELEASE_CLAIM = "DELETE FROM claims WHERE fingerprint = ? AND owner = ?"

#: The owner of a claim, and its last renewal in seconds since the epoch.
_Claim = tuple[str, float]


class Claims:
    """The claims of one process, with its observations of other processes' claims.

    A claim of another process expires if it stays unchanged for a minute by this process's own
    monotonic clock. Clocks that differ, or are set, neither end a claim nor prolong it.

    *clock* returns seconds since the epoch, and
    *monotonic* those of a clock that is never set.
    """

    def __init__(
        self,
        cache: Statements,
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cache, self._clock, self._monotonic = cache, clock, monotonic
        # A system reuses process ids, so the id alone does not identify a process for long.
        self.owner = f"{_process_namespace()} {os.getpid()} {secrets.token_hex(4)}"
        #: Claims of other processes, and since when each has been unchanged.
        self._watched: dict[str, tuple[_Claim, float]] = {}
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def claim(self, fingerprint: str) -> bool:
        """Claim a request for this process; return False if another live process has claimed it."""
        return bool(self.claim_all([fingerprint]))

    def claim_all(self, fingerprints: Sequence[str]) -> set[str]:
        """Claim requests; return those that no other live process has claimed.

        Those that no process has claimed are claimed in one transaction.
        """
        self._start_renewing()
        sql = "INSERT OR IGNORE INTO claims SELECT value, ?, ? FROM json_each(?)"
        values = (self.owner, self._clock(), json.dumps(fingerprints))
        rows = self._cache.execute(f"{sql} RETURNING fingerprint", values)
        claimed = {fingerprint for (fingerprint,) in rows}
        left = [name for name in fingerprints if name not in claimed]
        claims = dict(self._read_claims(left))
        for name, claim in claims.items():
            is_own = claim[0] == self.owner
            if is_own or (self._has_expired(name, claim) and self._take_over(name, claim)):
                claimed.add(name)
        # Meanwhile their owner may have released some.
        released = [name for name in left if name not in claims]
        return claimed | self.claim_all(released) if released else claimed

    def _take_over(self, fingerprint: str, claim: _Claim) -> bool:
        # Only if unchanged: the owner may have renewed it, or a third process may have taken it.
        sql = "UPDATE claims SET owner = ?, at = ? WHERE fingerprint = ? AND owner = ? AND at = ?"
        values = (self.owner, self._clock(), fingerprint, *claim)
        return bool(self._cache.execute(f"{sql} RETURNING 1", values))

    def release(self, fingerprint: str) -> None:
        """Release a claim."""
        self._cache.execute(RELEASE_CLAIM, (fingerprint, self.owner))

    def claimable(self, fingerprints: Sequence[str]) -> list[str]:
        """Return the *fingerprints* that no other live process has claimed."""
        claims = dict(self._read_claims(fingerprints))
        return [
            fingerprint
            for fingerprint in fingerprints
            if (claim := claims.get(fingerprint)) is None
            or claim[0] == self.owner
            or self._has_expired(fingerprint, claim)
        ]

    def _read_claims(self, fingerprints: Iterable[str]) -> Iterator[tuple[str, _Claim]]:
        for part, placeholders in chunks(fingerprints):
            sql = (
                "SELECT fingerprint, owner, at FROM claims "  # noqa: S608
                f"WHERE fingerprint IN ({placeholders})"
            )
            for fingerprint, owner, at in self._cache.execute(sql, part):
                yield fingerprint, (owner, at)

    def _has_expired(self, fingerprint: str, claim: _Claim) -> bool:
        owner, at = claim
        alive = _is_alive(owner)
        if alive is False or (alive is None and self._clock() - at > _MAX_CLOCK_DIFFERENCE):
            return True
        watched, since = self._watched.get(fingerprint, (None, 0.0))
        if watched != claim:
            self._watched[fingerprint] = claim, self._monotonic()
            return False
        return self._monotonic() - since > _EXPIRY

    def renew(self) -> None:
        """Renew all claims of this process."""
        self._cache.execute("UPDATE claims SET at = ? WHERE owner = ?", (self._clock(), self.owner))

    def _start_renewing(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._renew_regularly, name="ftgate-claims", daemon=True
            )
            self._thread.start()

    def _renew_regularly(self) -> None:
        while not self._closing.wait(_RENEWAL):
            # A file that is busy or full now may be writable at the next renewal.
            with suppress(CacheError):
                self.renew()

    def close(self) -> None:
        """Stop renewing."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()


def _process_namespace() -> str:
    """Return the machine and the namespace in which this process's id is unique."""
    # Containers may share a host name, and do not see each other's processes.
    with suppress(OSError):
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    return f"{socket.gethostname()} here"


def _is_alive(owner: str) -> bool | None:
    """Return whether the process of a claim is alive; None if it is not visible from here."""
    namespace, _, process_id = owner.rpartition(" ")[0].rpartition(" ")
    # On Windows, signal 0 does not test a process but ends it.
    if namespace != _process_namespace() or os.name != "posix":
        return None
    try:
        os.kill(int(process_id), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return not _is_zombie(process_id)


def _is_zombie(process_id: str) -> bool:
    """Return True if the process has ended, as a worker has that its parent still waits for.

    Only Linux tells; elsewhere the claims of such a process expire.
    """
    with suppress(OSError):
        # The name of the program, in brackets, may itself contain brackets and blanks.
        state = Path(f"/proc/{process_id}/stat").read_text("utf-8", "replace").rpartition(") ")[2]
        return state.startswith("Z")
    return False
