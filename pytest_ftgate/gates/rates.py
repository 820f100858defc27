"""The accuracy gate and the format gate: minimum, drop, accepted result, must-pass cases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_ftgate.gates.checks import DropRule, check_point, inconclusive_at_chance
from pytest_ftgate.gates.design import (
    MAX_MISSING_SHARE,
    Levels,
    Look,
    check_must_pass,
    guess_rate,
    look_levels,
    shared_levels,
)
from pytest_ftgate.gates.diagnosis import with_endings
from pytest_ftgate.gates.feasibility import limit_of_cases, limit_of_cases_notes
from pytest_ftgate.gates.format_errors import (
    changed_habit,
    drift_notes,
    error_shares,
    format_error_fields,
    reply_drifts,
)
from pytest_ftgate.gates.judges import (
    JudgeEvidence,
    check_graded_drop,
    check_graded_minimum,
    graded_rate,
    inconclusive_if_unqualified,
    judge_notes,
    with_judge_evidence,
)
from pytest_ftgate.gates.next_steps import is_other_engine, rate_next_steps
from pytest_ftgate.gates.notes import Note, NoteKind, note
from pytest_ftgate.gates.regressions import (
    Regressions,
    changed_texts,
    find_regressions,
    flips,
    retrieval_notes,
    slice_members,
    slice_results,
    with_broken_formats,
)
from pytest_ftgate.gates.samples import Samples, samples_from_scores
from pytest_ftgate.gates.statements import Statement, StatementKind, Value
from pytest_ftgate.gates.verdict import (
    ACCEPTED_KINDS,
    Check,
    CheckKind,
    Outcome,
    ShownChange,
    Slice,
    Verdict,
    combine_checks,
    verdict_place,
)
from pytest_ftgate.scoring.score import LabelMetrics
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.model import Suite

if TYPE_CHECKING:
    # Suites without inputs load no module of theirs.
    from pytest_ftgate.gates.labelled import InputReplies


def rate_notes(
    gate: RateGate, scores: VariantScores, checks: tuple[Check, ...], look: Look
) -> Iterator[Note]:
    """Yield the notes of the verdict."""
    unscored = (
        0 if gate.kind == "format" else len(scores.results) - int(scores.facts.scorable.sum())
    )
    if unscored:
        yield note(NoteKind.EXPECT_NOTHING, n=unscored, of=len(scores.results))
    for check in checks:
        yield from check.notes
    if look.of > 1:
        yield _look_note(scores, look)
    stops, as_wrong = scores.stop_reasons, gate.name == "accuracy"
    for stop, kind in (("refusal", NoteKind.REFUSED), ("length", NoteKind.CUT_OFF)):
        if stops[stop]:
            yield note(kind, n=stops[stop], of=stops.total(), as_wrong=as_wrong)
    if scores.unanswered:
        first = scores.unanswered[0].missing_reasons[0]
        counts = {"n": len(scores.unanswered), "of": len(scores.results)}
        yield note(NoteKind.NO_REPLY, **counts, first=first)


def _look_note(scores: VariantScores, look: Look) -> Note:
    """Return how many replies or cases a look includes."""
    place = {"look": look.number, "of": look.of}
    if look.cases is None:
        return note(NoteKind.LOOK_REPLIES, **place, repeats=look.repeats)
    cases = len(scores.results)
    return note(NoteKind.LOOK_CASES, **place, cases=cases, all=round(cases / look.fractions[-1]))


@dataclass(frozen=True, slots=True)
class Comparison:
    """The input of the accuracy gate and the format gate.

    Attributes:
        scores: the variant's scores.
        baseline: the baseline's scores; the same object if the variant is the baseline.
        accepted: the samples of the variant that were accepted last, or None.
        anchor: the samples of the variant that were accepted first, if others followed, or None.
        must_pass: the scores of the must-pass cases, and those of the wrong ones with repeated
            requests, or None; None without must-pass cases.
        baseline_drift: how the baseline has drifted since its replies were recorded, or None.
        judge_evidence: the evidence about the judges that graded the replies.
        levels: the error rates of each drop check; by default those of the suite alone.
        shown_baseline: the baseline's scores where the change from it is only shown, or None.
        inputs: the replies of both to inputs without an expected answer, or None.
    """

    scores: VariantScores
    baseline: VariantScores
    accepted: Samples | None = None
    must_pass: tuple[VariantScores, VariantScores | None] | None = None
    baseline_drift: Note | None = None
    judge_evidence: JudgeEvidence = field(default_factory=JudgeEvidence)
    anchor: Samples | None = None
    levels: Levels | None = None
    shown_baseline: VariantScores | None = None
    inputs: InputReplies | None = None

    @property
    def compared_scores(self) -> VariantScores | None:
        """The baseline's scores, or None if the variant is the baseline."""
        return None if self.scores is self.baseline else self.baseline

    @property
    def shown_scores(self) -> VariantScores:
        """The variant's scores, including must-pass cases outside the look."""
        if not self.must_pass:
            return self.scores
        results = {**self.must_pass[0].results, **self.scores.results}
        return VariantScores(self.scores.variant, results)


def evaluate_rate(
    suite: Suite, gate: RateGate, comparison: Comparison, look: Look | None = None
) -> Verdict:
    """Return the verdict of the accuracy gate or the format gate about one variant.

    *look* is the look that *comparison* belongs to; by default all replies.
    """
    look, scores = look or Look(), comparison.scores
    checks = tuple(_checks(suite, gate, comparison, look))
    if gate.reads_record:
        # Must-pass cases that passed show nothing alone.
        alone = all(c.kind is CheckKind.MUST_PASS and c.outcome is Outcome.PASSED for c in checks)
        checks = () if alone else checks
    elif not checks:
        from pytest_ftgate.gates.measures import not_gated_verdict

        baseline, judges = comparison.shown_baseline, comparison.judge_evidence
        return not_gated_verdict(suite, gate, scores, baseline, judges)
    verdict = _verdict(suite, gate, comparison, checks, look)
    return _with_steps(suite, gate, verdict, comparison, look)


def _verdict(
    suite: Suite, gate: RateGate, comparison: Comparison, checks: tuple[Check, ...], look: Look
) -> Verdict:
    """Return the verdict of *checks*, without what to do about it."""
    scores = comparison.scores
    outcome, deciding = combine_checks(checks) if checks else (_first_outcome(gate, scores), 0)
    check = checks[deciding] if checks else None
    parts = _slices(suite, gate, comparison, look)
    outcome = Outcome.FAILED if _slices_decide(check, parts) else outcome
    before, compared = _compared_with(gate, comparison, check)
    regressions = _regressions(gate, comparison, before, check)
    verdict = Verdict(
        **verdict_place(suite, gate, scores.variant),
        outcome=outcome,
        statement=_statement(gate, check, comparison),
        checks=checks,
        shown_change=_shown_change(suite, gate, comparison),
        deciding=deciding,
        slices=parts,
        labels=_label_metrics(suite, gate, comparison) if outcome is not Outcome.PASSED else (),
        flips=flips(compared, comparison.shown_scores, regressions),
        regressed=len(regressions.regressed),
        fixed=len(regressions.fixed),
        **format_error_fields(gate, comparison.compared_scores, scores),
        drifts=reply_drifts(suite, gate, comparison.compared_scores, scores),
    )
    verdict = replace(
        verdict, notes=tuple(_notes(suite, gate, comparison, verdict, look, regressions))
    )
    return with_broken_formats(verdict, gate, before, comparison.compared_scores, scores)


def _shown_change(suite: Suite, gate: RateGate, comparison: Comparison) -> ShownChange | None:
    if comparison.shown_baseline is None:
        return None
    from pytest_ftgate.gates.measures import shown_change

    return shown_change(suite, gate, comparison.shown_baseline, comparison.scores)


def _chance_notes(
    suite: Suite, gate: RateGate, comparison: Comparison, check: Check | None
) -> Iterator[Note]:
    """Yield how often an unchanged variant passes the deciding *check*, if the change may be none.

    That is not known of grades whose limit labels move, nor of pairwise ones.
    """
    scores = comparison.scores
    if check is None or check.needed_unchanged is None or check.measure:
        return
    if check.method != "counts" or check.drop_is_shown or check.is_beyond:
        return
    before, compared = _compared_with(gate, comparison, check)
    is_pairwise = comparison.judge_evidence.is_pairwise and compared is not None
    if before is None or is_pairwise or scores.variant not in suite.variants:
        return
    from pytest_ftgate.gates.measures import pairs_of_samples, pairs_of_scores
    from pytest_ftgate.gates.power import unchanged_passes

    pairs = (
        pairs_of_samples(
            before, samples_from_scores(scores, gate.sample), of_runs=gate.claims_these
        )
        if compared is None
        else pairs_of_scores(gate, compared, scores, of_runs=True)
    )
    yield from unchanged_passes(suite, gate, suite.variants[scores.variant], check, pairs)


def _with_steps(
    suite: Suite, gate: RateGate, verdict: Verdict, comparison: Comparison, look: Look
) -> Verdict:
    """Return *verdict* with what its cases can show, what to do, and its judges."""
    scores, notes = comparison.scores, verdict.notes
    if any(check.has_default_limit for check in verdict.checks):
        from pytest_ftgate.gates.power import coarse_limit

        notes = (*notes, *coarse_limit(suite, gate, gate.max_drop or 0.0))
    notes = (*notes, *_chance_notes(suite, gate, comparison, verdict.check))
    steps = tuple(rate_next_steps(suite, gate, verdict, look, scores.format_errors))
    verdict = replace(verdict, next=steps, notes=notes)
    verdict = with_endings(suite, verdict, comparison.compared_scores, scores)
    return with_judge_evidence(verdict, comparison.judge_evidence)


def _first_outcome(gate: RateGate, scores: VariantScores) -> Outcome:
    """Return the outcome of a gate that compares with nothing yet.

    Replies that are missing, or none of which is right, are nothing to compare later runs with.
    """
    samples = samples_from_scores(scores, gate.sample)
    is_usable = samples.mean > 0.0 and not _missing_values(samples)
    return Outcome.PASSED if is_usable else Outcome.INCONCLUSIVE


def _missing_values(samples: Samples) -> dict[str, int]:
    """Return how many of the cases have no reply, if they are too many; else nothing."""
    missing, cases = len(samples) - int(samples.has_reply.sum()), len(samples)
    return {"missing": missing, "cases": cases} if missing > MAX_MISSING_SHARE * cases else {}


def _slices_decide(check: Check | None, parts: tuple[Slice, ...]) -> bool:
    """Return True if regressed slices fail the gate; with too few replies they do not."""
    few = check is None or check.missing > MAX_MISSING_SHARE * (check.n + check.missing)
    return any(part.state == "regressed" for part in parts) and not few


def _statement(gate: RateGate, check: Check | None, comparison: Comparison) -> Statement:
    if check is None:
        samples = samples_from_scores(comparison.scores, gate.sample)
        figure = graded_rate(comparison.judge_evidence, samples)
        rate: dict[str, Value] = {"rate": figure.value} if figure.n else {}
        values = {**rate, **_missing_values(samples)}
        return Statement(StatementKind.NOTHING_TO_COMPARE, values)
    is_plain = gate.name == gate.metric == "accuracy"
    measure = "format" if gate.kind == "format" else gate.metric
    if comparison.judge_evidence.is_pairwise and is_plain:
        measure = "preferred"
    named = {"function": gate.function} if gate.function else {"measure": measure}
    tasks: dict[str, Value] = {"tasks": check.tasks} if check.tasks else {}
    habit = changed_habit(gate, check, comparison.compared_scores, comparison.scores)
    return Statement(StatementKind.RATE, {**named, **tasks, **habit, **_overall(gate, comparison)})


def _overall(gate: RateGate, comparison: Comparison) -> dict[str, Value]:
    """Return the rate over all cases if not all of them have accepted results; else nothing."""
    samples, accepted = samples_from_scores(comparison.scores, gate.sample), comparison.accepted
    if accepted is None or {*samples.case_ids} <= {*accepted.case_ids}:
        return {}
    return {"overall": graded_rate(comparison.judge_evidence, samples).value}


def _notes(
    suite: Suite,
    gate: RateGate,
    comparison: Comparison,
    verdict: Verdict,
    look: Look,
    regressions: Regressions,
) -> Iterator[Note]:
    checks, drifts = verdict.checks, verdict.drifts
    yield from rate_notes(gate, comparison.scores, checks, look)
    baseline = suite.variants[suite.baseline]
    compared = comparison.compared_scores
    if compared is not None and is_other_engine(baseline, suite.variants[verdict.variant]):
        yield from changed_texts(compared, comparison.scores, regressions)
    yield from retrieval_notes(gate, comparison.shown_scores, regressions.regressed)
    yield from judge_notes(comparison.judge_evidence) if gate.kind == "accuracy" else ()
    if comparison.accepted is not None and suite.inputs is not None:
        yield from limit_of_cases_notes(suite, gate)
    if (check := verdict.check) is not None and check.tasks:
        from pytest_ftgate.gates.tasks import task_notes

        before, _ = _compared_with(gate, comparison, check)
        yield from task_notes(before, samples_from_scores(comparison.scores, gate.sample), check)
    passed = all(check.outcome is Outcome.PASSED for check in checks)
    shares = error_shares(comparison.compared_scores, comparison.scores) if drifts else ()
    yield from drift_notes(drifts, gate, shares, passed=passed)


def _checks(suite: Suite, gate: RateGate, comparison: Comparison, look: Look) -> Iterator[Check]:
    judges = comparison.judge_evidence if gate.reads_grades else JudgeEvidence()
    must_pass, drift = comparison.must_pass, comparison.baseline_drift
    check_of_cases = check_must_pass(*must_pass) if must_pass and gate.reads_grades else None
    if check_of_cases is not None:
        yield inconclusive_if_unqualified(check_of_cases, judges)
    shared = comparison.levels or shared_levels(suite)
    levels = [look_levels(look, total) for total in (Levels(), shared)]
    for rate_check in _rate_checks(suite, gate, comparison, *levels):
        check = inconclusive_if_unqualified(rate_check, judges)
        drifted = drift if check.kind is CheckKind.BASELINE else None
        if gate.evidence == "point" and drifted is None:
            check = check_point(check)
        check = _without_lost_runs(check, comparison)
        check = _of_tasks(check, comparison) if gate.claims_these else check
        if check.kind is CheckKind.MINIMUM:
            yield inconclusive_at_chance(check, guess_rate(suite, gate))
        elif drifted is not None:
            outcome = Outcome.INCONCLUSIVE
            yield replace(check, outcome=outcome, has_drifted=True, notes=(drifted,))
        else:
            yield _with_default_limit(suite, gate, check)
    if comparison.compared_scores is not None:
        from pytest_ftgate.gates.thoughts import thought_checks

        yield from thought_checks(gate, comparison.baseline, comparison.scores, levels[1])


def _of_tasks(check: Check, comparison: Comparison) -> Check:
    """Return *check* as one about these tasks alone, inconclusive if their runs are copies."""
    from pytest_ftgate.gates.tasks import without_copies

    if any(one.kind in (NoteKind.FEW_PAIRS, NoteKind.TOO_FEW_REPLIES) for one in check.notes):
        return check
    tasks = len(comparison.scores.cases) - check.missing
    sides = (comparison.compared_scores, comparison.scores)
    return without_copies(replace(check, tasks=tasks), sides)


def _without_lost_runs(check: Check, comparison: Comparison) -> Check:
    """Return *check*, inconclusive if too many replies to cases with others are missing.

    What got lost may have been what went wrong. Cases without any reply are counted elsewhere.
    """
    for side in filter(None, (comparison.compared_scores, comparison.scores)):
        answered = [result for result in side.results.values() if result.replies]
        lost = sum(len(result.missing_reasons) for result in answered)
        total = sum(len(result.fingerprints) for result in answered)
        if lost > MAX_MISSING_SHARE * total:
            told = note(NoteKind.LOST_RUNS, lost=lost, of=total, variant=side.variant)
            notes, outcome = (*check.notes, told), Outcome.INCONCLUSIVE
            return replace(check, outcome=outcome, shown_limit=None, notes=notes)
    return check


def _with_default_limit(suite: Suite, gate: RateGate, check: Check) -> Check:
    """Return *check* with how many cases its limit is of, if that is not declared."""
    if not gate.has_default_limit:
        return check
    cases = len(gate.evaluated_cases(suite.cases))
    inputs = len(suite.inputs.cases) if suite.inputs and check.limit == gate.max_drop else 0
    pooled = cases + inputs if gate.reads_inputs else cases
    return replace(check, has_default_limit=True, limit_cases=pooled)


def _drop_rule(suite: Suite, gate: RateGate, levels: Levels) -> DropRule:
    return DropRule(
        against=suite.baseline,
        margin=gate.max_drop or 0.0,
        levels=levels,
        guess_rate=guess_rate(suite, gate),
        **_of_these(gate),
    )


def _of_these(gate: RateGate) -> dict[str, Any]:
    """Return the fields of a rule about these tasks alone; {} for one about others like them."""
    if not gate.claims_these:
        return {}
    from pytest_ftgate.gates.tasks import pair_tasks
    from pytest_ftgate.stats.tasks import FEWEST_TASKS

    return {"pairing": pair_tasks, "fewest": FEWEST_TASKS}


def _rate_checks(
    suite: Suite, gate: RateGate, comparison: Comparison, unshared: Levels, shared: Levels
) -> Iterator[Check]:
    """Yield the checks of what the gate rates, by its own rules alone."""
    scores, compared = comparison.scores, comparison.compared_scores
    evidence = comparison.judge_evidence
    rule = _drop_rule(suite, gate, shared)
    samples = samples_from_scores(scores, gate.sample)
    if gate.min and gate.claims_these:
        from pytest_ftgate.gates.tasks import check_task_minimum

        yield check_task_minimum(samples, minimum=gate.min, levels=unshared)
    elif gate.min:
        yield check_graded_minimum(evidence, samples, minimum=gate.min, levels=unshared)
    if gate.max_drop is None:
        return
    if compared is not None:
        yield _baseline_check(comparison, samples_from_scores(compared, gate.sample), samples, rule)
    yield from _record_checks(suite, gate, comparison, rule)


def _baseline_check(
    comparison: Comparison, before: Samples, after: Samples, rule: DropRule
) -> Check:
    if comparison.inputs is None:
        return check_graded_drop(comparison.judge_evidence, before, after, rule)
    from pytest_ftgate.gates.labelled import check_labelled_drop

    return check_labelled_drop(before, after, comparison.inputs, rule)


def _record_checks(
    suite: Suite, gate: RateGate, comparison: Comparison, rule: DropRule
) -> Iterator[Check]:
    """Yield the checks against the accepted results, which have labelled cases alone."""
    evidence = comparison.judge_evidence
    samples = samples_from_scores(comparison.scores, gate.sample)
    for kind, accepted in (
        (CheckKind.ACCEPTED, comparison.accepted),
        (CheckKind.ANCHOR, comparison.anchor),
    ):
        # Nothing is left if all accepted cases have changed, or a judge had another baseline.
        if accepted is None or not len(accepted) or evidence.is_pairwise:
            continue
        limit = limit_of_cases(suite, gate)
        if limit is not None:
            accepted_rule = replace(rule, against=kind.value, kind=kind, margin=limit)
            check = check_graded_drop(evidence, accepted, samples, accepted_rule)
            yield _without_new_replies(check, samples)


def _without_new_replies(check: Check, samples: Samples) -> Check:
    """Return *check*, inconclusive if it passed and too many replies to new cases are missing."""
    found = _missing_values(samples)
    if check.outcome is not Outcome.PASSED or not found:
        return check
    missing = int(found["missing"])
    told = note(NoteKind.MISSING, missing=missing, of=len(samples))
    return replace(
        check, outcome=Outcome.INCONCLUSIVE, missing=missing, notes=(told,), is_unchanged=False
    )


def _slices(suite: Suite, gate: RateGate, comparison: Comparison, look: Look) -> tuple[Slice, ...]:
    is_baseline = comparison.scores is comparison.baseline
    nothing = not comparison.accepted if is_baseline else bool(comparison.baseline_drift)
    has_parts = gate.slices or comparison.inputs is not None
    if not has_parts or gate.max_drop is None or nothing:
        return ()
    levels = look_levels(look, comparison.levels or shared_levels(suite))
    after = samples_from_scores(comparison.scores, gate.sample)
    # The baseline is compared with its accepted samples.
    accepted = comparison.accepted if is_baseline else None
    before = accepted or samples_from_scores(comparison.baseline, gate.sample)
    members = slice_members(comparison.scores.cases, gate.slices)
    if comparison.inputs is not None:
        members["cases", "labelled cases"] = set(after.case_ids)
    return slice_results(before, after, members, margin=gate.max_drop, levels=levels)


def _label_metrics(
    suite: Suite, gate: RateGate, comparison: Comparison
) -> tuple[LabelMetrics, ...]:
    labels = suite.labels
    if gate.kind != "accuracy" or not labels:
        return ()
    from pytest_ftgate.scoring.classification import label_metrics, label_predictions

    compared = comparison.compared_scores
    before = label_predictions(compared, labels) if compared else None
    return label_metrics(label_predictions(comparison.scores, labels), before)


def _compared_with(
    gate: RateGate, comparison: Comparison, check: Check | None
) -> tuple[Samples | None, VariantScores | None]:
    """Return what the deciding check compares with, or else the baseline, with its scores.

    A minimum that does not hold compares with nothing: every wrong reply counts against it.
    """
    if check is not None and check.is_open_minimum:
        return None, None
    compared, kind = comparison.compared_scores, check.kind if check else None
    accepted = comparison.anchor if kind is CheckKind.ANCHOR else comparison.accepted
    is_accepted = kind in ACCEPTED_KINDS
    if accepted is not None and (is_accepted or (not compared and len(accepted))):
        return accepted, None
    return samples_from_scores(compared, gate.sample) if compared else None, compared


def _regressions(
    gate: RateGate, comparison: Comparison, before: Samples | None, check: Check | None
) -> Regressions:
    regressions = find_regressions(before, samples_from_scores(comparison.scores, gate.sample))
    if gate.kind == "format":
        return regressions.interleaved_by_format_error(comparison.scores)
    return regressions.with_first(check.case_ids if check else ())
