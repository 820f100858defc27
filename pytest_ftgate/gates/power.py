"""Power of a suite's gates before a run, and their self-test on repeated replies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
from numpy.typing import NDArray

from pytest_ftgate.gates.checks import drop_outcome
from pytest_ftgate.gates.levels import MISS, POWER, TYPICAL_DISCORDANCE, Levels
from pytest_ftgate.gates.skills import mean_over_skills, skill_states
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.stats.paired import (
    PairedCounts,
    change_counts,
    p_drop,
    p_noninferior,
    paired_counts,
)
from pytest_ftgate.stats.power import (
    cases_needed,
    certifiable_margin,
    flip_rate,
    minimum_cases_needed,
    pass_probability,
)
from pytest_ftgate.suite.gate_kinds import ForgettingGate
from pytest_ftgate.suite.model import Gate, Suite

#: The power of a minimum is planned for a variant whose rate is this much above it.
_ABOVE_MINIMUM = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerEstimate:
    """The power of one gate for one variant. Rates and margins are shares, 0 to 1.

    Attributes:
        effective: the effective number of cases, repeats included.
        margin: the largest allowed drop, or None if the gate has a minimum only.
        discordance: the share of cases on which both variants disagree; None if the baseline is too
            low for a drop to be seen.
        measured: whether *discordance* is measured, and not the typical value.
        certifiable: the smallest margin that this many cases can certify 9 times in 10.
        pass_probability: the probability that an unchanged variant passes.
        needed: the number of further cases to pass an unchanged variant 9 times in 10.
        repeats: the number of repeats that replaces the needed cases, if replies vary.
    """

    gate: str
    variant: str
    cases: int
    effective: float
    margin: float | None = None
    minimum: float | None = None
    discordance: float | None = TYPICAL_DISCORDANCE
    measured: bool = False
    certifiable: float | None = None
    pass_probability: float | None = None
    needed: int = 0
    repeats: int | None = None


def estimate_power(
    suite: Suite,
    gate: Gate,
    variant: str,
    *,
    repeats: int | None,
    measured: float | None = None,
    baseline_too_low: bool = False,
) -> PowerEstimate:
    """Return the power of *gate* for *variant* with the cases of the suite.

    *repeats* is the number of replies to each case, or None if replies do not vary. Each counts as
    a case, which holds for an unchanged variant. *measured* is the discordance of cached replies,
    or None for the typical value. *baseline_too_low* is True if the baseline is known to be too low
    for a drop to be seen.
    """
    n = gate.count_cases(suite.cases)
    discordance = TYPICAL_DISCORDANCE if measured is None else measured
    minimum = gate.min
    estimate = PowerEstimate(
        gate=gate.name,
        variant=variant,
        cases=n,
        effective=n * (repeats or 1),
        margin=gate.max_drop,
        minimum=minimum,
        discordance=None if baseline_too_low else discordance,
        measured=measured is not None,
        needed=_needed_for_minimum(minimum, n) if minimum else 0,
    )
    if gate.max_drop is None or baseline_too_low:
        return estimate
    return _with_drop(estimate, gate.max_drop, discordance, repeats)


def _needed_for_minimum(minimum: float, n: int) -> int:
    try:
        rate = min(1.0, minimum + _ABOVE_MINIMUM)
        total = minimum_cases_needed(minimum, rate, POWER, MISS)
    except ValueError:
        return 0
    return max(0, total - n)


def _with_drop(
    estimate: PowerEstimate, margin: float, discordance: float, repeats: int | None
) -> PowerEstimate:
    """Return *estimate* with the power of its drop check."""
    try:
        certifiable: float | None = certifiable_margin(estimate.effective, discordance)
    except ValueError:
        certifiable = None
    total = cases_needed(margin, discordance)
    is_short = total > estimate.effective
    needed = ceil((total - estimate.effective) / (repeats or 1)) if is_short else 0
    return replace(
        estimate,
        certifiable=certifiable,
        pass_probability=pass_probability(estimate.effective, discordance, 0.0, margin),
        needed=max(estimate.needed, needed),
        repeats=ceil(total / estimate.cases) if is_short and repeats else None,
    )


_Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """The outcomes of a gate on pairs of runs of one variant. Rates are shares, 0 to 1.

    Attributes:
        margin: the largest allowed drop.
        pairs: the number of pairs of runs.
        discordance: the share of cases on which two runs disagree.
        passed, failed: the share of pairs that pass, and that fail.
        flips: the probability that the gate disagrees on two pairs of runs.
        needed: the number of cases to pass an unchanged variant 9 times in 10.
        regressed: by skill, the share of pairs in which it regressed; None without skills.
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
    regressed: Mapping[str, float] | None = None

    @property
    def inconclusive(self) -> float:
        """The share of inconclusive pairs."""
        return 1.0 - self.passed - self.failed


def rate_selftest(
    scores: NDArray[np.float64], *, gate: str, margin: float, levels: Levels, pairs: int, seed: int
) -> SelfTest:
    """Evaluate a drop check on pairs of runs that are resampled from the replies of one variant.

    Each pair draws the cases with replacement, and for each case two different replies, one for
    before and one for after. The true drop is therefore 0. *scores*, 0 to 1, have the shape (n, r):
    n cases, r replies to each, r at least 2. *margin* is the largest allowed drop.
    """
    n, r = scores.shape
    rng = np.random.default_rng(seed)
    cases = rng.integers(0, n, (pairs, n))
    first = rng.integers(0, r, (pairs, n))
    second = (first + rng.integers(1, r, (pairs, n))) % r
    before, after = scores[cases, first], scores[cases, second]
    counts = change_counts(before, after)
    passed = np.asarray(p_noninferior(counts, margin)) <= levels.miss
    failed = ~passed & (np.asarray(p_drop(counts)) <= levels.alarm)
    discordance = float(np.mean(before != after))
    pass_share = float(passed.mean())
    return SelfTest(
        gate=gate,
        cases=n,
        margin=margin,
        pairs=pairs,
        discordance=discordance,
        passed=pass_share,
        failed=float(failed.mean()),
        flips=flip_rate(pass_share),
        needed=cases_needed(margin, max(discordance, 1.0 / n)),
    )


def skills_selftest(
    scores: Mapping[str, _Scores], gate: ForgettingGate, levels: Levels, *, pairs: int, seed: int
) -> SelfTest:
    """Evaluate the forgetting gate on pairs of runs, resampled from the replies of one model.

    *scores*, 0 to 1, are by skill, of shape (n, r): n cases, r replies to each, r at least 2. Cases
    are drawn within their skill.
    """
    rng = np.random.default_rng(seed)
    outcomes, regressions = Counter[Outcome](), Counter[str]()
    discordance = 0.0
    for _ in range(pairs):
        counts = dict(_draw_pair(scores, rng))
        mean = mean_over_skills(gate, counts)
        discordance += (mean.fixed + mean.regressed) / mean.n / pairs
        skills = skill_states(gate, counts, levels)
        regressed = [
            skill
            for skill, state in skills.items()
            if state == "regressed" and gate.evaluates(skill)
        ]
        regressions.update(regressed)
        outcomes[Outcome.FAILED if regressed else _mean_outcome(gate, mean, skills, levels)] += 1
    passed = outcomes[Outcome.PASSED] / pairs
    cases = sum(skill_scores.shape[0] for skill_scores in scores.values())
    return SelfTest(
        gate=gate.kind,
        cases=cases,
        margin=gate.max_drop,
        pairs=pairs,
        discordance=discordance,
        passed=passed,
        failed=outcomes[Outcome.FAILED] / pairs,
        flips=flip_rate(passed),
        needed=cases_needed(gate.max_drop, max(discordance, 1.0 / cases)),
        regressed={skill: count / pairs for skill, count in regressions.most_common()},
    )


def _draw_pair(
    scores: Mapping[str, _Scores], rng: np.random.Generator
) -> Iterator[tuple[str, PairedCounts]]:
    """Yield each skill with the paired counts of one resampled pair of runs."""
    for skill, skill_scores in scores.items():
        n, r = skill_scores.shape
        cases, first = rng.integers(0, n, n), rng.integers(0, r, n)
        second = (first + rng.integers(1, r, n)) % r
        yield skill, paired_counts(skill_scores[cases, first], skill_scores[cases, second])


def _mean_outcome(
    gate: ForgettingGate, mean: PairedCounts, skills: Mapping[str, str], levels: Levels
) -> Outcome:
    """Return the outcome by the mean of the skills, and by the state of the required skills."""
    if mean.before <= gate.max_drop:
        return Outcome.INCONCLUSIVE
    outcome = drop_outcome(mean, gate.max_drop, levels)
    unproven = any(
        gate.required_margin(skill) is not None and state == "inconclusive"
        for skill, state in skills.items()
    )
    return Outcome.INCONCLUSIVE if unproven and outcome is Outcome.PASSED else outcome
