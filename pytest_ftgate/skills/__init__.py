"""The bundled general-skills sets and the case files of their skills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

_DATA = Path(__file__).parent / "data"
#: Stands in every data file, to reveal that training data contain the skills' cases.
CANARY = "pytest-ftgate-canary-0d9f6c1e-5a3b-4d57-9a0e-3c6f6b7f2e18"
#: The sets that ``skills:`` may name beside single skills, with the tag of their cases, if any.
SETS: Mapping[str, str] = {"general": "", "general-small": "small"}
#: The tag of the cases in the small set.
SMALL_TAG = SETS["general-small"]


def skill_names(more: Mapping[str, Path] | None = None) -> tuple[str, ...]:
    """Return the names of the bundled skills and of *more*, sorted."""
    return tuple(sorted({*(path.stem for path in _DATA.glob("*.jsonl")), *(more or {})}))


def skill_files(names: Sequence[str], more: Mapping[str, Path] | None = None) -> tuple[Path, ...]:
    """Return the case files of the sets and skills in *names*, in this order.

    *more* has the files of skills from plugins, by name.

    Raises:
        KeyError: a name is neither a set nor a skill.
    """
    unknown = set(names) - {*SETS, *skill_names(more)}
    if unknown:
        raise KeyError(min(unknown))
    wanted = [skill for name in names for skill in (skill_names() if name in SETS else (name,))]
    return tuple(
        (more or {}).get(skill, _DATA / f"{skill}.jsonl") for skill in dict.fromkeys(wanted)
    )
