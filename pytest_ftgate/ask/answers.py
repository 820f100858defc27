"""What became of each call: told by one thread, awaited by others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Event, Lock
from typing import Any

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.ask.shelf import Shelf
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


class Answers(Mapping[str, Answer]):
    """The answers by fingerprint; plain values, since a run may hold hundreds of thousands.

    As a mapping it holds those that have come.

    Args:
        shelf: where it puts what replies say.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._found: dict[str, Answer | None] = {}
        self._waits: list[_Wait] = []
        self._lock = Lock()

    @property
    def expected(self) -> int:
        """How many answers are expected, or have come."""
        return len(self._found)

    def expects(self, fingerprint: str) -> bool:
        """Tell whether an answer is expected, or has come."""
        return fingerprint in self._found

    def __len__(self) -> int:
        """Return how many answers have come."""
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[str]:
        """Return the calls whose answers have come."""
        return (name for name, answer in self._found.items() if answer is not None)

    def get(self, fingerprint: str, default: Any = None) -> Any:
        """Return an answer, or *default* while it is awaited."""
        return self._found.get(fingerprint) or default

    def __getitem__(self, fingerprint: str) -> Answer:
        """Return an answer.

        Raises:
            KeyError: it is awaited, or nobody expects it.
        """
        answer = self._found[fingerprint]
        if answer is None:
            raise KeyError(fingerprint)
        return answer

    def expect(self, fingerprint: str) -> bool:
        """Take note of a call; False where it is known already."""
        if fingerprint in self._found:
            return False
        self._found[fingerprint] = None
        return True

    def settle(self, fingerprint: str, answer: Answer) -> None:
        """Tell what became of a call."""
        answer = self._shelf.put(answer) if isinstance(answer, Reply) else answer
        with self._lock:
            self._found[fingerprint] = answer
            for wait in self._waits:
                wait.missing.discard(fingerprint)
                if not wait.missing:
                    wait.over.set()

    def forget(self) -> None:
        """Give up what replies said."""
        self._shelf.close()

    def wait(self, fingerprints: Iterable[str], tick: Callable[[], None] | None) -> None:
        """Return once the answers to the calls that were named are here.

        Args:
            fingerprints: calls that are expected.
            tick: called about twice a second while there is something to wait for.
        """
        with self._lock:
            wait = _Wait({name for name in fingerprints if self._found[name] is None})
            self._waits.append(wait)
        try:
            while wait.missing:
                wait.over.wait(_TICK)
                if tick:
                    tick()
        finally:
            with self._lock:
                self._waits.remove(wait)
