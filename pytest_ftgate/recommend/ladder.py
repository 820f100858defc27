"""The measured ladder: rows, pairwise comparisons, and the choice of a rung."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from itertools import combinations
from operator import le
from statistics import mean
from typing import Any

from pytest_ftgate.gates.case_cost import cost_bound
from pytest_ftgate.gates.checks import pair_samples
from pytest_ftgate.gates.design import CONFIDENCE, MIN_GROUPS, MISS
from pytest_ftgate.gates.figure import Figure
from pytest_ftgate.gates.measures import variant_figures
from pytest_ftgate.gates.notes import Note, note
from pytest_ftgate.gates.samples import Samples, align, same_replies, samples_from_scores
from pytest_ftgate.recommend.advice import (
    NOT_EVALUATED,
    BreakEven,
    Challenge,
    CostByVolume,
    Evidence,
    Gain,
    LadderRow,
    ReasonKind,
    Retirement,
)
from pytest_ftgate.recommend.cost_model import VariantCost, cost_by_volume, variant_cost
from pytest_ftgate.requests.estimate import estimate_tokens
from pytest_ftgate.stats.paired import PairedCounts, change_interval, holm, p_drop, p_noninferior
from pytest_ftgate.suite.declaration import Economics, Spend
from pytest_ftgate.suite.ladder import variants_by_rung
from pytest_ftgate.suite.model import Suite, Variant
from pytest_ftgate.suite.providers import provider_spec

TUNED_RUNG = "fine-tuned"
#: The gain in accuracy that counts where the cost of a wrong reply is not known.
WORTH = 0.05
#: The share of replies in the wrong format from which on a schema is worth a try.
FORMAT_ERRORS = 0.05
#: A model that retires within so many days is named.
RETIREMENT_DAYS = 90


@dataclass(frozen=True, slots=True, eq=False)
class _RungComparison:
    """The comparison of every pair of variants on the ladder.

    Attributes:
        gains: by (over, variant), in both directions.
        p_worse: by (over, variant), the p-value against a drop of `WORTH`; corrected (Holm) for
            all pairs of one direction, as the p-values of the gains are.
    """

    gains: Mapping[tuple[str, str], Gain]
    p_worse: Mapping[tuple[str, str], float]

    def is_as_good(self, variant: str, other: str) -> bool:
        """Return True if a drop of `WORTH` from *other* to *variant* is ruled out."""
        return self.p_worse.get((other, variant), 1.0) <= MISS


def _compare_rungs(samples: Mapping[str, Samples]) -> _RungComparison:
    """Compare every pair of variants; *samples* are in the order of the ladder."""
    upwards = list(combinations(samples, 2))
    downwards = [(high, low) for low, high in upwards]
    pairs = {
        (over, variant): _Pair.of(samples[over], samples[variant])
        for over, variant in (*upwards, *downwards)
    }
    gains, p_worse = dict[tuple[str, str], Gain](), dict[tuple[str, str], float]()
    # Upwards: does more effort gain anything? Downwards: is less effort as good?
    for keys in (upwards, downwards):
        # The gain of a variant is the drop from it to the other one.
        p_better = holm([pairs[variant, over].p_drop() for over, variant in keys]).tolist()
        corrected = holm([pairs[key].p_worse() for key in keys]).tolist()
        gains |= {k: _gain(k[0], pairs[k], p) for k, p in zip(keys, p_better, strict=True)}
        p_worse |= dict(zip(keys, corrected, strict=True))
    return _RungComparison(gains, p_worse)


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """Two variants on their *n* shared cases; *counts* is None for under two cases."""

    n: int
    counts: PairedCounts | None
    is_unchanged: bool

    @classmethod
    def of(cls, before: Samples, after: Samples) -> _Pair:
        before, after = align(before, after)
        both = before.has_reply & after.has_reply
        before, after = before.select(both), after.select(both)
        counts = pair_samples(before, after) if len(after) > 1 else None
        return cls(len(after), counts, same_replies(before, after))

    @property
    def _tested(self) -> PairedCounts | None:
        """The counts, if they have enough independent groups of cases for a test."""
        groups = self.counts.groups if self.counts else None
        return None if groups is not None and groups < MIN_GROUPS else self.counts

    def p_drop(self) -> float:
        counts = self._tested
        return 1.0 if counts is None or self.is_unchanged else float(p_drop(counts))

    def p_worse(self) -> float:
        counts = self._tested
        if counts is None or self.is_unchanged:
            return float(counts is None)
        return float(p_noninferior(counts, WORTH))


def _gain(over: str, pair: _Pair, p: float) -> Gain:
    counts, n = pair.counts, pair.n
    if counts is None:
        return Gain(over=over, change=0.0, low=-1.0, high=1.0, n=n, p=1.0, certain=False)
    low, high = change_interval(counts, CONFIDENCE)
    change = counts.after - counts.before
    return Gain(over=over, change=change, low=low, high=high, n=n, p=p, certain=p <= MISS)


def compare_challengers(
    comparison: _RungComparison, challengers: Iterable[str], tuned: str
) -> Iterator[Challenge]:
    """Yield whether each of *challengers* is as good as *tuned*, if both were measured."""
    for challenger in challengers:
        if (tuned, challenger) not in comparison.gains:
            continue
        p = comparison.p_worse[tuned, challenger]
        is_worse = comparison.gains[challenger, tuned].certain
        yield Challenge(
            challenger=challenger,
            tuned=tuned,
            gain=comparison.gains[tuned, challenger],
            margin=WORTH,
            p=p,
            outcome="as good" if p <= MISS else "worse" if is_worse else "inconclusive",
        )


def _measured_rungs(evidence: Evidence) -> list[tuple[str, Variant]]:
    """Return the measured variants with their rungs, least effort first."""
    suite = evidence.suite
    rungs = variants_by_rung(suite.variants, suite.baseline)
    return [(rung, variant) for rung, variant in rungs if variant.name in evidence.scores]


def _ladder_rows(
    evidence: Evidence, comparison: _RungComparison, costs: Mapping[str, VariantCost]
) -> tuple[LadderRow, ...]:
    """Return a row for each measured variant, least effort first.

    *comparison* is of all pairs of variants; *costs* has no variant without a price.
    """
    rows: list[LadderRow] = []
    for rung, variant in _measured_rungs(evidence):
        row = _row(evidence, rung, variant, costs.get(variant.name))
        gain = comparison.gains.get((rows[-1].variant, row.variant)) if rows else None
        rows.append(replace(row, gain=gain))
    return _mark_frontier(rows)


def _row(evidence: Evidence, rung: str, variant: Variant, cost: VariantCost | None) -> LadderRow:
    name = variant.name
    scores, facts = evidence.scores[name], evidence.facts.get(name, {})
    figures = variant_figures(evidence.suite, scores, evidence.judges.get(scores))
    # A model on a server of your own has no price but that of the server.
    figures = {"usd_per_1k": cost.per_1k, **figures} if cost else figures
    return LadderRow(
        variant=name,
        rung=rung,
        n=sum(bool(result.scores) for result in scores.results.values()),
        **_figure_fields(figures),
        prompt_tokens=_prompt_tokens(variant),
        **(_cost_fields(evidence, figures, cost) if cost else {}),
        unknown="" if cost else variant.tariff.no_price_label,
        outcomes=_outcomes(evidence, variant),
        training_rows=evidence.training_rows.get(name),
        provider=variant.provider,
        model=facts.get("model", variant.model),
    )


def _cost_fields(
    evidence: Evidence, figures: Mapping[str, Figure], cost: VariantCost
) -> dict[str, Any]:
    economics, served = evidence.suite.economics, cost.per_1k
    return {
        "usd_served": served.value if served != figures["usd_per_1k"] else None,
        "usd_per_month": cost.usd_per_month(economics.calls_per_day).value if economics else None,
    }


def _outcomes(evidence: Evidence, variant: Variant) -> dict[str, str]:
    """Return the outcome of each gate of a variant; a gate without a verdict is not evaluated."""
    gates = evidence.suite.gates_for(variant) if variant.gated else ()
    outcomes = {gate.kind: NOT_EVALUATED for gate in gates}
    for verdict in evidence.verdicts:
        if verdict.variant == variant.name and verdict.gated:
            outcomes[verdict.gate] = str(verdict.outcome)
    return outcomes


#: The fields of a row by figure, and the figures of which a row has the interval too.
_FIELDS = {"p50": "p50_ms", "p95": "p95_ms", "usd_per_1k": "usd_per_1k", "tokens": "tokens"}
_WITH_INTERVAL = ("accuracy", "format")


def _figure_fields(figures: Mapping[str, Figure]) -> dict[str, Any]:
    names = [name for name in (*_FIELDS, *_WITH_INTERVAL) if name in figures]
    fields: dict[str, Any] = {_FIELDS.get(name, name): figures[name].value for name in names}
    for name in _WITH_INTERVAL:
        if name in figures:
            fields |= {f"{name}_low": figures[name].low, f"{name}_high": figures[name].high}
    return fields


def _prompt_tokens(variant: Variant) -> int | None:
    """Return the approximate tokens of the prompt and its examples; None if none is read."""
    has_prompt = bool(variant.system or variant.shots or variant.shot_pool)
    if not (has_prompt and provider_spec(variant.provider).prompted):
        return None
    return estimate_tokens(variant.system or "") + _shot_tokens(variant)


def _shot_tokens(variant: Variant) -> int:
    """Return the approximate tokens of the examples in the prompt."""
    if not variant.shot_pool:
        return sum(estimate_tokens(text) for _, text in variant.shots)
    per_shot = mean(
        sum(estimate_tokens(text) for _, text in shot.turns) for shot in variant.shot_pool
    )
    return round(per_shot * variant.similar_shots)


def _mark_frontier(rows: Sequence[LadderRow]) -> tuple[LadderRow, ...]:
    """Return *rows* with *frontier* set where no other row is both more accurate and cheaper."""
    key = frontier_key(rows)
    if not key:
        return tuple(rows)
    priced = [row for row in rows if row.accuracy is not None and getattr(row, key) is not None]
    frontier = {
        row.variant for row in priced if not any(_beats(other, row, key) for other in priced)
    }
    return tuple(replace(row, frontier=row.variant in frontier) for row in rows)


def frontier_key(rows: Iterable[LadderRow]) -> str:
    """Return the field on the other axis of the frontier: costs if known, else the latency."""
    rows = list(rows)
    for key in ("usd_per_month", "usd_per_1k", "p50_ms"):
        if sum(getattr(row, key) is not None for row in rows) > 1:
            return key
    return ""


def _beats(first: LadderRow, second: LadderRow, key: str) -> bool:
    """Return True if *first* is at least as good as *second* on both axes and better on one."""
    one, other = ((-(row.accuracy or 0.0), getattr(row, key)) for row in (first, second))
    return one != other and all(map(le, one, other))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ladder:
    """The measured ladder.

    Attributes:
        rows: least effort first.
        comparison: of all pairs of variants.
        money: the costs by volume; None without a declared volume.
        retiring: models in use that retire.
    """

    rows: tuple[LadderRow, ...]
    comparison: _RungComparison
    money: CostByVolume | None
    retiring: tuple[Retirement, ...]

    @property
    def scored(self) -> list[LadderRow]:
        """The rows with an accuracy."""
        return [row for row in self.rows if row.accuracy is not None]

    def row(self, variant: str) -> LadderRow | None:
        """Return the row of *variant*, or None if it was not measured."""
        return next((row for row in self.rows if row.variant == variant), None)

    def break_even(self, variant: str, compared_with: str) -> BreakEven | None:
        """Return the break-even of a fine-tune with another variant, or None without prices."""
        pairs = self.money.break_even if self.money else ()
        by_names = {(pair.variant, pair.compared_with): pair for pair in pairs}
        return by_names.get((variant, compared_with))


def build_ladder(evidence: Evidence) -> Ladder:
    """Return the ladder of a suite."""
    suite = evidence.suite
    samples = {
        variant.name: samples_from_scores(evidence.scores[variant.name], "accuracy")
        for _, variant in _measured_rungs(evidence)
    }
    scored = {name: sample for name, sample in samples.items() if sample.has_reply.any()}
    comparison = _compare_rungs(scored)
    costs = _variant_costs(evidence)
    rows = _ladder_rows(evidence, comparison, costs)
    tuned = [row.variant for row in rows if row.rung == TUNED_RUNG]
    unpriced = {row.variant: row.unknown for row in rows if row.unknown}
    money = cost_by_volume(suite.economics, costs, tuned, unpriced) if suite.economics else None
    retiring = tuple(_retiring_models(evidence))
    return Ladder(rows=rows, comparison=comparison, money=money, retiring=retiring)


def _variant_costs(evidence: Evidence) -> dict[str, VariantCost]:
    suite, spent = evidence.suite, evidence.usd_spent
    spends = suite.economics.variants if suite.economics else {}
    costs: dict[str, VariantCost] = {}
    for _, variant in _measured_rungs(evidence):
        name, scores = variant.name, evidence.scores[variant.name]
        spend, usd_spent = spends.get(name, Spend()), spent.get(name, 0.0)
        bound = cost_bound(suite, variant, scores)
        cost = variant_cost(variant, scores, spend, usd_spent, bound)
        costs |= {} if cost is None else {name: cost}
    return costs


def _retiring_models(evidence: Evidence) -> Sequence[Retirement]:
    """Return the models that retire within the next `RETIREMENT_DAYS`, the first one first."""
    variants_by_model: dict[tuple[str, str], list[str]] = {}
    for name, facts in evidence.facts.items():
        if facts.get("retires"):
            key = (facts.get("model", name), facts["retires"])
            variants_by_model.setdefault(key, []).append(name)
    retiring = list[Retirement]()
    for (model, when), names in variants_by_model.items():
        with suppress(ValueError):
            days = (date.fromisoformat(when[:10]) - evidence.today).days
            retiring.append(Retirement(model=model, date=when[:10], days=days, variants=(*names,)))
    soon = (one for one in retiring if one.days <= RETIREMENT_DAYS)
    return sorted(soon, key=lambda retirement: retirement.days)


def gate_minimum(suite: Suite, kind: str) -> float | None:
    """Return the minimum of the accuracy or the format gate, or None if it has none."""
    gate = suite.gates.get(kind)
    return gate.min if gate else None


def _can_serve(suite: Suite, row: LadderRow) -> bool:
    """Return True if no gate failed, and the format rate is not surely below its minimum."""
    minimum = gate_minimum(suite, "format")
    is_below = minimum is not None and row.format_high is not None and row.format_high < minimum
    spec = provider_spec(row.provider)
    # Only a server of any kind may be your own machine.
    must_not_leave = suite.local_only and spec.hosted and not spec.any_server
    return row.accuracy is not None and not (row.fails_gate or is_below or must_not_leave)


def meets_minimum(suite: Suite, row: LadderRow) -> bool:
    """Return True if the accuracy is shown to reach the suite's minimum, or if there is none."""
    minimum = gate_minimum(suite, "accuracy")
    if minimum is None:
        return True
    outcome = row.outcomes.get("accuracy", NOT_EVALUATED)
    if outcome == NOT_EVALUATED:
        return (row.accuracy_low or 0.0) >= minimum
    return outcome == "passed"


def best_rung(
    suite: Suite, rows: Sequence[LadderRow], comparison: _RungComparison
) -> LadderRow | None:
    """Return the best row: starting at the first, each step up must be worth its effort or cost.

    Rows that cannot serve are left out, unless none can. None without rows.
    """
    best: LadderRow | None = None
    for row in [row for row in rows if _can_serve(suite, row)] or rows:
        if best is None or _is_step_up(suite, row, best, comparison):
            best = row
    return best


def _is_step_up(
    suite: Suite, row: LadderRow, below: LadderRow, comparison: _RungComparison
) -> bool:
    gain, extra_cost = comparison.gains[below.variant, row.variant], _extra_cost(row, below)
    if not gain.certain:
        is_cheaper = extra_cost is not None and extra_cost < 0.0
        return is_cheaper and comparison.is_as_good(row.variant, below.variant)
    is_no_more = row.rung == below.rung if extra_cost is None else extra_cost <= 0.0
    required = required_gain(suite.economics, extra_cost)
    return is_no_more or gain.change >= required


def _extra_cost(row: LadderRow, below: LadderRow) -> float | None:
    """Return the extra cost in USD, a month or else a thousand requests; None if unknown."""
    for key in ("usd_per_month", "usd_per_1k"):
        cost, cost_below = getattr(row, key), getattr(below, key)
        if cost is not None and cost_below is not None:
            return float(cost) - float(cost_below)
    return None


def required_gain(economics: Economics | None, extra_cost: float | None) -> float:
    """Return the gain that pays for *extra_cost*, in USD a month; `WORTH` if that is not known.

    It is known if a wrong reply has a cost.
    """
    if economics is None or not economics.wrong_usd or extra_cost is None:
        return WORTH
    return max(0.0, extra_cost / (economics.wrong_usd * economics.calls_per_month))


def untried_rungs(
    suite: Suite, rows: Sequence[LadderRow], best: LadderRow
) -> Iterator[tuple[str, Note]]:
    """Yield the rungs below fine-tuning that were not measured and may help, and why."""
    tried = {row.rung for row in rows}
    variants = suite.variants.values()
    # A variant counts for its highest rung only, so that examples may be tried on another one.
    has_examples = any(variant.shots or variant.shot_pool for variant in variants)
    if "few-shot" not in tried and not has_examples:
        yield "few-shot", note(ReasonKind.NO_EXAMPLES)
    if "stronger-model" not in tried and not suite.local_only:
        yield "stronger-model", note(ReasonKind.NO_STRONGER_MODEL)
    has_schema = any(variant.constrained or variant.schema is not None for variant in variants)
    broken = 1.0 - (1.0 if best.format is None else best.format)
    if not has_schema and broken >= FORMAT_ERRORS:
        why = note(ReasonKind.FORMAT_ERRORS, share=broken, variant=best.variant)
        yield "structured-output", why
    has_retrieval = any(variant.retrieve is not None for variant in variants)
    scores_tool_calls = suite.reply.score.kind == "tool_call"
    if not (has_retrieval or suite.labels or scores_tool_calls):
        yield "rag", note(ReasonKind.NO_RETRIEVAL)
    if scores_tool_calls and "tools" not in tried:
        yield "tools", note(ReasonKind.NO_TOOLS)
