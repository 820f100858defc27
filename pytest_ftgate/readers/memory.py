"""What was read from files that have not changed since."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, TypeVar, cast

_Reader = TypeVar("_Reader", bound=Callable[..., Any])


def reads_once(files: int) -> Callable[[_Reader], _Reader]:
    """Let a function of a path, and of further hashable values, read an unchanged file once.

    It remembers what it returned for so many *files*, until they change.
    """

    def decorate(read: _Reader) -> _Reader:
        @lru_cache(maxsize=files)
        def remembered(path: Path, _version: tuple[int, int], *more: Any) -> Any:
            return read(path, *more)

        @wraps(read)
        def call(path: Path, *more: Any) -> Any:
            status = path.stat()
            return remembered(path, (status.st_mtime_ns, status.st_size), *more)

        return cast("_Reader", call)

    return decorate
