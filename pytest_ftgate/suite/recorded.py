"""How many replies a file of recorded ones holds for each case."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from sys import intern

__all__ = ["most_recorded", "recorded"]


def recorded(path: Path) -> Mapping[str, int]:
    """Return the number of replies by case id; a line that cannot be read counts for none."""
    return _counted(path, path.stat().st_mtime_ns)


def most_recorded(path: Path) -> int:
    """Return the number of replies of the case that has most."""
    return _most(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _most(path: Path, changed: int) -> int:
    return max(_counted(path, changed).values(), default=0)


@lru_cache(maxsize=16)
def _counted(path: Path, changed: int) -> Mapping[str, int]:
    del changed  # only there so that an edited file is read again
    found: Counter[str] = Counter()
    with path.open("rb") as stream:
        for line in stream:
            with suppress(ValueError, KeyError, TypeError):
                found[intern(str(json.loads(line)["id"]))] += 1
    return found
