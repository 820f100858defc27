"""Power of a suite's gates before a run, and their self-test on repeated replies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np
from numpy.typing import NDArray

from pytest_ftgate.gates.checks import judged
from pytest_ftgate.gates.feasibility import cases_of
from pytest_ftgate.gates.levels import MISS, POWER, USUAL_DISCORDANCE, Levels
from pytest_ftgate.gates.skills import macro, states
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.stats.paired import Pairs, condense, p_drop, p_noninferior, pair
from pytest_ftgate.stats.power import (
    cases_needed,
    certifiable_margin,
    flip_rate,
    floor_cases_needed,
    pass_probability,
)
from pytest_ftgate.suite.model import ForgettingGate, RateGate, Suite

__all__ = ["Certain", "SelfTest", "certain", "selftest", "skills_selftest"]

#: A floor is planned for a variant that is so much better than it.
_ABOVE_FLOOR = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Certain:
    """How far a gate can tell an unchanged variant from one that dropped.

    Attributes:
        gate, variant: whose gate it is.
        cases: how many it has; *worth* is what they tell with their repeats.
        margin: the drop that the gate allows, or None where it is a floor alone.
        floor: the floor, or None where it has none.
        discordance: the share of cases on which the sides disagree, *measured* or usual; None where
            the baseline is so low that a drop from it could not be seen.
        least: the smallest margin that this many cases can certify nine times in ten.
        chance: how often an unchanged variant passes.
        missing: how many more cases it takes to pass one nine times in ten.
        repeats: the repeats that tell as much as the missing cases, where replies vary.
    """

    gate: str
    variant: str
    cases: int
    worth: float
    margin: float | None = None
    floor: float | None = None
    discordance: float | None = USUAL_DISCORDANCE
    measured: bool = False
    least: float | None = None
    chance: float | None = None
    missing: int = 0
    repeats: int | None = None


def certain(
    suite: Suite,
    gate: RateGate | ForgettingGate,
    variant: str,
    *,
    repeats: int | None,
    measured: float | None = None,
    blind: bool = False,
) -> Certain:
    """Return what *gate* could show about *variant* with the cases it has.

    Args:
        suite: the suite.
        gate: one of its gates.
        variant: the name of the variant.
        repeats: how often each case is asked, or None where asking again tells nothing new; they
            count in full, as for an unchanged variant.
        measured: the discordance that replies already had, or None for the usual one.
        blind: the baseline is known to be so low that a drop from it could not be seen.
    """
    n = cases_of(suite, gate)
    disagree = USUAL_DISCORDANCE if measured is None else measured
    floor = None if isinstance(gate, ForgettingGate) else gate.min
    told = Certain(
        gate=gate.name if isinstance(gate, RateGate) else gate.kind,
        variant=variant,
        cases=n,
        worth=n * (repeats or 1),
        margin=gate.max_drop,
        floor=floor,
        discordance=None if blind else disagree,
        measured=measured is not None,
        missing=_for_floor(floor, n) if floor else 0,
    )
    if gate.max_drop is None or blind:
        return told
    return _for_drop(told, gate.max_drop, disagree, repeats)


def _for_floor(floor: float, n: int) -> int:
    try:
        wanted = floor_cases_needed(floor, min(1.0, floor + _ABOVE_FLOOR), POWER, MISS)
    except ValueError:
        return 0
    return max(0, wanted - n)


def _for_drop(told: Certain, margin: float, disagree: float, repeats: int | None) -> Certain:
    try:
        least: float | None = certifiable_margin(told.worth, disagree)
    except ValueError:
        least = None
    wanted = cases_needed(margin, disagree)
    short = wanted > told.worth
    return replace(
        told,
        least=least,
        chance=pass_probability(told.worth, disagree, 0.0, margin),
        missing=max(told.missing, ceil((wanted - told.worth) / (repeats or 1)) if short else 0),
        repeats=ceil(wanted / told.cases) if short and repeats else None,
    )


_Marks = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """What became of pairs of runs of one and the same variant; shares, 0 to 1.

    Attributes:
        pairs: how many pairs of runs were drawn.
        discordance: the share of cases on which two runs disagree.
        flips: how often two gates, each on two runs of its own, would disagree on passing.
        needed: cases for the gate to pass an unchanged variant nine times in ten.
        lost: of skills, the share of pairs in which each was called lost, where it ever was.
    """

    gate: str
    cases: int
    margin: float
    pairs: int
    discordance: float
    passed: float
    failed: float
    flips: float
    needed: int
    lost: Mapping[str, float] = field(default_factory=dict)

    @property
    def inconclusive(self) -> float:
        """How often the gate could not tell."""
        return 1.0 - self.passed - self.failed


def selftest(
    marks: NDArray[np.float64], *, gate: str, margin: float, levels: Levels, pairs: int, seed: int
) -> SelfTest:
    """Judge pairs of runs drawn from the replies of one variant.

    Each pair draws the cases anew, with replacement, and for each of them two different replies
    of those that were given, one for either side: whatever it finds, nothing has changed.

    Args:
        marks: the scores, 0 to 1, of shape (n, r): n cases, r replies to each, r at least 2.
        gate: its kind.
        margin: the drop it allows.
        levels: its risks.
        pairs: how many pairs to draw.
        seed: of the draws.
    """
    n, r = marks.shape
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, n, (pairs, n))
    first = rng.integers(0, r, (pairs, n))
    second = (first + rng.integers(1, r, (pairs, n))) % r
    before, after = marks[chosen, first], marks[chosen, second]
    counts = condense(before, after)
    passed = np.asarray(p_noninferior(counts, margin)) <= levels.miss
    failed = ~passed & (np.asarray(p_drop(counts)) <= levels.alarm)
    unlike = float(np.mean(before != after))
    share = float(passed.mean())
    return SelfTest(
        gate=gate,
        cases=n,
        margin=margin,
        pairs=pairs,
        discordance=unlike,
        passed=share,
        failed=float(failed.mean()),
        flips=flip_rate(share),
        needed=cases_needed(margin, max(unlike, 1.0 / n)),
    )


def skills_selftest(
    marks: Mapping[str, _Marks], gate: ForgettingGate, levels: Levels, *, pairs: int, seed: int
) -> SelfTest:
    """Judge pairs of runs drawn from the replies of one model to skills cases, as that gate does.

    Args:
        marks: for each skill the scores, 0 to 1, of shape (n, r): n cases, r replies to each, r at
            least 2. Cases are drawn anew within their skill.
        gate: the gate.
        levels: its risks.
        pairs: how many pairs to draw.
        seed: of the draws.
    """
    rng, ends, lost = np.random.default_rng(seed), Counter[Outcome](), Counter[str]()
    unlike = 0.0
    for _ in range(pairs):
        drawn = dict(_drawn(marks, rng))
        whole = macro(gate, drawn)
        unlike += (whole.gains + whole.losses) / whole.n / pairs
        found = states(gate, drawn, levels)
        gone = [one for one, state in found.items() if state == "lost" and gate.judges(one)]
        lost.update(gone)
        ends[Outcome.FAILED if gone else _ending(gate, whole, found, levels)] += 1
    passed = ends[Outcome.PASSED] / pairs
    cases = sum(own.shape[0] for own in marks.values())
    return SelfTest(
        gate=gate.kind,
        cases=cases,
        margin=gate.max_drop,
        pairs=pairs,
        discordance=unlike,
        passed=passed,
        failed=ends[Outcome.FAILED] / pairs,
        flips=flip_rate(passed),
        needed=cases_needed(gate.max_drop, max(unlike, 1.0 / cases)),
        lost={skill: count / pairs for skill, count in lost.most_common()},
    )


def _drawn(marks: Mapping[str, _Marks], rng: np.random.Generator) -> Iterator[tuple[str, Pairs]]:
    for skill, own in marks.items():
        n, r = own.shape
        chosen, first = rng.integers(0, n, n), rng.integers(0, r, n)
        second = (first + rng.integers(1, r, n)) % r
        yield skill, pair(own[chosen, first], own[chosen, second])


def _ending(
    gate: ForgettingGate, whole: Pairs, found: Mapping[str, str], levels: Levels
) -> Outcome:
    """Return what the mean comes to, and the skills that must be shown to keep to a margin."""
    if whole.before <= gate.max_drop:
        return Outcome.INCONCLUSIVE
    outcome = judged(whole, gate.max_drop, levels)
    unproven = any(gate.required(s) is not None and state == "open" for s, state in found.items())
    return Outcome.INCONCLUSIVE if unproven and outcome is Outcome.PASSED else outcome
