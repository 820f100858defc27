"""How often a gate is wrong that labels only the inputs whose replies differ, simulated.

    python benchmarks/error_rates_labels.py [--replicates N] [--seed S]

Every figure comes from the package's own functions, in per cent. A row has a number of inputs, the
share of them whose replies differ, a limit, and the labels: so many at once, or all differing
inputs at five looks. It says how often a variant passes that is unchanged, and one that drops by
the limit; how often one fails that is unchanged, and one that drops by half of the limit and by
twice the limit; and which part of the differing inputs is labelled. Of these two thirds have
exactly one right reply. Then come equal inputs, labels of an earlier comparison, and a judge that
errs, each by the rule and by the mistake that the rule avoids, and at last the labels that a limit
takes. The exit status is 1 if a promise is broken by more than two standard errors of the
simulation.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache, partial
from itertools import product
from typing import NamedTuple

import numpy as np
from error_rates_means import Array, Row, exit_status, row_of, row_text

from pytest_ftgate.gates.checks import ROUNDING, drop_fails
from pytest_ftgate.gates.design import ALARM, MAX_LOOKS, MISS, Levels, Look, look_levels
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.stats.differing import (
    FEWEST_LABELS,
    ONE_RIGHT,
    LabelledChanges,
    judge_strength,
    labels_needed,
    planned_changes,
)
from pytest_ftgate.stats.power import cases_needed

INPUTS, DIFFER, LIMITS = (500, 1_000, 5_000), (0.02, 0.05, 0.10, 0.20), (0.02, 0.05)
#: The labels of a row, and the looks at them; None for all differing inputs, which at one look are
#: judged as labelled cases are.
LABELS = ((10, 1), (40, 1), (None, MAX_LOOKS))
#: The promises, as shares: a drop of the limit passes, and one of half of it fails.
WHOLE_PASSES, HALF_FAILS = 0.065, 0.13
#: Limits of the table of labels.
PLANNED = (0.01, 0.02, 0.03, 0.05)
Rng = np.random.Generator
#: What becomes of a variant that is drawn, and the labelled share of what differs.
Drawn = tuple[Outcome, float]
#: Draws a variant by its true drop, in limits.
Draw = Callable[[float], Drawn]


class Situation(NamedTuple):
    """So many inputs, the share of them that differ, and the limit."""

    n: int
    differ: float
    limit: float

    def __str__(self) -> str:
        return f"{self.n:6,}{100 * self.differ:6.0f} %{100 * self.limit:7.0f}"

    def chances(self, drop: float) -> tuple[float, Array]:
        """Return how often inputs differ, and how often such ones lose, gain and do neither."""
        differ = max(self.differ, drop)
        changed = max(ONE_RIGHT, drop / differ)
        lost = (changed + drop / differ) / 2.0
        return differ, np.array([lost, changed - lost, 1.0 - changed])


class Labelled(NamedTuple):
    """Inputs, those of them that differ, and of these the labelled ones that lost and gained."""

    n: int
    differing: int
    labels: int = 0
    lost: int = 0
    gained: int = 0

    def changes(self) -> LabelledChanges:
        """Return the changes as the package counts them."""
        same = self.labels - self.lost - self.gained
        return LabelledChanges(
            tied=np.ones(self.n - self.differing),
            sampled=np.repeat([-1.0, 0.0, 1.0], [self.lost, same, self.gained]),
            sampled_sizes=np.ones(self.labels),
            unlabelled=np.ones(self.differing - self.labels),
        )


class Shares(NamedTuple):
    """How often variants passed and failed, and the share of the differing inputs with a label."""

    passed: Array
    failed: Array
    labelled: float = 1.0


@lru_cache
def levels_of(number: int, looks: int) -> Levels:
    """Return the levels of one look of several."""
    fractions = tuple((look + 1) / looks for look in range(number))
    return look_levels(Look(number=number, of=looks, fractions=fractions), Levels())


def verdict(
    changes: LabelledChanges, limit: float, levels: Levels, strength: float = 1.0
) -> Outcome:
    """Return the outcome of labelled changes, of a judge of that strength."""
    # A drop that is smaller than the limit can pass and cannot fail; a larger one, the reverse.
    if changes.change > ROUNDING - limit:
        is_passed = changes.p_noninferior(limit * strength) <= levels.miss
        return Outcome.PASSED if is_passed else Outcome.INCONCLUSIVE
    if changes.sampled.size < min(FEWEST_LABELS, changes.drawn_from):
        return Outcome.INCONCLUSIVE
    p_values = changes.p_drop(), changes.p_not_beyond(limit)
    fails = drop_fails(changes.change, *p_values, limit, levels)
    return Outcome.FAILED if fails else Outcome.INCONCLUSIVE


@lru_cache(maxsize=200_000)
def found(state: Labelled, limit: float, number: int, looks: int) -> Outcome:
    """Return the outcome of one look; many draws are alike."""
    levels = levels_of(number, looks)
    return verdict(state.changes(), limit, levels if state.labels else Levels(miss=MISS))


def decided(rng: Rng, at: Situation, drop: float, *, labels: int | None, looks: int) -> Drawn:
    """Draw one variant, and return its outcome with the labelled share of what differs."""
    differ, chances = at.chances(drop * at.limit)
    m = int(rng.binomial(at.n, differ))
    if found(Labelled(at.n, m), at.limit, 1, 1) is Outcome.PASSED:
        return Outcome.PASSED, 0.0
    total, lost, gained, seen = min(labels or m, m), 0, 0, 0
    outcome = Outcome.INCONCLUSIVE
    for number in range(1, looks + 1):
        more = -(-total * number // looks) - seen
        fewer, better, _ = rng.multinomial(more, chances).tolist()
        lost, gained, seen = lost + fewer, gained + better, seen + more
        if seen >= min(FEWEST_LABELS, m):
            outcome = found(Labelled(at.n, m, seen, lost, gained), at.limit, number, looks)
        if outcome is not Outcome.INCONCLUSIVE:
            break
    return outcome, seen / m


def shares(draw: Callable[[], Drawn], times: int) -> Shares:
    """Return what became of *times* variants."""
    outcomes, labelled = zip(*(draw() for _ in range(times)), strict=True)
    passed, failed = (
        np.array([one is kind for one in outcomes]) for kind in (Outcome.PASSED, Outcome.FAILED)
    )
    return Shares(passed, failed, float(np.mean(labelled)))


HEAD = f"""{"":40}        passed                failed      labelled
{"inputs  differ  limit   labels":40}   none  limit   none   half  twice   none  twice"""


def each_situation(rng: Rng, times: int) -> Iterator[Row]:
    """Print the table of independent inputs, and yield its promises."""
    print(HEAD)
    situations = [Situation(*each) for each in product(INPUTS, DIFFER, LIMITS)]
    for at, (labels, looks) in product(situations, LABELS):
        draw = partial(decided, rng, at, labels=labels, looks=looks)
        yield from printed(f"{at}  {labels or 'all, five looks'}", draw, times)
        found.cache_clear()


def printed(name: str, draw: Draw, times: int, *, is_mistake: bool = False) -> Iterator[Row]:
    """Draw by each drop, in limits, print a row, and yield its promises unless it *is_mistake*."""
    by_drop = {drop: shares(partial(draw, drop), times) for drop in (0.0, 0.5, 1.0, 2.0)}
    passed = [float(np.mean(by_drop[drop].passed)) for drop in (0.0, 1.0)]
    failed = [float(np.mean(by_drop[drop].failed)) for drop in (0.0, 0.5, 2.0)]
    labelled = [by_drop[drop].labelled for drop in (0.0, 2.0)]
    figures = "".join(f"{100 * share:7.1f}" for share in (*passed, *failed, *labelled))
    print(f"{name:40}{figures}", flush=True)
    if is_mistake:
        return
    for what, promise, seen in (
        ("unchanged, fails", ALARM, by_drop[0.0].failed),
        ("half the limit, fails", HALF_FAILS, by_drop[0.5].failed),
        ("the limit, passes", WHOLE_PASSES, by_drop[1.0].passed),
    ):
        yield row_of(f"{name}: {what}", times, promise, [*seen])


# Equal inputs, earlier labels, judges ------------------------------------------------------------


#: The situations of these rows, and their labels.
OTHERS, SOME = (Situation(1_000, 0.10, 0.05), Situation(5_000, 0.05, 0.02)), 40
#: How often an input is asked several times, and how often.
ASKED_AGAIN, TIMES = 0.2, (2, 8)
#: How many pairs people label of those that a judge labels.
BY_PEOPLE = 100


def drawn_changes(rng: Rng, chances: Array, count: int) -> Array:
    """Return the changes of so many inputs that differ."""
    return rng.choice([-1.0, 1.0, 0.0], count, p=chances)


def of_one_case(
    n: int, sampled: Array, unlabelled: int, known: Sequence[float] | Array = ()
) -> LabelledChanges:
    """Return the changes of *n* inputs of one case each."""
    return LabelledChanges(
        tied=np.ones(n - len(known) - len(sampled) - unlabelled),
        known=np.asarray(known, np.float64),
        known_sizes=np.ones(len(known)),
        sampled=sampled,
        sampled_sizes=np.ones(len(sampled)),
        unlabelled=np.ones(unlabelled),
    )


def equal_inputs(
    rng: Rng, at: Situation, drop: float, *, only_equal: bool, one_by_one: bool
) -> Drawn:
    """Draw inputs of which some are asked several times.

    *only_equal*: whether only such inputs lose. *one_by_one*: whether the cases of an input count
    as so many inputs, by mistake.
    """
    again = rng.integers(TIMES[0], TIMES[1] + 1, at.n)
    sizes = np.where(rng.random(at.n) < ASKED_AGAIN, again, 1)
    sizes = sizes[np.cumsum(sizes) <= at.n].astype(np.float64)
    can_lose = (sizes > 1.0) | (not only_equal)
    share = sizes[can_lose].sum() / sizes.sum()
    differ, chances = at.chances(drop * at.limit / share)
    differs = np.flatnonzero(rng.random(sizes.size) < np.where(can_lose, differ, at.differ))
    as_before = at.chances(0.0)[1]
    loses, tied = can_lose[differs], np.delete(sizes, differs)
    changes = np.where(
        loses, *(drawn_changes(rng, each, differs.size) for each in (chances, as_before))
    )
    sizes, labels = sizes[differs], min(SOME, differs.size)
    whole = sizes[:labels].astype(np.intp)
    found = LabelledChanges(
        tied=tied,
        sampled=changes[:labels] * sizes[:labels],
        sampled_sizes=sizes[:labels],
        unlabelled=sizes[labels:],
    )
    if one_by_one:
        cases = np.repeat(changes[:labels], whole)
        found = of_one_case(round(found.n), cases, round(float(np.sum(sizes[labels:]))))
    return verdict(found, at.limit, Levels()), labels / max(differs.size, 1)


def earlier_labels(rng: Rng, at: Situation, drop: float, *, as_sample: bool) -> Drawn:
    """Draw a variant of whose differing replies half were labelled before, and lost nothing.

    *as_sample*: whether those labels are taken for a sample of all that differ, by mistake.
    """
    half = at._replace(differ=at.differ / 2.0)
    differ, chances = half.chances(drop * at.limit)
    known = drawn_changes(rng, half.chances(0.0)[1], int(rng.binomial(at.n, half.differ)))
    others = at.n - len(known)
    new = drawn_changes(rng, chances, int(rng.binomial(others, differ / (1.0 - half.differ))))
    found = of_one_case(at.n, new[:SOME], len(new[SOME:]), known)
    if as_sample:
        found = of_one_case(at.n, known, len(new))
    return verdict(found, at.limit, Levels()), len(new[:SOME]) / max(len(new), 1)


@cache
def strength_of(right: int, swapped: int, same: int) -> float:
    """Return the strength of a judge by its labels beside those of people; many are alike."""
    return judge_strength(np.repeat([1.0, -1.0, 0.0], [right, swapped, same]))


def judged(
    rng: Rng, at: Situation, drop: float, *, errors: tuple[float, float], uncorrected: bool
) -> Drawn:
    """Draw a variant whose labels are those of a judge that swaps and ties some replies."""
    differ, chances = at.chances(drop * at.limit)
    count, (swaps, ties) = int(rng.binomial(at.n, differ)), errors
    changes, turn = drawn_changes(rng, chances, min(SOME, count)), rng.random(min(SOME, count))
    swapped = np.where(changes == 0.0, rng.choice([-1.0, 1.0], len(changes)), -changes)
    tied = np.where(turn < swaps + ties, 0.0, changes)
    seen = np.where(turn < swaps, swapped, tied)
    beside = rng.multinomial(rng.binomial(BY_PEOPLE, ONE_RIGHT), [1.0 - swaps - ties, swaps, ties])
    strength = 1.0 if uncorrected else strength_of(*beside.tolist())
    found = of_one_case(at.n, seen, count - len(seen))
    return verdict(found, at.limit, Levels(), strength), len(seen) / max(count, 1)


#: What is drawn, and the mistake that the rule avoids.
MISTAKES: tuple[tuple[str, Callable[..., Drawn], str], ...] = (
    ("equal inputs", partial(equal_inputs, only_equal=False), "one_by_one"),
    ("only equal inputs lose", partial(equal_inputs, only_equal=True), "one_by_one"),
    ("half were labelled before", earlier_labels, "as_sample"),
    ("a judge swaps 5 %, ties 5 %", partial(judged, errors=(0.05, 0.05)), "uncorrected"),
    ("a judge swaps 10 %, ties 10 %", partial(judged, errors=(0.1, 0.1)), "uncorrected"),
)


def each_other(seed: int, times: int) -> Iterator[Row]:
    """Print the tables of the rule beside mistakes, and yield the promises of the rule."""
    for number, (what, draw, mistake) in enumerate(MISTAKES):
        rng = np.random.default_rng([seed, number])
        print(f"\n{what}, {SOME} labels; by mistake {mistake.replace('_', ' ')}\n{HEAD}")
        for at, wrong in product(OTHERS, (False, True)):
            one = partial(draw, rng, at, **{mistake: wrong})
            rows = printed(f"{at}  {'mistake' if wrong else 'rule'}", one, times, is_mistake=wrong)
            yield from (row._replace(what=f"{what}: {row.what}") for row in rows)


# Labels ------------------------------------------------------------------------------------------


def labels_line(limit: float, differ: float) -> str:
    """Return the labels that a limit takes, for each number of inputs."""
    cells = [f"{100 * limit:5.0f}{100 * differ:6.0f} %"]
    cells.append(f"{cases_needed(limit, ONE_RIGHT * differ):17,}")
    for n in INPUTS:
        differing = round(n * differ)
        needed = labels_needed(n, differing, limit)
        chance = planned_changes(n, differing).chance_to_pass(differing, limit)
        none = f"- ({100 * chance:.0f})"
        cells.append(f"{none if needed is None else f'{needed:,} of {differing:,}':>14}")
    return "".join(cells)


def print_labels() -> None:
    """Print the labels with which an unchanged variant passes nine times in ten."""
    print(
        "\nLabels with which an unchanged variant passes 9 times in 10; -: all are too few, and in"
    )
    print("brackets how often it passes with all, in per cent\n")
    print("limit  differ  random cases     of 500 inputs         1,000         5,000")
    print(*(labels_line(*each) for each in product(PLANNED, DIFFER)), sep="\n")


def print_rows(replicates: int, seed: int) -> bool:
    """Simulate and print everything. Return True if every promise is met."""
    print(f"{replicates} variants a figure, seed {seed}\n")
    plain = [*each_situation(np.random.default_rng(seed), replicates)]
    others = [*each_other(seed, replicates)]
    print_labels()
    print(f"\nThe worst of each promise\n{'':92}{'n':>5}{'promise':>9}{'measured':>9}")
    for rows, promise in product((plain, others), (ALARM, HALF_FAILS, WHOLE_PASSES)):
        held = [row for row in rows if row.promise == promise]
        print(row_text(max(held, key=lambda row: row.measured or 0.0)))
    broken = [row for row in plain + others if row.is_broken]
    print(*(f"NOT MET: {row_text(row)}" for row in broken), sep="\n")
    return not broken


if __name__ == "__main__":
    sys.exit(exit_status(__doc__ or "", print_rows, 1_000))
