"""The verdict on a rate: its checks, slices, statement, notes, and what decided."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ftgate_testing.inputs import compared, inputs_of
from ftgate_testing.score_columns import (
    EXACT,
    case_result,
    labelled,
    rate_verdict,
    suite,
    variant_scores,
    without_replies,
)
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.design import STEADY_DISCORDANCE, Levels, Look
from pytest_ftgate.gates.figure import JudgeValidation
from pytest_ftgate.gates.judges import JudgeEvidence
from pytest_ftgate.gates.notes import Cause, NoteKind, ReplyNote, note, text_note
from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.gates.samples import Samples, samples_from_cases, samples_from_scores
from pytest_ftgate.gates.statements import Statement, StatementKind, StepKind
from pytest_ftgate.gates.verdict import CheckKind, Outcome, Verdict
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.stats.power import pass_probability
from pytest_ftgate.suite.gate_kinds import THESE_TASKS, RateGate
from pytest_ftgate.suite.model import ReplyRules

GOOD, BAD = [1.0] * 190 + [0.0] * 10, [1.0] * 120 + [0.0] * 80
NEW, OLD = variant_scores("new", BAD), variant_scores("current", GOOD)


def accuracy(**limits: float) -> RateGate:
    return RateGate(kind="accuracy", line=7, **limits)


FORMAT = RateGate(kind="format", line=8, min=0.5)


def accepted(right: list[float]) -> Samples:
    """Return the samples of accepted replies that are so right."""
    return samples_from_scores(variant_scores("new", right), "accuracy")


def told(verdict: Verdict) -> list[tuple[object, ...]]:
    """Return what each check compares, and by which levels."""
    return [
        (check.kind, check.against, check.limit, check.alarm, check.shared, check.method)
        for check in verdict.checks
    ]


SHARED = Levels(alarm=0.002, shared=5)


@every_row("metric", ["accuracy", "balanced_accuracy"])
def test_a_minimum_shares_no_level_and_a_drop_does(metric) -> None:
    gate = accuracy(min=0.5, max_drop=0.05, metric=metric)
    after = labelled("new", ["refund"] * 120 + ["late_delivery"] * 80)
    before = labelled("current", ["refund"] * 100 + ["late_delivery"] * 100)

    verdict = rate_verdict(gate, after, before, levels=SHARED)

    assert told(verdict) == [
        (CheckKind.MINIMUM, "", 0.5, 0.01, 1, "counts"),
        (CheckKind.BASELINE, "current", 0.05, 0.002, 5, "counts"),
    ]
    assert verdict.deciding == 1
    assert [check.has_default_limit for check in verdict.checks] == [False, False]
    assert (verdict.regressed, verdict.fixed, verdict.outcome) == (20, 0, Outcome.FAILED)
    assert [label.label for label in verdict.labels] == ["late_delivery", "refund"]
    assert [(label.f1_before, label.taken_for) for label in verdict.labels] == [
        (1.0, {"refund": 20}),
        (1.0, {}),
    ]
    # The baseline drops from nothing, and a gate without one of the limits has no check of it.
    only = replace(gate, max_drop=None)
    found = rate_verdict(only, after, before)
    assert told(rate_verdict(gate, after, after, levels=SHARED)) == told(found) == told(verdict)[:1]
    assert found.labels == ()
    drop = rate_verdict(replace(gate, min=None), after, before, levels=SHARED)
    assert told(drop) == told(verdict)[1:]


def test_the_labels_are_told_of_a_baseline_that_fails_too_and_never_of_formats() -> None:
    gate, now = accuracy(min=0.95), labelled("current", ["refund"] * 120 + ["late_delivery"] * 80)
    form = RateGate(kind="format", line=8, min=0.95)
    broken = variant_scores("current", BAD)

    alone = rate_verdict(gate, now, now)
    formats = rate_verdict(form, broken, broken)

    assert [label.f1_before for label in alone.labels] == [None, None]
    assert (formats.outcome, formats.labels) == (Outcome.FAILED, ())
    free = suite(gate)
    free = replace(free, reply=replace(free.reply, format=()))
    assert evaluate_rate(free, gate, Comparison(now, now)).labels == ()


def test_a_failed_verdict_of_a_format_has_all_its_parts() -> None:
    gate = RateGate(kind="format", line=8, max_drop=0.05, min=0.9, has_default_limit=True)

    verdict = rate_verdict(gate, NEW, OLD)

    assert (verdict.suite, verdict.line, verdict.gate) == ("suite.ftgate.yaml", 8, "format")
    assert (verdict.variant, verdict.outcome, verdict.deciding) == ("new", Outcome.FAILED, 1)
    assert verdict.statement == Statement(StatementKind.RATE, {"measure": "format"})
    assert [check.has_default_limit for check in verdict.checks] == [False, True]
    assert (verdict.lenient, verdict.lenient_before) == (0.6, 0.95)
    assert (verdict.notes, verdict.facts, verdict.slices) == ((), {}, ())
    assert [(one.kind, one.replies) for one in verdict.format_errors] == [
        ("not in enumeration", 80)
    ]
    assert [drift.what for drift in verdict.drifts] == [
        *("length", "refusals", "same text", "format errors")
    ]
    # No limit near the declared ones passes so large a drop.
    assert [step.kind for step in verdict.next] == [StepKind.FIX_FORMAT, StepKind.FIX_CASES]
    assert [flip.case for flip in verdict.flips][:2] == ["c120", "c121"]
    assert len(verdict.flips) == 40


def test_notes_of_drifts_and_of_new_format_errors_stand_in_the_verdict_of_accuracy() -> None:
    gate = accuracy(max_drop=0.05)
    form = RateGate(kind="format", line=8, min=0.1)

    told = rate_verdict(gate, NEW, OLD)
    (mix,) = (drift.message for drift in told.drifts if drift.what == "format errors")
    values = {"what": "not in enumeration", "before": 0.05, "after": 0.4}
    assert told.notes == (mix, note(ReplyNote.ERROR_SHARE, **values))
    assert evaluate_rate(suite(gate, form), gate, Comparison(NEW, OLD)).notes == ()
    assert rate_verdict(form, NEW, OLD).notes == told.notes


def test_a_model_that_no_longer_ends_is_named_as_the_cause() -> None:
    gate, new = accuracy(max_drop=0.05), variant_scores("new", [0.0] * 200)
    endless = {
        key: replace(row, replies=(replace(row.replies[0], stop="length"),))
        for key, row in new.results.items()
    }

    step = rate_verdict(gate, VariantScores("new", endless), OLD).next[0]

    assert step.kind is StepKind.CHECK_CAUSE
    assert step.values == {"cause": Cause.CUT_OFF, "count": 200, "of": 200, "before": 0.0}


def test_plain_thresholds_hold_for_every_check_of_a_gate_that_wants_them() -> None:
    gate = accuracy(min=0.5, max_drop=0.05, evidence="point")

    verdict = rate_verdict(gate, NEW, OLD)

    assert [(check.method, check.outcome) for check in verdict.checks] == [
        ("point", Outcome.PASSED),
        ("point", Outcome.FAILED),
    ]
    assert NoteKind.PLAIN_THRESHOLD in {one.kind for one in verdict.notes}


def test_the_cases_that_regressed_are_those_of_the_check_that_decided() -> None:
    gate = accuracy(max_drop=0.05)
    good, better = accepted(BAD), accepted([1.0] * 200)
    current = variant_scores("current", BAD)

    found = (
        rate_verdict(gate, NEW, current, good, anchor=better),
        rate_verdict(gate, NEW, current, better, anchor=good),
        rate_verdict(gate, NEW, OLD, good),
    )

    assert [(one.check.kind, one.regressed, one.flips[0].before) for one in found] == [
        (CheckKind.ANCHOR, 80, ""),
        (CheckKind.ACCEPTED, 80, ""),
        (CheckKind.BASELINE, 70, "refund"),
    ]


def test_a_baseline_is_shown_beside_what_was_accepted_and_else_its_wrong_cases() -> None:
    gate = accuracy(min=0.5)
    empty = samples_from_cases({})
    records = (None, accepted([1.0] * 200), empty, accepted([0.0] * 5 + [1.0] * 195))

    found = [rate_verdict(gate, OLD, OLD, record) for record in records]

    assert [(one.regressed, one.fixed) for one in found] == [(10, 0), (10, 0), (10, 0), (10, 5)]
    both = replace(gate, max_drop=0.05)
    changed = rate_verdict(both, OLD, OLD, empty)
    assert [check.kind for check in changed.checks] == [CheckKind.MINIMUM]


# Notes and statement ----------------------------------------------------------------------------


@every_row(
    ("case", "reply", "score", "told", "of_format"),
    [
        ({"expected": None}, {}, {"correct": None}, (NoteKind.EXPECT_NOTHING, {}), False),
        ({}, {"stop": "refusal"}, {}, (NoteKind.REFUSED, {"as_wrong": True}), True),
        ({}, {"stop": "length"}, {}, (NoteKind.CUT_OFF, {"as_wrong": True}), True),
    ],
)
def test_cases_that_count_for_less_than_others_are_told(
    case, reply, score, told, of_format
) -> None:
    scores = variant_scores("new", GOOD)
    first = scores.results["c000"]
    odd = replace(
        first,
        case=replace(first.case, **case),
        replies=(replace(first.replies[0], **reply),),
        scores=(replace(first.scores[0], **score),),
    )
    scores = VariantScores("new", scores.results | {"c000": odd})
    kind, values = told

    graded, form = (
        rate_verdict(gate, scores, scores).notes for gate in (accuracy(min=0.5), FORMAT)
    )

    assert graded == (note(kind, n=1, of=200, **values),)
    assert form == ((note(kind, n=1, of=200, as_wrong=False),) if of_format else ())


def test_cases_without_a_reply_are_counted_with_the_reason_of_the_first() -> None:
    gate, scores = accuracy(min=0.5), variant_scores("new", GOOD)
    rows = dict(scores.results)
    for name, reason in (("c007", "it timed out"), ("c009", "it is gone")):
        rows[name] = replace(rows[name], replies=(), scores=(), missing_reasons=(reason,))
    lost = VariantScores("new", rows)

    assert rate_verdict(gate, lost, lost).notes == (
        note(NoteKind.MISSING, missing=2, of=200),
        note(NoteKind.NO_REPLY, n=2, of=200, first="it timed out"),
    )


def test_a_verdict_says_at_which_look_it_was_decided() -> None:
    gate, scores = accuracy(min=0.5), variant_scores("new", GOOD)
    look = Look(number=1, of=2, cases=frozenset({"c000"}), fractions=(0.5,))

    verdict = evaluate_rate(suite(gate), gate, Comparison(scores, scores), look)

    assert verdict.notes == (note(NoteKind.LOOK_CASES, look=1, of=2, cases=200, all=400),)


def test_a_pairwise_judge_says_how_often_a_reply_is_preferred() -> None:
    gate = accuracy(max_drop=0.1)
    comparison = Comparison(
        variant_scores("new", [0.5] * 200),
        variant_scores("current", [0.5] * 200, text="late_delivery"),
        judge_evidence=JudgeEvidence(is_pairwise=True),
    )

    verdict = evaluate_rate(suite(gate), gate, comparison)

    assert verdict.statement == Statement(StatementKind.RATE, {"measure": "preferred"})
    marked = replace(gate, function="test_x")
    assert evaluate_rate(suite(marked), marked, comparison).statement.values == {
        "function": "test_x"
    }
    form = evaluate_rate(suite(FORMAT), FORMAT, comparison)
    assert form.statement.values == {"measure": "format"}
    # What was accepted was compared with another baseline.
    kept = evaluate_rate(suite(gate), gate, replace(comparison, accepted=accepted(GOOD)))
    assert [check.kind for check in kept.checks] == [CheckKind.BASELINE]


@every_row(
    ("engine", "text", "told"),
    [
        ("transformers", "refund", [note(NoteKind.SAME_TEXTS, of=200)]),
        # Of four cases one text is the same; one reply is right with another one.
        ("transformers", "late_delivery", [note(
            NoteKind.CHANGED_TEXTS,
            changed=150, of=200, share=0.75, kept=50, regressed=50, fixed=50,
        )]),
        ("", "late_delivery", []),
    ],
)  # fmt: skip
def test_on_another_engine_it_is_told_how_many_texts_changed(engine, text, told) -> None:
    gate = accuracy(max_drop=0.05)
    made = suite(gate)
    if engine:
        other = replace(made.variants["new"], provider=engine)
        made = replace(made, variants={**made.variants, "new": other})
    before = [1.0, 1.0, 0.0, 0.0] * 50
    after = before if text == "refund" else [1.0, 0.0, 0.0, 1.0] * 50
    sides = variant_scores("new", after, text=text), variant_scores("current", before)

    kinds = (NoteKind.SAME_TEXTS, NoteKind.CHANGED_TEXTS)
    found = evaluate_rate(made, gate, Comparison(*sides))
    assert [one for one in found.notes if one.kind in kinds] == told


def test_a_check_of_two_tasks_is_about_no_tasks_alone() -> None:
    gate = replace(accuracy(max_drop=0.5), claim=THESE_TASKS)
    scores = [
        (variant_scores("new", [1.0] * n), variant_scores("current", [1.0] * n)) for n in (2, 3)
    ]

    few, enough = (rate_verdict(gate, *sides).check for sides in scores)

    assert (few.outcome, few.tasks, enough.tasks) == (Outcome.INCONCLUSIVE, 0, 3)


# Inputs -----------------------------------------------------------------------------------------


@every_row(
    ("cases", "limits", "shown"),
    [(20, [0.03], [0.0]), (60, [0.03, 0.13], [0.13]), (150, [0.03, 0.03], [])],
)
def test_inputs_join_the_comparison_with_the_baseline_and_not_that_with_the_record(
    cases, limits, shown
) -> None:
    gate, inputs = accuracy(max_drop=0.03), inputs_of(1_000)
    new, old = (variant_scores(name, [1.0] * cases, text=name) for name in ("new", "current"))
    made = replace(suite(gate), cases=tuple(new.cases), inputs=inputs)
    comparison = Comparison(new, old, accepted([1.0] * cases), inputs=compared(inputs, differ=10))

    verdict = evaluate_rate(made, gate, comparison)

    assert [check.limit for check in verdict.checks] == limits
    assert [check.n for check in verdict.checks] == [1_000 + cases, cases][: len(limits)]
    of_cases = [one for one in verdict.notes if one.kind == NoteKind.CASES_SHOW_NO_DROP]
    assert [one.values["possible"] for one in of_cases] == shown
    # The labelled cases are a part that may regress beside many inputs.
    assert [(part.kind, part.name, part.n) for part in verdict.slices] == [
        ("cases", "labelled cases", cases)
    ]


# Slices -----------------------------------------------------------------------------------------


def tagged(variant: str, wrong: int, of: int = 300) -> VariantScores:
    """Return scores of which the first *wrong* are wrong; the first 60 cases are rare."""
    scores = variant_scores(variant, [0.0] * wrong + [1.0] * (of - wrong))
    rows = {
        key: replace(row, case=replace(row.case, tags=("rare" if i < 60 else "common",)))
        for i, (key, row) in enumerate(scores.results.items())
    }
    return VariantScores(variant, rows)


SLICED = RateGate(kind="accuracy", line=7, max_drop=0.2, slices=("tag",))


def test_a_regressed_slice_fails_a_gate_whose_mean_holds() -> None:
    new, old = tagged("new", 40), tagged("current", 0)

    verdict = rate_verdict(SLICED, new, old)

    assert (verdict.check.outcome, verdict.outcome) == (Outcome.PASSED, Outcome.FAILED)
    assert [(part.name, part.n, part.state) for part in verdict.slices] == [
        ("rare", 60, "regressed"),
        ("common", 240, "kept"),
    ]
    assert (verdict.slices[0].before, verdict.slices[0].after) == (1.0, pytest.approx(1 / 3))
    best = samples_from_scores(tagged("new", 40), "accuracy")
    assert rate_verdict(SLICED, new, old, best).slices == verdict.slices
    for gate in (replace(SLICED, slices=()), replace(SLICED, max_drop=None, min=0.5)):
        assert rate_verdict(gate, new, old).slices == ()
    assert rate_verdict(SLICED, new, old, baseline_drift=text_note("it moved")).slices == ()


@every_row(
    ("levels", "look", "state"),
    [
        (Levels(alarm=1e-9), None, "regressed"),
        (Levels(alarm=1e-15), None, "inconclusive"),
        (None, Look(number=1, of=5, fractions=(0.1,)), "inconclusive"),
    ],
)
def test_a_slice_is_held_to_the_levels_of_the_look(levels, look, state) -> None:
    comparison = Comparison(tagged("new", 40), tagged("current", 0), levels=levels)

    verdict = evaluate_rate(suite(SLICED), SLICED, comparison, look)

    assert verdict.slices[0].state == state


def test_the_slices_of_a_baseline_are_compared_with_what_was_accepted() -> None:
    now = tagged("current", 40)
    record = samples_from_scores(tagged("current", 0), "accuracy")

    alone = rate_verdict(SLICED, now, now)
    kept = rate_verdict(SLICED, now, now, record)
    drifted = rate_verdict(SLICED, now, now, record, baseline_drift=text_note("it moved"))

    assert alone.slices == ()
    assert [(part.name, part.state) for part in kept.slices] == [
        ("rare", "regressed"),
        ("common", "kept"),
    ]
    assert drifted.slices == kept.slices


def test_the_slices_of_formats_are_those_of_the_format() -> None:
    gate = replace(SLICED, kind="format")
    wrong = tagged("new", 40)
    valid = {
        key: replace(row, scores=(replace(row.scores[0], format_error=None),))
        for key, row in wrong.results.items()
    }
    new = VariantScores("new", valid)

    found = rate_verdict(gate, new, tagged("current", 0))

    assert [part.after for part in found.slices] == [1.0, 1.0]


@every_row(("missing", "outcome"), [(15, "failed"), (16, "inconclusive")])
def test_a_regressed_slice_decides_nothing_beside_too_many_missing_replies(
    missing, outcome
) -> None:
    new = without_replies(tagged("new", 40), {f"c{299 - number}" for number in range(missing)})

    verdict = rate_verdict(SLICED, new, tagged("current", 0))

    assert verdict.slices[0].state == "regressed"
    assert verdict.outcome == outcome


# Must-pass cases and judges ---------------------------------------------------------------------


def must_pass(right: float) -> VariantScores:
    first = case_result("first", right, "refund" if right else "late_delivery")
    case = replace(first.case, must_pass=True)
    return VariantScores("new", {"first": replace(first, case=case)})


def test_a_wrong_must_pass_case_fails_and_is_shown_first_though_a_look_leaves_it_out() -> None:
    gate = accuracy(min=0.5)

    verdict = rate_verdict(gate, NEW, NEW, must_pass=(must_pass(0.0), None))

    assert [(check.kind, check.outcome) for check in verdict.checks] == [
        (CheckKind.MUST_PASS, Outcome.FAILED),
        (CheckKind.MINIMUM, Outcome.PASSED),
    ]
    assert [flip.case for flip in verdict.flips][:2] == ["first", "c120"]


def test_a_right_must_pass_case_alone_compares_nothing() -> None:
    gate, scores = accuracy(max_drop=0.1), OLD
    form = RateGate(kind="format", line=8, max_drop=0.1)

    for one in (gate, form):
        verdict = rate_verdict(one, scores, scores, must_pass=(must_pass(1.0), None))
        assert (verdict.checks, verdict.outcome) == ((), Outcome.PASSED)
        assert verdict.statement == Statement(StatementKind.NOTHING_TO_COMPARE, {"rate": 0.95})
    assert rate_verdict(form, scores, scores, must_pass=(must_pass(0.0), None)).checks == ()


@every_row(
    ("right", "missing", "values", "outcome", "step"),
    [
        (100, 10, {"rate": 100 / 190}, Outcome.PASSED, StepKind.ACCEPT),
        (100, 11, {"rate": 100 / 189, "missing": 11, "cases": 200}, Outcome.INCONCLUSIVE,
         StepKind.RUN_AGAIN),
        (100, 200, {"missing": 200, "cases": 200}, Outcome.INCONCLUSIVE, StepKind.RUN_AGAIN),
        (0, 0, {"rate": 0.0}, Outcome.INCONCLUSIVE, StepKind.CHECK_SCORE),
    ],
)  # fmt: skip
def test_what_is_nothing_to_compare_later_runs_with_is_inconclusive(
    right, missing, values, outcome, step
) -> None:
    gate = accuracy(max_drop=0.1)
    scores = variant_scores("current", [1.0] * right + [0.0] * (200 - right))
    some = without_replies(scores, [*scores.results][200 - missing :])

    alone = suite(gate, variants=("current",))
    found = evaluate_rate(alone, gate, Comparison(some, some))

    assert (found.checks, found.outcome) == ((), outcome)
    assert found.statement == Statement(StatementKind.NOTHING_TO_COMPARE, pytest.approx(values))
    assert found.next[0].kind is step


def test_an_unqualified_judge_settles_no_check_of_accuracy_and_those_of_formats() -> None:
    judge = JudgeValidation(
        judge="j", provider="p", rubric="r", errors=(text_note("never validated"),)
    )
    scores = variant_scores("new", GOOD)
    comparison = Comparison(
        scores,
        scores,
        must_pass=(must_pass(0.0), None),
        judge_evidence=JudgeEvidence(validations=(judge,), constant_grades=9),
    )
    gate = accuracy(min=0.5)

    graded, plain = (evaluate_rate(suite(one), one, comparison) for one in (gate, FORMAT))

    assert [(check.kind, check.outcome) for check in graded.checks] == [
        (CheckKind.MUST_PASS, Outcome.INCONCLUSIVE),
        (CheckKind.MINIMUM, Outcome.INCONCLUSIVE),
    ]
    assert graded.statement == Statement(StatementKind.UNQUALIFIED_JUDGE)
    assert note(NoteKind.SAME_OF_ALL, n=9) in graded.notes
    assert [check.outcome for check in plain.checks] == [Outcome.PASSED]
    assert plain.notes == ()


def test_thoughts_are_compared_with_the_baselines_by_the_levels_of_a_drop() -> None:
    gate = replace(FORMAT, max_thought_drop=0.3)
    before = thinking(variant_scores("current", [1.0] * 100))
    after = variant_scores("new", [1.0] * 100)

    verdict = rate_verdict(gate, after, before, levels=SHARED)
    alone = rate_verdict(gate, before, before, levels=SHARED)

    check = verdict.checks[-1]
    assert (check.measure, check.outcome, check.alarm) == ("thoughts", Outcome.FAILED, 0.002)
    assert (check.before, check.after) == (1.0, 0.0)
    (drift,) = (drift for drift in verdict.drifts if drift.what == "thoughts")
    assert (drift.before, drift.after) == (1.0, 0.0)
    assert [one.measure for one in alone.checks] == [""]


def thinking(scores: VariantScores) -> VariantScores:
    rows = {
        key: replace(row, replies=tuple(replace(reply, thought="so") for reply in row.replies))
        for key, row in scores.results.items()
    }
    return VariantScores(scores.variant, rows)


def of_unchanged(
    new: list[float | None], before: list[float], *gates: RateGate, default=False, **given: Samples
) -> list[dict[str, object]]:
    """Return what a verdict on *new* says of an unchanged variant, with a limit of 5 points."""
    after = variant_scores("new", new)
    gate = replace(accuracy(max_drop=0.05), has_default_limit=default)
    cases = tuple(row.case for row in after.results.values())
    of, current = replace(suite(gate, *gates), cases=cases), variant_scores("current", before)
    verdict = evaluate_rate(of, gate, Comparison(after, current, **given))
    return [one.values for one in verdict.notes if one.kind == NoteKind.UNCHANGED_PASSES]


def test_a_verdict_says_how_surely_an_unchanged_variant_passes_as_far_as_its_replies_show() -> None:
    new, right = [0.0] * 3 + [1.0] * 97, [1.0] * 100
    chance = pass_probability(100, (3 + 1) / 110, 0.0, 0.05)

    build = pytest.approx(chance**3)
    assert of_unchanged(new, right) == [{"check": chance, "checks": 3, "build": build}]
    # The comparison with what was accepted decides; nothing differs from the baseline.
    assert of_unchanged(new, new, accepted=accepted(right)) == of_unchanged(new, right)
    # How the replies vary that the other gate reads is not known here.
    assert of_unchanged(new, right, replace(FORMAT, max_drop=0.05)) == [{"check": chance}]


def test_of_pairwise_grades_nothing_is_known_of_an_unchanged_variant() -> None:
    new, old = variant_scores("new", [0.0, 1.0] * 50), variant_scores("current", [1.0, 0.0] * 50)
    gate = accuracy(max_drop=0.05)
    # Labels would have a rate of guessing.
    of = replace(suite(gate), cases=tuple(new.cases), reply=ReplyRules(format=(), score=EXACT))

    for pairwise in (False, True):
        judges = JudgeEvidence(is_pairwise=pairwise)
        verdict = evaluate_rate(of, gate, Comparison(new, old, judge_evidence=judges))
        kinds = {one.kind for one in verdict.notes}
        assert (NoteKind.UNCHANGED_PASSES in kinds) is not pairwise


@every_row(
    ("lost", "won", "told"),
    [(15, 15, {"changed": 30, "of": 100, "assumed": STEADY_DISCORDANCE}), (3, 0, {})],
)
def test_more_changes_than_a_default_limit_assumes_are_named(lost, won, told) -> None:
    sides = [0.0] * lost + [1.0] * (100 - lost), [1.0] * (100 - won) + [0.0] * won

    (declared,), (default,) = (of_unchanged(*sides, default=one) for one in (False, True))

    assert {key: default[key] for key in default if key not in declared} == told


@every_row(
    ("new", "before"),
    [
        ([0.0] * 100, [0.0] * 100),
        ([0.0] * 100, [0.0] * 97 + [1.0] * 3),
        ([0.0], [1.0]),
        ([None] + [1.0] * 29, [1.0] * 30),
        ([0.0] * 9 + [1.0] * 191, [1.0] * 200),
    ],
    ids=["nothing right", "at chance", "one case", "a reply missing", "a drop that is shown"],
)
def test_what_chance_does_not_decide_says_nothing_of_an_unchanged_variant(new, before) -> None:
    assert of_unchanged(new, before) == []


def test_a_default_limit_names_all_cases_also_those_to_come_and_without_a_reply() -> None:
    gate = replace(accuracy(max_drop=0.2), has_default_limit=True)
    after, before = (variant_scores(name, [1.0] * 99 + [None]) for name in ("new", "current"))
    of = replace(suite(gate), cases=tuple(row.case for row in after.results.values()))
    keys = [*after.results][:60]
    sides = (
        VariantScores(one.variant, {k: one.results[k] for k in keys}) for one in (after, before)
    )
    look = Look(number=3, of=5, cases=frozenset(keys), fractions=(0.2, 0.4, 0.6))

    early, last = (
        evaluate_rate(of, gate, comparison, at).checks[0]
        for comparison, at in ((Comparison(*sides), look), (Comparison(after, before), None))
    )

    assert [(check.n, check.missing, check.limit_cases) for check in (early, last)] == [
        (60, 0, 100), (99, 1, 100),
    ]  # fmt: skip
