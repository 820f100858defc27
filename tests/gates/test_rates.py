import re
from dataclasses import replace

import pytest
from columns import case_result, suite, variant_scores

from pytest_ftgate.gates.judges import JudgeEvidence
from pytest_ftgate.gates.levels import Levels
from pytest_ftgate.gates.looks import Look
from pytest_ftgate.gates.rates import (
    AcceptedSamples,
    Comparison,
    evaluate_rate,
    guess_rate,
    measure_rate,
    pairs_of_scores,
    rate_of_scores,
    shared_levels,
    unmeasured_verdict,
)
from pytest_ftgate.gates.samples import CaseSample, samples_from_cases, samples_from_scores
from pytest_ftgate.gates.statements import Statement, StatementKind, StepKind
from pytest_ftgate.gates.verdict import CheckKind, JudgeValidation, Outcome, Verdict
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.reporting.next_steps import step_line, step_text
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.gate_kinds import ForgettingGate, RateGate

GOOD, BAD = [1.0] * 190 + [0.0] * 10, [1.0] * 120 + [0.0] * 80


def accuracy(**limits: float) -> RateGate:
    return RateGate(kind="accuracy", line=7, **limits)


def test_a_drop_against_the_baseline_fails_and_shows_the_regressed_cases() -> None:
    gate = accuracy(max_drop=0.05)

    verdict = evaluate_rate(
        suite(gate), gate, Comparison(variant_scores("new", BAD), variant_scores("current", GOOD))
    )

    assert verdict.outcome is Outcome.FAILED
    assert (verdict.regressed, verdict.fixed) == (70, 0)
    assert "95 % → 60 %" in headline(verdict)
    assert verdict.flips[0].regressed
    assert verdict.flips[0].before == "refund"


def test_the_baseline_is_not_compared_with_itself() -> None:
    gate, baseline = accuracy(min=0.80, max_drop=0.05), variant_scores("current", GOOD)

    verdict = evaluate_rate(suite(gate), gate, Comparison(baseline, baseline))

    assert [check.kind for check in verdict.checks] == [CheckKind.MINIMUM]


def test_with_nothing_to_compare_with_a_gate_passes_and_offers_to_accept() -> None:
    gate, baseline = accuracy(max_drop=0.05), variant_scores("current", GOOD)

    verdict = evaluate_rate(suite(gate), gate, Comparison(baseline, baseline))

    assert (verdict.outcome, headline(verdict)) == (Outcome.PASSED, "nothing to compare with yet")
    assert "--ftgate-accept" in step_line(verdict.next[0])


def test_a_drop_against_what_was_accepted_fails_though_the_baseline_fell_too() -> None:
    gate, now = accuracy(max_drop=0.05), variant_scores("new", BAD)
    before = AcceptedSamples(
        samples_from_scores(variant_scores("new", GOOD, text="late_delivery"), "accuracy"), 0
    )

    verdict = evaluate_rate(
        suite(gate), gate, Comparison(now, variant_scores("current", BAD), before)
    )

    assert verdict.outcome is Outcome.FAILED
    assert verdict.check.kind is CheckKind.ACCEPTED


def test_a_rate_of_a_few_replies_does_not_stand_alone() -> None:
    gate, few = accuracy(min=0.6), variant_scores("new", [1.0] * 12)
    lost = {
        f"x{n}": replace(few.results["c000"], replies=(), scores=(), missing_reasons=("gone",))
        for n in range(48)
    }

    verdict = evaluate_rate(
        suite(gate), gate, Comparison(VariantScores("new", {**few.results, **lost}), few)
    )

    assert verdict.outcome is Outcome.INCONCLUSIVE
    told = "accuracy 100 % of 12 cases, with no reply to 48, may not hold the minimum of 60 %"
    assert headline(verdict) == told


def test_stale_accepted_cases_are_counted() -> None:
    gate, now = accuracy(max_drop=0.05), variant_scores("new", GOOD)
    before = AcceptedSamples(
        samples_from_cases({"c000": CaseSample(1.0, 1, "x"), "c001": CaseSample(1.0, 1, "y")}), 7
    )

    verdict = evaluate_rate(
        suite(gate), gate, Comparison(now, variant_scores("current", GOOD), before)
    )

    told = "stale: the case or how it is scored has changed; accept again with --ftgate-accept"
    assert verdict.notes[-1] == f"7 accepted cases are {told}"
    before = replace(before, stale=1)
    verdict = evaluate_rate(
        suite(gate), gate, Comparison(now, variant_scores("current", GOOD), before)
    )
    assert verdict.notes[-1] == f"1 accepted case is {told}"
    assert [check.stale for check in verdict.checks] == [0, 1]


def test_a_broken_format_is_scored_apart_from_what_a_reply_says() -> None:
    gate = RateGate(kind="format", line=8, max_drop=0.05)
    said_in_prose = variant_scores("new", [1.0] * 200, text="It is a refund.")

    verdict = evaluate_rate(
        suite(gate), gate, Comparison(said_in_prose, variant_scores("current", [1.0] * 200))
    )

    assert verdict.outcome is Outcome.FAILED
    assert [(one.kind, one.replies) for one in verdict.format_errors] == [
        ("not in enumeration", 200)
    ]
    assert "not in enumeration" in step_text(verdict.next[0])


def test_an_inconclusive_gate_says_what_these_cases_can_certify_and_how_many_more_settle_it() -> (
    None
):
    gate = accuracy(max_drop=0.05)
    few = [1.0] * 60

    verdict = evaluate_rate(
        suite(gate),
        gate,
        Comparison(variant_scores("new", [*few[:58], 0.0, 0.0]), variant_scores("current", few)),
    )

    assert verdict.outcome is Outcome.INCONCLUSIVE
    more, limit, fix = map(step_text, verdict.next)
    assert re.match(r"add about \d+ cases \(settles it 9 times in 10", more)
    assert re.match(r"set max_drop: 0\.\d+ \(these replies pass it\), in ", limit)
    assert fix.startswith("fix c")


def test_the_alarm_level_is_shared_by_the_checks_that_the_suite_declares() -> None:
    gates = (
        accuracy(max_drop=0.05),
        RateGate(kind="format", line=8, min=0.9),
        ForgettingGate(line=9, cases=(), max_drop=0.1),
    )

    # new: accuracy against the baseline, and the mean of forgetting.
    assert shared_levels(suite(*gates)).alarm == pytest.approx(0.01 / 2)


def test_the_checks_against_accepted_results_share_the_alarm_level_too() -> None:
    found = shared_levels(suite(accuracy(max_drop=0.05)), lambda variant, gate: 1)

    # current: accepted; new: baseline and accepted.
    assert (found.alarm, found.shared) == (pytest.approx(0.01 / 3), 3)


def test_an_ungated_variant_is_measured_and_not_evaluated() -> None:
    gate = accuracy(min=0.9)

    verdict = measure_rate(suite(gate), gate, variant_scores("strong", BAD))

    assert not verdict.gated
    assert headline(verdict) == "60 %"


@pytest.mark.parametrize("name", [*CheckKind])
@pytest.mark.parametrize("values", [GOOD, BAD], ids=["unchanged", "regressed"])
def test_a_baseline_named_like_a_kind_of_check_is_compared_like_any_other(name, values) -> None:
    gate = accuracy(min=0.5, max_drop=0.05)
    accepted = samples_from_scores(variant_scores("new", GOOD), "accuracy")

    def verdict(baseline: str) -> Verdict:
        comparison = Comparison(
            variant_scores("new", values),
            variant_scores(baseline, GOOD),
            accepted=AcceptedSamples(accepted, 0),
        )
        declared = replace(suite(gate, variants=(baseline, "new")), baseline=baseline)
        return evaluate_rate(declared, gate, comparison)

    usual = verdict("good")
    checks = [replace(c, against=name if c.against == "good" else c.against) for c in usual.checks]
    same = verdict(str(name))

    assert same == replace(usual, checks=tuple(checks))
    assert headline(same) == headline(usual).replace("against good", f"against {name}")


def test_a_drifted_baseline_leads_to_fresh_replies_whatever_the_sentence_says() -> None:
    gate = accuracy(max_drop=0.05)
    comparison = Comparison(
        variant_scores("new", GOOD), variant_scores("current", GOOD), baseline_drift="it moved"
    )

    verdict = evaluate_rate(suite(gate), gate, comparison)

    assert verdict.check is not None
    assert verdict.check.has_drifted
    assert "--ftgate-replies=fresh" in step_line(verdict.next[0])


def test_accuracy_says_how_many_regressed_cases_broke_their_format() -> None:
    gate = accuracy(max_drop=0.05)
    fenced = [case_result(f"c{i:03}", 0.0, "`refund`") for i in range(40)]
    other = [case_result(f"c{i:03}", float(i >= 45), "refund") for i in range(40, 200)]
    after = VariantScores("new", {result.case.id: result for result in (*fenced, *other)})

    verdict = evaluate_rate(
        suite(gate), gate, Comparison(after, variant_scores("current", [1.0] * 200))
    )

    assert verdict.outcome is Outcome.FAILED
    assert headline(verdict).endswith(
        "; 40 of 45 regressed cases broke their format (see the format gate); "
        "the other 160 cases: 100 % → 97 %"
    )
    assert "the most common format error" in step_text(verdict.next[0])


def test_a_case_that_expects_nothing_is_left_out_with_a_note() -> None:
    gate, scores = accuracy(min=0.5), variant_scores("new", GOOD)
    first = scores.results["c000"]
    open_case = replace(
        first,
        case=replace(first.case, expected=None),
        scores=(replace(first.scores[0], correct=None),),
    )
    scores = VariantScores("new", scores.results | {"c000": open_case})

    verdict = evaluate_rate(suite(gate), gate, Comparison(scores, scores))

    assert verdict.notes == ("1 of 200 cases expect nothing and are left out",)
    form = RateGate(kind="format", line=8, min=0.5)
    assert evaluate_rate(suite(form), form, Comparison(scores, scores)).notes == ()


@pytest.mark.parametrize(
    ("stop", "told"),
    [("refusal", "1 of 200 replies were refused, which counts as wrong"),
     ("length", "1 of 200 replies were cut off by max_tokens, which counts as wrong")],
)  # fmt: skip
def test_replies_that_ended_early_are_counted(stop, told) -> None:
    gate, scores = accuracy(min=0.5), variant_scores("new", GOOD)
    first = scores.results["c000"]
    cut = replace(first, replies=(replace(first.replies[0], stop=stop),))
    scores = VariantScores("new", scores.results | {"c000": cut})

    assert evaluate_rate(suite(gate), gate, Comparison(scores, scores)).notes == (told,)
    form = RateGate(kind="format", line=8, min=0.5)
    plain = told.removesuffix(", which counts as wrong")
    assert evaluate_rate(suite(form), form, Comparison(scores, scores)).notes == (plain,)


def test_cases_without_a_reply_are_counted_with_the_reason_of_the_first() -> None:
    gate, scores = accuracy(min=0.5), variant_scores("new", GOOD)
    rows = dict(scores.results)
    for name, reason in (("c007", "it timed out"), ("c009", "it is gone")):
        rows[name] = replace(rows[name], replies=(), scores=(), missing_reasons=(reason,))
    lost = VariantScores("new", rows)

    assert evaluate_rate(suite(gate), gate, Comparison(lost, lost)).notes == (
        "2 of 200 cases brought no reply",
        "no reply to 2 cases; first: it timed out",
    )


@pytest.mark.parametrize(
    ("look", "told"),
    [(Look(number=2, of=3, repeats=1), "1 reply to each case"),
     (Look(number=2, of=3, repeats=3), "3 replies to each case"),
     (Look(number=1, of=2, cases=frozenset({"c000"}), fractions=(0.5,)), "200 of 400 cases")],
)  # fmt: skip
def test_a_verdict_says_at_which_look_it_was_decided(look, told) -> None:
    gate, scores = accuracy(min=0.5), variant_scores("new", GOOD)

    notes = evaluate_rate(suite(gate), gate, Comparison(scores, scores), look).notes

    assert notes == (f"decided at look {look.number} of {look.of}, after {told}",)


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
    record = AcceptedSamples(samples_from_scores(variant_scores("new", GOOD), "accuracy"), 0)
    kept = evaluate_rate(suite(gate), gate, replace(comparison, accepted=record))
    assert [check.kind for check in kept.checks] == [CheckKind.BASELINE]


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
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


def labelled(variant, texts):
    """Return scores of cases of which the first half expects refund, the others late_delivery."""
    rows = {}
    for i, text in enumerate(texts):
        expected = "refund" if i < len(texts) / 2 else "late_delivery"
        row = case_result(f"c{i:03}", float(text == expected), text)
        rows[f"c{i:03}"] = replace(row, case=replace(row.case, expected=expected))
    return VariantScores(variant, rows)


def test_a_variant_that_could_not_be_measured_says_why() -> None:
    made = suite(accuracy(min=0.5))

    assert unmeasured_verdict(made, made.variants["new"], "no key") == Verdict(
        suite="suite.ftgate.yaml",
        line=1,
        gate="measured",
        variant="new",
        outcome=Outcome.INVALID,
        statement=Statement(StatementKind.NOT_SENT, {"reason": "no key"}),
        gated=False,
        measured=False,
    )


@pytest.mark.parametrize(
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


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_only_cases_with_a_reply_are_rated_and_only_those_of_both_sides_compared(metric) -> None:
    gate = RateGate(kind="accuracy", line=7, metric=metric, min=0.5)
    made = suite(gate)
    after = labelled("new", ["refund"] * 150 + ["late_delivery"] * 50)
    before = labelled("current", ["refund"] * 100 + ["late_delivery"] * 100)
    gone = dict.fromkeys(("c100", "c101"))
    after = without(after, gone)
    before = without(before, dict.fromkeys(("c000", "c101")))

    rate, pairs = rate_of_scores(made, gate, after), pairs_of_scores(made, gate, before, after)

    assert (rate.n, pairs.n) == (198, 197)
    form = RateGate(kind="format", line=7, min=0.5)
    assert (rate_of_scores(made, form, after).rate, rate_of_scores(made, form, after).n) == (1, 198)
    assert pairs_of_scores(made, form, before, after).delta == 0


def without(scores, names):
    """Return *scores* without the replies to the cases *names*."""
    rows = {
        key: replace(row, replies=(), scores=(), missing_reasons=("gone",)) if key in names else row
        for key, row in scores.results.items()
    }
    return VariantScores(scores.variant, rows)


@pytest.mark.parametrize(
    ("kind", "labels", "rate"),
    [("accuracy", True, 0.5), ("format", True, 0.0), ("accuracy", False, 0.0)],
)
def test_guessing_is_right_as_often_as_there_are_few_labels(kind, labels, rate) -> None:
    gate = RateGate(kind=kind, line=7, min=0.5)
    made = suite(gate)
    free = replace(made, reply=replace(made.reply, format=()))

    assert guess_rate(made if labels else free, gate) == rate


# The whole verdict ------------------------------------------------------------------------------


def told(verdict: Verdict) -> list[tuple[object, ...]]:
    """Return what each check compares, and by which levels."""
    return [
        (check.kind, check.against, check.limit, check.alarm, check.shared, check.method)
        for check in verdict.checks
    ]


SHARED = Levels(alarm=0.002, shared=5)


@pytest.mark.parametrize(("metric", "method"), [("accuracy", "counts"), ("macro_f1", "f1")])
def test_a_minimum_shares_no_level_and_a_drop_does(metric, method) -> None:
    gate = accuracy(min=0.5, max_drop=0.05, metric=metric)
    after = labelled("new", ["refund"] * 120 + ["late_delivery"] * 80)
    before = labelled("current", ["refund"] * 100 + ["late_delivery"] * 100)

    verdict = evaluate_rate(suite(gate), gate, Comparison(after, before, levels=SHARED))

    assert told(verdict) == [
        (CheckKind.MINIMUM, "", 0.5, 0.01, 1, method),
        (CheckKind.BASELINE, "current", 0.05, 0.002, 5, method),
    ]
    assert verdict.deciding == 1
    assert [check.has_default_limit for check in verdict.checks] == [False, False]
    assert (verdict.regressed, verdict.fixed, verdict.outcome) == (20, 0, Outcome.FAILED)
    assert [label.label for label in verdict.labels] == ["late_delivery", "refund"]
    assert [(label.f1_before, label.taken_for) for label in verdict.labels] == [
        (1.0, {"refund": 20}),
        (1.0, {}),
    ]
    alone = evaluate_rate(suite(gate), gate, Comparison(after, after, levels=SHARED))
    assert told(alone) == told(verdict)[:1]
    only = replace(gate, max_drop=None)
    found = evaluate_rate(suite(only), only, Comparison(after, before))
    assert told(found) == told(verdict)[:1]
    assert found.labels == ()
    drop = replace(gate, min=None)
    assert [
        check.kind for check in evaluate_rate(suite(drop), drop, Comparison(after, before)).checks
    ] == [CheckKind.BASELINE]


def test_the_labels_are_told_of_a_baseline_that_fails_too_and_never_of_formats() -> None:
    gate, now = accuracy(min=0.95), labelled("current", ["refund"] * 120 + ["late_delivery"] * 80)
    form = RateGate(kind="format", line=8, min=0.95)
    broken = variant_scores("current", BAD)

    alone = evaluate_rate(suite(gate), gate, Comparison(now, now))
    formats = evaluate_rate(suite(form), form, Comparison(broken, broken))

    assert [label.f1_before for label in alone.labels] == [None, None]
    assert (formats.outcome, formats.labels) == (Outcome.FAILED, ())
    free = suite(gate)
    free = replace(free, reply=replace(free.reply, format=()))
    assert evaluate_rate(free, gate, Comparison(now, now)).labels == ()


def test_a_failed_verdict_of_a_format_has_all_its_parts() -> None:
    gate = RateGate(kind="format", line=8, max_drop=0.05, min=0.9, has_default_limit=True)

    verdict = evaluate_rate(
        suite(gate), gate, Comparison(variant_scores("new", BAD), variant_scores("current", GOOD))
    )

    assert (verdict.suite, verdict.line, verdict.gate) == ("suite.ftgate.yaml", 8, "format")
    assert (verdict.variant, verdict.outcome, verdict.deciding) == ("new", Outcome.FAILED, 1)
    assert verdict.statement == Statement(StatementKind.RATE, {"measure": "format"})
    assert [check.has_default_limit for check in verdict.checks] == [False, True]
    assert (verdict.lenient, verdict.lenient_before) == (0.6, 0.95)
    assert (verdict.notes, verdict.facts, verdict.slices) == ((), {}, ())
    assert [drift.what for drift in verdict.drifts] == [
        *("length", "refusals", "same text", "format errors")
    ]
    assert [step.kind for step in verdict.next] == [StepKind.FIX_FORMAT, StepKind.SET_LIMIT]
    assert [flip.case for flip in verdict.flips][:2] == ["c120", "c121"]
    assert len(verdict.flips) == 40


def test_notes_of_drifts_and_of_new_format_errors_stand_in_the_verdict_of_accuracy() -> None:
    gate = accuracy(max_drop=0.05)
    new, old = variant_scores("new", BAD), variant_scores("current", GOOD)
    form = RateGate(kind="format", line=8, min=0.1)

    assert evaluate_rate(suite(gate), gate, Comparison(new, old)).notes == (
        "the mix of format errors has changed (Stuart-Maxwell test, p < 0.001)",
        "format error “not in enumeration”: 40 % of replies, 5 % before",
    )
    assert evaluate_rate(suite(gate, form), gate, Comparison(new, old)).notes == ()
    assert evaluate_rate(suite(form), form, Comparison(new, old)).notes == (
        "the mix of format errors has changed (Stuart-Maxwell test, p < 0.001)",
        "format error “not in enumeration”: 40 % of replies, 5 % before",
    )


def test_a_model_that_no_longer_ends_is_named_as_the_cause() -> None:
    gate, new = accuracy(max_drop=0.05), variant_scores("new", [0.0] * 200)
    endless = {
        key: replace(row, replies=(replace(row.replies[0], stop="length"),))
        for key, row in new.results.items()
    }
    comparison = Comparison(VariantScores("new", endless), variant_scores("current", GOOD))

    step = evaluate_rate(suite(gate), gate, comparison).next[0]

    assert step.kind is StepKind.CHECK_CAUSE
    assert step.values["cause"].startswith("200 of 200 replies run to max_tokens, 0 % before")


def test_plain_thresholds_hold_for_every_check_of_a_gate_that_wants_them() -> None:
    gate = accuracy(min=0.5, max_drop=0.05, evidence="point")
    new, old = variant_scores("new", BAD), variant_scores("current", GOOD)

    verdict = evaluate_rate(suite(gate), gate, Comparison(new, old))

    assert [(check.method, check.outcome) for check in verdict.checks] == [
        ("point", Outcome.PASSED),
        ("point", Outcome.FAILED),
    ]


def test_accepted_results_and_their_anchor_are_compared_after_the_baseline() -> None:
    gate, now = accuracy(max_drop=0.05), variant_scores("new", GOOD)
    last, first = (
        AcceptedSamples(samples_from_scores(variant_scores("new", right), "accuracy"), stale)
        for right, stale in (([1.0] * 192 + [0.0] * 8, 2), ([0.0] * 5 + [1.0] * 195, 3))
    )
    comparison = Comparison(now, variant_scores("current", GOOD), last, anchor=first, levels=SHARED)

    verdict = evaluate_rate(suite(gate), gate, comparison)

    assert told(verdict) == [
        (CheckKind.BASELINE, "current", 0.05, 0.002, 5, "counts"),
        (CheckKind.ACCEPTED, "accepted", 0.05, 0.002, 5, "counts"),
        (CheckKind.ANCHOR, "anchor", 0.05, 0.002, 5, "counts"),
    ]
    assert [check.stale for check in verdict.checks] == [0, 2, 3]
    assert "2 accepted cases are stale" in " ".join(verdict.notes)


def test_the_cases_that_regressed_are_those_of_the_check_that_decided() -> None:
    gate, now = accuracy(max_drop=0.05), variant_scores("new", BAD)
    good, better = (
        AcceptedSamples(samples_from_scores(variant_scores("new", right), "accuracy"), 0)
        for right in (BAD, [1.0] * 200)
    )
    current = variant_scores("current", BAD)

    anchor = evaluate_rate(suite(gate), gate, Comparison(now, current, good, anchor=better))
    accepted = evaluate_rate(suite(gate), gate, Comparison(now, current, better, anchor=good))
    baseline = evaluate_rate(
        suite(gate), gate, Comparison(now, variant_scores("current", GOOD), good)
    )

    assert (anchor.check.kind, anchor.regressed) == (CheckKind.ANCHOR, 80)
    assert (accepted.check.kind, accepted.regressed) == (CheckKind.ACCEPTED, 80)
    assert (baseline.check.kind, baseline.regressed) == (CheckKind.BASELINE, 70)
    assert [one.flips[0].before for one in (anchor, accepted, baseline)] == ["", "", "refund"]


def test_a_baseline_is_shown_beside_what_was_accepted_and_else_its_wrong_cases() -> None:
    gate, now = accuracy(min=0.5), variant_scores("current", GOOD)
    record = AcceptedSamples(samples_from_scores(variant_scores("c", [1.0] * 200), "accuracy"), 0)
    empty = AcceptedSamples(samples_from_cases({}), 4)
    best = AcceptedSamples(
        samples_from_scores(variant_scores("c", [0.0] * 5 + [1.0] * 195), "accuracy"), 0
    )

    found = [
        evaluate_rate(suite(gate), gate, Comparison(now, now, accepted))
        for accepted in (None, record, empty, best)
    ]

    assert [(one.regressed, one.fixed) for one in found] == [(10, 0), (10, 0), (10, 0), (10, 5)]
    both = replace(gate, max_drop=0.05)
    stale = evaluate_rate(suite(both), both, Comparison(now, now, empty))
    assert [check.kind for check in stale.checks] == [CheckKind.MINIMUM]


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

    verdict = evaluate_rate(suite(SLICED), SLICED, Comparison(new, old))

    assert (verdict.check.outcome, verdict.outcome) == (Outcome.PASSED, Outcome.FAILED)
    assert [(part.name, part.n, part.state) for part in verdict.slices] == [
        ("rare", 60, "regressed"),
        ("common", 240, "kept"),
    ]
    assert (verdict.slices[0].before, verdict.slices[0].after) == (1.0, pytest.approx(1 / 3))
    plain = replace(SLICED, slices=())
    assert evaluate_rate(suite(plain), plain, Comparison(new, old)).slices == ()
    minimum = replace(SLICED, max_drop=None, min=0.5)
    assert evaluate_rate(suite(minimum), minimum, Comparison(new, old)).slices == ()
    drifted = Comparison(new, old, baseline_drift="it moved")
    assert evaluate_rate(suite(SLICED), SLICED, drifted).slices == ()


@pytest.mark.parametrize(
    ("levels", "look", "state"),
    [
        (None, None, "regressed"),
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
    record = AcceptedSamples(samples_from_scores(tagged("current", 0), "accuracy"), 0)

    alone = evaluate_rate(suite(SLICED), SLICED, Comparison(now, now))
    kept = evaluate_rate(suite(SLICED), SLICED, Comparison(now, now, record))
    drifted = Comparison(now, now, record, baseline_drift="it moved")

    assert alone.slices == ()
    assert [(part.name, part.state) for part in kept.slices] == [
        ("rare", "regressed"),
        ("common", "kept"),
    ]
    assert evaluate_rate(suite(SLICED), SLICED, drifted).slices == kept.slices


def test_the_slices_of_formats_are_those_of_the_format() -> None:
    gate = replace(SLICED, kind="format")
    wrong = tagged("new", 40)
    valid = {
        key: replace(row, scores=(replace(row.scores[0], format_error=None),))
        for key, row in wrong.results.items()
    }
    new = VariantScores("new", valid)

    found = evaluate_rate(suite(gate), gate, Comparison(new, tagged("current", 0)))

    assert [part.after for part in found.slices] == [1.0, 1.0]


@pytest.mark.parametrize(("missing", "outcome"), [(15, "failed"), (16, "inconclusive")])
def test_a_regressed_slice_decides_nothing_beside_too_many_missing_replies(
    missing, outcome
) -> None:
    new = without(tagged("new", 40), {f"c{299 - number}" for number in range(missing)})

    verdict = evaluate_rate(suite(SLICED), SLICED, Comparison(new, tagged("current", 0)))

    assert verdict.slices[0].state == "regressed"
    assert verdict.outcome == outcome


# Broken formats ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("broken", "is_told"), [(4, True), (3, False), (0, False)])
def test_broken_formats_are_told_from_a_tenth_of_the_regressed_cases_on(broken, is_told) -> None:
    gate = accuracy(max_drop=0.05)
    texts = ["`refund`"] * broken + ["late_delivery"] * (40 - broken) + ["refund"] * 160
    rows = [case_result(f"c{i:03}", float(i >= 40), text) for i, text in enumerate(texts)]
    after = VariantScores("new", {row.case.id: row for row in rows})
    before = variant_scores("current", [1.0] * 198 + [0.0] * 2)

    values = evaluate_rate(suite(gate), gate, Comparison(after, before)).statement.values

    told = {
        "broken": 4, "regressed": 40, "rest": 196, "rest_before": pytest.approx(194 / 196),
        "rest_after": pytest.approx(160 / 196),
    }  # fmt: skip
    assert values == {"measure": "accuracy", **(told if is_told else {})}


def test_no_broken_format_is_told_of_a_passed_gate_a_minimum_or_a_format() -> None:
    after, before = variant_scores("new", BAD), variant_scores("current", GOOD)
    for gate in (
        accuracy(max_drop=0.44),
        accuracy(min=0.9),
        RateGate(kind="format", line=8, max_drop=0.05),
    ):
        values = evaluate_rate(suite(gate), gate, Comparison(after, before)).statement.values
        assert "broken" not in values


def test_the_rest_is_counted_of_what_was_accepted_last_too() -> None:
    gate, after = accuracy(max_drop=0.05), variant_scores("new", BAD)
    record = AcceptedSamples(samples_from_scores(variant_scores("new", [1.0] * 200), "accuracy"), 0)
    comparison = Comparison(after, variant_scores("current", BAD), record)

    values = evaluate_rate(suite(gate), gate, comparison).statement.values

    assert (values["broken"], values["regressed"]) == (80, 80)


# Must-pass cases and judges ---------------------------------------------------------------------


def must_pass(right: float) -> VariantScores:
    first = case_result("first", right, "refund" if right else "late_delivery")
    case = replace(first.case, must_pass=True)
    return VariantScores("new", {"first": replace(first, case=case)})


def test_a_wrong_must_pass_case_fails_and_is_shown_first_though_a_look_leaves_it_out() -> None:
    gate = accuracy(min=0.1)
    scores = variant_scores("new", BAD)

    verdict = evaluate_rate(
        suite(gate), gate, Comparison(scores, scores, must_pass=(must_pass(0.0), None))
    )

    assert [(check.kind, check.outcome) for check in verdict.checks] == [
        (CheckKind.MUST_PASS, Outcome.FAILED),
        (CheckKind.MINIMUM, Outcome.PASSED),
    ]
    assert [flip.case for flip in verdict.flips][:2] == ["first", "c120"]


def test_a_right_must_pass_case_alone_compares_nothing() -> None:
    gate, scores = accuracy(max_drop=0.1), variant_scores("current", GOOD)
    form = RateGate(kind="format", line=8, max_drop=0.1)

    for one in (gate, form):
        verdict = evaluate_rate(
            suite(one), one, Comparison(scores, scores, must_pass=(must_pass(1.0), None))
        )
        assert (verdict.checks, verdict.outcome) == ((), Outcome.PASSED)
        assert verdict.statement == Statement(StatementKind.NOTHING_TO_COMPARE, {"rate": 0.95})
    wrong = Comparison(scores, scores, must_pass=(must_pass(0.0), None))
    assert evaluate_rate(suite(form), form, wrong).checks == ()
    none = without(scores, scores.results)
    found = evaluate_rate(suite(gate), gate, Comparison(none, none))
    assert found.statement == Statement(StatementKind.NOTHING_TO_COMPARE)


def test_the_rate_beside_nothing_to_compare_is_of_the_cases_with_a_reply() -> None:
    gate, scores = accuracy(max_drop=0.1), variant_scores("current", [1.0] * 100 + [0.0] * 100)
    some = without(scores, {f"c{number}" for number in range(100, 150)})

    found = evaluate_rate(suite(gate), gate, Comparison(some, some))

    assert found.statement.values == {"rate": pytest.approx(100 / 150)}


def test_an_unqualified_judge_settles_no_check_of_accuracy_and_those_of_formats() -> None:
    judge = JudgeValidation(judge="j", provider="p", rubric="r", error="never validated")
    form = RateGate(kind="format", line=8, min=0.5)
    scores = variant_scores("new", GOOD)
    comparison = Comparison(
        scores,
        scores,
        must_pass=(must_pass(0.0), None),
        judge_evidence=JudgeEvidence(validations=(judge,), constant_grades=9),
    )
    gate = accuracy(min=0.5)

    graded, plain = (evaluate_rate(suite(one), one, comparison) for one in (gate, form))

    assert [(check.kind, check.outcome) for check in graded.checks] == [
        (CheckKind.MUST_PASS, Outcome.INCONCLUSIVE),
        (CheckKind.MINIMUM, Outcome.INCONCLUSIVE),
    ]
    assert graded.statement == Statement(StatementKind.UNQUALIFIED_JUDGE)
    assert "the judge says the same of all 9 replies" in graded.notes
    assert [check.outcome for check in plain.checks] == [Outcome.PASSED]
    assert plain.notes == ()


def test_thoughts_are_compared_with_the_baselines_by_the_levels_of_a_drop() -> None:
    gate = RateGate(kind="format", line=8, min=0.5, max_thought_drop=0.3)
    before = thinking(variant_scores("current", [1.0] * 100))
    after = variant_scores("new", [1.0] * 100)

    verdict = evaluate_rate(suite(gate), gate, Comparison(after, before, levels=SHARED))
    alone = evaluate_rate(suite(gate), gate, Comparison(before, before, levels=SHARED))

    check = verdict.checks[-1]
    assert (check.measure, check.outcome, check.alarm) == ("thoughts", Outcome.FAILED, 0.002)
    assert (check.before, check.after) == (1.0, 0.0)
    assert verdict.facts == {"thoughts": "100 → 0 %"}
    assert [one.measure for one in alone.checks] == [""]


def thinking(scores: VariantScores) -> VariantScores:
    rows = {
        key: replace(row, replies=tuple(replace(reply, thought="so") for reply in row.replies))
        for key, row in scores.results.items()
    }
    return VariantScores(scores.variant, rows)
