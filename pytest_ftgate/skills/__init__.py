"""The bundled general-skills sets, the case files of their skills, and the families of skills."""

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
#: The bundled skills by family. A family has enough cases for a test of its own, a skill has not.
FAMILIES: Mapping[str, Sequence[str]] = {
    "code": ("code_reading", "code_writing"),
    "instructions": ("instruction_following", "output_formats", "refusal", "tone_and_role"),
    "knowledge": ("commonsense", "not_knowing", "world_facts"),
    "language": ("memory", "reading", "summarising", "text_editing", "translation"),
    "reasoning": ("arithmetic", "logic", "sorting_and_counting", "word_problems"),
}
_FAMILY_BY_SKILL = {skill: family for family, names in FAMILIES.items() for skill in names}


def skill_names(more: Mapping[str, Path] | None = None) -> tuple[str, ...]:
    """Return the names of the bundled skills and of *more*, sorted."""
    return tuple(sorted({*(path.stem for path in _DATA.glob("*.jsonl")), *(more or {})}))


def family_of(skill: str) -> str:
    """Return the family of a bundled skill; any other skill is a family of its own."""
    return _FAMILY_BY_SKILL.get(skill, skill)


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
