from dataclasses import replace

import pytest
from ftgate_testing.score_columns import (
    case_result,
    labelled,
    rate_verdict,
    suite,
    variant_scores,
    without_replies,
)
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.design import Look, guess_rate
from pytest_ftgate.gates.judges import JudgeEvidence
from pytest_ftgate.gates.measures import (
    measure_rate,
    pairs_of_scores,
    rate_of_scores,
    unmeasured_verdict,
)
from pytest_ftgate.gates.notes import NoteKind, note, text_note
from pytest_ftgate.gates.rates import Comparison, evaluate_rate, shared_levels
from pytest_ftgate.gates.samples import samples_from_scores
from pytest_ftgate.gates.statements import NextStep, Statement, StatementKind, StepKind
from pytest_ftgate.gates.verdict import CheckKind, Outcome, Verdict
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.reporting.phrases import Relation, relation
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.gate_kinds import ForgettingGate, RateGate

GOOD, BAD = [1.0] * 190 + [0.0] * 10, [1.0] * 120 + [0.0] * 80


def accuracy(**limits: float) -> RateGate:
    return RateGate(kind="accuracy", line=7, **limits)


def test_a_rate_of_a_few_replies_does_not_stand_alone() -> None:
    gate, few = accuracy(min=0.6), variant_scores("new", [1.0] * 12)
    lost = {
        f"x{n}": replace(few.results["c000"], replies=(), scores=(), missing_reasons=("gone",))
        for n in range(48)
    }

    verdict = rate_verdict(gate, VariantScores("new", {**few.results, **lost}), few)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert relation(verdict.check) is Relation.MISSING
    assert (verdict.check.n, verdict.check.missing) == (12, 48)
    assert "48 of 60" in headline(verdict)


def test_a_broken_format_is_scored_apart_from_what_a_reply_says() -> None:
    gate = RateGate(kind="format", line=8, max_drop=0.05)
    said_in_prose = variant_scores("new", [1.0] * 200, text="It is a refund.")

    verdict = rate_verdict(gate, said_in_prose, variant_scores("current", [1.0] * 200))

    assert verdict.outcome is Outcome.FAILED
    assert [(one.kind, one.replies) for one in verdict.format_errors] == [
        ("not in enumeration", 200)
    ]
    assert verdict.next[0].kind is StepKind.FIX_FORMAT
    assert verdict.next[0].values["format_error"] == "not in enumeration"


def test_an_inconclusive_gate_says_what_these_cases_can_certify_and_how_many_more_settle_it() -> (
    None
):
    gate = accuracy(max_drop=0.05)
    few = [1.0] * 60

    verdict = rate_verdict(
        gate, variant_scores("new", [*few[:58], 0.0, 0.0]), variant_scores("current", few)
    )

    assert verdict.outcome is Outcome.INCONCLUSIVE
    fix, more = verdict.next
    assert (fix.kind, fix.values["cases"], fix.values["open"]) == (
        *(StepKind.FIX_CASES, "c058, c059", True),
    )
    # To go on like this would take more than five times the cases there are.
    assert verdict.check.needed > 5 * 60
    values = {"needed": 0, "unchanged": verdict.check.needed_unchanged, "cases": "case"}
    values |= {"fails": False, "default": False}
    assert more == NextStep(StepKind.ADD_CASES, values)


def test_the_alarm_level_is_shared_by_the_checks_of_the_suite_and_of_accepted_results() -> None:
    gates = (
        accuracy(max_drop=0.05),
        RateGate(kind="format", line=8, min=0.9),
        ForgettingGate(line=9, cases=(), max_drop=0.1),
    )

    # new: accuracy against the baseline, and the mean of forgetting.
    assert shared_levels(suite(*gates)).alarm == pytest.approx(0.01 / 2)

    found = shared_levels(suite(accuracy(max_drop=0.05)), lambda variant, gate: 1)

    # current: accepted; new: baseline and accepted.
    assert (found.alarm, found.shared) == (pytest.approx(0.01 / 3), 3)


@every_row("name", [*CheckKind])
@every_row("values", [GOOD, BAD], ids=["unchanged", "regressed"])
def test_a_baseline_named_like_a_kind_of_check_is_compared_like_any_other(name, values) -> None:
    gate = accuracy(min=0.5, max_drop=0.05)
    accepted = samples_from_scores(variant_scores("new", GOOD), "accuracy")

    def verdict(baseline: str) -> Verdict:
        comparison = Comparison(
            variant_scores("new", values), variant_scores(baseline, GOOD), accepted=accepted
        )
        declared = replace(suite(gate, variants=(baseline, "new")), baseline=baseline)
        return evaluate_rate(declared, gate, comparison)

    usual = verdict("good")
    checks = [replace(c, against=name if c.against == "good" else c.against) for c in usual.checks]
    same = verdict(str(name))

    assert same == replace(usual, checks=tuple(checks))
    assert headline(same) == headline(usual).replace("good 95 %", f"{name} 95 %")


def test_accuracy_says_how_many_regressed_cases_broke_their_format() -> None:
    gate = accuracy(max_drop=0.05)
    fenced = [case_result(f"c{i:03}", 0.0, "`refund`") for i in range(40)]
    other = [case_result(f"c{i:03}", float(i >= 45), "refund") for i in range(40, 200)]
    after = VariantScores("new", {result.case.id: result for result in (*fenced, *other)})

    verdict = rate_verdict(gate, after, variant_scores("current", [1.0] * 200))

    assert verdict.outcome is Outcome.FAILED
    values = verdict.statement.values
    assert [values[key] for key in ("broken", "regressed", "broken_others", "others")] == [
        *(40, 45, 0, 155)
    ]
    assert (values["rest"], values["rest_before"]) == (160, 1.0)
    assert verdict.next[0].kind is StepKind.FIX_FORMAT
    assert verdict.next[0].values["of"] == "regressed cases"


def test_a_case_that_expects_nothing_is_left_out_with_a_note() -> None:
    gate, scores = accuracy(min=0.5), variant_scores("new", GOOD)
    first = scores.results["c000"]
    open_case = replace(
        first,
        case=replace(first.case, expected=None),
        scores=(replace(first.scores[0], correct=None),),
    )
    scores = VariantScores("new", scores.results | {"c000": open_case})

    verdict = rate_verdict(gate, scores, scores)

    assert verdict.notes == (note(NoteKind.EXPECT_NOTHING, n=1, of=200),)
    form = RateGate(kind="format", line=8, min=0.5)
    assert rate_verdict(form, scores, scores).notes == ()


@every_row(("stop", "kind"), [("refusal", NoteKind.REFUSED), ("length", NoteKind.CUT_OFF)])
def test_replies_that_ended_early_are_counted(stop, kind) -> None:
    gate, scores = accuracy(min=0.5), variant_scores("new", GOOD)
    first = scores.results["c000"]
    cut = replace(first, replies=(replace(first.replies[0], stop=stop),))
    scores = VariantScores("new", scores.results | {"c000": cut})

    form = RateGate(kind="format", line=8, min=0.5)
    for one in (gate, form):
        told = note(kind, n=1, of=200, as_wrong=one is gate)
        assert rate_verdict(one, scores, scores).notes == (told,)


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


@every_row(
    ("look", "told"),
    [(Look(number=2, of=3, repeats=3), note(NoteKind.LOOK_REPLIES, look=2, of=3, repeats=3)),
     (Look(number=1, of=2, cases=frozenset({"c000"}), fractions=(0.5,)),
      note(NoteKind.LOOK_CASES, look=1, of=2, cases=200, all=400))],
)  # fmt: skip
def test_a_verdict_says_at_which_look_it_was_decided(look, told) -> None:
    gate, scores = accuracy(min=0.5), variant_scores("new", GOOD)

    verdict = evaluate_rate(suite(gate), gate, Comparison(scores, scores), look)

    assert verdict.notes == (told,)


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
    form = RateGate(kind="format", line=8, min=0.5)
    assert evaluate_rate(suite(form), form, comparison).statement.values == {"measure": "format"}
    # What was accepted was compared with another baseline.
    record = samples_from_scores(variant_scores("new", GOOD), "accuracy")
    kept = evaluate_rate(suite(gate), gate, replace(comparison, accepted=record))
    assert [check.kind for check in kept.checks] == [CheckKind.BASELINE]


@every_row("metric", ["accuracy", "macro_f1"])
def test_what_a_gate_rates_and_compares_is_had_without_a_verdict(metric) -> None:
    gate = RateGate(kind="accuracy", line=7, metric=metric, min=0.5)
    made = suite(gate)
    after, before = (
        labelled(name, ["refund"] * right + ["late_delivery"] * (100 - right))
        for name, right in (("new", 40), ("current", 50))
    )

    rate, pairs = rate_of_scores(made, gate, after), pairs_of_scores(made, gate, before, after)

    assert pairs.after == pytest.approx(rate.rate)
    assert pairs.delta == pytest.approx(-0.1, abs=0.02)
    assert measure_rate(made, gate, after).check.after == pytest.approx(rate.rate)


def test_a_variant_that_could_not_be_measured_says_why() -> None:
    made = suite(accuracy(min=0.5))

    assert unmeasured_verdict(made, made.variants["new"], text_note("no key")) == Verdict(
        suite="suite.ftgate.yaml",
        line=1,
        gate="measured",
        variant="new",
        outcome=Outcome.INVALID,
        statement=Statement(
            StatementKind.NOT_SENT, {"reason": "text", "text": "no key", "is_invalid": False}
        ),
        gated=False,
        measured=False,
    )


@every_row(
    ("kind", "metric", "rate"),
    [("accuracy", "accuracy", 0.6), ("format", "accuracy", 0.6), ("accuracy", "macro_f1", 0.6)],
)
def test_a_measured_variant_has_the_rate_of_its_gate(kind, metric, rate) -> None:
    gate = RateGate(kind=kind, line=7, metric=metric, min=0.9)
    texts = ["refund"] * 60 + ["late_delivery"] * 60 + ["no"] * 80
    scores = labelled("strong", texts)

    verdict = measure_rate(suite(gate), gate, scores)

    check = verdict.check
    assert (verdict.variant, verdict.gate, verdict.line) == ("strong", kind, 7)
    assert (check.kind, check.limit, check.method) == (
        CheckKind.MINIMUM,
        0.0,
        "f1" if metric == "macro_f1" else "counts",
    )
    assert check.after == pytest.approx({"format": 0.6}.get(kind, check.after))
    assert bool(verdict.format_errors) is (kind == "format")
    assert verdict.lenient == (0.6 if kind == "format" else None)


@every_row("metric", ["accuracy", "macro_f1"])
def test_only_cases_with_a_reply_are_rated_and_only_those_of_both_sides_compared(metric) -> None:
    gate = RateGate(kind="accuracy", line=7, metric=metric, min=0.5)
    made = suite(gate)
    after = labelled("new", ["refund"] * 150 + ["late_delivery"] * 50)
    before = labelled("current", ["refund"] * 100 + ["late_delivery"] * 100)
    gone = dict.fromkeys(("c100", "c101"))
    after = without_replies(after, gone)
    before = without_replies(before, dict.fromkeys(("c000", "c101")))

    rate, pairs = rate_of_scores(made, gate, after), pairs_of_scores(made, gate, before, after)

    assert (rate.n, pairs.n) == (198, 197)
    form = RateGate(kind="format", line=7, min=0.5)
    assert (rate_of_scores(made, form, after).rate, rate_of_scores(made, form, after).n) == (1, 198)
    assert pairs_of_scores(made, form, before, after).delta == 0


@every_row(
    ("kind", "labels", "rate"),
    [("accuracy", True, 0.5), ("format", True, 0.0), ("accuracy", False, 0.0)],
)
def test_guessing_is_right_as_often_as_there_are_few_labels(kind, labels, rate) -> None:
    gate = RateGate(kind=kind, line=7, min=0.5)
    made = suite(gate)
    free = replace(made, reply=replace(made.reply, format=()))

    assert guess_rate(made if labels else free, gate) == rate
