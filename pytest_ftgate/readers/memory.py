"""What was read from files that have not changed since."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, TypeVar, cast

#: What readers of a folder look at: its files, those of each trial or run in it, and traces.
_IN_FOLDERS = ("*.json*", "*/*.json*", "*/agent/trajectory.json")

_Reader = TypeVar("_Reader", bound=Callable[..., Any])


def files_in(folder: Path) -> tuple[Path, ...]:
    """Return the files that a runner of agents has written into *folder*, in order."""
    found = (path for pattern in _IN_FOLDERS for path in folder.glob(pattern))
    return tuple(sorted(path for path in found if path.is_file()))


def reads_once(files: int) -> Callable[[_Reader], _Reader]:
    """Let a function of a path, and of further hashable values, read an unchanged file once.

    It remembers what it returned for so many *files*, until they change.
    """

    def decorate(read: _Reader) -> _Reader:
        @lru_cache(maxsize=files)
        def remembered(path: Path, _version: tuple[tuple[int, int], ...], *more: Any) -> Any:
            return read(path, *more)

        @wraps(read)
        def call(path: Path, *more: Any) -> Any:
            read_from = (path, *files_in(path)) if path.is_dir() else (path,)
            states = (one.stat() for one in read_from)
            return remembered(path, tuple((s.st_mtime_ns, s.st_size) for s in states), *more)

        return cast("_Reader", call)

    return decorate
