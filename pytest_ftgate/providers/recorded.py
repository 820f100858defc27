"""Replies read from a file that any tool has written."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from sys import intern
from typing import IO, Any, Self

from pytest_ftgate.errors import FtgateError, Refused, Unavailable
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Call

__all__ = ["Recorded"]


#: The characters of a reply that is likely to be a label.
_LABEL = 64
#: What is known of a reply: itself where it is a label, else where its line begins.
_Known = Reply | int


@lru_cache(maxsize=16)
def _read(path: Path, changed: int) -> dict[str, tuple[_Known, ...]]:
    del changed  # only there so that an edited file is read again
    found: dict[str, tuple[_Known, ...]] = {}
    # Labels come again and again: all that say the same are one.
    labels: dict[str, tuple[_Known, ...]] = {}
    start = 0
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                key, text, more = _row(f"{path.name}:{number}", line)
                made: tuple[_Known, ...] = (start,)
                if not more and len(text) <= _LABEL:
                    made = labels.setdefault(text, (Reply(text=text),))
                found[key] = found[key] + made if key in found else made
            start += len(line)
    return found


def _row(where: str, line: bytes) -> tuple[str, str, dict[str, Any]]:
    """Return the id of a case, what was said, and what else is known."""
    shape = '{"id": "case-1", "text": "the reply"}'
    try:
        raw = json.loads(line)
        known = {k: v for k, v in raw.items() if k in ("stop", "model", "usage", "seconds")}
        return intern(str(raw["id"])), str(raw["text"]), known
    except ValueError as error:
        raise Unavailable(f"{where}: not JSON: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise Unavailable(f"{where}: a recorded reply is {shape}") from error


class Recorded:
    """Answers calls from their files, each of which it looks at once, until it is left."""

    def __init__(self) -> None:
        self._files: dict[Path, dict[str, tuple[_Known, ...]]] = {}
        #: The file that was read last; there may be more of them than a process may have open.
        self._open: tuple[Path, IO[bytes]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *told: object) -> None:
        if self._open:
            self._open[1].close()

    def answer(self, call: Call) -> Reply | FtgateError:
        """Return the reply to *call*, or why there is none."""
        try:
            return self.reply(call)
        except FtgateError as error:
            return error

    def reply(self, call: Call) -> Reply:
        """Return the reply that a file holds under the id of the call's case, for its repeat.

        Raises:
            Refused: the file has none for this case.
            Unavailable: the file, or a line of it, cannot be read.
        """
        path, case = call.replies, call.case
        if path is None or case is None:
            raise Refused("a recorded call needs a file of replies")
        try:
            replies = self._file(path).get(case.id, ())
            if call.repeat >= len(replies):
                raise Refused(f'{path.name} has no reply for case "{case.id}"')
            known = replies[call.repeat]
            return known if isinstance(known, Reply) else self._at(path, known, case.id)
        except OSError as error:
            raise Unavailable(f"the recorded replies cannot be read: {error}") from error

    def _file(self, path: Path) -> dict[str, tuple[_Known, ...]]:
        if path not in self._files:
            self._files[path] = _read(path, path.stat().st_mtime_ns)
        return self._files[path]

    def _at(self, path: Path, start: int, case: str) -> Reply:
        if self._open is None or self._open[0] != path:
            self.__exit__()
            self._open = (path, path.open("rb"))
        stream, changed = self._open[1], f"{path.name} has changed since it was read"
        stream.seek(start)
        key, text, more = _row(changed, stream.readline())
        if key != case:
            raise Unavailable(f"{changed}; run again")
        return Reply(text=text, **more)
