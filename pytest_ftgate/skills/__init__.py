"""The bundled general-skills set: which files hold the cases of a set's skills."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["SETS", "files", "known"]

_DATA = Path(__file__).parent / "data"
#: What a suite may name as ``skills:`` beside single skills.
SETS = ("general",)


def known() -> tuple[str, ...]:
    """Return the names of the bundled skills."""
    return tuple(sorted(path.stem for path in _DATA.glob("*.jsonl")))


def files(names: Sequence[str]) -> tuple[Path, ...]:
    """Return the case files of *names*, each a set or a skill.

    Raises:
        KeyError: a name is neither.
    """
    wanted = known() if "general" in names else tuple(dict.fromkeys(names))
    unknown = set(names) - {*SETS, *known()}
    if unknown:
        raise KeyError(min(unknown))
    return tuple(_DATA / f"{name}.jsonl" for name in wanted)
