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

__all__ = ["Result", "Results", "Spool"]

#: The longest text that stays in memory: a label, for example, which many replies share.
_MAX_IN_MEMORY = 64
#: The attributes of a reply that are spooled, and those that stay in memory.
_LARGE = ("text", "steps", "passages")
_SMALL = tuple(attribute.name for attribute in fields(Reply) if attribute.name not in _LARGE)

#: A position in the file: the offset and the length, in bytes.
_Position = tuple[int, int]
_LargeValues = tuple[str, tuple[Step, ...], tuple[Passage, ...]]


class Spool:
    """A temporary file with the texts of replies; thread-safe.

    Args:
        folder: the folder of the file; if it is not writable, the system's temporary folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._lock = Lock()
        self._end = 0
        #: The last values read: a reply is usually read several times in a row.
        self._last: tuple[_Position, _LargeValues] | None = None

    def put(self, reply: Reply) -> Reply:
        """Return *reply* with its large values in the file; a short reply stays as it is."""
        if not reply.steps and not reply.passages and len(reply.text) <= _MAX_IN_MEMORY:
            return reply
        try:
            position = self._write(pickle.dumps((reply.text, reply.steps, reply.passages)))
        except OSError:  # such as a full disk: the run can continue with the reply in memory
            return reply
        return _SpooledReply.create(self, position, reply)

    def _write(self, data: bytes) -> _Position:
        with self._lock:
            if self._file is None:
                self._file = _open_temporary_file(self._folder)
                finalize(self, self._file.close)
            start = self._file.seek(self._end)
            # A disk that is nearly full writes a part, and raises on the next write only.
            if self._file.write(data) != len(data):
                raise OSError(errno.ENOSPC, "the file of replies is full")
            self._end += len(data)
        return start, len(data)

    def close(self) -> None:
        """Close the file; nothing can be read afterwards."""
        if self._file is not None:
            self._file.close()

    def read(self, position: _Position) -> _LargeValues:
        """Return the values at *position*."""
        last = self._last
        if last is None or last[0] is not position:
            last = self._last = (position, self._read(*position))
        return last[1]

    def _read(self, start: int, size: int) -> _LargeValues:
        assert self._file is not None  # noqa: S101 - a position exists, so a file does
        if hasattr(os, "pread"):
            data = os.pread(self._file.fileno(), size, start)
        else:
            with self._lock:
                self._file.seek(start)
                data = self._file.read(size)
        values: _LargeValues = pickle.loads(data)  # noqa: S301 - no other process has the file
        return values


def _open_temporary_file(folder: Path) -> IO[bytes]:
    with suppress(OSError):
        return tempfile.TemporaryFile(buffering=0, dir=folder)
    return tempfile.TemporaryFile(buffering=0)


class _SpooledReply(Reply):
    """A reply that reads its large values from the spool; `replace` returns a plain reply."""

    __slots__ = ("_position", "_spool")
    _spool: Spool
    _position: _Position

    def __new__(cls, **values: Any) -> Reply:  # type: ignore[misc]  # called by ``replace``
        return Reply(**values)

    @classmethod
    def create(cls, spool: Spool, position: _Position, reply: Reply) -> Reply:
        """Return a copy of *reply* with its large values at *position* of *spool*."""
        spooled = object.__new__(cls)
        for name in _SMALL:
            object.__setattr__(spooled, name, getattr(reply, name))
        object.__setattr__(spooled, "_spool", spool)
        object.__setattr__(spooled, "_position", position)
        return spooled

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Reply):
            return NotImplemented
        return all(
            getattr(self, attribute.name) == getattr(other, attribute.name)
            for attribute in fields(Reply)
        )

    __hash__ = Reply.__hash__

    def __repr__(self) -> str:
        return repr(replace(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return Reply.from_json, (self.to_json(),)

    @property
    def text(self) -> str:
        return self._spool.read(self._position)[0]

    @property
    def steps(self) -> tuple[Step, ...]:
        return self._spool.read(self._position)[1]

    @property
    def passages(self) -> tuple[Passage, ...]:
        return self._spool.read(self._position)[2]


#: The result of one request.
Result = Reply | FtgateError

#: Seconds between two ticks of a waiting thread.
_TICK = 0.5


class _Waiter:
    """A waiting thread: the fingerprints without a result, and an event for when none is left."""

    def __init__(self, missing: set[str]) -> None:
        self.missing, self.done = missing, Event()


class Results(Mapping[str, Result]):
    """The results by fingerprint; as a mapping, only those that have arrived.

    The values are plain, since a run may have hundreds of thousands of requests.

    Args:
        spool: stores the large values of replies.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._results: dict[str, Result | None] = {}
        self._waiters: list[_Waiter] = []
        self._lock = Lock()

    @property
    def expected(self) -> int:
        """The number of results that are expected or have arrived."""
        return len(self._results)

    def expects(self, fingerprint: str) -> bool:
        """Return True if a result is expected or has arrived."""
        return fingerprint in self._results

    def __len__(self) -> int:
        """Return the number of results that have arrived."""
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[str]:
        """Return the fingerprints of the results that have arrived."""
        return (name for name, result in self._results.items() if result is not None)

    def get(self, fingerprint: str, default: Any = None) -> Any:
        """Return a result, or *default* if it has not arrived."""
        return self._results.get(fingerprint) or default

    def __getitem__(self, fingerprint: str) -> Result:
        """Return a result.

        Raises:
            KeyError: the result has not arrived, or is not expected.
        """
        result = self._results[fingerprint]
        if result is None:
            raise KeyError(fingerprint)
        return result

    def expect(self, fingerprint: str) -> bool:
        """Expect a result; return False if it was expected before."""
        if fingerprint in self._results:
            return False
        self._results[fingerprint] = None
        return True

    def settle(self, fingerprint: str, result: Result) -> None:
        """Set the result of a request."""
        result = self._spool.put(result) if isinstance(result, Reply) else result
        with self._lock:
            self._results[fingerprint] = result
            for waiter in self._waiters:
                waiter.missing.discard(fingerprint)
                if not waiter.missing:
                    waiter.done.set()

    def close_spool(self) -> None:
        """Free the large values of all replies."""
        self._spool.close()

    def wait(self, fingerprints: Iterable[str], tick: Callable[[], None] | None) -> None:
        """Wait for the results of *fingerprints*.

        Args:
            fingerprints: the fingerprints of expected results.
            tick: called about twice a second while waiting.
        """
        with self._lock:
            waiter = _Waiter({name for name in fingerprints if self._results[name] is None})
            self._waiters.append(waiter)
        try:
            while waiter.missing:
                waiter.done.wait(_TICK)
                if tick:
                    tick()
        finally:
            with self._lock:
                self._waiters.remove(waiter)
