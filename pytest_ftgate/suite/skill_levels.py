"""The level of each family of ``general-hard``: the one at which a loss of this base can show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter

from pytest_ftgate import skills
from pytest_ftgate.suite.cases import leveled_cases
from pytest_ftgate.suite.gate_kinds import ForgettingGate
from pytest_ftgate.suite.model import Case

#: The level that stands for the others until the base has chosen: all have as many cases.
REFERENCE_LEVEL = 3
#: A level fits if the base is right in this share of its pilot: it can lose there, and still does
#: something.
LOWEST_RATE, HIGHEST_RATE = 0.30, 0.90


@dataclass(frozen=True, slots=True)
class LevelChoice:
    """The level of one family.

    Attributes:
        family: the family.
        level: the level, 1 to 5, or None if the base is too weak for the easiest one.
        rate: the share of the pilot of this level that the base has right (of the easiest one, if
            there is no level), or None if the level comes from the accepted record or is assumed.
        is_assumed: True if there are no replies of the base yet.
    """

    family: str
    level: int | None
    rate: float | None = None
    is_assumed: bool = False

    @property
    def rate_text(self) -> str:
        """The rate in percent, or ""."""
        return "" if self.rate is None else f"{100 * self.rate:.0f} %"


def limit_notes(choices: Iterable[LevelChoice]) -> Iterator[str]:
    """Yield what cannot be seen at the levels, in a sentence for all families of which it holds."""
    by_level = defaultdict[int | None, list[LevelChoice]](list)
    for choice in choices:
        is_left_out = choice.level is None
        if is_left_out or (choice.rate is not None and choice.rate > HIGHEST_RATE):
            by_level[choice.level].append(choice)
    for level, alike in by_level.items():
        names, right = ", ".join(choice.family for choice in alike), _rates_text(alike)
        if level is None:
            are, their = ("is", "its") if len(alike) == 1 else ("are", "their")
            base = (
                f"the base is right in {right} of {their} easiest pilot cases, too few to show a "
                "loss"
                if right
                else f"when the run was accepted, the base had too few of {their} easiest pilot "
                "cases right"
            )
            yield f"{names} {are} left out: {base}"
        elif level == skills.LEVELS[-1]:
            yield (
                f"{names}: the base is right in {right} of the hardest pilot cases, so a loss of "
                "harder abilities cannot be seen"
            )
        else:
            yield (
                f"{names}: the base is right in {right} of the pilot cases of level {level} and in "
                "few of harder ones, so a loss in between cannot be seen"
            )


def _rates_text(choices: Iterable[LevelChoice]) -> str:
    """Return the rates of the base in percent, or "" where they are not known."""
    rated = (choice for choice in choices if choice.rate is not None)
    known = sorted(rated, key=attrgetter("rate"))
    if not known:
        return ""
    low, high = known[0].rate_text, known[-1].rate_text
    return high if low == high else f"{low.removesuffix(' %')} to {high}"


def levels_note(choices: Iterable[LevelChoice]) -> str:
    """Return the level of each family, with what the base has right of its pilot."""
    return f"levels: {', '.join(map(_level_text, choices))}"


def _level_text(choice: LevelChoice) -> str:
    level = f"{choice.family} {choice.level or 'none'}"
    if choice.is_assumed:
        return f"{level} (assumed)"
    return level if choice.rate is None else f"{level} (base right in {choice.rate_text})"


def reference_cases(families: Iterable[str]) -> tuple[Case, ...]:
    """Return cases of *families* that stand for those of any level."""
    return tuple(case for name in families for case in leveled_cases(name, REFERENCE_LEVEL))


def pilot_cases(gate: ForgettingGate) -> tuple[Case, ...]:
    """Return the cases that choose the levels of *gate*; no gate evaluates them."""
    return _tested(gate, (case for name in gate.leveled for case in leveled_cases(name, None)))


def cases_at(gate: ForgettingGate, choices: Iterable[LevelChoice]) -> tuple[Case, ...]:
    """Return the cases of *gate*, those of families with levels at the chosen ones."""
    fixed = (case for case in gate.cases if skills.leveled_family(str(case.skill)) is None)
    leveled = (
        case
        for choice in choices
        if choice.level is not None
        for case in leveled_cases(choice.family, choice.level)
    )
    return (*fixed, *_tested(gate, leveled))


def possible_cases(gate: ForgettingGate) -> tuple[Case, ...]:
    """Return every skill case that *gate* may evaluate, whatever the base chooses."""
    levels = (LevelChoice(family, level) for family in gate.leveled for level in skills.LEVELS)
    return cases_at(gate, levels)


def _tested(gate: ForgettingGate, cases: Iterable[Case]) -> tuple[Case, ...]:
    """Return *cases* without the skills that this machine cannot score."""
    tested = {case.skill for case in gate.cases}
    return tuple(case for case in cases if case.skill in tested)


def choose_levels(
    gate: ForgettingGate, pilot: Iterable[Case], scores: Mapping[str, float]
) -> tuple[LevelChoice, ...]:
    """Return the level of each family: the hardest one that fits, see `LOWEST_RATE`.

    *scores* are those of the base on the *pilot*, by case id. A case without a reply counts as
    wrong; a family without any has an assumed level.
    """
    values: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    answered = set[str]()
    for case in pilot:
        family = skills.leveled_family(str(case.skill))
        if family is None or case.difficulty is None:
            continue
        values[family][case.difficulty].append(scores.get(case.id, 0.0))
        if case.id in scores:
            answered.add(family)
    return tuple(
        _choose(family, {level: sum(of) / len(of) for level, of in values[family].items()})
        if family in answered
        else LevelChoice(family, REFERENCE_LEVEL, is_assumed=True)
        for family in gate.leveled
    )


def _choose(family: str, rates: Mapping[int, float]) -> LevelChoice:
    fitting = [level for level, rate in rates.items() if LOWEST_RATE <= rate <= HIGHEST_RATE]
    mastered = [level for level, rate in rates.items() if rate > HIGHEST_RATE]
    if fitting or mastered:
        level = max(fitting or mastered)
        return LevelChoice(family, level, rates[level])
    return LevelChoice(family, None, rates[min(rates)])
