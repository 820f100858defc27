"""How many replies a file of recorded ones holds for each case."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

__all__ = ["recorded"]


def recorded(path: Path) -> Mapping[str, int]:
    """Return the number of replies by case id; a line that cannot be read counts for none."""
    return _counted(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _counted(path: Path, changed: int) -> Mapping[str, int]:
    del changed  # only there so that an edited file is read again
    found: Counter[str] = Counter()
    for line in path.read_text(encoding="utf-8").split("\n"):
        with suppress(ValueError, KeyError, TypeError):
            found[str(json.loads(line)["id"])] += 1
    return found
