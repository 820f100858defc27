"""Feasibility: whether any replies can pass a gate, and whether its scorers run here."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import ceil, floor, log, prod
from typing import TYPE_CHECKING

from pytest_ftgate.gates.design import (
    CONFIDENCE,
    MANY_TASKS,
    MIN_CASES_WITHOUT_BOUND,
    MIN_GROUPS,
    MISS,
    SEVERAL_RUNS,
    SIDE,
    Design,
    build_checks,
    design_of,
    suite_repeats,
    with_inputs,
)
from pytest_ftgate.gates.notes import Note, NoteKind, NoteValue, note
from pytest_ftgate.suite.gate_kinds import (
    CostGate,
    ForgettingGate,
    LatencyGate,
    RateGate,
    SkillPart,
    compares_skills,
    is_rate,
    skills_gate,
)
from pytest_ftgate.suite.model import Case, Gate, Suite, Variant

if TYPE_CHECKING:
    from pytest_ftgate.gates.case_cost import CostBound

#: The number of skills that a message names.
_MAX_NAMED = 3
#: What to write for a minimum at most, and at least.
_ADVISED_MINIMUM, _LEAST_ADVISED = 0.8, 0.5
#: Why no replies can pass a gate, and what to write: errors join them by semicolons.
Problem = tuple[Note, ...]
#: The quantiles of latency that gates limit.
_P50, _P95 = 0.5, 0.95


def rate_problems(suite: Suite, gate: RateGate) -> Iterator[Problem]:
    """Yield why no replies could pass an accuracy or a format gate."""
    if gate.evidence == "point":
        return
    design = design_of(suite, gate)
    if gate.claims_these:
        from pytest_ftgate.gates.tasks import task_problems

        yield from task_problems(suite, gate, design)
        return
    pools = suite.inputs is not None and gate.reads_inputs
    if design.n == 1 and (gate.min or (gate.max_drop is not None and not pools)):
        yield (note(NoteKind.LONE_CASE),)
        return
    if pools:
        yield from _limit_problems(suite, replace(gate, max_drop=None), design)
        yield from _limit_problems(suite, replace(gate, min=None), with_inputs(design, suite))
        return
    for problem in _limit_problems(suite, gate, design):
        yield (*problem, *_claim_of_these(suite, gate, design))


def _claim_of_these(suite: Suite, gate: RateGate, design: Design) -> Iterator[Note]:
    """Yield that few cases with several runs can be gated as they are, if no claim is declared."""
    if gate.reads_grades and not gate.claim and design.n < MANY_TASKS:
        runs = suite_repeats(suite)
        if min(runs) >= SEVERAL_RUNS:
            yield note(NoteKind.CLAIM_THESE, n=design.n, runs=min(runs))


def limit_of_cases(suite: Suite, gate: Gate) -> float | None:
    """Return the limit of the cases of *gate* alone, which may show less than with inputs.

    It is the declared one if the cases can show it, else what they can; None if they show too
    little, or without a limit.
    """
    declared = gate.max_drop
    if declared is None or suite.inputs is None or not is_rate(gate) or not gate.reads_inputs:
        return declared
    if smallest_limit(design_of(suite, gate)) <= declared and not gate.has_default_limit:
        return declared
    from pytest_ftgate.gates.power import COARSE_LIMIT, default_limit

    shown = default_limit(replace(suite, inputs=None), gate)
    return None if shown is None or shown > COARSE_LIMIT else max(shown, declared)


def limit_of_cases_notes(suite: Suite, gate: RateGate) -> Iterator[Note]:
    """Yield how accepted results are compared, if the cases alone cannot show the limit."""
    limit, declared = limit_of_cases(suite, gate), gate.max_drop
    if declared is not None and limit != declared:
        counts = design_of(suite, gate).counts
        yield note(NoteKind.CASES_SHOW_NO_DROP, **counts, limit=declared, possible=limit or 0.0)


def _limit_problems(
    suite: Suite, gate: RateGate | ForgettingGate, design: Design
) -> Iterator[Problem]:
    """Yield why the cases of *design* could never show the limits of *gate*."""
    if design.units < min(MIN_GROUPS, design.n):
        yield (note(NoteKind.GROUPS_SHOW_NOTHING, **design.counts, needed=MIN_GROUPS),)
        return
    if gate.max_drop is not None:
        yield from _drop_problem(suite, gate, design, gate.max_drop)
    if gate.min is not None:
        yield from _minimum_problem(gate.min, design)


def skill_problems(suite: Suite, gate: ForgettingGate) -> Iterator[Problem]:
    """Yield why no replies to the skill cases could pass the gate."""
    yield from _skill_margin_problems(gate)
    yield from _limit_problems(suite, gate, design_of(suite, gate))


def smallest_limit(design: Design) -> float:
    """Return the smallest limit that can be shown to hold, if no reply changes."""
    if design.is_plain:
        return _smallest_drop(design.n, design.miss)
    from pytest_ftgate.gates.power import smallest_uneven_limit

    return smallest_uneven_limit(design)


def _cases_for_limit(design: Design, limit: float) -> int:
    """Return from how many cases like those of *design* on *limit* can be shown to hold."""
    plain = _unchanged_cases(limit, design.miss)
    if design.is_plain:
        return plain
    from pytest_ftgate.gates import power

    if design.counts_groups:
        return max(plain, power.grouped_cases_needed(design, limit))
    return power.uneven_cases_needed(design, limit)


def _smallest_drop(n: int, miss: float) -> float:
    """Return the smallest drop that n plain cases rule out if none of them changes.

    With a true drop as large, none of them would regress with the probability *miss*.
    """
    return float(1.0 - miss ** (1.0 / n))


def _unchanged_cases(limit: float, miss: float) -> int:
    """Return how many plain cases rule out a drop of *limit* if none of them changes."""
    return ceil(log(miss) / log(1.0 - limit))


def _drop_problem(
    suite: Suite, gate: RateGate | ForgettingGate, design: Design, margin: float
) -> Iterator[Problem]:
    smallest = smallest_limit(design)
    if smallest > margin:
        limits: dict[str, NoteValue] = {"key": "max_drop", "limit": margin}
        if hiding := _large_group(design, margin):
            possible = _round_up(smallest)
            yield (note(NoteKind.GROUP_TOO_LARGE, **limits, **hiding, possible=possible),)
            return
        needed = _cases_for_limit(design, margin)
        counts = {**design.counts, "needed": needed, "groups": _groups_needed(design, needed)}
        usual = _usually_passed(suite, gate, design, margin)
        yield (note(NoteKind.DROP_NEVER_SHOWN, **limits, **counts, **usual),)


def _usually_passed(suite: Suite, gate: Gate, design: Design, limit: float) -> dict[str, NoteValue]:
    """Return what 9 in 10 unchanged builds pass: *limit* with how many cases, and these with which.

    The limit is 0 if the cases of *design* are too few for one.
    """
    from pytest_ftgate.gates import power

    checks = build_checks(suite, gate)
    discordance = power.assumed_discordance(suite)
    likely = power.design_cases_needed(design, discordance, limit, power.build_power(checks))
    return {"likely": likely, "shown": power.limit_of_design(design, discordance, checks) or 0.0}


def _groups_needed(design: Design, cases: int) -> int:
    """Return how many groups like those of *design* have so many *cases*; 0 without groups."""
    return ceil(cases * design.units / design.n) if design.units < design.n else 0


def _skill_margin_problems(gate: ForgettingGate) -> Iterator[Problem]:
    """Yield the skills and families that have too few cases for their required margin."""
    counts = Counter[SkillPart](("skill", str(case.skill)) for case in gate.cases)
    counts.update(
        ("family", gate.family_of(str(case.skill)))
        for case in gate.cases
        if gate.evaluates(str(case.skill))
    )
    skills_by_margin = dict[float, list[SkillPart]]()
    for part, n in counts.items():
        margin = gate.required_part_margin(part)
        if margin is not None and n < _unchanged_cases(margin, MISS):
            skills_by_margin.setdefault(margin, []).append(part)
    for margin, skills in skills_by_margin.items():
        needed = _unchanged_cases(margin, MISS)
        smallest = _smallest_drop(min(counts[skill] for skill in skills), MISS)
        named = tuple(f"{part[1]} ({counts[part]})" for part in skills[:_MAX_NAMED])
        more = max(0, len(skills) - _MAX_NAMED)
        limits = {"limit": margin, "possible": _round_up(smallest)}
        yield (note(NoteKind.MARGIN_NEVER_SHOWN, skills=named, more=more, needed=needed, **limits),)


def latency_problems(suite: Suite, gate: LatencyGate) -> Iterator[Problem]:
    """Yield why the cases could not bound the latency."""
    n, needed = len(gate.evaluated_cases(suite.cases)), min_latency_cases(gate)
    if n < needed:
        is_p95 = gate.max_p95_ms is not None
        kind = NoteKind.P95_NEVER_BOUND if is_p95 else NoteKind.MEDIAN_NEVER_BOUND
        yield (note(kind, n=n, needed=needed),)


def cost_problems(suite: Suite, gate: CostGate) -> Iterator[Problem]:
    """Yield why the cases could not bound the mean price of a request."""
    from pytest_ftgate.gates.case_cost import cost_bound

    design, without_bound = design_of(suite, gate), list[str]()
    if not gate.reads_prices:
        return
    for variant in suite.variants.values():
        is_compared = gate.max_rise is not None and variant.name == suite.baseline
        if gate.evidence == "point" or not (variant.gated or is_compared):
            continue
        bound = cost_bound(suite, variant, None)
        if bound is None:
            without_bound.append(variant.name)
        elif gate.max_usd_per_1k is not None and not bound.is_flat and variant.gated:
            yield from _price_problem(gate.max_usd_per_1k, design, variant, bound)
    if without_bound and design.units < MIN_CASES_WITHOUT_BOUND:
        values = {**design.counts, "needed": MIN_CASES_WITHOUT_BOUND}
        yield (note(NoteKind.PRICE_WITHOUT_BOUND, variants=tuple(without_bound), **values),)


#: A limit is compared with so many hundredths of itself: larger numbers are not exact.
_MOST_PARTS = 2.0**53


def _price_problem(
    limit: float, design: Design, variant: Variant, bound: CostBound
) -> Iterator[Problem]:
    """Yield why free requests alone could not show the limit, whatever case was not drawn."""
    from pytest_ftgate.gates.case_cost import largest_that, most_usd

    p = _p_unseen(limit, bound.most, design)
    if p <= SIDE:
        return

    def shows(most: float) -> bool:
        return _p_unseen(limit, most, design) <= SIDE

    tokens = largest_that(
        lambda tokens: shows(most_usd(variant.tariff, 0, tokens) or 0.0), 1, bound.max_tokens
    )
    # In hundredths of the limit, which itself would be shown; three figures of them.
    most_parts = ceil(min(100 * bound.most / limit, _MOST_PARTS))
    parts = largest_that(lambda n: shows(n * limit / 100), 100, most_parts)
    parts -= parts % 10 ** (len(str(parts)) - 3)
    told = {"limit": limit, "most": bound.most / 1000, "max_tokens": bound.max_tokens}
    counts = {
        **design.counts,
        "needed": ceil(design.n * log(SIDE) / min(log(p), -1 / _MOST_PARTS)),
        "possible": tokens,
    }
    counts["possible_usd"] = parts * limit / 100_000
    yield (note(NoteKind.PRICE_NEVER_SHOWN, variant=variant.name, **told, **counts),)


def _p_unseen(limit: float, most: float, design: Design) -> float:
    """Return how often values of 0 alone hide a mean of *limit*, if one may be *most*."""
    if most <= limit:
        return 0.0
    sizes, mean = defaultdict[int, float](float), sum(design.weights) / design.n
    for group, weight in zip(design.groups, design.weights, strict=True):
        sizes[group] += weight / mean
    unseen = max(sizes.values()) * (most - limit)
    return prod(unseen / (unseen + limit * size) for size in sizes.values())


def min_latency_cases(gate: LatencyGate) -> int:
    """Return the number of cases that every limit of *gate* needs."""
    return min_cases_for_quantile(_P95 if gate.max_p95_ms is not None else _P50)


def min_cases_for_quantile(share: float) -> int:
    """Return the number of values whose largest is an upper bound of a quantile, a share."""
    return ceil(log((1 - CONFIDENCE) / 2) / log(share))


def _highest_minimum(design: Design) -> float:
    """Return the highest minimum that can be shown to hold, if every reply is right."""
    return 1.0 - smallest_limit(_of_rates(design))


def _of_rates(design: Design) -> Design:
    # A rate of related cases has the test of graded scores.
    return replace(design, is_graded=design.is_graded or design.units < design.n)


def provable_minimum(design: Design) -> float:
    """Return the highest minimum, in whole percent, that right replies alone can prove."""
    return int(_highest_minimum(_of_rates(design)) * 100) / 100


def _minimum_problem(minimum: float, design: Design) -> Iterator[Problem]:
    possible, design = provable_minimum(design), _of_rates(design)
    if _highest_minimum(design) < minimum:
        limits = {"limit": minimum, "possible": possible}
        if hiding := _large_group(design, 1.0 - minimum):
            yield (note(NoteKind.GROUP_TOO_LARGE, key="min", **limits, **hiding),)
            return
        cases = _cases_for_limit(design, 1.0 - minimum) if minimum < 1 else 0
        yield (note(NoteKind.MINIMUM_NEVER_SHOWN, **limits, **design.counts, needed=cases),)


def _large_group(design: Design, limit: float) -> dict[str, float]:
    """Return the size of the group that hides *limit*, and the weight that mends it; {} for none.

    More cases like these would help little.
    """
    found, light = _light_group(design)
    return found if smallest_limit(light) <= limit else {}


def _light_group(design: Design) -> tuple[dict[str, float], Design]:
    """Return the size of the largest group and the weight with which it counts as one case.

    Second comes the design with that weight. Without groups, or with other weights, there is none.
    """
    (group, size), *_ = Counter(design.groups).most_common(1)
    if size == 1 or len({*design.weights}) > 1:
        return {}, design
    weight = float(f"{1.0 / size:.1g}")
    weights = tuple(weight if one == group else 1.0 for one in design.groups)
    found = {"cases": design.n, "largest": size, "weight": weight}
    return found, replace(design, weights=weights)


def _round_up(share: float) -> float:
    """Return *share* rounded up to two decimals."""
    return ceil(share * 100) / 100


def with_default_limits(suite: Suite, accepted_limits: Mapping[str, float]) -> Suite:
    """Return *suite* with a limit for each gate that declares none: what its cases can show.

    A gate with too few cases for a limit has none. A limit in *accepted_limits*, by the name of
    the gate, stays until another run is accepted, unless the cases of today show a smaller one.
    """
    if not any(map(lacks_limit, suite.gates.values())):
        return suite
    # Imports SciPy, which a suite with limits of its own does not need until a verdict.
    from pytest_ftgate.gates.power import MAX_DEFAULT_LIMIT, default_limit

    gates = dict(suite.gates)
    for kind, gate in gates.items():
        if not lacks_limit(gate) or not isinstance(gate, RateGate | ForgettingGate):
            continue
        limit, accepted = default_limit(suite, gate), accepted_limits.get(gate.name)
        can_show = accepted is not None and accepted >= _smallest_pooled(suite, gate)
        if accepted is not None and can_show and accepted <= MAX_DEFAULT_LIMIT:
            limit = min(accepted, limit or accepted)
        if limit is not None:
            gates[kind] = replace(gate, max_drop=limit, has_default_limit=True)
    return replace(suite, gates=gates)


def _smallest_pooled(suite: Suite, gate: Gate) -> float:
    """Return the smallest limit that *gate* can show, with inputs if it may read some."""
    design = design_of(suite, gate)
    pools = is_rate(gate) and gate.may_read_inputs
    return smallest_limit(with_inputs(design, suite) if pools else design)


def lacks_limit(gate: Gate) -> bool:
    """Return True if *gate* limits a drop, and what its cases can show is not computed yet."""
    limits_drop = compares_skills(gate) or (is_rate(gate) and gate.limits_drop)
    return limits_drop and gate.max_drop is None


def missing_limits(suite: Suite) -> Iterator[tuple[Gate, Problem]]:
    """Yield the gates with neither a minimum nor a limit, and why they have no default limit."""
    for gate in suite.gates.values():
        if lacks_limit(gate) and gate.min is None:
            yield gate, default_limit_problem(suite, gate)


def default_limit_problem(suite: Suite, gate: Gate) -> tuple[Note, Note]:
    """Return why a gate that declares no limit cannot have a default one, and what to write."""
    from pytest_ftgate.gates import power

    design, limit = power.planned_design(suite, gate), power.MAX_DEFAULT_LIMIT
    problem = note(NoteKind.NO_LIMIT, **design.counts, limit=limit)
    group, light = _light_group(design)
    discordance, checks = power.assumed_discordance(suite), build_checks(suite, gate)
    if group and power.limit_of_design(light, discordance, checks):
        return problem, note(NoteKind.WEIGHT_OF_GROUP, **group)
    needed = power.cases_for_default(suite, gate, limit)
    if gate.own_cases:
        return problem, note(NoteKind.LIMIT_OR_CASES, needed=needed)
    counts = {"needed": needed, "groups": _groups_needed(design, needed)}
    minimum = min(_ADVISED_MINIMUM, floor(100 * _highest_minimum(design)) / 100)
    advised = minimum if minimum >= _LEAST_ADVISED else 0.0
    return problem, note(NoteKind.MINIMUM_OR_CASES, minimum=advised, **counts)


def exclude_unrunnable_skills(suite: Suite) -> Suite:
    """Return *suite* without the skills cases whose code cannot be sandboxed on this machine.

    The gate notes the excluded skills. The other skills stay usable on such a machine.
    """
    gate = skills_gate(suite)
    if gate is None:
        return suite
    from pytest_ftgate.scoring.sandbox import can_sandbox

    if can_sandbox():
        return suite
    runnable = tuple(case for case in gate.cases if not _needs_sandbox(case))
    excluded = sorted({str(case.skill) for case in gate.cases if _needs_sandbox(case)})
    if not excluded or not runnable:
        return suite
    gate = replace(gate, cases=runnable, excluded_skills=tuple(excluded))
    return replace(suite, gates={**suite.gates, gate.kind: gate})


def _needs_sandbox(case: Case) -> bool:
    """Return True if the scorer of *case* runs code, unless the case turns its sandbox off."""
    return any(rule.kind == "code" and "sandbox" not in rule.options for rule in case.score.parts)
