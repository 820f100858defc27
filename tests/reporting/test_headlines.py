from __future__ import annotations

from dataclasses import replace

from ftgate_testing.reports import failing_run
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.figure import JudgeValidation
from pytest_ftgate.gates.notes import Cause, note, text_note
from pytest_ftgate.gates.statements import (
    ExamChange,
    ExamLoss,
    LossOfExam,
    LostCases,
    Statement,
    StatementKind,
)
from pytest_ftgate.gates.verdict import CheckKind, Outcome, ShownChange, Slice, Verdict
from pytest_ftgate.recommend.advice import Advice, Condition, ReasonKind, Recommendation, Rollback
from pytest_ftgate.reporting.headlines import (
    acceptance_lines,
    advice_headline,
    exam_phrase,
    exam_sentences,
    headline,
    shown_change_text,
)
from pytest_ftgate.reporting.summary import passed_parts
from pytest_ftgate.reporting.tables import verdict_table
from pytest_ftgate.results.accepted import Acceptance

FAILED = failing_run().verdicts[0]
PLAIN = replace(FAILED, checks=(), slices=())
SKILLS = replace(PLAIN, gate="forgetting")
#: A minimum of 90 %, missed with 70 %.
MISSED = replace(FAILED.checks[0], kind=CheckKind.MINIMUM, before=None, limit=0.9, after=0.7)
DROP = "down 20 points, limit 5: current 60 % → new 40 %"


def stated(verdict: Verdict, kind: StatementKind, **values: str | float | bool) -> str:
    return headline(replace(verdict, statement=Statement(kind, values)))


@every_row("kind", StatementKind)
def test_every_kind_of_statement_has_a_headline(kind):
    values = {
        "measure": "accuracy", "file": "train.jsonl", "rows": 3, "p50": 100.0, "reason": "text",
        "text": "no key", "variant": "new", "requested": 1, "replies": 2, "needed": 72,
        "key": "max_drop: none", "again": True,
    }  # fmt: skip
    judge = JudgeValidation(
        judge="m", provider="python", rubric="r", errors=(text_note("kappa 0.05"),)
    )

    assert stated(replace(FAILED, judges=(judge,)), kind, **values)


def test_an_older_record_of_what_was_not_measured_has_a_headline():
    values = {"variant": "new", "requested": 1, "replies": 2, "needed": 72}

    told = stated(PLAIN, StatementKind.NOT_MEASURED, **values)
    assert told.startswith("not measured: 1 of 2 replies of new were requested")


@every_row("values, rest", [
    ({"rate": 0.9}, ""), ({}, ""), ({"rate": 0.0}, "; no reply is right"),
    ({"rate": 0.0, "missing": 1200, "cases": 4000}, "; no reply to 1,200 of 4,000 cases"),
])  # fmt: skip
def test_a_first_run_says_what_it_lacks_to_be_compared_with(values, rest):
    text = stated(PLAIN, StatementKind.NOTHING_TO_COMPARE, **values)

    assert text == f"nothing to compare with yet{rest}"


@every_row("values, reason", [
    ({"minimum": 0.0, "key": "max_drop: none"}, "min: 0, max_drop: none"),
    ({"minimum": 0.0, "cases": 5}, "min: 0, 5 cases can show no drop"),
    ({"key": "baseline"}, "it is the baseline"),
])  # fmt: skip
def test_a_gate_that_nothing_can_fail_says_why(values, reason):
    text = stated(PLAIN, StatementKind.NOT_GATED, **values)

    assert text == f"nothing can fail it: {reason}"


@every_row("values, start", [
    ({"measure": "accuracy"}, "accuracy "),
    ({"measure": "balanced_accuracy"}, "balanced accuracy "),
    ({"measure": "format"}, "replies in the right format "),
    ({"measure": "preferred"}, "preferred "),
    ({"function": "test_x.py::test_never_promises[formal]"}, "never promises (formal): "),
    ({"function": "test_x.py::TestTone::test_is_kind"}, "is kind: "),
])  # fmt: skip
def test_a_drop_names_what_is_measured(values, start):
    drop = replace(
        FAILED.checks[0], kind=CheckKind.BASELINE, against="current", before=0.6, after=0.4,
        limit=0.05, outcome=Outcome.FAILED, low=None, high=None,
    )  # fmt: skip

    text = stated(replace(PLAIN, checks=(drop,), deciding=0), StatementKind.RATE, **values)

    assert text == start + DROP


@every_row("outcome", ["passed", "failed", "inconclusive"])
def test_a_minimum_has_the_rate_its_interval_and_the_limit(outcome):
    check = replace(MISSED, outcome=Outcome(outcome), low=0.6, high=0.79)

    text = stated(
        replace(PLAIN, checks=(check,), deciding=0), StatementKind.RATE, measure="accuracy"
    )

    assert text == "accuracy 70 % (95 % CI 60 to 79 %), min 90 %"


def test_a_change_that_is_not_gated_has_as_many_decimals_as_the_rate_beside_it():
    change = ShownChange(against="current", before=0.9, after=0.848, low=-0.09, high=-0.01, n=500)
    check = replace(MISSED, limit=0.85, after=0.848, low=None, high=None)
    missed = replace(FAILED, checks=(check,), deciding=0, shown_change=change)
    passed = replace(missed, outcome=Outcome.PASSED, checks=(replace(check, limit=0.846),))

    text = "against current 90.0 % → 84.8 %, down 5.2 points, not gated"
    assert shown_change_text(missed) == text
    row = verdict_table([missed]).rows[0]
    assert [*row[2:5]] == ["90.0 %", "84.8 %", "down 5.2 (1.0 to 9.0)"]
    assert passed_parts([passed])[0].endswith("84.8 % (−5.2 not gated, min 84.6 %)")
    whole = replace(missed, checks=(replace(check, limit=0.8),))
    assert "90 % → 85 %, down 5 points" in shown_change_text(whole)


def test_uncorrected_grades_and_the_habit_follow_the_rate():
    values = {"habit": "fenced", "is_new": True, "rule": "choice", "replies": 3, "of": 1200}
    check = replace(MISSED, outcome=Outcome.FAILED, low=None, high=None)
    verdict = replace(PLAIN, checks=(check,), deciding=0)

    text = stated(verdict, StatementKind.RATE, measure="format", judge_relative=True, **values)

    assert text == (
        "replies in the right format 70 %, min 90 % (judge-relative); fenced: the model began to "
        "fence its labels, 3 of 1,200 replies"
    )


@every_row("under, shown", [("", "a"), ("prompt", "b")])
def test_only_skills_under_the_prompt_of_the_deciding_check_are_named(under, shown):
    parts = [
        Slice(
            kind="skill", name=name, under=mode, n=9, before=1, after=0, low=-1, high=-1, p_drop=0,
            p_alone=0, state="regressed",
        )
        for name, mode in (("a", ""), ("b", "prompt"))
    ]  # fmt: skip
    check = replace(FAILED.checks[0], before=0.6, after=0.4, under=under, outcome=Outcome.PASSED)
    verdict = replace(SKILLS, checks=(check,), deciding=0, slices=tuple(parts))

    assert stated(verdict, StatementKind.SKILLS).endswith(f"; but regressed: {shown} down 100")


def fallen(name, after, named="clearly", under="", kind="family", **more):
    return Slice(
        kind=kind, name=name, under=under, n=90, before=0.5, after=after, low=after - 0.55,
        high=after - 0.45, p_drop=0, p_alone=0, state="untested", named=named, **more,
    )  # fmt: skip


@every_row("parts, told", [
    # Six fell: the largest drops first.
    ([fallen(name, 0.44 - i / 100) for i, name in enumerate("abcdef")],
     ("clearly fell: f down 11 (6 to 16), e down 10 (5 to 15), d down 9 (4 to 14), "
     "c down 8 (3 to 13), b down 7 (2 to 12) and 1 more")),
    ([fallen("a", 0.44), fallen("b", 0.4, "perhaps"), fallen("c", 0.5, "")],
     ("clearly fell: a down 6 (1 to 11); 1 of 3 parts may have fallen (by chance: at most 0.1): "
     "b down 10 (5 to 15)")),
    ([*[fallen("b", 0.4, "perhaps")] * 2, *[fallen("c", 0.5, "")] * 16],
     ("2 of 18 parts may have fallen (by chance: at most 0.5): b down 10 (5 to 15), "
     "b down 10 (5 to 15)")),
    ([fallen("a", 0.44, under="prompt")], "clearly fell: a under the prompt down 6 (1 to 11)"),
    # Whole points do not hide that it fell.
    ([replace(fallen("a", 0.46), high=-0.004)], "clearly fell: a down 4.0 (0.4 to 9.0)"),
    # Half of a skill without a test of its own is gone, and half of a family is told once.
    ([fallen("a", 0.2, ""), fallen("a1", 0.2, "", kind="skill", family="a"),
      replace(fallen("a2", 0.2, "", kind="skill", family="a"), p_alone=None)],
     "half gone: a2 50 → 20 %"),
    ([fallen("a", 0.2), replace(fallen("a2", 0.2, "", kind="skill", family="a"), p_alone=None),
      fallen("b1", 0.5, "", kind="skill", family="b")], "clearly fell: a down 30 (25 to 35)"),
])  # fmt: skip
def test_a_verdict_names_the_parts_that_fell_and_how_many_would_by_chance(parts, told):
    for outcome in (Outcome.PASSED, Outcome.INCONCLUSIVE, Outcome.FAILED):
        check = replace(FAILED.checks[0], before=0.6, after=0.5, outcome=outcome)
        verdict = replace(SKILLS, checks=(check,), deciding=0, slices=tuple(parts), outcome=outcome)

        assert stated(verdict, StatementKind.SKILLS).partition("; ")[2] == told


def test_slices_are_named_with_their_kind_and_a_regressed_one_that_decides_once():
    parts = [replace(fallen("long", 0.4, kind="tag"), state="regressed"), fallen("de", 0.44)]
    check = replace(FAILED.checks[0], before=0.6, after=0.5, outcome=Outcome.PASSED)
    verdict = replace(FAILED, checks=(check,), deciding=0, slices=tuple(parts))

    assert stated(verdict, StatementKind.RATE, measure="accuracy").endswith(
        "; but regressed: tag long down 10 (5 to 15); clearly fell: family de down 6 (1 to 11)"
    )


ADVICE = Advice(
    suite="s.ftgate.yaml", recommendation=Recommendation.STOP, subject="prompt", variant="prompt",
    reasons=(), below="", rungs=(),
)  # fmt: skip
FAILING = Condition(name="gap", note=note(ReasonKind.JUDGED), holds=False, needed=True)


@every_row("recommendation, fields, expected", [
    (Recommendation.STOP, {}, "stop here: prompt"),
    (Recommendation.NEXT, {"subject": "few-shot", "why": note(ReasonKind.NO_EXAMPLES)},
     "try a cheaper approach first: few-shot, since no variant shows examples"),
    (Recommendation.FINE_TUNE, {"subject": "a fine-tune"},
     "fine-tune: no other rung reaches the minimum"),
    (Recommendation.NOT_JUSTIFIED,
     {"conditions": (FAILING, replace(FAILING, name="format", needed=False))},
     "fine-tuning not justified (gap): serve prompt"),
    (Recommendation.NOT_JUDGED,
     {"subject": "lora", "why": note(Cause.RUNS_ON, count=9, of=10)},
     ("fine-tuning not judged: lora, since 9 of 10 replies give an answer and run on to "
      "max_tokens: the model does not end; its chat template or its end token may differ from "
      "those in training")),
    (Recommendation.ROLL_BACK,
     {"rollback": Rollback(failing="lora", gates=("accuracy",), variant="")},
     "roll back: from lora to prompt"),
])  # fmt: skip
def test_an_advice_says_what_it_is_about(recommendation, fields, expected):
    advice = replace(ADVICE, recommendation=recommendation, **fields)

    assert advice_headline(advice) == expected


# What less is tested than was accepted ----------------------------------------------------------

GONE = LostCases("gone", 46, 40, ("a", "b", "c", "d", "e"))


def test_cases_that_are_gone_are_counted_with_those_that_were_right():
    assert [*exam_sentences(ExamChange(accepted=200, lost=(GONE,)))] == [
        "46 of 200 accepted cases are gone; 40 of them were right: a, b, c, d, e and 41 more"
    ]


def test_one_case_is_told_in_the_singular_and_without_a_score_that_is_not_known():
    lost = LostCases("without weight", 1, None, ("a",))

    assert [*exam_sentences(ExamChange(accepted=200, lost=(lost,), came=1, came_ids=("z",)))] == [
        "1 of 200 accepted cases has no weight any more; it is a",
        "1 case has come since a run was accepted: z",
    ]


@every_row("loss, sentence", [
    (ExamLoss(LossOfExam.GATE, "format"), "the accepted gate format is gone"),
    (ExamLoss(LossOfExam.VARIANT, "format[new]"),
     "format[new] was accepted, and is not gated any more"),
    (ExamLoss(LossOfExam.COMPARED, "new"), "new is not compared with the baseline any more"),
    (ExamLoss(LossOfExam.LIMIT, "max_drop", 0.05, "none"),
     "max_drop: 0.05 is now none, which lets more pass than what was accepted"),
    (ExamLoss(LossOfExam.MUST_PASS, "a"), "the case a need not pass any more"),
    (ExamLoss(LossOfExam.BASELINE, "baseline", "old", "new"), "baseline: old is now new"),
])  # fmt: skip
def test_each_loss_has_its_sentence(loss, sentence):
    assert [*exam_sentences(ExamChange(losses=(loss,)))] == [sentence]


def test_a_record_of_the_older_form_is_not_said_to_test_less():
    older = ExamChange(is_older=True)

    assert exam_phrase(older) == "record of an older format"
    assert exam_phrase(ExamChange(lost=(GONE,))) == "less is tested than was accepted"
    assert [*exam_sentences(older)] == [
        "the accepted record is older: it lists no cases and no limits"
    ]


def test_accepting_says_what_changed_once_with_the_gates_that_it_is_about():
    change = ExamChange(accepted=200, lost=(GONE,))
    told = Acceptance(
        names=("current", "new"), file="s.accepted.json", not_passed={"failed": 1}, is_read=True,
        changes={"accuracy[current]": change, "format[current]": change},
    )  # fmt: skip

    accepted, lost = acceptance_lines(told)

    assert accepted == (
        "accepted current, new in s.accepted.json; commit it with the change (1 gate failed)"
    )
    assert lost.startswith("accepted accuracy[current], format[current]: 46 of 200 accepted cases")
