"""The bundled general-skills sets, the case files of their skills, and the families of skills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

_DATA = Path(__file__).parent / "data"
_HARD = Path(__file__).parent / "hard"
#: Stands in every data file, to reveal that training data contain the skills' cases.
CANARY = "pytest-ftgate-canary-0d9f6c1e-5a3b-4d57-9a0e-3c6f6b7f2e18"
#: The sets that ``skills:`` may name beside single skills, with the tag of their cases, if any.
SETS: Mapping[str, str] = {"general": "", "general-small": "small"}
#: The bundled skills by family. A family has enough cases for a test of its own, a skill has not.
FAMILIES: Mapping[str, Sequence[str]] = {
    "code": ("code_reading", "code_writing"),
    "instructions": ("instruction_following", "output_formats", "refusal", "tone_and_role"),
    "knowledge": ("commonsense", "not_knowing", "world_facts"),
    "language": ("memory", "reading", "summarising", "text_editing", "translation"),
    "reasoning": ("arithmetic", "logic", "sorting_and_counting", "word_problems"),
}
#: The set whose families have levels, from easy to beyond today's models: the base chooses one.
LEVELED_SET = "general-hard"
#: The families of that set and their skills; a family is a set of its own too.
LEVELED_FAMILIES: Mapping[str, Sequence[str]] = {
    "hard-code": ("function_writing", "list_output", "program_output"),
    "hard-conversation": ("appointments", "stock_keeping"),
    "hard-functions": ("function_calls",),
    "hard-honesty": ("invented_places", "missing_answers", "requests_to_refuse"),
    "hard-instructions": ("edits_by_rules", "objects_by_rules", "texts_by_rules"),
    "hard-knowledge": ("airports", "city_countries", "country_codes", "elements"),
    "hard-languages": ("country_names", "language_names", "stories"),
    "hard-long-context": ("ledger_chain", "ledger_lookup", "ledger_sum"),
    "hard-mathematics": ("chain_sum", "lcm", "products", "simple_equations"),
    "hard-reasoning": ("caesar_cipher", "knights_knaves", "largest_island", "zebra_puzzles"),
    "hard-rephrasing": ("other_words", "roundabout", "run_together", "typing_errors"),
}
LEVELS = (1, 2, 3, 4, 5)
_LEVELED_BY_SKILL = {skill: family for family, names in LEVELED_FAMILIES.items() for skill in names}
_FAMILY_BY_SKILL = _LEVELED_BY_SKILL | {
    skill: family for family, names in FAMILIES.items() for skill in names
}


def skill_names(more: Mapping[str, Path] | None = None) -> tuple[str, ...]:
    """Return the names of the bundled skills and of *more*, sorted."""
    return tuple(sorted({*(path.stem for path in _DATA.glob("*.jsonl")), *(more or {})}))


def set_names() -> tuple[str, ...]:
    """Return the names of the sets, and of the families that have levels."""
    return (*SETS, LEVELED_SET, *LEVELED_FAMILIES)


def leveled_families(names: Sequence[str]) -> tuple[str, ...]:
    """Return the families with levels that *names* mean, each once."""
    groups = (LEVELED_FAMILIES if name == LEVELED_SET else (name,) for name in names)
    families = (name for group in groups for name in group if name in LEVELED_FAMILIES)
    return tuple(dict.fromkeys(families))


def leveled_family(skill: str) -> str | None:
    """Return the family with levels that *skill* belongs to, or None."""
    return _LEVELED_BY_SKILL.get(skill)


def default_weight(skill: str) -> float:
    """Return the weight of a skill in the mean: each family with levels counts as one skill."""
    family = leveled_family(skill)
    return 1.0 if family is None else 1.0 / len(LEVELED_FAMILIES[family])


def level_file(family: str, level: int | None) -> Path:
    """Return the file of the cases of a family at a level; of its pilot, if *level* is None."""
    part = "pilot" if level is None else str(level)
    return _HARD / f"{family.removeprefix('hard-')}-{part}.jsonl.gz"


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
