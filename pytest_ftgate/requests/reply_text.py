"""Replies with long texts, which lie in a temporary file instead of memory."""

from __future__ import annotations

import os
from io import FileIO
from tempfile import TemporaryFile
from threading import Lock
from weakref import finalize

from pytest_ftgate.requests.reply import Reply

#: The most characters of a text that stays in memory: labels, numbers and short answers do.
_MOST_CHARACTERS = 500
#: The bytes before a text in the file that say how long it is.
_HEAD = 4
#: The bytes that are read at once, unless a text is longer.
_BLOCK = 16_384
_OTHER_FIELDS = tuple(name for name in Reply.__slots__ if name != "text")


class TextFile:
    """A temporary file of texts; any thread may add and read them.

    The first text opens the file. It has no name, or one that only its owner may read, and it is
    closed with this object.
    """

    def __init__(self) -> None:
        self._opened: FileIO | None = None
        self._end = 0
        #: The last text that was read, with its start: scoring reads a text several times.
        self._last = (-1, "")
        #: The bytes that were read last, with their start: most texts are read one after the other.
        self._block = (0, b"")
        self._lock = Lock()

    def add(self, text: str) -> int:
        """Add *text*, and return where it starts.

        Raises:
            OSError: there is no folder for temporary files, or the disk is full.
        """
        body = text.encode("utf-8", "surrogatepass")
        record = len(body).to_bytes(_HEAD, "big") + body
        with self._lock:
            start, file = self._end, self._file()
            file.seek(start)
            if file.write(record) != len(record):
                raise OSError("the disk is full")
            self._end += len(record)
        return start

    def read(self, start: int) -> str:
        """Return the text that starts at *start*."""
        with self._lock:
            if self._last[0] != start:
                size = int.from_bytes(self._part(start, _HEAD), "big")
                body = self._part(start + _HEAD, size)
                self._last = (start, body.decode("utf-8", "surrogatepass"))
            return self._last[1]

    def _part(self, start: int, size: int) -> bytes:
        offset = start - self._block[0]
        if not 0 <= offset <= len(self._block[1]) - size:
            offset, self._block = 0, (start, self._read_bytes(max(size, _BLOCK), start))
        return self._block[1][offset : offset + size]

    def _read_bytes(self, size: int, start: int) -> bytes:
        # A forked process shares the position in the file, so that reads must not move it.
        if hasattr(os, "pread"):
            return os.pread(self._file().fileno(), size, start)
        self._file().seek(start)
        return self._file().read(size)

    def _file(self) -> FileIO:
        if self._opened is None:
            self._opened = TemporaryFile(prefix="ftgate-", buffering=0)  # noqa: SIM115 - closed below
            finalize(self, self._opened.close)
        return self._opened


class FiledReply(Reply):
    """A reply whose text is read from a file on each access."""

    __slots__ = ("_file", "_start")
    _file: TextFile
    _start: int

    def __getattr__(self, name: str) -> str:
        """Return the text, the only field that is not set."""
        if name != "text":
            raise AttributeError(name)
        return self._file.read(self._start)


def file_text(reply: Reply, file: TextFile) -> Reply:
    """Return *reply* with its text in *file* if the text is long and can be written."""
    if isinstance(reply, FiledReply) or len(reply.text) <= _MOST_CHARACTERS:
        return reply
    try:
        start = file.add(reply.text)
    except OSError:
        return reply
    filed = FiledReply.__new__(FiledReply)
    # The constructor would need the text, and keep it in memory.
    for name in _OTHER_FIELDS:
        object.__setattr__(filed, name, getattr(reply, name))
    object.__setattr__(filed, "_file", file)
    object.__setattr__(filed, "_start", start)
    return filed
