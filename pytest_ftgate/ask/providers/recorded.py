"""Replies from a file: the outputs of any tool can be judged without asking."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from sys import intern
from typing import Any

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.errors import Refused, Unavailable
from pytest_ftgate.plan.call import Call

__all__ = ["Recorded"]


#: The characters of a reply that is likely to be a label.
_LABEL = 64


@lru_cache(maxsize=16)
def _read(path: Path, changed: int) -> dict[str, tuple[Reply, ...]]:
    del changed  # only there so that an edited file is read again
    found: dict[str, tuple[Reply, ...]] = {}
    # Labels come again and again: all that say the same are one.
    labels: dict[str, tuple[Reply, ...]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if line.strip():
            key, text, more = _row(path, number, line)
            made: tuple[Reply, ...] = (Reply(text=text, **more),)
            if not more and len(text) <= _LABEL:
                made = labels.setdefault(text, made)
            found[key] = found[key] + made if key in found else made
    return found


def _row(path: Path, number: int, line: str) -> tuple[str, str, dict[str, Any]]:
    """Return the id of a case, what was said, and what else is known."""
    shape = '{"id": "case-1", "text": "the reply"}'
    try:
        raw = json.loads(line)
        known = {k: v for k, v in raw.items() if k in ("stop", "model", "usage", "seconds")}
        return intern(str(raw["id"])), str(raw["text"]), known
    except ValueError as error:
        raise Unavailable(f"{path.name}:{number}: not JSON: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise Unavailable(f"{path.name}:{number}: a recorded reply is {shape}") from error


class Recorded:
    """Answers calls from their files, each of which it looks at once."""

    def __init__(self) -> None:
        self._files: dict[Path, dict[str, tuple[Reply, ...]]] = {}

    def reply(self, call: Call) -> Reply:
        """Return the reply that a file holds under the id of the call's case, for its repeat.

        Raises:
            Refused: the file has none for this case.
            Unavailable: the file, or a line of it, cannot be read.
        """
        path, case = call.replies, call.case
        if path is None or case is None:
            raise Refused("a recorded call needs a file of replies")
        replies = self._file(path).get(case.id, ())
        if call.repeat >= len(replies):
            raise Refused(f'{path.name} has no reply for case "{case.id}"')
        return replies[call.repeat]

    def _file(self, path: Path) -> dict[str, tuple[Reply, ...]]:
        if path not in self._files:
            try:
                self._files[path] = _read(path, path.stat().st_mtime_ns)
            except OSError as error:
                raise Unavailable(f"the recorded replies cannot be read: {error}") from error
        return self._files[path]
