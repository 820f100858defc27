"""Judges in a gate: validated by human labels, their errors corrected, or refused."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import mean

import numpy as np
from scipy.special import stdtr

from pytest_ftgate.gates.checks import UNCHANGED, drop, floor
from pytest_ftgate.gates.levels import CONFIDENCE, Levels
from pytest_ftgate.gates.samples import Array, Side, aligned
from pytest_ftgate.gates.units import percent, points
from pytest_ftgate.gates.verdict import Check, Examined, Figure, Outcome, Verdict
from pytest_ftgate.scoring.classification import kappa
from pytest_ftgate.scoring.judges import Ruling
from pytest_ftgate.stats.proportions import binomial_sf, wilson
from pytest_ftgate.stats.resampling import Estimate, kappa_bounds, two_phase_mean
from pytest_ftgate.suite.model import FIGURES, Judge, Label

__all__ = [
    "FEWEST_LABELS",
    "Judging",
    "by_judges",
    "examine",
    "judged_drop",
    "judged_floor",
    "judging_notes",
    "unproven",
]

#: What to do where a judge may not gate.
_UNFIT = (
    "sharpen the rubric, or take a stronger judge; pytest-ftgate labels writes replies to label",
)
#: With fewer labels of these very replies the judge's mean is not corrected by its error on them.
FEWEST_LABELS = 100


@dataclass(frozen=True, slots=True)
class Judging:
    """What is known of the judges of one variant's replies.

    Attributes:
        judges: what each was found to be worth.
        alone: the score is one judge's grade and nothing else, so that labels speak of it.
        said: what people said of this variant's replies, by case, 0 to 1.
        said_before: the same of the baseline's replies.
        baseline: its name.
        compares: the grades say how far a reply is preferred to the baseline's, which is preferred
            as far as it is not.
        ungraded: which of this variant's replies came without a grade, in a sentence, or "".
        constant: the judge says one and the same of all replies of the run, of so many; or 0.
    """

    judges: tuple[Examined, ...] = ()
    alone: bool = False
    said: Mapping[str, float] = field(default_factory=dict)
    said_before: Mapping[str, float] = field(default_factory=dict)
    baseline: str = ""
    compares: bool = False
    ungraded: str = ""
    constant: int = 0

    @property
    def fault(self) -> str:
        """Why a judge may not gate, or ""."""
        return next((f"{one.judge}: {one.fault}" for one in self.judges if one.fault), "")

    @property
    def changes(self) -> dict[str, float]:
        """How much more people said of this variant's replies than of the baseline's."""
        both = self.said.keys() & self.said_before.keys()
        return {key: self.said[key] - self.said_before[key] for key in both}

    @property
    def shows(self) -> tuple[float, float] | None:
        """How much of a true change the grades show, and at least; None where nobody knows."""
        return self.judges[0].shows if self.alone and len(self.judges) == 1 else None

    @property
    def relative(self) -> str:
        """Why verdicts hold for what the judge says alone, or ""."""
        if not self.judges or self.fault:
            return ""
        if not all(one.labels for one in self.judges):
            return "no labels have examined it"
        return "" if self.shows or len(self.changes) >= FEWEST_LABELS else "nothing corrects it"


def unproven(check: Check, judging: Judging) -> Check:
    """Return *check* open, where a judge may not gate."""
    if not judging.fault:
        return check
    return replace(check, outcome=Outcome.INCONCLUSIVE, needed=None, certifiable=None)


def by_judges(verdict: Verdict, judging: Judging) -> Verdict:
    """Return *verdict* as far as its judges may decide it; that of another gate as it is."""
    if verdict.gate != "accuracy" or not judging.judges:
        return verdict
    verdict = replace(verdict, judges=judging.judges)
    if judging.fault:
        return replace(
            verdict,
            outcome=Outcome.INCONCLUSIVE,
            headline=f"judge not qualified: {judging.fault}",
            next=_UNFIT,
        )
    told = verdict.headline
    told = told.replace("accuracy", "preferred", 1) if judging.compares else told
    relative = judging.relative and verdict.check
    return replace(verdict, headline=f"{told} (judge-relative)" if relative else told)


def judging_notes(judging: Judging) -> Sequence[str]:
    """Return what a reader must know of the judges, a sentence each."""
    told = [f"{one.judge}: {warning}" for one in judging.judges for warning in one.warnings]
    if judging.relative:
        told.insert(0, f"judge-relative: {judging.relative}, so this holds for its grades alone")
    told += [judging.ungraded] * bool(judging.ungraded)
    if judging.constant and not all(one.labels for one in judging.judges):
        told.append(f"the judge says the same of all {judging.constant} replies")
    return told


# Drops ------------------------------------------------------------------------------------------


def judged_drop(  # noqa: PLR0913 - the rule's parameters, each by name
    judging: Judging,
    before: Side,
    after: Side,
    *,
    against: str,
    margin: float,
    levels: Levels,
    chance: float = 0.0,
) -> Check:
    """Compare two sides as *drop* does, corrected by labels where there are any."""
    if judging.compares and against == judging.baseline:
        before, after = aligned(before, after)
        before = replace(before, values=1.0 - after.values)
    plain = drop(before, after, against=against, margin=margin, levels=levels, chance=chance)
    if not judging.judges or judging.fault or plain.note == UNCHANGED or not plain.informative:
        return plain
    if against == judging.baseline:
        made = _by_labels(plain, before, after, judging, levels)
        if made:
            return made
    shows = judging.shows
    if shows is None:
        return plain
    seen, least = shows
    if least <= 0:
        return replace(plain, outcome=Outcome.INCONCLUSIVE, note=_BLIND)
    held = drop(before, after, against=against, margin=margin * least, levels=levels)
    return _enlarged(held, margin, judging.judges[0], seen, least)


_BLIND = "labels cannot rule out that the judge shows nothing of a true change"


def _enlarged(check: Check, margin: float, judge: Examined, seen: float, least: float) -> Check:
    """Return a check of grades as one of what they stand for."""
    told = f"the judge shows {percent(seen)} of a true change, at least {percent(least)}"
    note = f"{told}; the margin was held to that"
    return replace(
        check,
        limit=margin,
        before=_true_rate(check.before or 0.0, judge),
        after=_true_rate(check.after, judge),
        low=_within((check.low or 0.0) / seen, -1.0),
        high=_within((check.high or 0.0) / seen, -1.0),
        certifiable=_larger(check.certifiable, least),
        detectable=_larger(check.detectable, least),
        method="judge",
        note=f"{check.note}; {note}" if check.note else note,
    )


def _larger(share: float | None, least: float) -> float | None:
    return None if share is None or share >= least else share / least


def _within(value: float, low: float) -> float:
    return min(1.0, max(low, value))


def _true_rate(rate: float, judge: Examined) -> float:
    """Return what share is truly good where the judge calls a share of *rate* good."""
    if judge.sensitivity is None or judge.specificity is None:
        return rate
    good, bad = judge.sensitivity.value, judge.specificity.value
    return _within((rate + bad - 1) / (good + bad - 1), 0.0)


def _by_labels(
    plain: Check, before: Side, after: Side, judging: Judging, levels: Levels
) -> Check | None:
    """Return the check by the two-phase estimate; None where it has too little to go by."""
    before, after = aligned(before, after)
    known = before.known & after.known
    was, now = before.where(known), after.where(known)
    seen: Array = now.values - was.values
    made = _estimated(plain, now, seen, judging.changes)
    if made is None:
        return None
    estimate, count = made
    then = _estimated(plain, was, was.values, judging.said_before)
    rate = _within(then[0].mean if then else plain.before or 0.0, 0.0)
    p_pass, p_fail = estimate.p_above(-plain.limit), estimate.p_below(0.0)
    low, high = estimate.interval(CONFIDENCE)
    told = f"the judge alone saw {points(float(np.mean(seen)))} points"
    return replace(
        plain,
        outcome=_outcome(p_pass, p_fail, levels),
        before=rate,
        after=_within(rate + estimate.mean, 0.0),
        low=_within(low, -1.0),
        high=_within(high, -1.0),
        p_pass=p_pass,
        p_fail=p_fail,
        method="labels",
        needed=None,
        certifiable=None,
        note=f"corrected by {count} labels of these replies: {told}",
    )


def _estimated(
    plain: Check, side: Side, values: Array, labels: Mapping[str, float]
) -> tuple[Estimate, int] | None:
    """Return the mean of *values*, corrected by *labels*, and how many these are; None if few."""
    at = [index for index, key in enumerate(side.keys) if key in labels]
    whole = side.groups is None and side.weights is None and not plain.missing
    if len(at) < FEWEST_LABELS or not whole:
        return None
    return two_phase_mean(values, [labels[side.keys[index]] for index in at], at), len(at)


def _outcome(p_pass: float, p_fail: float, levels: Levels) -> Outcome:
    if p_pass <= levels.miss:
        return Outcome.PASSED
    return Outcome.FAILED if p_fail <= levels.alarm else Outcome.INCONCLUSIVE


# Floors -----------------------------------------------------------------------------------------


def judged_floor(judging: Judging, after: Side, *, least: float, levels: Levels) -> Check:
    """Hold a rate to a floor as *floor* does, corrected by labels where there are any."""
    plain = floor(after, least=least, levels=levels)
    if not judging.judges or judging.fault:
        return plain
    made = _floor_by_labels(plain, after, judging.said, levels)
    if made or judging.shows is None:
        return made or plain
    return _moved_floor(plain, after, judging.judges[0], levels)


def _moved_floor(plain: Check, after: Side, judge: Examined, levels: Levels) -> Check:
    good, bad = judge.sensitivity, judge.specificity
    if good is None or bad is None:
        return plain
    least = plain.limit
    seen = good.value + bad.value - 1
    # What the judge must say for the floor to hold for certain, and to be missed for certain.
    hard, easy = (
        _within(least * g + (1 - least) * (1 - b), 0.0)
        for g, b in ((good.high, bad.low), (good.low, bad.high))
    )
    held, missed = (floor(after, least=one, levels=levels) for one in (hard, easy))
    outcome = Outcome.INCONCLUSIVE
    if held.outcome is Outcome.PASSED:
        outcome = Outcome.PASSED
    elif missed.outcome is Outcome.FAILED:
        outcome = Outcome.FAILED
    told = f"of good replies the judge finds {percent(good.value)}, of bad {percent(bad.value)}"
    return replace(
        plain,
        outcome=outcome,
        after=_true_rate(plain.after, judge),
        low=_within(((plain.low or 0.0) + bad.value - 1) / seen, 0.0),
        high=_within(((plain.high or 0.0) + bad.value - 1) / seen, 0.0),
        needed=held.needed if outcome is Outcome.INCONCLUSIVE else None,
        method="judge",
        note=f"{told}; it calls {percent(plain.after)} good, {percent(hard)} would hold the floor",
    )


def _floor_by_labels(
    plain: Check, after: Side, said: Mapping[str, float], levels: Levels
) -> Check | None:
    now = after.where(after.known)
    made = _estimated(plain, now, now.values, said)
    if made is None:
        return None
    estimate, count = made
    low, high = estimate.interval(CONFIDENCE)
    p_pass, p_fail = estimate.p_above(plain.limit), estimate.p_below(plain.limit)
    told = f"the judge alone calls {percent(plain.after)} good"
    return replace(
        plain,
        outcome=_outcome(p_pass, p_fail, levels),
        after=_within(estimate.mean, 0.0),
        low=_within(low, 0.0),
        high=_within(high, 0.0),
        method="labels",
        needed=None,
        note=f"corrected by {count} labels of these replies: {told}",
    )


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
