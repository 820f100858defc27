"""How often a part of the cases is named though it has not changed, and how often if it fell.

    python benchmarks/error_rates_parts.py [--replicates N] [--seed S]

Parts are families, skills, labels or tags. Rows as in `error_rates_means.py` say how often a gate
names any unchanged part as one that clearly fell, and how often a part as one that may have fallen;
then how often a part is named that lost 10 or 15 points, while the others are unchanged. A table
says the same of families that lost more or less, and how often they fail their gate. The exit
status is 1 if a promise is broken by more than two standard errors of the simulation.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import draws as draw
import numpy as np
from error_rates_means import Array, Row, exit_status, row_of, row_text
from numpy.typing import NDArray

from pytest_ftgate.gates.checks import ROUNDING
from pytest_ftgate.gates.design import ALARM, MISS, PERHAPS, Levels
from pytest_ftgate.gates.regressions import fall_names, p_alone, slice_results
from pytest_ftgate.gates.samples import CaseSample, Samples, samples_from_cases
from pytest_ftgate.gates.skills import FAMILY_MARGIN
from pytest_ftgate.stats.paired import change_counts, holm, is_noninferior, p_drop, paired_counts

Names = NDArray[np.str_]
#: Draws the scores of one part, before and after: (suites, drop, cases) to two arrays.
Draw = Callable[..., tuple[Array, Array]]

#: The share of cases on which two variants disagree that are not the same model.
DISAGREEMENT = 0.30
LOSSES = (0.10, 0.15)
#: Of the table: how much a family lost, and its sizes.
FAMILIES, FAMILY_LOSSES, FAMILY_SIZES = 6, (0.10, 0.11, 0.15), (120, 150, 200)
#: Suites that are evaluated again as a user's are.
_AGAIN = 5


class Parts(NamedTuple):
    """The parts of a gate: the cases of each, who draws them, and the size of their groups."""

    name: str
    sizes: tuple[int, ...]
    draw: Draw
    group: int = 1


right_or_wrong = partial(draw.disagreeing, disagreement=DISAGREEMENT)


def in_groups(
    rng: np.random.Generator, suites: int, drop: float, *, n: int, size: int
) -> tuple[Array, Array]:
    """Draw cases that are right or wrong, of which those of a group of *size* change together."""
    before, after = right_or_wrong(rng, suites, drop, n=n // size)
    return np.repeat(before, size, axis=1), np.repeat(after, size, axis=1)


STRUCTURES = (
    Parts("6 families of 128 to 232, graded", (128, 149, 170, 190, 211, 232), draw.judge),
    Parts("6 families of 150", (150,) * 6, right_or_wrong),
    Parts("10 labels of 40", (40,) * 10, right_or_wrong),
    Parts("18 skills of 14", (14,) * 18, right_or_wrong),
    Parts("30 tags of 30, graded", (30,) * 30, draw.fields),
    Parts("6 families of 30 groups of 5", (150,) * 6, partial(in_groups, size=5), 5),
)


def named(parts: Parts, rng: np.random.Generator, suites: int, loss: float = 0.0) -> Names:
    """Return what is said of each part, shape (suites, parts); the first part lost *loss*."""
    losses = [loss, *[0.0] * (len(parts.sizes) - 1)]
    scores = [
        parts.draw(rng, suites, lost, n=n) for n, lost in zip(parts.sizes, losses, strict=True)
    ]
    p_values = np.stack([_p_values(parts, *sides) for sides in scores], axis=1)
    names = np.array([fall_names(row, MISS) for row in p_values])
    for one in range(_AGAIN):
        again = _evaluated(parts, [(before[one], after[one]) for before, after in scores])
        if again != [*names[one]]:
            raise AssertionError(f"the package names {again}, not {names[one]}")
    return names


def _p_values(parts: Parts, before: Array, after: Array) -> Array:
    if parts.group == 1:
        return np.asarray(p_drop(change_counts(before, after)))
    groups = np.arange(before.shape[1]) // parts.group
    pairs = (paired_counts(b, a, groups=groups) for b, a in zip(before, after, strict=True))
    return np.array([p_alone(one) for one in pairs])


def _evaluated(parts: Parts, scores: list[tuple[Array, Array]]) -> list[str]:
    """Return what the package says of each part of one suite."""
    sides: tuple[dict[str, CaseSample], dict[str, CaseSample]] = ({}, {})
    members: dict[tuple[str, str], set[str]] = {}
    for number, columns in enumerate(scores):
        for i, values in enumerate(zip(*columns, strict=True)):
            case = f"{number}-{i}"
            members.setdefault(("tag", str(number)), set()).add(case)
            group = f"{number}-{i // parts.group}" if parts.group > 1 else ""
            for side, value in zip(sides, values, strict=True):
                side[case] = CaseSample(float(value), 1, "", group)
    before, after = map(_samples, sides)
    found = slice_results(before, after, members, margin=FAMILY_MARGIN, levels=Levels())
    return [part.named for part in sorted(found, key=lambda part: int(part.name))]


def _samples(cases: dict[str, CaseSample]) -> Samples:
    return samples_from_cases(cases)


def rows(replicates: int, seed: int) -> Iterator[Row]:
    """Simulate the parts of each gate, and yield a row for each figure."""
    for number, parts in enumerate(STRUCTURES):
        rng = np.random.default_rng([seed, number])
        count = len(parts.sizes)
        names = named(parts, rng, replicates)
        clearly = np.any(names == "clearly", axis=1)
        yield row_of(f"{parts.name}, unchanged: any clearly fell", count, MISS, [*clearly])
        seems = np.any(names != "", axis=1)
        yield row_of(f"{parts.name}, unchanged: any is named", count, None, [*seems])
        each = f"{parts.name}, unchanged: a part is named"
        yield row_of(each, count, PERHAPS, [*(names != "").ravel()])
        for loss in LOSSES:
            first = named(parts, rng, max(_AGAIN, replicates // 4), loss)[:, 0]
            what = f"{parts.name}, one lost {loss:.0%}"
            yield row_of(f"{what}: it clearly fell", count, None, [*(first == "clearly")])
            yield row_of(f"{what}: it is named", count, None, [*(first != "")])


# What a family can show --------------------------------------------------------------------------


def family_shares(rng: np.random.Generator, suites: int, n: int, loss: float) -> list[float]:
    """Return how often one of the families that lost *loss* is named clearly, named, and fails."""
    losses = [loss, *[0.0] * (FAMILIES - 1)]
    counts = [change_counts(*right_or_wrong(rng, suites, lost, n=n)) for lost in losses]
    p_values = np.stack([p_drop(one) for one in counts], axis=1)
    names = np.array([fall_names(row, MISS)[0] for row in p_values])
    # Beside the mean all families are one drop check.
    shown = np.apply_along_axis(holm, 1, p_values)[:, 0] <= ALARM / 2
    kept = np.asarray(is_noninferior(counts[0], FAMILY_MARGIN, MISS))
    fails = ~kept & shown & (counts[0].delta <= ROUNDING - FAMILY_MARGIN)
    return [float(np.mean(found)) for found in (names == "clearly", names != "", fails)]


def print_families(replicates: int, seed: int) -> None:
    """Print a row for each size of the family, with a column for each loss."""
    print(
        f"\nOne of {FAMILIES} families lost so many points; {DISAGREEMENT:.0%} disagree: how often"
    )
    print("it clearly fell / is named, clearly or not / fails the gate\n")
    print("cases" + "".join(f"{100 * loss:18.0f}" for loss in FAMILY_LOSSES))
    for n in FAMILY_SIZES:
        cells = []
        for loss in FAMILY_LOSSES:
            rng = np.random.default_rng([seed, n, round(100 * loss)])
            shares = family_shares(rng, replicates, n, loss)
            cells.append(" / ".join(f"{100 * share:.0f}" for share in shares))
        print(f"{n:5}" + "".join(f"{cell:>18}" for cell in cells))


def print_part_rows(replicates: int, seed: int) -> bool:
    """Simulate and print all rows. Return True if every promise is met."""
    print(f"{replicates} gates a row, seed {seed}; figures in per cent\n")
    print(f"{'':92}{'parts':>5}{'promise':>9}{'measured':>9}")
    found = [*rows(replicates, seed)]
    print(*map(row_text, found), sep="\n")
    print_families(replicates, seed)
    return not any(row.is_broken for row in found)


if __name__ == "__main__":
    sys.exit(exit_status(__doc__ or "", print_part_rows))
