"""The design of a gate: its cases, as far as they decide what it can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_ftgate.gates.levels import LAST_LOOK_MISS, MISS
from pytest_ftgate.gates.units import quantity
from pytest_ftgate.suite.model import Gate, Suite


@dataclass(frozen=True, slots=True)
class Design:
    """The cases of a gate, as far as its power depends on them.

    Attributes:
        weights: the weight of each case.
        groups: the number of the group of each case.
        is_graded: True if a reply can be right in part.
        repeats: the numbers of replies to each case, from the baseline and from the variant.
        miss: the probability of passing a drop as large as the limit.
    """

    weights: tuple[float, ...]
    groups: tuple[int, ...]
    is_graded: bool = False
    repeats: tuple[int, int] = (1, 1)
    miss: float = MISS

    @property
    def n(self) -> int:
        """The number of cases."""
        return len(self.weights)

    @property
    def units(self) -> int:
        """The number of independent units: groups, and cases without a group."""
        return len({*self.groups})

    @property
    def effective(self) -> float:
        """The number of cases with one reply that show as much about an unchanged variant."""
        return self.units * 2.0 / sum(1.0 / count for count in self.repeats)

    @property
    def counts_groups(self) -> bool:
        """True if a verdict counts the groups of related cases that were lost as a whole."""
        return self.units < self.n and len({*self.weights}) == 1 and not self.is_graded

    @property
    def description(self) -> str:
        """The number of cases, with the number of independent ones if it is smaller."""
        related = f" ({self.units} unrelated ones)" if self.units < self.n else ""
        return quantity(self.n, "case") + related

    @property
    def is_plain(self) -> bool:
        """True if cases are independent, weigh the same, and are right or wrong."""
        return self.units == self.n and len({*self.weights}) == 1 and not self.is_graded


def design_of(suite: Suite, gate: Gate, repeats: tuple[int, int] = (1, 1)) -> Design:
    """Return the design of *gate* in *suite*, with *repeats* replies of baseline and variant."""
    cases = gate.evaluated_cases(suite.cases)
    names = [case.group or f"\0{case.id}" for case in cases]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    is_graded = gate.scores_content and any(case.score.is_graded for case in cases)
    return Design(
        weights=_equal_if_close(gate.case_weights(cases)),
        groups=tuple(numbers[name] for name in names),
        is_graded=is_graded,
        repeats=repeats,
        miss=LAST_LOOK_MISS if gate.stop_early else MISS,
    )


def _equal_if_close(weights: Sequence[float]) -> tuple[float, ...]:
    return (1.0,) * len(weights) if max(weights) - min(weights) < 1e-9 else tuple(weights)  # noqa: PLR2004
