"""How often a gate on few tasks with many runs is wrong, simulated with the package's functions.

    python benchmarks/error_rates_tasks.py [--replicates N] [--seed S]

Half of the tasks of a suite surely succeed, 15 in 100 surely fail, and the others succeed at any
rate. A table has, by tasks x runs and in per cent, how often an agent passes that is unchanged, by
the limit; how often one passes that drops by the limit, and one fails that drops by half of it or
is unchanged; and how often one fails that drops by twice the limit. Errors are the worst of all
limits, of suites whose tasks are all sure or all at 50 %, and of four ways to lose: each task in
proportion, as many tasks as it takes as a whole, the least sure tasks first, and with tasks that
change at random beside it.

Then follow graded rewards, unequal runs, blocks of pass^5, five looks, what a plan says, intervals,
and rises of what runs cost. For tasks like these the tasks of each suite are drawn from 2,000 with
the same rates and losses, and the suites are compared as a gate without a claim compares them. The
exit status is 1 if a promise is broken by more than two standard errors.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, islice, product
from math import sqrt
from typing import NamedTuple

import numpy as np
from draws import Array
from error_rates_means import exit_status
from scipy.special import ndtri
from trials import FAILED, INCONCLUSIVE, PASSED, Codes, decide, judge_again

from pytest_ftgate.gates.checks import ROUNDING, drop_outcome
from pytest_ftgate.gates.design import (
    BEYOND,
    MAX_LOOKS,
    Design,
    Levels,
    Look,
    look_levels,
    round_up_to_point,
)
from pytest_ftgate.gates.power import design_certifiable_limit
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.stats.paired import ChangeCounts, PairedCounts, change_counts, paired_counts
from pytest_ftgate.stats.proportions import find_root
from pytest_ftgate.stats.rates import score_interval
from pytest_ftgate.stats.resampling import ratio_interval, ratio_of_ratios_interval
from pytest_ftgate.stats.tasks import (
    TaskPlan,
    TaskRuns,
    p_permuted,
    score_of_these,
    smallest_shown_drop,
    these_tasks,
)

DESIGNS = ((5, 3), (5, 5), (5, 10), (5, 20), (10, 5), (10, 10), (20, 5), (20, 10), (40, 5), (80, 5))
LIMITS = (0.05, 0.10, 0.15, 0.20)
UNCHANGED, HALF, WHOLE, TWICE = 0.0, 0.5, 1.0, 2.0
#: The promises, as shares: a drop of the limit passes; of half the limit, and of none, fails.
MISS, HALVES, ALARM = 0.065, 0.13, 0.01
#: By how many standard errors of the simulation a figure may exceed its promise.
TOLERATED = 2.0
#: Suites that are judged one by one, as a share of the others.
ONE_BY_ONE = 8
HOPELESS, K, CONFIDENCE = 0.15, 5, 0.95
OUTCOME_CODES = {Outcome.PASSED: PASSED, Outcome.INCONCLUSIVE: INCONCLUSIVE, Outcome.FAILED: FAILED}
Rng = np.random.Generator


# Tasks and losses ---------------------------------------------------------------------------------


def mixed(rng: Rng | None, suites: int, tasks: int) -> Array:
    """Return rates of tasks, (suites, tasks): sure, anywhere and hopeless ones.

    Without *rng* those in between are evenly spaced.
    """
    sure, hopeless = -(-tasks // 2), round(HOPELESS * tasks)
    rates = np.ones((suites, tasks))
    between = tasks - sure - hopeless
    even = np.broadcast_to((np.arange(between) + 0.5) / between, (suites, between))
    rates[:, sure : tasks - hopeless] = even if rng is None else rng.random((suites, between))
    rates[:, tasks - hopeless :] = 0.0
    return rates


TASKS: dict[str, Callable[[Rng, int, int], Array]] = {
    "mixed": mixed,
    "sure": lambda _, suites, tasks: np.ones((suites, tasks)),
    "doubtful": lambda _, suites, tasks: np.full((suites, tasks), 0.5),
}


def in_proportion(_: Rng, rates: Array, drop: float) -> Array:
    """Return the rates after each task has lost in proportion to what it had."""
    left = 1.0 - drop / rates.mean(axis=1, keepdims=True)
    return np.asarray(np.clip(rates * left, 0.0, 1.0))


def as_a_whole(_: Rng, rates: Array, drop: float) -> Array:
    """Return the rates after as many tasks as it takes have lost all that they had."""
    before = np.cumsum(rates, axis=1) - rates
    return np.asarray(rates - np.clip(drop * rates.shape[1] - before, 0.0, rates))


def least_sure(rng: Rng, rates: Array, drop: float) -> Array:
    """Return the rates after tasks that may fail have lost all before the sure ones."""
    return as_a_whole(rng, rates[:, ::-1], drop)[:, ::-1]


def with_others(rng: Rng, rates: Array, drop: float) -> Array:
    """Return the rates where tasks between sure and hopeless changed too, at random."""
    free = (rates > 0.0) & (rates < 1.0)
    drawn = np.where(free, rng.random(rates.shape), rates)
    return in_proportion(rng, drawn, drop + (drawn - rates).mean(axis=1, keepdims=True))


LOSSES = (in_proportion, as_a_whole, least_sure, with_others)


def situations(rng: Rng, suites: int, tasks: int, drop: float) -> Iterator[Sides]:
    """Yield rates before and after a true *drop*, of each kind of tasks and each way to lose."""
    for draw, loss in product(TASKS.values(), LOSSES if drop else LOSSES[:1]):
        before = draw(rng, suites, tasks)
        after = loss(rng, before, drop)
        kept = np.abs((before - after).mean(axis=1) - drop) < ROUNDING
        yield before[kept], after[kept]


# Verdicts -----------------------------------------------------------------------------------------


Sides = tuple[Array, Array]


def counted(right: Sides, runs: tuple[int, int], first: Sides, limit: float) -> ChangeCounts[Array]:
    """Return the counts of many suites, *right* of the runs of each task, as `these_tasks` does.

    *first* are right of as many runs as both sides have. They are permuted where the change may
    reach *limit*: elsewhere that decides nothing.
    """
    (suites, tasks), fewer = right[0].shape, float(min(runs))
    b, c = (side / k for side, k in zip(right, runs, strict=True))
    delta, permuted, each = np.mean(c - b, axis=1), np.full(suites, 0.5), np.full(tasks, fewer)
    for one in np.flatnonzero(delta <= ROUNDING - limit):
        permuted[one] = p_permuted(first[0][one], first[1][one], each, each)
    fixed, regressed = (fewer * np.sum(one, axis=1) for one in ((1.0 - b) * c, b * (1.0 - c)))
    n = np.full(suites, tasks * fewer)
    return ChangeCounts(n=tasks * fewer, delta=delta, fixed=fixed, regressed=regressed,
                        effective=n, countable=np.ones(suites, np.bool_),
                        permuted=permuted)  # fmt: skip


def judged(rng: Rng, rates: Sides, runs: tuple[int, int], limit: float, code: int) -> Codes:
    """Return where suites with these rates are *code*; the first is judged by `drop_outcome` too.

    What passes takes no permutation, which takes most of the time.
    """
    levels, reach = Levels(), limit if code == FAILED else 1.0
    fewer = min(runs)
    first, rest = (
        [rng.binomial(count, side).astype(np.float64) for count, side in zip(counts, rates,
                                                                          strict=True)]
        for counts in ((fewer, fewer), (runs[0] - fewer, runs[1] - fewer))
    )  # fmt: skip
    right = first[0] + rest[0], first[1] + rest[1]
    codes = decide(counted(right, runs, (first[0], first[1]), reach), limit, levels)
    sides = (
        np.concatenate([right_of(one[0], fewer), right_of(more[0], k - fewer)], axis=1)
        for one, more, k in zip(first, rest, runs, strict=True)
    )
    if code == FAILED:
        judge_again(these_tasks(*map(TaskRuns, sides)), limit, levels, int(codes[0]))
    return codes


def right_of(right: Array, runs: int) -> Array:
    """Return runs of tasks, of which so many are *right*."""
    return np.asarray(np.arange(runs) < right[:, None], np.float64)


class Share(NamedTuple):
    """A share of suites, and their number."""

    share: float
    suites: int

    def breaks(self, most: float) -> bool:
        """Return True if the share exceeds *most* by more than chance."""
        error = (self.share * (1.0 - self.share) / self.suites) ** 0.5
        return bool(self.share > most + TOLERATED * error)


def share(codes: Codes, code: int) -> Share:
    """Return how often *codes* are *code*."""
    return Share(float(np.mean(codes == code)), codes.size)


class Report:
    """What is printed, and whether every promise is kept."""

    kept = True

    def row(self, name: str, passed: list[Share], errors: list[Share], found: list[Share]) -> None:
        """Print a row; *errors* are those of `MISS`, `HALVES` and `ALARM`."""
        groups = ["".join(f"{100 * one.share:6.1f}" for one in group) for group in
                  (passed, errors, found)]  # fmt: skip
        print(f"{name:34}" + "  ".join(f"{text:24}" for text in groups).rstrip(), flush=True)
        for what, one, most in zip(
            ("a drop of the limit passes", "half the limit fails", "unchanged, fails"),
            errors, (MISS, HALVES, ALARM), strict=True,
        ):  # fmt: skip
            self.promise(what, one, most)

    def promise(self, what: str, one: Share, most: float) -> None:
        """Note whether *one* keeps the promise of *most*."""
        if one.breaks(most):
            self.kept = False
            print(f"    NOT MET: {what}: {100 * one.share:.2f}, at most {100 * most:g}")


#: Judges suites with a true drop by a limit, to see how often they pass or how often they fail.
Judge = Callable[[float, float, int], list[Codes]]


def print_row(report: Report, name: str, judge: Judge, limits: tuple[float, ...]) -> None:
    """Print the figures of one design."""

    def worst(times: float, code: int) -> Share:
        judgements = (judge(times * limit, limit, code) for limit in limits)
        return max(share(codes, code) for found in judgements for codes in found)

    passed = [share(judge(UNCHANGED, limit, PASSED)[0], PASSED) for limit in limits]
    errors = [worst(WHOLE, PASSED), worst(HALF, FAILED), worst(UNCHANGED, FAILED)]
    # Tasks cannot drop by more than they had.
    twice = (judge(TWICE * limit, limit, FAILED) for limit in limits)
    report.row(name, passed, errors, [share(found[0], FAILED) for found in twice if found])


def counted_judge(rng: Rng, suites: int, tasks: int, runs: tuple[int, int]) -> Judge:
    """Return what judges right or wrong runs of these tasks."""

    def judge(drop: float, limit: float, code: int) -> list[Codes]:
        # Of a drop that fails only the first way to lose is shown.
        rates = situations(rng, suites, tasks, drop)
        rates = islice(rates, 1) if drop > limit else rates
        return [judged(rng, both, runs, limit, code) for both in rates if len(both[0])]

    return judge


# Tasks like these ---------------------------------------------------------------------------------

#: The tasks that those of a suite are drawn from; the steps of a graded reward.
POPULATION, STEPS = 2_000, 4
#: Tasks, runs of both sides, and limits from the smallest one that so many tasks can show.
LIKE = (
    (5, ((1, 2), (2, 2), (5, 5), (10, 10), (20, 20)), (0.46, 0.60)),
    (10, ((1, 2), (2, 2), (5, 5), (10, 10), (20, 20)), (0.26, 0.40)),
    (20, ((1, 2), (2, 2), (3, 3), (5, 5), (10, 3), (10, 10), (20, 20)), (0.15, 0.20)),
    (40, ((1, 2), (2, 2), (3, 3), (5, 5), (10, 10), (20, 20)), (0.08, 0.10, 0.15)),
    (80, ((1, 2), (2, 1), (2, 2), (3, 3), (5, 5), (10, 10), (20, 20)), (0.05, 0.10)),
)


def like_judge(
    rng: Rng, suites: int, tasks: int, runs: tuple[int, int], rates: Array | None = None,
    *, is_graded: bool = False,
) -> Judge:  # fmt: skip
    """Return what judges suites of tasks that are drawn anew, of both sides the same.

    Unchanged tasks may have given *rates*, (1, tasks).
    """
    steps = STEPS if is_graded else 1
    repeats = (1.0, 1.0) if is_graded else (float(runs[0]), float(runs[1]))

    def judged_by(both: Sides, limit: float) -> Codes:
        drawn = rng.integers(0, both[0].size, (suites, tasks))
        before, after = (
            rng.binomial(steps * k, side[0][drawn]) / (steps * k)
            for side, k in zip(both, runs, strict=True)
        )
        codes = decide(change_counts(before, after, repeats), limit, Levels())
        pairs = paired_counts(
            before[0], after[0], before_repeats=repeats[0], after_repeats=repeats[1]
        )
        judge_again(pairs, limit, Levels(), int(codes[0]))
        return codes

    def judge(drop: float, limit: float, _: int) -> list[Codes]:
        if rates is not None:
            return [judged_by((rates, rates), limit)]
        found = situations(rng, 1, POPULATION, drop)
        found = islice(found, 1) if drop > limit else found
        return [judged_by(both, limit) for both in found if len(both[0])]

    return judge


def print_like_these(report: Report, rng: Rng, suites: int) -> None:
    """Print rows of tasks that are drawn anew for every suite, and of graded rewards of them."""
    print("\nTasks like these: the columns above, with the limits that are named\n")
    for (tasks, designs, limits), is_graded in product(LIKE, (False, True)):
        named = " / ".join(f"{100 * limit:g}" for limit in limits)
        for runs in ((5, 5),) if is_graded else designs:
            judge = like_judge(rng, suites, tasks, runs, is_graded=is_graded)
            name = f"{tasks} x {runs[0]}" + f", then {runs[1]}" * (runs[0] != runs[1])
            print_row(report, f"{name}{', graded' * is_graded}, {named}", judge, limits)


# One by one ---------------------------------------------------------------------------------------

Compared = Callable[[Rng, Array, Array], PairedCounts]


def right_or_wrong(rng: Rng, rates: Array, runs: int) -> Array:
    """Draw runs of tasks with these *rates*, shape (tasks, runs)."""
    return np.asarray(rng.random((rates.size, runs)) < rates[:, None], np.float64)


def graded(rng: Rng, before: Array, after: Array, runs: int) -> PairedCounts:
    """Compare rewards that are the mean of four steps, each right or wrong."""
    sides = (
        np.mean([right_or_wrong(rng, rates, runs) for _ in range(4)], axis=0)
        for rates in (before, after)
    )
    return these_tasks(*map(TaskRuns, sides))


def unequal(rng: Rng, before: Array, after: Array, runs: int) -> PairedCounts:
    """Compare tasks with from half of the *runs* to all of them."""
    sides = [right_or_wrong(rng, rates, runs) for rates in (before, after)]
    for side in sides:
        many = rng.integers(-(-runs // 2), runs + 1, len(side))
        side[np.arange(runs) >= many[:, None]] = np.nan
    return these_tasks(*map(TaskRuns, sides))


def blocks(rng: Rng, before: Array, after: Array, runs: int) -> PairedCounts:
    """Compare blocks of five runs, which are right as often as the rates say."""
    sides = (right_or_wrong(rng, rates ** (1.0 / K), runs) for rates in (before, after))
    whole = (side[:, : runs // K * K].reshape(len(side), -1, K).min(axis=2) for side in sides)
    return these_tasks(*map(TaskRuns, whole))


def judge_one_by_one(rng: Rng, suites: int, tasks: int, compare: Compared) -> Judge:
    """Return what judges suites of *tasks* one by one."""

    def judge(drop: float, limit: float, _: int) -> list[Codes]:
        # Of all ways to lose: by mixed tasks in proportion, and by sure ones as a whole.
        found = []
        for draw, loss in (("mixed", in_proportion), ("sure", as_a_whole))[: 1 + (drop > 0.0)]:
            before = TASKS[draw](rng, suites, tasks)
            after = loss(rng, before, drop)
            outcomes = [
                drop_outcome(compare(rng, *rates), limit, Levels())
                for rates in zip(before, after, strict=True)
            ]
            found.append(np.array([OUTCOME_CODES[one] for one in outcomes]))
        return found

    return judge


# Looks --------------------------------------------------------------------------------------------


def looked(rng: Rng, rates: Sides, last: int, limit: float) -> tuple[Codes, Array]:
    """Return the verdicts after at most five looks, and the share of runs that each suite used."""
    ends = [round(last * number / MAX_LOOKS) for number in range(1, MAX_LOOKS + 1)]
    right = [np.zeros(side.shape) for side in rates]
    codes, used = np.full(len(rates[0]), INCONCLUSIVE), np.ones(len(rates[0]))
    for number, end in enumerate(ends, start=1):
        more = end - (ends[number - 2] if number > 1 else 0)
        right = [now + rng.binomial(more, side) for now, side in zip(right, rates, strict=True)]
        fractions = tuple(one / last for one in ends[:number])
        look = Look(number=number, of=MAX_LOOKS, repeats=end, fractions=fractions)
        levels = look_levels(look, Levels())
        both = right[0], right[1]
        now = decide(counted(both, (end, end), both, limit), limit, levels)
        ends_here = (codes == INCONCLUSIVE) & (now != INCONCLUSIVE)
        codes, used = np.where(ends_here, now, codes), np.where(ends_here, end / last, used)
    return codes, used


def print_looks(report: Report, rng: Rng, suites: int) -> None:
    """Print how five blocks of runs decide, and which share of the runs they take."""
    print(
        "\nFive looks (mixed tasks): the columns above, then the runs used, unchanged and twice\n"
    )
    for (tasks, runs), limit in product(((5, 10), (5, 20), (10, 10), (12, 20)), (0.10, 0.20)):
        found: dict[tuple[float, str], tuple[Codes, Array]] = {}
        for times, loss in product((UNCHANGED, HALF, WHOLE, TWICE), LOSSES):
            before = mixed(rng, suites, tasks)
            after = loss(rng, before, times * limit) if times else before
            kept = np.abs((before - after).mean(axis=1) - times * limit) < ROUNDING
            found[times, loss.__name__] = looked(rng, (before[kept], after[kept]), runs, limit)

        def worst(times: float, code: int) -> Share:
            return max(share(codes, code) for (at, _), (codes, _) in found.items() if at == times)  # noqa: B023

        unchanged, twice = (found[at, in_proportion.__name__] for at in (UNCHANGED, TWICE))
        errors = [worst(WHOLE, PASSED), worst(HALF, FAILED), worst(UNCHANGED, FAILED)]
        used = [Share(float(np.mean(one[1])), suites) for one in (unchanged, twice)]
        report.row(f"{tasks} x {runs}, limit {100 * limit:g}", [share(unchanged[0], PASSED)],
                   errors, [share(twice[0], FAILED), *used])  # fmt: skip


# Plans and intervals ------------------------------------------------------------------------------


def found_drop(plan: TaskPlan, limit: float) -> float:
    """Return the smallest drop on these tasks that fails a gate with this *limit* 9 times in 10."""
    alarm, lack = -float(ndtri(Levels().alarm)), float(ndtri(0.9))

    def excess(drop: float) -> float:
        differ = min(1.0, plan.disagreement + drop)
        error = sqrt((differ - drop**2) / plan.pairs)
        # Permuted runs have the variance of the mean rate of both sides.
        permuted = sqrt((differ - drop**2 / 2.0) / plan.pairs)
        return drop - lack * error - max(limit, alarm * permuted)

    return find_root(excess, 0.0, 1.0, xtol=1e-9) if excess(1.0) > 0.0 else 1.0


def print_plans(rng: Rng, suites: int) -> None:
    """Print what a plan says of mixed tasks, and what is measured at its limits and drops."""
    print("\nPlans: limit in whole points, drop that fails it, limit for tasks like these;")
    print("measured: unchanged passes, the drop fails, unchanged passes on tasks like these\n")
    for tasks, runs in DESIGNS:
        rates = mixed(None, suites, tasks)
        disagreement = 2.0 * float(np.mean(rates[0] * (1.0 - rates[0])))
        plan = TaskPlan(tasks=tasks, runs=(runs, runs), disagreement=disagreement)
        design = Design((1.0,) * tasks, tuple(range(tasks)), repeats=(runs, runs))
        limits = plan.limit(), design_certifiable_limit(design, disagreement) or 1.0
        limit, like = map(round_up_to_point, limits)
        drop = found_drop(plan, limit)
        same = judged(rng, (rates, rates), (runs, runs), limit, PASSED)
        lost = in_proportion(rng, rates, drop)
        fails = judged(rng, (rates, lost), (runs, runs), limit, FAILED)
        shown = like_judge(rng, suites, tasks, (runs, runs), rates[:1])(UNCHANGED, like, PASSED)
        points = "".join(f"{100 * one:7.1f}" for one in (limit, drop, like))
        measured = (share(same, PASSED), share(fails, FAILED), share(shown[0], PASSED))
        shares = "".join(f"{100 * one.share:7.1f}" for one in measured)
        print(f"{tasks:3} x {runs:<3}{points}   {shares}")


def print_intervals(rng: Rng, suites: int) -> None:
    """Print how often 95 % intervals miss what they are about."""
    print(
        "\n95 % intervals that miss the truth: pass@1, pass^5 of these tasks; cost per success of"
    )
    print("these tasks, and of tasks like these\n")
    for tasks, runs in ((5, 10), (10, 10), (20, 10)):
        rates, missed = mixed(None, 1, tasks)[0], np.zeros(4)
        truths = [np.mean(rates), np.mean(rates**K)]
        for _ in range(suites):
            seen = TaskRuns(right_or_wrong(rng, rates, runs))
            for at, k in enumerate((1, K)):
                low, high = score_interval(score_of_these(seen, k), CONFIDENCE)
                missed[at] += not low <= truths[at] <= high
            drawn = rates[rng.integers(0, tasks, tasks)]
            for at, (now, like) in enumerate(((rates, False), (drawn, True)), start=2):
                runs_now = right_or_wrong(rng, now, runs)
                costs = rng.gamma(4.0, 0.25, (tasks, runs)) * (1.5 - now)[:, None]
                truth = float(np.mean(1.5 - rates) / np.mean(rates))
                sides = costs.ravel(), runs_now.ravel()
                if like:
                    sides = costs.sum(axis=1), runs_now.sum(axis=1)
                low, high = ratio_interval(*sides, CONFIDENCE) if runs_now.any() else (1.0, 0.0)
                missed[at] += not low <= truth <= high
        print(f"{tasks:3} x {runs:<3}" + "".join(f"{100 * one / suites:7.1f}" for one in missed))


# Amounts ------------------------------------------------------------------------------------------

#: Tasks, runs, and whether the tasks are the sample.
AMOUNTS = ((8, 5, False), (5, 20, False), (20, 5, False), (80, 5, False), (40, 5, True),
           (80, 20, True))  # fmt: skip
#: The spread of amounts over tasks, within a task, and the mean rate of success.
SPREADS = ((0.5, 0.3, 0.9), (1.0, 0.8, 0.6), (0.5, 0.8, 0.25))
#: The largest allowed rise, and how often an amount at its limit may pass.
RISE, MOST_MISSED = 0.2, 0.07


def amounts(rng: Rng, tasks: int, runs: int, spread: tuple[float, float, float]) -> list[Array]:
    """Return the costs and the successes of two agents that are the same, (tasks, runs) each."""
    each = rng.lognormal(0.0, spread[0], tasks)[:, None]
    rates = rng.beta(2.0 * spread[2], 2.0 * (1.0 - spread[2]), tasks)[:, None]
    found: list[Array] = []
    for _ in range(2):
        right = (rng.random((tasks, runs)) < rates).astype(np.float64)
        # A failure costs half as much again.
        within = rng.lognormal(-(spread[1] ** 2) / 2.0, spread[1], (tasks, runs))
        found += [each * within * (1.5 - 0.5 * right), right]
    return found


def print_amounts(report: Report, rng: Rng, suites: int) -> None:
    """Print how often rises of amounts pass or fail that should not."""
    print("\nRises of lognormal costs of a run, then of a success, limit 20: a rise of the limit")
    print("passes, an unchanged agent fails and passes; worst of three spreads\n")
    for tasks, runs, like in AMOUNTS:
        worst = np.array([[0.0, 0.0, 1.0]] * 2)
        for spread in SPREADS:
            counts = np.zeros((2, 3))
            for _ in range(suites):
                sides = amounts(rng, tasks, runs, spread)
                # A rise over no success decides nothing.
                counted = 2 if sides[1].any() and sides[3].any() else 1
                before, right, after, now = (
                    np.mean(side, axis=1) if like else side.ravel() for side in sides
                )
                pairs = (after, now), (before, right)
                for at in range(counted):
                    (_, high), (low, _) = (
                        ratio_of_ratios_interval(*pairs, one)
                        if at
                        else ratio_interval(after, before, one)
                        for one in (CONFIDENCE, 1.0 - 2.0 * BEYOND)
                    )
                    counts[at] += high <= 1.0, low > 1.0 + RISE, high <= 1.0 + RISE
            shares = counts / suites
            worst[:, :2] = np.maximum(worst[:, :2], shares[:, :2])
            worst[:, 2] = np.minimum(worst[:, 2], shares[:, 2])
        name = f"{tasks} x {runs}" + ", tasks like these" * like
        print(f"{name:34}" + "".join(f"{100 * one:7.1f}" for one in worst.ravel()), flush=True)
        for missed, alarm, _ in worst.tolist():
            report.promise("a rise of the limit passes", Share(missed, suites), MOST_MISSED)
            report.promise("unchanged, fails", Share(alarm, suites), ALARM)


def print_one_by_one(report: Report, rng: Rng, suites: int) -> None:
    """Print rows of suites that are judged one by one."""
    print("\nOne by one, with the limits that are named\n")
    rows: tuple[tuple[str, Callable[..., PairedCounts], int, int, tuple[float, ...]], ...] = (
        ("graded", graded, 5, 5, (0.15, 0.20)),
        ("graded", graded, 20, 5, (0.05, 0.10)),
        ("unequal runs", unequal, 5, 10, (0.15, 0.20)),
        ("unequal runs", unequal, 20, 10, (0.05, 0.10)),
        ("pass^5 in blocks", blocks, 10, 20, (0.15, 0.20)),
    )
    for name, compare, tasks, runs, limits in rows:
        judge = judge_one_by_one(rng, suites, tasks, partial(compare, runs=runs))
        named = " / ".join(f"{100 * limit:g}" for limit in limits)
        print_row(report, f"{name}, {tasks} x {runs}, {named}", judge, limits)


def print_task_rows(replicates: int, seed: int) -> bool:
    """Simulate and print all rows. Return True if every promise is met."""
    report, few = Report(), replicates // ONE_BY_ONE
    print(f"{replicates} suites a figure, {few} where they are judged one by one, seed {seed};")
    print("in per cent. Limits of 5, 10, 15 and 20 points, or those that are named\n")
    print(f"{'':34}{'unchanged: passed':24}  {'limit: passed, half the':24}  twice the limit:")
    print(f"{'tasks x runs':34}{'':24}  {'limit, unchanged: failed':24}  failed")
    rngs = (np.random.default_rng([seed, number]) for number in count())
    for (tasks, runs), rng in zip(DESIGNS, rngs, strict=False):
        judge = counted_judge(rng, replicates, tasks, (runs, runs))
        print_row(report, f"{tasks} x {runs}", judge, LIMITS)
    for tasks, runs in ((5, 4), (10, 5)):
        judge = counted_judge(next(rngs), replicates, tasks, (20, runs))
        print_row(report, f"{tasks} x {runs}, the baseline 20", judge, LIMITS)
    print_one_by_one(report, next(rngs), few)
    print_looks(report, next(rngs), replicates)
    print_plans(next(rngs), replicates)
    print_intervals(next(rngs), few)
    print_amounts(report, next(rngs), few)
    print_like_these(report, next(rngs), replicates)
    smallest = " ".join(f"{t}: {100 * smallest_shown_drop(t):.1f}" for t in (5, 10, 20, 40, 80))
    print(f"\nThe smallest limit that tasks can show of tasks like these: {smallest}")
    return report.kept


if __name__ == "__main__":
    sys.exit(exit_status(__doc__ or "", print_task_rows, 2_000))
