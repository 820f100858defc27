"""Power: how often a gate passes an unchanged variant, and the limits that its cases can show.

Everything here counts what a verdict counts: groups of related cases, weights, repeats, and whether
scores are graded. Where cases are not independent or not equal, unchanged variants are drawn and
judged by the rule itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from pytest_ftgate.gates.checks import (
    ROUNDING,
    cases_for_minimum,
    certifiable_limit,
    needed_if_unchanged,
    none_if_impossible,
    unchanged_discordance,
)
from pytest_ftgate.gates.design import (
    MIN_GROUPS,
    POWER,
    STEADY_DISCORDANCE,
    TYPICAL_DISCORDANCE,
    Design,
    build_checks,
    checks_by_gate,
    design_of,
    round_up_to_point,
    suite_repeats,
    with_inputs,
)
from pytest_ftgate.gates.notes import Note, NoteKind, NoteValue, note
from pytest_ftgate.gates.verdict import Check
from pytest_ftgate.requests.request_groups import replies_vary
from pytest_ftgate.stats.graded import GroupLosses, group_losses
from pytest_ftgate.stats.paired import (
    ChangeCounts,
    PairedCounts,
    change_counts,
    is_noninferior,
    paired_counts,
)
from pytest_ftgate.stats.power import (
    cases_needed,
    certifiable_margin,
    graded_pass_probability,
    minimum_pass_probability,
    pass_probability,
)
from pytest_ftgate.stats.rates import MeanScore, rate_pass_probability
from pytest_ftgate.suite.gate_kinds import RateGate, is_rate
from pytest_ftgate.suite.model import Gate, Suite, Variant
from pytest_ftgate.suite.providers import provider_spec

if TYPE_CHECKING:
    from pytest_ftgate.stats.bounded import BoundedValues, PlannedMean

#: The power of a minimum is planned for a variant whose rate is this much above it.
_ABOVE_MINIMUM = 0.05
#: The unchanged variants that are drawn where cases are not independent or not equal.
_DRAWS = 1_000
#: With so many cases, repeats show as much as further cases.
_MANY_REPEATED = 1_000
#: A default limit is at most this large.
MAX_DEFAULT_LIMIT = 0.40
#: With fewer unrelated cases, repeats make no default limit smaller than this.
_TRUSTED_REPEATS, _LEAST_REPEATED = 200, 0.10
#: Above this, a default limit lets much go. A note then says how many cases would show the others.
COARSE_LIMIT, _FINER_LIMITS = 0.15, {"for_15": 0.15, "for_10": 0.10, "for_5": 0.05}
_POINT = 0.01
#: The points of a whole.
_POINTS = 100


@lru_cache(maxsize=64)  # the gates of several variants often share a design
def design_pass_probability(design: Design, discordance: float, margin: float) -> float:
    """Return the probability that an unchanged variant passes a limit of *margin*.

    *discordance* is the share of cases on which two runs of it disagree.
    """
    if _is_closed(design):
        return pass_probability(design.effective, discordance, 0.0, margin, design.miss)
    if design.is_plain:
        tossed = _unchanged_replies(design.n, design.repeats, discordance)
        return float(np.mean(is_noninferior(tossed, margin, design.miss)))
    if design.units < design.n and design.units < MIN_GROUPS:
        return 0.0
    if not design.counts_groups:
        return _unchanged_plan(design, discordance).chance(margin)
    drawn = _unchanged_pairs(design, discordance)
    return float(np.mean([is_noninferior(pairs, margin, design.miss) for pairs in drawn]))


def design_certifiable_limit(
    design: Design, discordance: float, power: float = POWER
) -> float | None:
    """Return the smallest limit that an unchanged variant passes with *power*, or None."""
    if _is_closed(design):
        numbers = (design.effective, discordance, power, design.miss)
        return none_if_impossible(certifiable_margin, *numbers)
    low, high = 0.0, 1.0
    if design_pass_probability(design, discordance, 1.0 - _POINT) < power:
        return None
    while high - low > _POINT / 10.0:
        middle = (low + high) / 2.0
        enough = design_pass_probability(design, discordance, middle) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def design_cases_needed(
    design: Design, discordance: float, margin: float, power: float = POWER
) -> int:
    """Return how many cases like those of *design* pass an unchanged variant with *power*."""
    if _is_closed(design):
        total = cases_needed(margin, discordance, power, design.miss)
        return ceil(total * design.n / design.effective)
    shown = design_certifiable_limit(design, discordance, power)
    if shown is None:
        return ceil(cases_needed(margin, discordance, power, design.miss) * design.n / design.units)
    # What cases can show shrinks with the root of their number, and faster where they are few.
    return ceil(design.n * max(1.0, shown / margin) ** 2)


def _is_closed(design: Design) -> bool:
    """Return True if a formula has the power of *design*, exactly or nearly so.

    Few cases with repeats show less than so many cases with one reply: the verdict has to estimate
    how alike the replies to a case are.
    """
    return design.is_plain and (design.repeats == (1, 1) or design.n >= _MANY_REPEATED)


@lru_cache(maxsize=16)
def _unchanged_replies(
    n: int, repeats: tuple[int, int], discordance: float
) -> ChangeCounts[NDArray[np.float64]]:
    """Return drawn comparisons of an unchanged variant with itself, the same ones each time.

    Where two of its replies to a case may differ, one is as often right as wrong.
    """
    rng = np.random.default_rng(0)
    chance = np.where(rng.random((_DRAWS, n)) < 2.0 * discordance, 0.5, 1.0)
    before, after = (rng.binomial(count, chance) / count for count in repeats)
    return change_counts(before, after, (float(repeats[0]), float(repeats[1])))


@lru_cache(maxsize=16)
def _unchanged_pairs(design: Design, discordance: float) -> tuple[PairedCounts, ...]:
    """Return drawn comparisons of an unchanged variant with itself, the same ones each time.

    The cases of a group change together. In each reply that changes, a right case turns wrong or a
    wrong one turns right, as often.
    """
    rng, groups = np.random.default_rng(0), np.array(design.groups)
    sides = []
    for repeats in design.repeats:
        # With this chance, two replies to a case differ by half of the discordance each.
        shape = (_DRAWS, design.units, repeats)
        sides.append(np.mean(rng.random(shape) < discordance / 2.0, axis=-1))
    before, after = 1.0 - sides[0][:, groups], 1.0 - sides[1][:, groups]
    counts = dict(zip(("before_repeats", "after_repeats"), design.repeats, strict=True))
    return tuple(
        paired_counts(*scores, **counts, groups=groups)
        for scores in zip(before, after, strict=True)
    )


def _unchanged_plan(design: Design, discordance: float) -> PlannedMean:
    """Return what graded or weighted cases show of an unchanged variant.

    The cases of a group change together, each reply with half of the *discordance*.
    """
    changes, half = _no_changes(design), discordance / 2.0
    variance = half * (1.0 - half) * sum(1.0 / count for count in design.repeats)
    spread = variance * float(changes.sizes @ changes.sizes) / design.n
    return changes.plan(spread, alpha=design.miss)


def _no_changes(design: Design) -> BoundedValues:
    from pytest_ftgate.stats.bounded import BoundedValues  # most designs are counted

    labels = None if design.units == design.n else np.array(design.groups)
    weights = np.array(design.weights) * design.n / sum(design.weights)
    return BoundedValues.of_cases(np.zeros(design.n), weights, labels, (-1.0, 1.0), 0.0)


def smallest_uneven_limit(design: Design) -> float:
    """Return the smallest limit that can be shown to hold by cases that are not plain.

    No reply changes.
    """
    if design.units < design.n and design.units < MIN_GROUPS:
        return 1.0
    if not design.counts_groups:
        return -_no_changes(design).interval(1.0 - 2.0 * design.miss)[0]
    odds = float(stdtrit(design.units - 1.0, design.miss)) ** 2 / _equal_groups(design)
    return max(odds / (1.0 + odds), _unchanged_groups(design).smallest_drop(design.miss))


def uneven_cases_needed(design: Design, limit: float) -> int:
    """Return how many graded or weighted cases like those of *design* can show *limit*."""
    return _no_changes(design).plan(0.0, alpha=design.miss).cases(limit, POWER)


def grouped_cases_needed(design: Design, limit: float) -> int:
    """Return how many cases in groups like those of *design* can show that *limit* holds."""
    odds = float(ndtri(design.miss)) ** 2 / _equal_groups(design)
    times = _unchanged_groups(design).times_needed(limit, design.miss)
    return ceil(design.n * max(times, odds * (1.0 - limit) / limit))


def _unchanged_groups(design: Design) -> GroupLosses:
    return group_losses(np.zeros(design.n), np.array(design.groups))


def _equal_groups(design: Design) -> float:
    """Return the number of groups of one size whose mean varies as much."""
    return design.n**2 / float(np.sum(np.bincount(design.groups) ** 2.0))


def assumed_discordance(suite: Suite) -> float:
    """Return the assumed share of cases on which two runs of an unchanged variant disagree."""
    steady = all(_is_steady(variant) for variant in suite.variants.values())
    return STEADY_DISCORDANCE if steady else TYPICAL_DISCORDANCE


def _is_steady(variant: Variant) -> bool:
    """Return True if *variant* declares that its replies do not vary; recorded ones may have."""
    spec, temperature = provider_spec(variant.provider), variant.sampling.get("temperature")
    return not spec.recorded and (temperature == 0 or (spec.deterministic and not temperature))


def build_power(checks: int) -> float:
    """Return how surely each of so many *checks* passes where 9 in 10 unchanged builds do.

    The one in ten is split evenly (Bonferroni), so that nothing is supposed about how they depend
    on each other.
    """
    return 1.0 - (1.0 - POWER) / checks


def default_limit(suite: Suite, gate: Gate) -> float | None:
    """Return the limit of a gate that declares none, or None if its cases are too few.

    It is the smallest limit in whole points with which all checks of an unchanged variant pass 9
    times in 10; see `build_checks`. Inputs count as cases.
    """
    checks, design = build_checks(suite, gate), planned_design(suite, gate)
    if is_rate(gate) and gate.may_read_inputs:
        design = with_inputs(design, suite)
    return limit_of_design(design, assumed_discordance(suite), checks)


def shown_limit(suite: Suite, gate: Gate) -> float | None:
    """Return the drop that the cases of *gate*, which limits one, can show; None if they cannot.

    It is the limit where that is the default one, which an accepted run keeps.
    """
    return gate.max_drop if gate.has_default_limit else default_limit(suite, gate)


def planned_design(suite: Suite, gate: Gate) -> Design:
    """Return the design of *gate* with the repeats that *suite* plans."""
    # The skills are not repeated.
    return design_of(suite, gate, (1, 1) if gate.own_cases else suite_repeats(suite))


def limit_of_design(design: Design, discordance: float, checks: int) -> float | None:
    """Return the default limit that the cases of *design* show in a build of so many *checks*."""
    shown = design_certifiable_limit(design, discordance, build_power(checks))
    limit = None if shown is None else round_up_to_point(shown)
    if design.units < _TRUSTED_REPEATS and max(design.repeats) > 1:
        # Repeats show how much replies vary, and not how much cases do.
        once = limit_of_design(replace(design, repeats=(1, 1)), discordance, checks)
        limit = max(limit or 1.0, min(once or 1.0, _LEAST_REPEATED))
    return limit if limit is not None and limit <= MAX_DEFAULT_LIMIT else None


def coarse_limit(suite: Suite, gate: Gate, limit: float | None) -> Iterator[Note]:
    """Yield what the cases of *gate* can show if its default *limit* is coarse, or None."""
    # Of these tasks alone their runs say what they show.
    is_of_tasks = isinstance(gate, RateGate) and gate.claims_these
    if not is_of_tasks and (limit is None or limit > COARSE_LIMIT):
        finer = {key: cases_for_default(suite, gate, one) for key, one in _FINER_LIMITS.items()}
        counts = design_of(suite, gate).counts
        shown = {"points": round((limit or 0.0) * _POINTS), "none": int(limit is None)}
        yield note(NoteKind.COARSE_LIMIT, **counts, **shown, **finer)


def unchanged_passes(
    suite: Suite, gate: Gate, variant: Variant, check: Check, pairs: PairedCounts
) -> Iterator[Note]:
    """Yield how surely *variant* passes a drop *check* of *gate* if it is unchanged.

    *pairs* are those of the check. The note includes its build where no other gate
    limits a drop.
    """
    if not gate.evaluated_cases(suite.cases):
        return
    design = replace(planned_design(suite, gate), miss=check.miss)
    passes = _measured_passes(design, check.limit, unchanged_discordance(pairs), pairs)
    checks = {name: count for name, count in checks_by_gate(suite, variant).items() if count}
    build = dict(zip(("checks", "build"), _build_odds([(checks[gate.name], passes)]), strict=True))
    build = build if len(checks) == 1 else {}
    yield note(NoteKind.UNCHANGED_PASSES, check=passes, **build, **_why_seldom(suite, check, pairs))


def _why_seldom(suite: Suite, check: Check, pairs: PairedCounts) -> dict[str, NoteValue]:
    """Return how many cases changed, if they are more than the default limit of *check* assumes."""
    assumed, changed = assumed_discordance(suite), pairs.fixed + pairs.regressed
    if not check.has_default_limit or unchanged_discordance(pairs) <= assumed:
        return {}
    return {"changed": round(changed), "of": check.n, "assumed": assumed}


def _build_odds(odds: Iterable[tuple[int, float]]) -> tuple[int, float]:
    """Return how many checks a build has, and how surely all pass, at least.

    *odds* are the number of checks of each gate, and how surely each of them passes. Checks of one
    gate share the replies of the variant, so that all pass at least as often as independent ones
    would (Jensen). Nothing is supposed of how gates depend on each other (Bonferroni).
    """
    counted = [*odds]
    missed = sum(1.0 - passes**count for count, passes in counted)
    return sum(count for count, _ in counted), max(0.0, 1.0 - missed)


def cases_for_default(suite: Suite, gate: Gate, limit: float) -> int:
    """Return with how many cases like those of *gate* its default limit is *limit*."""
    power = build_power(build_checks(suite, gate))
    design, discordance = planned_design(suite, gate), assumed_discordance(suite)
    needed = design_cases_needed(design, discordance, limit, power)
    if max(design.repeats) == 1:
        return needed
    once = design_cases_needed(replace(design, repeats=(1, 1)), discordance, limit, power)
    trusted = _TRUSTED_REPEATS if limit < _LEAST_REPEATED else 0
    return min(once, max(needed, ceil(trusted * design.n / design.units)))


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerEstimate:
    """The power of one check of a gate for one variant. Rates and margins are shares, 0 to 1.

    It is that of the drop check if *margin* is set, else that of the check of the *minimum*.

    Attributes:
        cases: the number of cases.
        units: the number of independent cases: those in one group count as one.
        margin: the largest allowed drop, or None.
        has_default_limit: True if *margin* is what the cases can show, and not declared.
        discordance: the share of cases on which both variants disagree; None if the baseline is too
            low for a drop to be seen.
        rate: the rate of the variant that a minimum is compared with.
        measured: whether *discordance* or *rate* is measured, and not assumed.
        certifiable: the smallest margin, or the largest minimum, that this many cases can certify:
            a minimum 9 times in 10, a margin so surely that 9 in 10 builds pass.
        pass_probability: the probability that an unchanged variant, or one of that *rate*, passes.
        needed: the number of further cases to pass it as surely; None if none would do.
        repeats: the number of repeats that replaces the needed cases, if replies vary.
        checks: the drop checks of the gate that can block the variant in a build.
        build: the drop checks of all gates of the variant in a build, and how surely an unchanged
            one passes all of them, at least; None if that is not known of each of them.
        tasks: the number of tasks if the gate is about these tasks alone, whose runs are *cases*
            then; else 0.
    """

    gate: str
    variant: str
    cases: int
    units: int
    margin: float | None = None
    has_default_limit: bool = False
    minimum: float | None = None
    discordance: float | None = TYPICAL_DISCORDANCE
    rate: float | None = None
    measured: bool = False
    certifiable: float | None = None
    pass_probability: float | None = None
    needed: int | None = 0
    repeats: int | None = None
    checks: int = 0
    build: tuple[int, float] | None = None
    tasks: int = 0


def build_odds(estimates: Iterable[PowerEstimate]) -> tuple[int, float] | None:
    """Return *PowerEstimate.build* of a variant, given the estimates of its gates."""
    drops = [estimate for estimate in estimates if estimate.margin is not None]
    odds = [(one.checks, one.pass_probability) for one in drops if one.pass_probability is not None]
    return _build_odds(odds) if odds and len(odds) == len(drops) else None


def estimate_power(  # noqa: PLR0913 - each by its name
    gate: Gate,
    variant: str,
    design: Design,
    discordance: float | None,
    *,
    varies: bool,
    measured: PairedCounts | None = None,
    power: float = POWER,
) -> PowerEstimate:
    """Return the power of the drop check of *gate* for *variant* with the cases of *design*.

    *discordance* is the assumed share of cases on which both sides disagree; None if the baseline
    is known to be too low for a drop to be seen. *measured* is the comparison of cached replies, if
    there are any. *varies* is True if more replies to a case may differ. *power* is how surely an
    unchanged variant is to pass, for the limit that can be certified and for the cases needed.
    """
    if discordance is not None and measured is not None:
        discordance = unchanged_discordance(measured)
    limits: dict[str, Any] = {"margin": gate.max_drop, "discordance": discordance}
    limits |= {"has_default_limit": gate.has_default_limit}
    estimate = _estimate(gate, variant, design, measured, **limits)
    if gate.max_drop is None or discordance is None:
        return estimate
    certifiable, passes, needed = _drop_power(gate, design, discordance, measured, power)
    repeats = None
    if needed and varies:
        # So many replies, of both sides, show as much as the cases.
        repeats = ceil((design.n + needed) / design.n * design.effective / design.units)
    return replace(
        estimate, certifiable=certifiable, pass_probability=passes, needed=needed, repeats=repeats
    )


def _drop_power(
    gate: Gate, design: Design, discordance: float, measured: PairedCounts | None, power: float
) -> tuple[float | None, float, int | None]:
    """Return the limit that can be certified, the chance to pass, and the cases needed for it."""
    margin = gate.max_drop or 0.0
    if measured is None:
        needed = max(0, design_cases_needed(design, discordance, margin, power) - design.n)
        passes = design_pass_probability(design, discordance, margin)
        limit = design_certifiable_limit(design, discordance, power)
        return limit, passes, needed
    passes = _measured_passes(design, margin, discordance, measured)
    further = needed_if_unchanged(measured, discordance, margin, design.miss, power)
    limit = certifiable_limit(measured, discordance, design.miss, power)
    return limit, passes, further


def _measured_passes(
    design: Design, margin: float, discordance: float, measured: PairedCounts
) -> float:
    """Return the chance that an unchanged variant whose replies vary as *measured* passes."""
    if not measured.countable:
        return graded_pass_probability(measured, margin, design.miss)
    if measured.groups is not None:
        return design_pass_probability(design, discordance, margin)
    return pass_probability(measured.effective, discordance, 0.0, margin, design.miss)


def estimate_minimum_power(
    gate: Gate, variant: str, design: Design, measured: MeanScore | None = None
) -> PowerEstimate:
    """Return the power of the check of the minimum of *gate* with the cases of *design*.

    *measured* is the rate of cached replies, if there are any. Otherwise the rate is assumed to be
    5 points above the minimum.
    """
    minimum = gate.min or 0.0
    rate = min(1.0, minimum + _ABOVE_MINIMUM) if measured is None else measured.rate
    known = measured or _assumed_score(design, rate)

    def chance(least: float) -> float:
        if known is None or known.countable:
            return minimum_pass_probability(design.units, least, rate, design.miss)
        return rate_pass_probability(known, least, design.miss)

    percents = (percent / _POINTS for percent in range(99, 0, -1))
    certifiable = next((least for least in percents if chance(least) >= POWER), None)
    passes = chance(minimum) if 0.0 < minimum < 1.0 else float(minimum == 0.0)
    needed = 0 if passes >= POWER else _needed_for_minimum(minimum, rate, design, known)
    figures = {"certifiable": certifiable, "pass_probability": passes, "needed": needed}
    return _estimate(gate, variant, design, measured, minimum=minimum, rate=rate, **figures)


def _assumed_score(design: Design, rate: float) -> MeanScore | None:
    """Return scores of that *rate*; None if *design* has units of one weight, which are counted.

    The cases of a group are right or wrong together.
    """
    unchanged = _no_changes(design)
    sizes = unchanged.sizes
    if np.ptp(sizes) < ROUNDING:
        return None
    return MeanScore(
        n=design.n,
        rate=rate,
        countable=False,
        spread=rate * (1.0 - rate) * float(sizes @ sizes) / design.n,
        groups=design.units if design.units < design.n else None,
        values=replace(unchanged, sums=rate * sizes, low=0.0, kept=1.0),
    )


def _estimate(
    gate: Gate, variant: str, design: Design, measured: object, **figures: Any
) -> PowerEstimate:
    """Return an estimate with *figures*, and what both kinds say of the gate and its cases."""
    return PowerEstimate(
        gate=gate.name,
        variant=variant,
        cases=design.n,
        units=design.units,
        measured=measured is not None,
        tasks=design.tasks,
        **figures,
    )


def _needed_for_minimum(
    minimum: float, rate: float, design: Design, measured: MeanScore | None
) -> int | None:
    """Return how many further cases show a true *rate* above *minimum* 9 times in 10, or None."""
    if rate - minimum <= ROUNDING:
        return None
    total = cases_for_minimum(rate, minimum, design.miss, measured)
    if total is not None and (measured is None or measured.countable):
        total = ceil(total * design.n / design.units)
    return None if total is None else max(1, total - design.n)


#: The largest number of replies to each case with ``repeats: auto``.
MAX_REPEATS = 10


def needed_repeats(suite: Suite) -> int:
    """Return the number of replies to each case with which an unchanged variant passes.

    It passes 9 times in 10, if two runs disagree on as many cases as usual. The number is at most
    *MAX_REPEATS*, and 1 if no reply varies. An explicit ``repeats`` of the suite takes precedence.
    """
    if suite.repeats is not None:
        return suite.repeats
    if not any(replies_vary(variant) for variant in suite.variants.values()):
        return 1
    gates = [gate for gate in suite.gates.values() if isinstance(gate, RateGate) and gate.max_drop]
    needed = (
        design_cases_needed(design, TYPICAL_DISCORDANCE, gate.max_drop or 1.0) / design.n
        for gate in gates
        for design in [design_of(suite, gate)]
    )
    return min(MAX_REPEATS, max([1, *(ceil(number) for number in needed)]))
