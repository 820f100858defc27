"""The package's own rules on the suites that `error_rates.py` draws.

Where cases are independent, many suites are judged at once by the functions behind `drop_outcome`,
and a few of them again by `drop_outcome` itself. Suites with groups are judged one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, sqrt
from typing import NamedTuple

import numpy as np
from draws import Array, Draw, Pair, Sizes, chances
from numpy.typing import NDArray
from scipy.special import gammaln, xlog1py, xlogy

from pytest_ftgate.gates.checks import ROUNDING, check_minimum, drop_outcome
from pytest_ftgate.gates.design import ALARM, MAX_LOOKS, Levels, Look, look_levels
from pytest_ftgate.gates.regressions import slice_results
from pytest_ftgate.gates.samples import Samples
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.stats.paired import (
    ChangeCounts,
    PairedCounts,
    change_counts,
    holm,
    is_noninferior,
    p_drop,
    p_not_beyond,
    paired_counts,
)
from pytest_ftgate.stats.rates import MeanScore, mean_score, p_misses, p_reaches

Codes = NDArray[np.int_]  # positions in OUTCOMES
OUTCOMES = (Outcome.PASSED, Outcome.INCONCLUSIVE, Outcome.FAILED)
PASSED, INCONCLUSIVE, FAILED = range(3)
#: The drop checks of a large suite.
MANY = 12
#: Suites of each draw that are judged again by the function that the gates call.
_AGAIN = 3


def suite_levels(checks: int) -> Levels:
    """Return the error rates of each check of a suite with that many drop checks."""
    return Levels(alarm=ALARM / checks, shared=checks)


class Shares(NamedTuple):
    """How often a gate passed and failed, and failed as one of the gates of a large suite.

    *suites* is the number of suites behind the shares, infinite for exact probabilities.
    """

    passed: float
    failed: float
    failed_of_many: float
    suites: float

    def error(self, share: float) -> float:
        """Return the standard error of a *share* of the suites."""
        return sqrt(max(share * (1.0 - share), 0.0) / self.suites)


#: Judges suites with a true drop by each of several limits.
Trial = Callable[[np.random.Generator, int, float, Sequence[float]], list[Shares]]


def _shares(codes: Codes, codes_of_many: Codes) -> Shares:
    passed, failed = (float(np.mean(codes == code)) for code in (PASSED, FAILED))
    return Shares(passed, failed, float(np.mean(codes_of_many == FAILED)), codes.size)


# Many suites at once -----------------------------------------------------------------------------


def decide(counts: ChangeCounts[Array], limit: float, levels: Levels) -> Codes:
    """Judge many suites as `drop_outcome` judges one."""
    shown = (p_drop(counts) <= levels.alarm) & (counts.delta <= ROUNDING - limit)
    beyond = p_not_beyond(counts, limit) <= levels.beyond
    fails = shown | beyond if levels.last else shown & beyond
    passed = is_noninferior(counts, limit, levels.miss)
    return np.where(passed, PASSED, np.where(fails, FAILED, INCONCLUSIVE))


def judge_again(pairs: PairedCounts, limit: float, levels: Levels, found: int) -> None:
    """Raise an error unless `drop_outcome` says *found* too, a position in OUTCOMES."""
    outcome = drop_outcome(pairs, limit, levels)
    if outcome is not OUTCOMES[found]:
        raise AssertionError(f"the package's verdict on {pairs} is {outcome}, not {found}")


@dataclass(frozen=True, slots=True)
class Plain:
    """A gate on independent cases."""

    draw: Draw
    repeats: tuple[float, float] = (1.0, 1.0)
    weights: tuple[float, ...] = ()

    def __call__(
        self, rng: np.random.Generator, suites: int, drop: float, limits: Sequence[float]
    ) -> list[Shares]:
        """Return the shares of verdicts for each of *limits*, if the true drop is *drop*."""
        before, after = self.draw(rng, suites, drop)
        w = np.array(self.weights) / np.mean(self.weights) if self.weights else 1.0
        counts = change_counts(before, after, self.repeats, w)
        found = []
        for limit in limits:
            codes = [decide(counts, limit, suite_levels(checks)) for checks in (1, MANY)]
            found.append(_shares(*codes))
            for one in range(_AGAIN):
                pairs = self._pairs(before[one], after[one])
                judge_again(pairs, limit, suite_levels(MANY), int(codes[1][one]))
        return found

    def _pairs(self, before: Array, after: Array) -> PairedCounts:
        return paired_counts(
            before,
            after,
            before_repeats=self.repeats[0],
            after_repeats=self.repeats[1],
            weights=self.weights or None,
        )


@dataclass(frozen=True, slots=True)
class Exact:
    """A gate on independent cases that are right or wrong: exact probabilities.

    A drop larger than the disagreement raises the disagreement to the drop.
    """

    n: int
    disagreement: float

    def __call__(
        self, rng: np.random.Generator, _: int, drop: float, limits: Sequence[float]
    ) -> list[Shares]:
        """Return the shares of verdicts for each of *limits*, if the true drop is *drop*."""
        fixed, regressed, chance = self._outcomes(drop)
        counts = ChangeCounts(
            n=float(self.n),
            delta=(fixed - regressed) / self.n,
            fixed=fixed,
            regressed=regressed,
            effective=np.full_like(fixed, self.n),
            countable=np.ones(fixed.shape, np.bool_),
        )
        found = []
        for limit in limits:
            codes = [decide(counts, limit, suite_levels(checks)) for checks in (1, MANY)]
            for one in rng.choice(chance.size, _AGAIN, p=chance / chance.sum()):
                scores = self._scores(int(fixed[one]), int(regressed[one]))
                pairs = paired_counts(*scores)
                judge_again(pairs, limit, suite_levels(MANY), int(codes[1][one]))
            passed, failed = (float(chance @ (codes[0] == code)) for code in (PASSED, FAILED))
            found.append(Shares(passed, failed, float(chance @ (codes[1] == FAILED)), np.inf))
        return found

    def _outcomes(self, drop: float) -> tuple[Array, Array, Array]:
        """Return every likely outcome: fixed cases, regressed cases, and its probability."""
        total = max(self.disagreement, drop)
        shares = ((total - drop) / 2.0, (total + drop) / 2.0)
        counts = np.meshgrid(*(self._likely(share) for share in shares), indexing="ij")
        possible = counts[0] + counts[1] <= self.n
        f, r = (count[possible] for count in counts)
        rest = self.n - f - r
        log = gammaln(self.n + 1.0) - gammaln(f + 1.0) - gammaln(r + 1.0) - gammaln(rest + 1.0)
        log += xlogy(f, shares[0]) + xlogy(r, shares[1]) + xlog1py(rest, -total)
        return f, r, np.exp(log)

    def _likely(self, share: float) -> Array:
        mean, reach = self.n * share, 8.0 * sqrt(self.n * share) + 20.0
        return np.arange(max(0.0, ceil(mean - reach)), min(self.n, mean + reach) + 1.0)

    def _scores(self, fixed: int, regressed: int) -> Pair:
        case = np.arange(self.n)
        before = np.where(case < fixed, 0.0, 1.0)
        return before, np.where((case >= fixed) & (case < fixed + regressed), 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Looks:
    """A gate that looks at its replies up to five times.

    It looks after each fifth of the cases (`stop_early`), or after each further reply to all cases
    (`settle`) if the draw returns scores of shape (suites, cases, replies).
    """

    draw: Draw

    def __call__(
        self, rng: np.random.Generator, suites: int, drop: float, limits: Sequence[float]
    ) -> list[Shares]:
        """Return the shares of verdicts for each of *limits*, if the true drop is *drop*."""
        before, after = self.draw(rng, suites, drop)
        return [
            _shares(*(self._decide(before, after, limit, suite_levels(k)) for k in (1, MANY)))
            for limit in limits
        ]

    def _decide(self, before: Array, after: Array, limit: float, total: Levels) -> Codes:
        codes = np.full(len(before), INCONCLUSIVE)
        for levels, counts in self._looks(before, after, total):
            codes = np.where(codes == INCONCLUSIVE, decide(counts, limit, levels), codes)
        return codes

    def _looks(
        self, before: Array, after: Array, total: Levels
    ) -> Iterator[tuple[Levels, ChangeCounts[Array]]]:
        n, settles = before.shape[1], before.ndim > 2
        ends = [ceil(n * look / MAX_LOOKS) for look in range(1, MAX_LOOKS + 1)]
        steps = range(1, before.shape[2] + 1) if settles else ends
        fractions = tuple(step / steps[-1] for step in steps)
        for number, step in enumerate(steps, start=1):
            levels = _look_levels(number, fractions[:number], len(steps), total)
            if settles:
                then, now = (np.mean(side[:, :, :step], axis=2) for side in (before, after))
                yield levels, change_counts(then, now, (float(step), float(step)))
            else:
                yield levels, change_counts(before[:, :step], after[:, :step])


@lru_cache
def _look_levels(number: int, fractions: tuple[float, ...], of: int, total: Levels) -> Levels:
    return look_levels(Look(number=number, of=of, fractions=fractions), total)


def any_of_many_fails(
    rng: np.random.Generator, suites: int, *, n: int, repeats: int, limit: float
) -> float:
    """Return how often any check fails in a suite of three gates and four unchanged variants.

    Each gate has cases of its own, and one run of the baseline that all variants are compared with.
    """
    failed, variants = np.zeros(suites, np.bool_), 4
    for _ in range(MANY // variants):
        chance = chances(rng, (suites, n), 0.1)
        before = rng.binomial(repeats, chance) / repeats
        for _ in range(variants):
            after = rng.binomial(repeats, chance) / repeats
            counts = change_counts(before, after, (float(repeats), float(repeats)))
            failed |= decide(counts, limit, suite_levels(MANY)) == FAILED
    return float(np.mean(failed))


# One suite at a time -----------------------------------------------------------------------------


def _codes(pairs: Sequence[PairedCounts], limit: float, levels: Levels) -> Codes:
    return np.array([OUTCOMES.index(drop_outcome(one, limit, levels)) for one in pairs])


@dataclass(frozen=True, slots=True)
class Grouped:
    """A gate on groups of related cases."""

    draw: Draw
    sizes: Sizes

    def __call__(
        self, rng: np.random.Generator, suites: int, drop: float, limits: Sequence[float]
    ) -> list[Shares]:
        """Return the shares of verdicts for each of *limits*, if the true drop is *drop*."""
        labels = np.repeat(np.arange(len(self.sizes)), self.sizes)
        scores = zip(*self.draw(rng, suites, drop), strict=True)
        pairs = [paired_counts(before, after, groups=labels) for before, after in scores]
        return [
            _shares(*(_codes(pairs, limit, suite_levels(checks)) for checks in (1, MANY)))
            for limit in limits
        ]


@dataclass(frozen=True, slots=True)
class Sliced:
    """A gate whose cases fall into slices of one size, each tested for a drop of its own.

    If a slice drops *alone*, a pass means that this slice is kept.
    """

    draw: Draw
    slices: int
    alone: bool = False

    def __call__(
        self, rng: np.random.Generator, suites: int, drop: float, limits: Sequence[float]
    ) -> list[Shares]:
        """Return the shares of verdicts for each of *limits*, if the true drop is *drop*."""
        before, after = self._scores(rng, suites, drop)
        return [
            _shares(*(self._codes(before, after, limit, suite_levels(k)) for k in (2, MANY)))
            for limit in limits
        ]

    def _scores(self, rng: np.random.Generator, suites: int, drop: float) -> Pair:
        if not self.alone:
            return self.draw(rng, suites, drop)
        same, lost = self.draw(rng, suites, 0.0), self.draw(rng, suites, drop)
        first = np.arange(same[0].shape[1]) < same[0].shape[1] // self.slices
        before, after = (np.where(first, b, a) for a, b in zip(same, lost, strict=True))
        return before, after

    def _codes(self, before: Array, after: Array, limit: float, levels: Levels) -> Codes:
        shape = (len(before), self.slices, -1)
        parts = change_counts(before.reshape(shape), after.reshape(shape))
        kept = np.asarray(is_noninferior(parts, limit, levels.miss))
        shown = np.apply_along_axis(holm, 1, p_drop(parts)) <= levels.alarm
        regressed = np.any(~kept & shown & (parts.delta <= ROUNDING - limit), axis=1)
        for one in range(_AGAIN):
            self._judge_again(before[one], after[one], limit, levels, regressed=regressed[one])
        codes = decide(change_counts(before, after), limit, levels)
        if self.alone:
            codes = np.where(kept[:, 0], PASSED, np.where(codes == FAILED, FAILED, INCONCLUSIVE))
        return np.where(regressed, FAILED, codes)

    def _judge_again(
        self, before: Array, after: Array, limit: float, levels: Levels, *, regressed: bool
    ) -> None:
        ids = [str(case) for case in range(before.size)]
        members = {
            ("tag", str(part)): {*names}
            for part, names in enumerate(np.array_split(np.array(ids), self.slices))
        }
        then, now = (
            Samples(case_ids=tuple(ids), values=values, repeats=np.ones(len(ids)))
            for values in (before, after)
        )
        found = slice_results(then, now, members, margin=limit, levels=levels)
        if any(part.state == "regressed" for part in found) is not bool(regressed):
            raise AssertionError("the package's slices differ")


@dataclass(frozen=True, slots=True)
class Forgetting:
    """A forgetting gate: the mean over skills of equal weight, and families tested one by one.

    Attributes:
        draws: who draws the cases of each skill.
        families: the number of families, of as many skills each, that are tested; 0 for none.
        bearing: the first skills, which bear all of the drop; 0 for all skills.
    """

    draws: tuple[Draw, ...]
    families: int = 0
    bearing: int = 0

    #: The smallest limit of a family.
    least_limit = 0.10

    def __call__(
        self, rng: np.random.Generator, suites: int, drop: float, limits: Sequence[float]
    ) -> list[Shares]:
        """Return the shares of verdicts for each of *limits*, if the true drop is *drop*."""
        bearing, count = self.bearing or len(self.draws), len(self.draws)
        drops = [drop * count / bearing if skill < bearing else 0.0 for skill in range(count)]
        scores = [draw(rng, suites, d) for draw, d in zip(self.draws, drops, strict=True)]
        before, after = (np.concatenate(side, axis=1) for side in zip(*scores, strict=True))
        weights = self._weights(scores)
        counts, found = change_counts(before, after, weights=weights), []
        for limit in limits:
            codes = []
            for levels in (suite_levels(2), suite_levels(MANY)):
                means = decide(counts, limit, levels)
                for one in range(_AGAIN):
                    pairs = paired_counts(before[one], after[one], weights=weights)
                    judge_again(pairs, limit, levels, int(means[one]))
                codes.append(np.where(self._any_regressed(scores, limit, levels), FAILED, means))
            found.append(_shares(*codes))
        return found

    def _weights(self, scores: list[Pair]) -> Array:
        """Return the weight of each case: its share of its skill, 1 on average."""
        sizes = [before.shape[1] for before, _ in scores]
        return np.repeat(sum(sizes) / len(sizes) / np.array(sizes), sizes)

    def _any_regressed(self, scores: list[Pair], limit: float, levels: Levels) -> NDArray[np.bool_]:
        any_regressed = np.zeros(len(scores[0][0]), np.bool_)
        if not self.families:
            return any_regressed
        size = len(scores) // self.families
        parts = [
            change_counts(
                np.concatenate([then for then, _ in members], axis=1),
                np.concatenate([now for _, now in members], axis=1),
            )
            for members in (scores[i : i + size] for i in range(0, len(scores), size))
        ]
        margin = max(self.least_limit, limit)
        adjusted = np.apply_along_axis(holm, 1, np.stack([p_drop(part) for part in parts], axis=1))
        for part, p in zip(parts, adjusted.T, strict=True):
            kept = np.asarray(is_noninferior(part, margin, levels.miss))
            any_regressed |= ~kept & (p <= levels.alarm) & (part.delta <= ROUNDING - margin)
        return any_regressed


@dataclass(frozen=True, slots=True)
class Floor:
    """A gate with a minimum. Its drop is what the true rate lacks to 1, its limits are minimums.

    *rate* is the rate of the draw without a drop.
    """

    draw: Draw
    rate: float = 1.0
    sizes: Sizes = ()
    weights: tuple[float, ...] = ()
    repeats: int = 1

    def __call__(
        self, rng: np.random.Generator, suites: int, drop: float, limits: Sequence[float]
    ) -> list[Shares]:
        """Return the shares of verdicts for each of *limits*, if the true drop is *drop*."""
        levels, groups = Levels(), self._groups()
        scores = self.draw(rng, suites, self.rate - (1.0 - drop))[1]
        rates = [self._rate(values, groups) for values in scores]
        found = []
        for limit in limits:
            codes = np.array(
                [
                    PASSED if reached <= levels.miss else FAILED if missed <= levels.alarm else 1
                    for reached, missed in (
                        (p_reaches(rate, limit), p_misses(rate, limit)) for rate in rates
                    )
                ]
            )
            found.append(_shares(codes, codes))
            for one in range(_AGAIN):
                samples = Samples(
                    case_ids=tuple(map(str, range(scores[one].size))),
                    values=scores[one],
                    repeats=np.full(scores[one].size, float(self.repeats)),
                    groups=None if groups is None else groups.astype(np.str_),
                    weights=np.array(self.weights) if self.weights else None,
                )
                outcome = check_minimum(samples, minimum=limit).outcome
                if outcome is not OUTCOMES[codes[one]]:
                    raise AssertionError(f"the package's verdict on {rates[one]} is {outcome}")
        return found

    def _groups(self) -> NDArray[np.int_] | None:
        return np.repeat(np.arange(len(self.sizes)), self.sizes) if self.sizes else None

    def _rate(self, values: Array, groups: NDArray[np.int_] | None) -> MeanScore:
        return mean_score(values, groups=groups, weights=self.weights or None)
