"""The design of a gate: its cases as far as they decide, error rates, looks, must-pass cases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from math import ceil, floor, log10
from statistics import NormalDist

from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome
from pytest_ftgate.requests.request_groups import side_repeats
from pytest_ftgate.scoring.scores import CaseResult, VariantScores
from pytest_ftgate.skills import leveled_family
from pytest_ftgate.suite.gate_kinds import RateGate, scores_content
from pytest_ftgate.suite.model import Case, Gate, Suite, Variant, input_digest

#: The probability of passing a drop as large as the limit.
MISS = 0.05
#: The probability of failing an unchanged variant, shared by all drop checks of a suite.
ALARM = 0.01
#: A part of the cases that is unchanged may seem to have fallen with this probability.
PERHAPS = 0.025
#: The probability of a one-sided bound beyond the limit by chance: such a bound fails a variant.
BEYOND = 0.005
#: More drop checks in a suite share that probability as well.
MOST_UNSHARED = 10
#: With a larger share of cases without a reply, a verdict is inconclusive.
MAX_MISSING_SHARE = 0.05
#: With fewer groups of related cases, a verdict is inconclusive.
MIN_GROUPS = 10
#: With fewer unrelated cases, a mean of values without a bound has no interval.
MIN_CASES_FOR_COST = 30
#: With fewer unrelated cases, such an interval decides no gate on cost.
MIN_CASES_WITHOUT_BOUND = 300
#: The error of each end of an interval.
SIDE = 0.025
#: The power behind "9 times in 10": of one check, and of all checks of a variant in a build.
POWER = 0.9
#: The confidence level of all reported intervals.
CONFIDENCE = 0.95
#: The share of cases on which two runs of one model disagree, unless it is measured.
TYPICAL_DISCORDANCE = 0.10
#: The same where a repeated request gets the same reply, as of a local model at temperature 0.
STEADY_DISCORDANCE = 0.05
#: With fewer cases and so many runs of each, the claim may be about these cases alone.
MANY_TASKS, SEVERAL_RUNS = 30, 3
#: The miss level of the last of five looks: O'Brien and Fleming's 1.7397.
LAST_LOOK_MISS = 1 - NormalDist().cdf(1.7397)


@dataclass(frozen=True, slots=True)
class Levels:
    """The error rates of one check, as probabilities.

    Attributes:
        miss: the probability of passing a drop as large as the limit.
        alarm: the probability of failing an unchanged variant.
        shared: the number of drop checks of the suite that share the alarm level.
        last: True if no later look can include more replies.
    """

    miss: float = MISS
    alarm: float = ALARM
    shared: int = 1
    last: bool = True

    @property
    def beyond(self) -> float:
        """The level of the bound that must lie beyond the limit."""
        return BEYOND * min(1.0, MOST_UNSHARED / self.shared)


#: Returns how many accepted results a variant has for a gate, given the names of both.
CountAccepted = Callable[[str, str], int]


def shared_levels(suite: Suite, count_accepted: CountAccepted = lambda *_: 0) -> Levels:
    """Return the error rates of each drop check of *suite*.

    They depend on the suite and its accepted record, and not on the selected gates.
    """
    # The build goes by one checkpoint of a training, and by no more checks for the others.
    one_of_each = {variant.declared_name: variant for variant in suite.variants.values()}
    checks = sum(
        gate.drop_checks(
            (name != suite.baseline and variant.compared) + count_accepted(name, gate.name)
        )
        for name, variant in one_of_each.items()
        for gate in suite.gates_for(variant)
    )
    return Levels(alarm=ALARM / max(1, checks), shared=max(1, checks))


#: A variant is compared with the baseline, with the results that were accepted last, and with those
#: that were accepted first.
MOST_COMPARED = 3


def build_checks(suite: Suite, gate: Gate) -> int:
    """Return for how many drop checks of a build the default limit of *gate* is sized.

    They are those of the variant with the most gates. It is taken to be compared with the baseline
    and with both accepted results, so that the limit stays when a variant is added to the baseline,
    and when a run is accepted.
    """
    found = [suite.gates_for(variant) for variant in suite.variants.values()]
    counts = (sum(one.checks_in_build(MOST_COMPARED) for one in gates) for gates in found)
    return max([1, *(count for count, gates in zip(counts, found, strict=True) if gate in gates)])


def checks_by_gate(suite: Suite, variant: Variant) -> dict[str, int]:
    """Return by gate how many drop checks *variant* has in a build; see `build_checks`."""
    compared = MOST_COMPARED - 1 + (variant.name != suite.baseline and variant.compared)
    return {gate.name: gate.checks_in_build(compared) for gate in suite.gates_for(variant)}


#: The number of replies to a must-pass case whose first reply is wrong; the majority decides.
MUST_PASS_REPEATS = 3
_HALF = 0.5


def must_pass_ids(suite: Suite) -> frozenset[str]:
    """Return the ids of the must-pass cases, which every look includes."""
    return frozenset(case.id for case in suite.cases if case.must_pass)


def wrong_must_pass_ids(scores: VariantScores) -> tuple[str, ...]:
    """Return the ids of the must-pass cases that are wrong, so that they can be repeated."""
    return tuple(
        case_id
        for case_id, result in scores.results.items()
        if result.case.must_pass and _is_wrong(result)
    )


def check_must_pass(scores: VariantScores, repeated: VariantScores | None) -> Check | None:
    """Return the check of the must-pass cases, or None if there are none.

    Cases of *scores* that are not must-pass are ignored. *repeated* has the scores of the wrong
    must-pass cases with repeated requests; it is None if replies do not vary.
    """
    cases = [result for result in scores.results.values() if result.case.must_pass]
    if not cases:
        return None
    again = repeated.results if repeated else {}
    wrong = [
        result
        for result in cases
        if _is_wrong(result) and _is_wrong(again.get(result.case.id, result))
    ]
    missing = sum(not result.scores for result in cases)
    n = len(cases) - missing
    outcome = Outcome.FAILED if wrong else Outcome.INCONCLUSIVE if missing else Outcome.PASSED
    return Check(
        kind=CheckKind.MUST_PASS,
        outcome=outcome,
        limit=1.0,
        n=n,
        effective=n,
        after=(n - len(wrong)) / max(1, n),
        missing=missing,
        case_ids=tuple(result.case.id for result in wrong),
    )


def _is_wrong(result: CaseResult) -> bool:
    return result.correct is not None and result.correct <= _HALF


#: The largest number of looks of a gate.
MAX_LOOKS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look: the cases and the replies that it includes.

    Attributes:
        number: the number of the look, from 1 to *of*.
        of: the number of looks.
        cases: the ids of its cases, or None for all cases.
        repeats: the number of replies to each case that it includes.
        fractions: the information fractions (0 to 1) of all looks up to this one.
        replies_vary: whether a repeated request may get a different reply.
    """

    number: int = 1
    of: int = 1
    cases: frozenset[str] | None = None
    repeats: int = 1
    fractions: tuple[float, ...] = (1.0,)
    replies_vary: bool = False

    def includes(self, case: str, repeat: int) -> bool:
        """Return True if the look includes the reply *repeat* (from 0) to *case*."""
        return repeat < self.repeats and (self.cases is None or case in self.cases)


def plan_looks(suite: Suite, gate: Gate, *, replies_vary: bool) -> tuple[Look, ...]:
    """Return the looks of *gate*; the last one includes all replies.

    *replies_vary* is True if a repeated request may get a different reply, from the variant or from
    the baseline.
    """
    repeats = suite.repeats or 1
    whole = Look(repeats=repeats, replies_vary=replies_vary)
    if gate.stop_early:
        return _case_blocks(suite, whole)
    if gate.settle and replies_vary and gate.settle > repeats:
        return _repeat_stages(whole, gate.settle)
    return (whole,)


def look_levels(look: Look, total: Levels, *, can_pass: bool = True) -> Levels:
    """Return the error rates of one *look*, by O'Brien-Fleming spending of *total*.

    *can_pass* is False if no look before the last may pass: then none of that risk is spent before.
    """
    if look.of == 1:
        return total
    from scipy.special import ndtr

    from pytest_ftgate.stats.sequential import obrien_fleming_bounds

    miss, alarm = (
        float(ndtr(-obrien_fleming_bounds(risk, look.fractions)[-1]))
        for risk in (total.miss, total.alarm)
    )
    miss = miss if can_pass else total.miss
    return Levels(miss, alarm, total.shared, last=look.number == look.of)


def _case_blocks(suite: Suite, whole: Look) -> tuple[Look, ...]:
    """Return looks that add one block of cases each; the order of the file does not matter."""
    cases = sorted(suite.cases, key=_block_order)
    blocks = [ceil(len(cases) * number / MAX_LOOKS) for number in range(1, MAX_LOOKS + 1)]
    ends = sorted({_end_of_group(cases, end) for end in blocks})
    ids = [case.id for case in cases]
    return _numbered([replace(whole, cases=frozenset(ids[:end])) for end in ends], ends)


#: The first look at skills has one in so many of the questions of each skill.
_FIRST_PART = 3


def skill_looks(cases: Iterable[Case], whole: Look) -> tuple[Look, ...]:
    """Return a look at a third of the *cases* of each skill, rounded up, and one at all of them.

    There is only the *whole* one if that third is all. So the mean over the skills has the same
    skills at both looks, each with its own weight. Cases of one difficulty that a base may choose
    as its level are a part of their own.
    """
    by_part: dict[object, list[Case]] = defaultdict(list)
    for case in cases:
        level = case.difficulty if leveled_family(str(case.skill)) else None
        by_part[case.skill, level].append(case)
    first, every = list[str](), list[str]()
    for part in by_part.values():
        ordered = sorted(part, key=_block_order)
        ids = [case.id for case in ordered]
        first += ids[: _end_of_group(ordered, ceil(len(ids) / _FIRST_PART))]
        every += ids
    if len(first) == len(every):
        return (whole,)
    blocks = (first, every)
    looks = [replace(whole, cases=frozenset(ids)) for ids in blocks]
    return _numbered(looks, [*map(len, blocks)])


def _block_order(case: Case) -> tuple[str, str]:
    # The order is by hash, so that a case keeps its place when others are added or removed.
    return sha256(f"{case.group or case.id}".encode()).hexdigest(), case.id


def _end_of_group(cases: list[Case], end: int) -> int:
    """Return the first end of a block, from *end*, that does not split a group of cases."""
    groups = [case.group for case in cases]
    while 0 < end < len(cases) and groups[end] is not None and groups[end - 1] == groups[end]:
        end += 1
    return end


def _repeat_stages(whole: Look, last: int) -> tuple[Look, ...]:
    """Return looks with more repeats each, from those of *whole* to *last*."""
    more = last - whole.repeats
    steps = min(MAX_LOOKS, more + 1)
    counts = [round(whole.repeats + more * i / (steps - 1)) for i in range(steps)]
    # Further replies to one case add less information than their number, which is conservative.
    return _numbered([replace(whole, repeats=count) for count in counts], counts)


def _numbered(looks: Sequence[Look], sizes: Sequence[int]) -> tuple[Look, ...]:
    """Return *looks* with their numbers, and with information fractions by their *sizes*."""
    fractions = tuple(size / sizes[-1] for size in sizes)
    return tuple(
        replace(look, number=number, of=len(looks), fractions=fractions[:number])
        for number, look in enumerate(looks, start=1)
    )


@dataclass(frozen=True, slots=True)
class Design:
    """The cases of a gate, as far as its power depends on them.

    Attributes:
        weights: the weight of each case.
        groups: the number of the group of each case.
        is_graded: True if a reply can be right in part.
        repeats: the numbers of replies to each case, from the baseline and from the variant.
        miss: the probability of passing a drop as large as the limit.
        tasks: the number of tasks if the gate is about these alone; their runs are the cases then.
    """

    weights: tuple[float, ...]
    groups: tuple[int, ...]
    is_graded: bool = False
    repeats: tuple[int, int] = (1, 1)
    miss: float = MISS
    tasks: int = 0

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
    def counts(self) -> dict[str, int]:
        """The number of cases, and the number of independent ones if it is smaller, else 0."""
        return {"cases": self.n, "unrelated": self.units if self.units < self.n else 0}

    @property
    def is_plain(self) -> bool:
        """True if cases are independent, weigh the same, and are right or wrong."""
        return self.units == self.n and len({*self.weights}) == 1 and not self.is_graded


def design_of(suite: Suite, gate: Gate, repeats: tuple[int, int] = (1, 1)) -> Design:
    """Return the design of *gate* in *suite*, with *repeats* replies of baseline and variant."""
    cases = gate.evaluated_cases(suite.cases)
    if isinstance(gate, RateGate) and gate.claims_these:
        return _design_of_these(suite, gate, cases)
    design = design_of_rows(
        gate.case_weights(cases),
        [case.group or f"\0{case.id}" for case in cases],
        is_graded=scores_content(gate) and any(case.score.is_graded for case in cases),
    )
    # Of gates on skills only the last look can pass.
    spends = gate.stop_early and not gate.own_cases
    return replace(design, repeats=repeats, miss=LAST_LOOK_MISS if spends else MISS)


def _design_of_these(suite: Suite, gate: RateGate, cases: Sequence[Case]) -> Design:
    """Return the design of these cases alone: each pair of runs is a unit."""
    n = max(1, len(cases) * min(suite_repeats(suite)))
    is_graded = any(case.score.is_graded for case in cases)
    miss = LAST_LOOK_MISS if gate.settle else MISS
    return Design((1.0,) * n, tuple(range(n)), is_graded, miss=miss, tasks=len(cases))


def suite_repeats(suite: Suite) -> tuple[int, int]:
    """Return the least numbers of replies to each case, of the baseline and of other variants."""
    count = suite.repeats or 1
    baseline = suite.variants[suite.baseline]
    others = [variant for variant in suite.variants.values() if variant is not baseline]
    return (
        side_repeats(baseline, count),
        min(side_repeats(variant, count) for variant in (others or [baseline])),
    )


def design_of_rows(
    weights: Sequence[float], groups: Sequence[str], *, is_graded: bool = False
) -> Design:
    """Return the design of cases with these weights and names of groups."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(groups))}
    # As in the verdict: only the ratios of weights matter, and these but for rounding.
    equal = not weights or max(weights) - min(weights) <= 1e-9 * max(weights)
    weights = (1.0,) * len(weights) if equal else tuple(weights)
    return Design(weights, tuple(numbers[name] for name in groups), is_graded)


def with_inputs(design: Design, suite: Suite) -> Design:
    """Return *design* with the inputs of *suite*, each of which counts as one more case."""
    own, names = input_units(suite), len({*design.groups})
    groups = (*design.groups, *(names + number for number in own))
    weights = design.weights or (1.0,)
    mean = sum(weights) / len(weights)
    return replace(design, weights=(*design.weights, *(mean for _ in own)), groups=groups)


def input_units(suite: Suite) -> list[int]:
    """Return the number of the unit of each input of *suite*: equal inputs are one."""
    cases = suite.inputs.cases if suite.inputs else ()
    numbers = dict[str, int]()
    return [numbers.setdefault(input_digest(case), len(numbers)) for case in cases]


# Limits as they are written ---------------------------------------------------------------------


def guess_rate(suite: Suite, gate: Gate) -> float:
    """Return the accuracy of guessing: 1 / number of labels, or 0 without labels.

    It is also 0 if a judge prefers one of two replies, since guessing labels wins no preference.
    """
    labels, prefers = suite.labels, any(judge.is_pairwise for judge in suite.judges)
    reads_grades = isinstance(gate, RateGate) and gate.reads_grades
    return 1 / len(labels) if labels and reads_grades and not prefers else 0.0


def round_up_to_point(share: float) -> float:
    """Return *share* rounded up to whole points: 0.06 for 0.0521."""
    return ceil(round(share * 100, 6)) / 100


def round_up(value: float) -> str:
    """Return *value* with three figures, rounded up, as it is written in a file."""
    step = 10.0 ** (floor(log10(value)) - 2) if value > 0 else 1.0
    return f"{ceil(value / step - 1e-9) * step:.10g}"
