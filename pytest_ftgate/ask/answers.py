"""What became of each call: told by one thread, awaited by others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Event, Lock

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.errors import FtgateError

__all__ = ["Answer", "Answers"]

#: What became of one call.
Answer = Reply | FtgateError

#: Seconds between two ticks of somebody who waits.
_TICK = 0.5


class _Wait:
    """What somebody waits for: fingerprints without an answer, and the news that none is left."""

    def __init__(self, missing: set[str]) -> None:
        self.missing, self.over = missing, Event()


class Answers:
    """The answers by fingerprint; plain values, since a run may hold hundreds of thousands."""

    def __init__(self) -> None:
        self._found: dict[str, Answer | None] = {}
        self._waits: list[_Wait] = []
        self._lock = Lock()

    def __len__(self) -> int:
        """Return how many answers are expected, or have come."""
        return len(self._found)

    def get(self, fingerprint: str) -> Answer | None:
        """Return an answer; None while it is awaited."""
        return self._found.get(fingerprint)

    def expect(self, fingerprint: str) -> bool:
        """Take note of a call; False where it is known already."""
        if fingerprint in self._found:
            return False
        self._found[fingerprint] = None
        return True

    def settle(self, fingerprint: str, answer: Answer) -> None:
        """Tell what became of a call."""
        with self._lock:
            self._found[fingerprint] = answer
            for wait in self._waits:
                wait.missing.discard(fingerprint)
                if not wait.missing:
                    wait.over.set()

    def wait(
        self, fingerprints: Iterable[str], tick: Callable[[], None] | None
    ) -> dict[str, Answer]:
        """Return the answers to the calls that were named, once all of them are here.

        Args:
            fingerprints: calls that are expected.
            tick: called about twice a second while there is something to wait for.
        """
        wanted = list(fingerprints)
        with self._lock:
            wait = _Wait({name for name in wanted if self._found[name] is None})
            self._waits.append(wait)
        try:
            while wait.missing:
                wait.over.wait(_TICK)
                if tick:
                    tick()
        finally:
            with self._lock:
                self._waits.remove(wait)
        return {name: answer for name in wanted if (answer := self._found[name]) is not None}
