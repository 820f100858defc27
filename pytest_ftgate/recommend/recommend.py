"""From evidence to one recommendation, with rollback and held-out confirmation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from pytest_ftgate.gates.design import MISS
from pytest_ftgate.gates.figures import rate_figure
from pytest_ftgate.gates.notes import BROKEN, Note, NoteValue, note
from pytest_ftgate.gates.samples import samples_from_scores
from pytest_ftgate.gates.statements import StepKind
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.recommend.advice import (
    AcceptedRun,
    Advice,
    Challenge,
    Condition,
    Confirmation,
    Evidence,
    LadderRow,
    Reason,
    ReasonKind,
    Recommendation,
    Rollback,
)
from pytest_ftgate.recommend.ladder import (
    TUNED_RUNG,
    WORTH,
    Ladder,
    best_rung,
    build_ladder,
    frontier_key,
    gate_minimum,
    meets_minimum,
    untried_rungs,
)
from pytest_ftgate.recommend.rules import FineTuneAssessment, assess_fine_tune, gain_values
from pytest_ftgate.stats.proportions import fisher_p
from pytest_ftgate.suite.model import Variant
from pytest_ftgate.suite.providers import is_hosted_url, provider_spec


class Decision(NamedTuple):
    """The recommendation; fields as in ``Advice``."""

    recommendation: Recommendation
    subject: str
    variant: str
    why: Note | None = None
    reasons: tuple[Reason, ...] = ()
    conditions: tuple[Condition, ...] = ()
    challenges: tuple[Challenge, ...] = ()


def decide(
    evidence: Evidence, ladder: Ladder, best: LadderRow | None, rollback: Rollback | None
) -> Decision:
    """Return the one recommendation for a ladder of at least one row with an accuracy.

    *best* is the best untuned row. *rollback* is for the case that the variant that should serve
    fails.
    """
    decision = _decide_roll_back(ladder, rollback, best) if rollback else None
    if decision is not None:
        return decision
    tuned = [row for row in ladder.scored if row.rung == TUNED_RUNG]
    if best is not None:
        return _decide_by_rules(evidence, ladder, best, tuned)
    first, names = tuned[0].variant, tuple(row.variant for row in tuned)
    reason = _reason("rung", first, ReasonKind.ONLY_FINE_TUNES, variants=names)
    return Decision(Recommendation.NEXT, "prompt", first, reasons=(reason,))


def _decide_by_rules(
    evidence: Evidence, ladder: Ladder, best: LadderRow, tuned: Sequence[LadderRow]
) -> Decision:
    suite = evidence.suite
    # Without a fine-tune, the rules are evaluated for one that is planned.
    rows: Sequence[LadderRow | None] = tuned or [None]
    assessments = [assess_fine_tune(evidence, ladder, best, row) for row in rows]
    serving = next((a for a in assessments if a.row and a.name == suite.serves), None)
    if serving and not serving.failing:
        return _decide_fine_tune(Recommendation.KEEP, ladder, best, serving, assessments)
    untried, minimum = [*untried_rungs(suite, ladder.rows, best)], gate_minimum(suite, "accuracy")
    # A minimum that is met needs no further rung; without a minimum nothing is known to be enough.
    is_enough = minimum is not None and meets_minimum(suite, best)
    is_top = best is ladder.rows[-1] and bool(untried)
    if not tuned and (is_enough or (minimum is None and not is_top)):
        return _decide_stop(ladder, best, minimum)
    if untried and not is_enough and serving is None:
        rung, reason = untried[0]
        reasons = (_accuracy_reason(best),)
        return Decision(Recommendation.NEXT, rung, best.variant, reason, reasons)
    justified = [assessment for assessment in assessments if not assessment.failing]
    if justified:
        cheapest = min(justified, key=_cost_rank)
        return _decide_fine_tune(Recommendation.FINE_TUNE, ladder, best, cheapest, assessments)
    nearest = serving or min(assessments, key=lambda a: (len(a.failing), _cost_rank(a)))
    decision = _decide_not_justified(best, nearest, assessments)
    why = next(_breaks(evidence, nearest.name), None)
    return decision._replace(recommendation=Recommendation.NOT_JUDGED, why=why) if why else decision


# The decisions -----------------------------------------------------------------------------


def _reason(figure: str, variant: str, kind: ReasonKind, **values: NoteValue | Note) -> Reason:
    """Return a reason about *variant*, which its note names too."""
    return Reason(note=note(kind, variant=variant, **values), variant=variant, figure=figure)


def _accuracy_reason(row: LadderRow, **values: NoteValue) -> Reason:
    if row.accuracy_low is not None and row.accuracy_high is not None:
        values |= {"low": row.accuracy_low, "high": row.accuracy_high}
    accuracy = row.accuracy or 0.0
    return _reason("accuracy", row.variant, ReasonKind.ACCURACY, accuracy=accuracy, **values)


def _decide_roll_back(
    ladder: Ladder, rollback: Rollback, best: LadderRow | None
) -> Decision | None:
    failing = ladder.row(rollback.failing)
    target = rollback.variant
    is_tuned = failing is not None and failing.rung == TUNED_RUNG
    # A variant that fails a gate is no rollback target.
    if not target and best is not None and is_tuned and not best.fails_gate:
        target = best.variant
    if not target or target == rollback.failing:
        return None
    values: dict[str, NoteValue] = {"gates": rollback.gates}
    if failing is not None and failing.accuracy:
        values |= {"accuracy": failing.accuracy}
    row = ladder.row(target)
    fails = _reason("outcomes", rollback.failing, ReasonKind.FAILS_GATES, **values)
    reasons = (fails, *([_accuracy_reason(row)] if row else []))
    return Decision(Recommendation.ROLL_BACK, target, target, reasons=reasons)


def _decide_stop(ladder: Ladder, best: LadderRow, minimum: float | None) -> Decision:
    reason = _accuracy_reason(best, **({} if minimum is None else {"minimum": minimum}))
    above = ladder.rows[ladder.rows.index(best) + 1 :]
    reasons = (reason, *_gain_reasons(ladder, best, above))
    return Decision(Recommendation.STOP, best.variant, best.variant, reasons=reasons)


def _gain_reasons(ladder: Ladder, best: LadderRow, above: Iterable[LadderRow]) -> Iterator[Reason]:
    """Yield the gain of each row above the best one, which is too small for its effort."""
    for row in above:
        gain = ladder.comparison.gains.get((best.variant, row.variant))
        if gain is not None:
            values = {"accuracy": row.accuracy or 0.0, **gain_values(gain)}
            yield _reason("accuracy", row.variant, ReasonKind.GAIN, over=best.variant, **values)


def _decide_fine_tune(
    recommendation: Recommendation,
    ladder: Ladder,
    best: LadderRow,
    chosen: FineTuneAssessment,
    assessments: Sequence[FineTuneAssessment],
) -> Decision:
    reasons = (
        *chosen.reasons(failing=False),
        *_price_reasons(ladder, best, chosen),
        *(_rejection(a) for a in assessments if a.failing),
    )
    variant = chosen.row.variant if chosen.row else best.variant
    decision = Decision(recommendation, chosen.name, variant, reasons=reasons)
    return decision._replace(conditions=chosen.conditions, challenges=chosen.challenges)


def _price_reasons(ladder: Ladder, best: LadderRow, chosen: FineTuneAssessment) -> Iterator[Reason]:
    """Yield the price of each untuned row that is as accurate as the chosen fine-tune."""
    for row in ladder.rows:
        if chosen.row is None or row.rung == TUNED_RUNG or row is best:
            continue
        gain = ladder.comparison.gains.get((chosen.name, row.variant))
        tuned_usd, usd = chosen.row.usd_per_1k, row.usd_per_1k
        if gain is None or not tuned_usd or usd is None or gain.certain or gain.change < 0.0:
            continue
        values = {"times": usd / tuned_usd, **gain_values(gain)}
        kind = ReasonKind.COSTS_MORE
        yield _reason("usd_per_1k", row.variant, kind, tuned=chosen.name, **values)


def _rejection(assessment: FineTuneAssessment) -> Reason:
    last = assessment.failing[-1]
    return _reason(last.name, assessment.name, ReasonKind.REJECTED, reason=last.note)


def _decide_not_justified(
    best: LadderRow, nearest: FineTuneAssessment, assessments: Sequence[FineTuneAssessment]
) -> Decision:
    reasons = (
        _accuracy_reason(best),
        *nearest.reasons(failing=True),
        *(_rejection(a) for a in assessments if a is not nearest),
    )
    decision = Decision(Recommendation.NOT_JUSTIFIED, nearest.name, best.variant, reasons=reasons)
    return decision._replace(conditions=nearest.conditions, challenges=nearest.challenges)


def _breaks(evidence: Evidence, variant: str) -> Iterator[Note]:
    """Yield why replies of the tuned *variant*, which fails a gate, are no answers at all."""
    for verdict in _gate_verdicts(evidence, variant):
        for step in verdict.next if verdict.outcome in _FAILING else ():
            values = dict(step.values)
            if step.kind is StepKind.CHECK_CAUSE and (cause := str(values.pop("cause"))) in BROKEN:
                yield Note(cause, values)


def _cost_rank(assessment: FineTuneAssessment) -> tuple[float, float]:
    """Return a sort key: the cheaper fine-tune first, then the more accurate one."""
    row = assessment.row
    usd = row.usd_per_month if row else None
    accuracy = row.accuracy if row else None
    return (float("inf") if usd is None else usd, -(accuracy or 0.0))


_FAILING = (Outcome.FAILED, Outcome.INVALID)


def find_rollback(evidence: Evidence) -> Rollback | None:
    """Return the variant to serve instead of one that fails, or None if it does not fail.

    Accepted records are searched, newest first, for a variant whose gates all pass now. A variant
    that has left the suite cannot be evaluated; it is returned if no other one passes.
    """
    serves = evidence.suite.serves
    verdicts = _gate_verdicts(evidence, serves)
    failed = tuple(verdict.gate for verdict in verdicts if verdict.outcome in _FAILING)
    if not failed:
        return None
    not_in_suite: Rollback | None = None
    for run in evidence.history:
        for variant in _passed_variants(run):
            if variant == serves:
                continue
            rollback = Rollback(
                failing=serves, gates=failed, variant=variant,
                commit=run.commit, at=run.at, by=run.by,
            )  # fmt: skip
            if variant not in evidence.suite.variants:
                not_in_suite = not_in_suite or replace(rollback, in_suite=False)
            elif (now := _gate_verdicts(evidence, variant)) and all(v.holds for v in now):
                return rollback
    return not_in_suite or Rollback(failing=serves, gates=failed, variant="")


def _gate_verdicts(evidence: Evidence, variant: str) -> list[Verdict]:
    return [v for v in evidence.verdicts if v.variant == variant and v.gated]


def _passed_variants(run: AcceptedRun) -> list[str]:
    """Return the variants whose gates all passed, first the one that should serve."""
    not_passed = {gate.variant for gate in run.gates if gate.outcome != Outcome.PASSED}
    passed = dict.fromkeys(gate.variant for gate in run.gates if gate.variant not in not_passed)
    return sorted(passed, key=lambda name: name != run.serves)


def _confirm_on_held_out(evidence: Evidence, variant: str) -> Confirmation | None:
    """Return whether held-out cases confirm the accuracy of the chosen variant; None without any.

    Contradicted: the accuracy on them is significantly lower (Fisher's exact test, one-sided,
    0.05) or surely below the minimum. Confirmed: it is within ``worth``. Else inconclusive.
    """
    chosen, held_out = evidence.scores.get(variant), evidence.held_out
    if chosen is None or held_out is None:
        return None
    # People have labelled no reply to a held-out case, so both rates are those of the grades.
    before, found = (
        rate_figure(samples_from_scores(scores, "accuracy")) for scores in (chosen, held_out)
    )
    if not before.n or not found.n:
        return None
    right, right_held_out = (round(figure.value * figure.n) for figure in (before, found))
    p = fisher_p(right, before.n, right + right_held_out, before.n + found.n)
    minimum, high = gate_minimum(evidence.suite, "accuracy"), found.high
    outcome = "inconclusive"
    if p <= MISS or (minimum is not None and high is not None and high < minimum):
        outcome = "contradicted"
    elif found.value >= before.value - WORTH:
        outcome = "confirmed"
    return Confirmation(
        variant=variant,
        n=found.n,
        accuracy=found.value,
        low=found.low or 0.0,
        high=1.0 if high is None else high,
        before=before.value,
        p=p,
        outcome=outcome,
    )


def advise(evidence: Evidence) -> Advice | None:
    """Return the advice on a suite, or None if no variant has an accuracy.

    The result depends on *evidence* alone, which includes the day and the git history.
    """
    ladder = build_ladder(evidence)
    if not ladder.scored:
        return None
    untuned = [row for row in ladder.scored if row.rung != TUNED_RUNG]
    best = best_rung(evidence.suite, untuned, ladder.comparison)
    rollback = find_rollback(evidence)
    decision = decide(evidence, ladder, best, rollback)
    key = frontier_key(ladder.rows)
    return Advice(
        suite=evidence.suite.name,
        **decision._asdict(),
        below=best.variant if best else "",
        rungs=ladder.rows,
        frontier_by="time" if key == "p50_ms" else "usd" if key else "",
        money=ladder.money,
        confirmation=_confirm_on_held_out(evidence, decision.variant),
        retiring=ladder.retiring,
        rollback=rollback,
        coverage_gaps=evidence.coverage_gaps,
        unmeasured=dict(evidence.unmeasured),
        notes=tuple(_notes(evidence, ladder, decision)),
    )


def _notes(evidence: Evidence, ladder: Ladder, decision: Decision) -> Iterator[Note]:
    for condition in decision.conditions:
        if condition.needed and condition.holds is None:
            yield condition.note
    if evidence.suite.judges:
        yield note(ReasonKind.JUDGED)
    for name, why in evidence.unmeasured.items():
        yield note(ReasonKind.UNMEASURED, variant=name, reason=why)
    unscored = tuple(row.variant for row in ladder.rows if row.accuracy is None)
    if unscored:
        yield note(ReasonKind.UNSCORED, variants=unscored)
    if decision.recommendation in _TUNED:
        variant = evidence.suite.variants[decision.variant]
        if _is_held_by_a_service(variant):
            rows = evidence.training_rows.get(variant.name, 0)
            yield note(ReasonKind.LOCKED_IN, variant=variant.name, rows=rows)


#: The recommendations of a fine-tune.
_TUNED = (Recommendation.FINE_TUNE, Recommendation.KEEP)


def _is_held_by_a_service(variant: Variant) -> bool:
    """Return True if a service keeps the weights of a fine-tune."""
    spec = provider_spec(variant.provider)
    own_server = spec.any_server and not is_hosted_url(variant.base_url or spec.url)
    return spec.hosted and variant.adapter is None and not own_server
