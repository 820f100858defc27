"""A judge is examined: what it says is held against what people said of the same replies."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import mean

import numpy as np
from scipy.special import stdtr

from pytest_ftgate.gate.examined import Examined, Figure
from pytest_ftgate.gate.numbers.agreement import kappa_bounds
from pytest_ftgate.gate.numbers.proportion import binomial_sf, wilson
from pytest_ftgate.gate.risks import CONFIDENCE
from pytest_ftgate.gate.words import percent
from pytest_ftgate.score.metrics import kappa
from pytest_ftgate.score.ruling import Ruling
from pytest_ftgate.suite.judge import FIGURES, Judge, Label

__all__ = ["examine"]

#: With fewer labels, or fewer of either kind, a judge is not examined.
_FEWEST, _FEWEST_OF_A_KIND = 50, 10
#: From this worth on a reply counts as good.
_GOOD = 0.5
#: A judge that gives no grade more often than this cannot be relied on.
_MOST_UNREAD = 0.05
#: A bias is told where chance explains it less often than this.
_RARE = 0.01

_Rated = Sequence[tuple[Label, Ruling]]


def examine(judge: Judge, rated: _Rated, padded: Sequence[tuple[Ruling, Ruling]]) -> Examined:
    """Return what *judge* is worth.

    Args:
        judge: who is examined.
        rated: what it said of each reply that people labelled.
        padded: what it said of bad replies, and of the same replies said twice.
    """
    found = Examined(
        judge=judge.name,
        provider=judge.variant.provider,
        rubric=" ".join(judge.rubric.split())[:80],
        labels=len(rated),
        floor=judge.floor,
        is_binary=judge.is_binary,
    )
    if not rated:
        return found
    read = [(label, ruling) for label, ruling in rated if ruling.worth is not None]
    found = replace(found, unread=len(rated) - len(read))
    if read:
        found = _measured(found, judge, read, padded)
    fault = next(_faults(found, judge, rated, read), "")
    # Whatever else is wrong with it, how far it agrees is what a reader asks first.
    told = _floored(found, "kappa")
    fault += f"; {told}" if fault and told not in fault else ""
    return replace(found, fault=fault, warnings=tuple(_warnings(found)))


def _measured(
    found: Examined, judge: Judge, read: _Rated, padded: Sequence[tuple[Ruling, Ruling]]
) -> Examined:
    pairs = [(label.grade, _said(judge, ruling)) for label, ruling in read]
    twice = [one for _, ruling in read if (one := ruling.agreement) is not None]
    orders = [one for _, ruling in read if (one := ruling.consistent) is not None]
    length, p = _length(judge, read)
    worths = [(one.worth, two.worth) for one, two in padded]
    known = [(one, two) for one, two in worths if one is not None and two is not None]
    return replace(
        found,
        agreement=_share([one == other for one, other in pairs]),
        kappa=_kappa(judge, pairs),
        sensitivity=None if judge.compares else _found(judge, pairs, good=True),
        specificity=None if judge.compares else _found(judge, pairs, good=False),
        consistency=_share(orders),
        repeats=_share(twice),
        length=length,
        length_p=p,
        padded=len(known),
        padded_up=sum(two > one for one, two in known),
        padded_down=sum(two < one for one, two in known),
    )


def _said(judge: Judge, ruling: Ruling) -> str:
    return judge.nearest(ruling.worth or 0.0)


def _share(held: Sequence[float]) -> Figure | None:
    if not held:
        return None
    low, high = wilson(float(sum(held)), len(held), CONFIDENCE)
    return Figure(value=mean(map(float, held)), low=float(low), high=float(high), n=len(held))


def _found(judge: Judge, pairs: Sequence[tuple[str, str]], *, good: bool) -> Figure | None:
    """Return how often the judge calls good what people do, or bad."""
    of = [(judge.grades[a] >= _GOOD, judge.grades[b] >= _GOOD) for a, b in pairs]
    return _share([said is good for human, said in of if human is good])


def _kappa(judge: Judge, pairs: Sequence[tuple[str, str]]) -> Figure:
    ranked = sorted(judge.grades, key=lambda grade: judge.grades[grade])
    human, said = ([ranked.index(pair[i]) for pair in pairs] for i in (0, 1))
    weighted = len(ranked) > 2  # noqa: PLR2004 - of two grades all disagreement is the same
    bounds = kappa_bounds(human, said, len(ranked), weighted=weighted)
    value = kappa(human, said, len(ranked), weighted=weighted)
    return Figure(value=value, low=bounds.lower, high=bounds.upper, n=len(pairs))


def _length(judge: Judge, read: _Rated) -> tuple[float | None, float | None]:
    """Return how far the judge's error goes with the length of what it grades, and its chance.

    Both are compared among replies that people grade alike: a judge that errs at all errs upwards
    on bad replies and downwards on good ones, whatever their length.
    """
    errors, sizes, kinds = [], [], 0
    for grade in judge.grades:
        alike = [(label, ruling) for label, ruling in read if label.grade == grade]
        kinds += bool(alike)
        errors += _centred([ruling.worth or 0.0 for _, ruling in alike])
        sizes += _centred(_ranks([len(one.reply) - len(one.other or "") for one, _ in alike]))
    one, other, left = np.array(errors), np.array(sizes), len(errors) - kinds - 1
    spread = float(np.sqrt(np.sum(one**2) * np.sum(other**2)))
    if left < 1 or not spread:
        return None, None
    found = float(np.clip(np.sum(one * other) / spread, -1.0, 1.0))
    if abs(found) == 1.0:
        return found, 0.0
    return found, 2 * float(stdtr(left, -abs(found) * np.sqrt(left / (1 - found**2))))


def _centred(values: Sequence[float]) -> list[float]:
    middle = mean(values) if values else 0.0
    return [value - middle for value in values]


def _ranks(values: Sequence[float]) -> list[float]:
    """Return each value's place among all, from 0 to 1; equal values share theirs."""
    ranked = sorted(values)
    last = max(1, len(values) - 1)
    return [(bisect_left(ranked, v) + bisect_right(ranked, v) - 1) / 2 / last for v in values]


def _faults(found: Examined, judge: Judge, rated: _Rated, read: _Rated) -> Iterator[str]:
    """Yield why the judge may not gate, what matters most first."""
    if found.unread > _MOST_UNREAD * found.labels:
        # Without what it said instead, which a note quotes.
        why = next(ruling.unread[0] for _, ruling in rated if ruling.worth is None).split(": '")[0]
        yield f"it gave no grade in {found.unread} of {found.labels} cases, the first: {why}"
    kinds = [judge.grades[label.grade] >= _GOOD for label, _ in rated]
    fewest = min(sum(kinds), len(kinds) - sum(kinds))
    if found.labels < _FEWEST or fewest < _FEWEST_OF_A_KIND:
        yield (
            f"{found.labels} labels, {fewest} of the rarer kind, do not examine it; at least "
            f"{_FEWEST} are needed, {_FEWEST_OF_A_KIND} of either kind"
        )
    said = {_said(judge, ruling) for _, ruling in read}
    if len(said) == 1:
        told = _floored(found, "kappa") if "kappa" in found.floor else ""
        yield f'it says "{said.pop()}" of all {len(read)} labelled replies{"; " * bool(told)}{told}'
    yield from (told for name in FIGURES if (told := _floored(found, name)))


def _floored(found: Examined, name: str) -> str:
    """Say that a figure was not shown to reach its floor, or return ""."""
    figure, floor = getattr(found, name), found.floor.get(name)
    if floor is None:
        return ""
    if figure is None:
        return f"its {name} is not known, floor {floor:.2f}"
    if figure.low >= floor:
        return ""
    return f"{name} {figure.value:.2f} ({figure.low:.2f} to {figure.high:.2f}), floor {floor:.2f}"


def _warnings(found: Examined) -> Iterator[str]:
    if found.length is not None and (found.length_p or 1.0) < _RARE:
        which = "longer" if found.length > 0 else "shorter"
        yield f"it favours {which} replies (rank correlation {found.length:+.2f} with its error)"
    moved = found.padded_up + found.padded_down
    by_chance = float(binomial_sf(found.padded_up - 1, moved, 0.5)) if found.padded_up else 1.0
    if by_chance < _RARE:
        told = f"{found.padded_up} of {found.padded} bad replies got a better grade"
        yield f"{told} by being said twice"
    if found.repeats is not None and found.repeats.value < 1 - 2 * _MOST_UNREAD:
        yield f"two samples of it say the same in {percent(found.repeats.value)}"
    if found.consistency is not None and found.consistency.value < 1 - 2 * _MOST_UNREAD:
        yield f"both orders come to the same in {percent(found.consistency.value)}"
