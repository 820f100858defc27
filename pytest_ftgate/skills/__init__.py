"""The bundled general-skills set: which files hold the cases of a set's skills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["CANARY", "SETS", "SMALL", "files", "known"]

_DATA = Path(__file__).parent / "data"
#: Stands in every data file, so that one who finds it in training data knows what happened.
CANARY = "pytest-ftgate-canary-0d9f6c1e-5a3b-4d57-9a0e-3c6f6b7f2e18"
#: What a suite may name as ``skills:`` beside single skills, and the tag of its cases, if any.
SETS: Mapping[str, str] = {"general": "", "general-small": "small"}
#: The tag of the cases that the small set takes of every skill.
SMALL = SETS["general-small"]


def known(more: Mapping[str, Path] | None = None) -> tuple[str, ...]:
    """Return the names of the skills, the bundled ones and *more*."""
    return tuple(sorted({*(path.stem for path in _DATA.glob("*.jsonl")), *(more or {})}))


def files(names: Sequence[str], more: Mapping[str, Path] | None = None) -> tuple[Path, ...]:
    """Return the case files of *names*, each a set or a skill, in their order.

    Args:
        names: as a suite has them.
        more: skills that do not come with the package, by name.

    Raises:
        KeyError: a name is neither.
    """
    unknown = set(names) - {*SETS, *known(more)}
    if unknown:
        raise KeyError(min(unknown))
    wanted = [skill for name in names for skill in (known() if name in SETS else (name,))]
    return tuple(
        (more or {}).get(skill, _DATA / f"{skill}.jsonl") for skill in dict.fromkeys(wanted)
    )
