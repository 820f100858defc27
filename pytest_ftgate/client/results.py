"""The results of requests: set by the engine's thread, awaited by others, long replies on disk."""

from __future__ import annotations

import errno
import os
import pickle
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from threading import Event, Lock
from typing import IO, Any
from weakref import finalize

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Passage, Step

__all__ = ["Answer", "Answers", "Shelf"]

#: The characters of a reply that stays: a label, say, which many replies share.
_SHORT = 64
#: What lies in the file; all else of a reply is small.
_LONG = ("text", "steps", "passages")
_SMALL = tuple(one.name for one in fields(Reply) if one.name not in _LONG)

#: Where something begins in the file, and how long it is.
_Place = tuple[int, int]
_Said = tuple[str, tuple[Step, ...], tuple[Passage, ...]]


class Shelf:
    """A file of what replies say; any thread may put and read.

    Args:
        folder: where the file lies; where it cannot, among the system's temporary files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._lock = Lock()
        self._end = 0
        #: Whoever reads a reply reads it several times in a row.
        self._last: tuple[_Place, _Said] | None = None

    def put(self, reply: Reply) -> Reply:
        """Return *reply* with what it says in the file, or as it is where that saves nothing."""
        if not reply.steps and not reply.passages and len(reply.text) <= _SHORT:
            return reply
        try:
            place = self._write(pickle.dumps((reply.text, reply.steps, reply.passages)))
        except OSError:  # a full disk, say: the run can go on all the same
            return reply
        return _Shelved.made(self, place, reply)

    def _write(self, told: bytes) -> _Place:
        with self._lock:
            if self._file is None:
                self._file = _opened(self._folder)
                finalize(self, self._file.close)
            start = self._file.seek(self._end)
            # A disk that fills up takes a part, and says so the next time.
            if self._file.write(told) != len(told):
                raise OSError(errno.ENOSPC, "the file of replies is full")
            self._end += len(told)
        return start, len(told)

    def close(self) -> None:
        """Give the file up; nothing is read from it afterwards."""
        if self._file is not None:
            self._file.close()

    def read(self, place: _Place) -> _Said:
        """Return what was put at *place*."""
        last = self._last
        if last is None or last[0] is not place:
            last = self._last = (place, self._read(*place))
        return last[1]

    def _read(self, start: int, size: int) -> _Said:
        assert self._file is not None  # noqa: S101 - something was put there
        if hasattr(os, "pread"):
            told = os.pread(self._file.fileno(), size, start)
        else:
            with self._lock:
                self._file.seek(start)
                told = self._file.read(size)
        said: _Said = pickle.loads(told)  # noqa: S301 - nobody else has ever had the file
        return said


def _opened(folder: Path) -> IO[bytes]:
    with suppress(OSError):
        return tempfile.TemporaryFile(buffering=0, dir=folder)
    return tempfile.TemporaryFile(buffering=0)


class _Shelved(Reply):
    """A reply that reads what it says when it is asked; one that is changed is a plain one."""

    __slots__ = ("_place", "_shelf")
    _shelf: Shelf
    _place: _Place

    def __new__(cls, **parts: Any) -> Reply:  # type: ignore[misc]  # what ``replace`` calls
        return Reply(**parts)

    @classmethod
    def made(cls, shelf: Shelf, place: _Place, reply: Reply) -> Reply:
        """Return *reply* as one whose words lie at a place of *shelf*."""
        made = object.__new__(cls)
        for name in _SMALL:
            object.__setattr__(made, name, getattr(reply, name))
        object.__setattr__(made, "_shelf", shelf)
        object.__setattr__(made, "_place", place)
        return made

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Reply):
            return NotImplemented
        return all(getattr(self, one.name) == getattr(other, one.name) for one in fields(Reply))

    __hash__ = Reply.__hash__

    def __repr__(self) -> str:
        return repr(replace(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return Reply.from_json, (self.to_json(),)

    @property
    def text(self) -> str:
        return self._shelf.read(self._place)[0]

    @property
    def steps(self) -> tuple[Step, ...]:
        return self._shelf.read(self._place)[1]

    @property
    def passages(self) -> tuple[Passage, ...]:
        return self._shelf.read(self._place)[2]


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
