"""Every way in which a gate ends: its screen, and the tests that follow its advice.

``PYTHONPATH=tests python -m ftgate_testing.ends`` writes docs/ends.md, which
tests/docs/test_ends.py holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ftgate_testing.reports import (
    ACCURACY,
    failing_run,
    gate_not_evaluated,
    inconclusive_verdict,
    invalid,
    report,
)
from ftgate_testing.score_columns import suite, variant_scores
from pytest_ftgate.client.budget import CostReport
from pytest_ftgate.gates.notes import NoteKind, note, text_note
from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.gates.samples import samples_from_scores
from pytest_ftgate.gates.statements import (
    ExamChange,
    ExamLoss,
    LossOfExam,
    LostCases,
    NextStep,
    Statement,
    StatementKind,
    StepKind,
)
from pytest_ftgate.gates.verdict import (
    CheckKind,
    Finding,
    JudgeValidation,
    Outcome,
    Severity,
    Verdict,
)
from pytest_ftgate.reporting.gate_summary import gate_lines
from pytest_ftgate.reporting.headlines import exam_sentences
from pytest_ftgate.reporting.summary import summary_lines
from pytest_ftgate.results.run import Report, RequestCounts, node_name
from pytest_ftgate.suite.gate_kinds import RateGate

PAGE = Path(__file__).parents[2] / "docs" / "ends.md"
STEPS = "tests/journeys/test_followed_steps.py::test_"
SUITE = "suite.ftgate.yaml"
CONTINUES = "the same command continues, and no reply is paid for twice"
DRIFT = "the recorded baseline has drifted: 100 % → 0 % on 20 repeated cases"
GUESSED = note(NoteKind.GUESSED, rate=0.5)
AT_CHANCE = note(NoteKind.AT_CHANCE, against="current", before=0.02)
NOT_MEASURED = {"requested": 0, "replies": 100, "variant": "new", "needed": 59}
SAME_AS_BASE = (
    "replies no different from the base model's: 60 of 60 replies are the base model's; the base "
    "repeats itself on 60 of 60; the adapter has no effect"
)
NOT_RECORDED = (
    "current: 3 of 100 replies are not recorded; with the keys, run\n"
    f"    pytest --ftgate {SUITE} && pytest-ftgate cache export {SUITE}"
)
SHRUNK = ExamChange(
    accepted=200,
    lost=(LostCases("gone", 46, 40, ("t003", "t011", "t012", "t019", "t023")),),
    losses=(ExamLoss(LossOfExam.LIMIT, "max_drop", 0.05, "none"),),
)
TOO_FEW = (
    f"{SUITE}: 1 error\n  {SUITE}:7: accuracy: max_drop: 0.05 can never be shown with 20 cases, "
    "even if every reply is the same; it takes 59 cases, or max_drop: 0.14"
)


@dataclass(frozen=True, slots=True)
class End:
    """One way in which a gate, or a run, ends.

    Attributes:
        outcome: the heading of the page.
        reason: which check or which reason decides.
        made: makes the verdict, or the run.
        tests: the tests that follow its advice to a green run, or that reach the end where no
            advice can promise one.
        remark: what the advice cannot promise; "" if it leads to a green run.
    """

    outcome: str
    reason: str
    made: Callable[[], Verdict | Report]
    tests: tuple[str, ...]
    remark: str = ""

    def screen(self) -> str:
        """Return what the closing section shows."""
        made = self.made()
        if isinstance(made, Report):
            lines = summary_lines(made)
        else:
            lines = gate_lines(made, node_name(made), made.next, 24)
        return "\n".join(line.rstrip() for line in lines).strip("\n")


def _rate(wrong: int, gate: RateGate, *, before: int = 2, n: int = 100, **more) -> Verdict:
    """Return the verdict on a variant with *wrong* of *n* replies, against *before* wrong ones."""
    new, current = (
        variant_scores(name, [0.0] * count + [1.0] * (n - count))
        for name, count in (("new", wrong), ("current", before))
    )
    return evaluate_rate(suite(gate), gate, Comparison(new, more.pop("baseline", current), **more))


def _alone(wrong: int, gate: RateGate) -> Verdict:
    """Return the verdict on the baseline itself, which is compared with nothing."""
    scores = variant_scores("current", [0.0] * wrong + [1.0] * (100 - wrong))
    return evaluate_rate(suite(gate), gate, Comparison(scores, scores))


def _mistaken() -> Verdict:
    """Return a verdict below a minimum, since one label is taken for another."""
    verdict = _alone(30, _gate(min=0.85))
    told = _step(StepKind.FIX_LABEL, label="refund", taken_for="billing", replies=24)
    (limit,) = (step for step in verdict.next if step.kind is StepKind.SET_LIMIT)
    shown = (replace(flip, expected="refund", now="billing") for flip in verdict.flips)
    return replace(verdict, next=(told, limit), flips=tuple(shown))


def _gate(**limits: float) -> RateGate:
    return RateGate(kind="accuracy", line=7, **limits)


def _caused() -> Verdict:
    verdict = _rate(30, _gate(max_drop=0.05))
    cause = "the adapter has 2 times the weight of its training; remove scale"
    return replace(verdict, next=(_step(StepKind.CHECK_CAUSE, cause=cause), *verdict.next))


def _against_accepted(*, anchor: bool = False) -> Verdict:
    new = variant_scores("new", [0.0] * 30 + [1.0] * 70)
    last, first = (variant_scores("new", [0.0] * k + [1.0] * (100 - k)) for k in (28, 2))
    accepted, oldest = (samples_from_scores(s, "accuracy") for s in (last, first))
    gate = _gate(max_drop=0.2)
    sides = {"accepted": accepted, "anchor": oldest} if anchor else {"accepted": oldest}
    return evaluate_rate(suite(gate), gate, Comparison(new, new, **sides))


def _must_pass() -> Verdict:
    step = _step(StepKind.FIX_MUST_PASS, cases="c000", repeated=True)
    return _check(
        _rate(2, _gate(min=0.85)), Outcome.FAILED, step,
        kind=CheckKind.MUST_PASS, case_ids=("c000",), n=3, after=2 / 3,
    )  # fmt: skip


def _part() -> Verdict:
    verdict = _rate(4, _gate(max_drop=0.2), n=300)
    slices = failing_run().verdicts[2].slices
    part = replace(slices[0], kind="tag", name="invoices", state="regressed", gated=True)
    return replace(verdict, outcome=Outcome.FAILED, slices=(part,), next=())


def _check(verdict: Verdict, outcome: Outcome, *steps: NextStep, **values) -> Verdict:
    """Return *verdict* with other values of its check, and with *steps*."""
    check = replace(verdict.check, outcome=outcome, **values)
    return replace(verdict, outcome=outcome, checks=(check,), deciding=0, next=steps)


def _step(kind: StepKind, **values) -> NextStep:
    return NextStep(kind, {"suite": SUITE, "where": f"{SUITE}:7", **values})


def _usage(gate: str, kind: CheckKind, unit: str, outcome: Outcome, *steps: NextStep) -> Verdict:
    seen = {"usd": 0.62, "ms": 1_900.0}[unit]
    limit = {"usd": 0.5, "ms": 1_500.0}[unit]
    verdict = _check(
        _rate(2, _gate(min=0.5)), outcome, *steps,
        kind=kind, unit=unit, after=seen, limit=limit, before=None, against="",
        low=seen * 0.9, high=seen * 1.1, informative=True,
    )  # fmt: skip
    return replace(verdict, gate=gate, statement=Statement(StatementKind.USAGE), flips=())


def _thoughts() -> Verdict:
    verdict = _check(
        _rate(30, _gate(max_drop=0.05)), Outcome.FAILED,
        _step(StepKind.KEEP_THOUGHTS, variant="new"), measure="thoughts",
    )  # fmt: skip
    return replace(verdict, statement=Statement(StatementKind.RATE, {"measure": "accuracy"}))


def _data() -> Verdict:
    text = "3 of 100 cases stand in the training data; the first is t007 (line 101)"
    finding = Finding(
        kind="leak", severity=Severity.ERROR, message=text, lines=(101, 102, 103),
        next="remove these rows from train.jsonl",
    )  # fmt: skip
    step = _step(StepKind.FIX_TRAINING_DATA, remedy="remove these rows from train.jsonl")
    return replace(
        _stated(StatementKind.TRAINING_DATA, Outcome.FAILED, step, file="train.jsonl", rows=103),
        gate="data", findings=(finding,),
    )  # fmt: skip


def _stated(kind: StatementKind, outcome: Outcome, *steps: NextStep, **values) -> Verdict:
    """Return a verdict without a check."""
    verdict = _rate(2, _gate(min=0.5))
    return replace(
        verdict, outcome=outcome, statement=Statement(kind, values), checks=(), deciding=0,
        flips=(), next=steps, notes=(),
    )  # fmt: skip


def _ungated(kind: StatementKind, *steps: NextStep, **values) -> Verdict:
    """Return the verdict of a gate that nothing can fail."""
    return replace(_stated(kind, Outcome.PASSED, *steps, **values), gated=False)


def _shrunk(change: ExamChange, step: StepKind) -> Verdict:
    """Return the verdict of a gate that passes on what is left of what was accepted."""
    verdict = _stated(StatementKind.EXAM_HAS_SHRUNK, Outcome.INCONCLUSIVE, _step(step))
    return replace(verdict, exam=change, notes=tuple(map(text_note, [*exam_sentences(change)][1:])))


def _missing() -> Verdict:
    return _check(
        _rate(4, ACCURACY), Outcome.INCONCLUSIVE, _step(StepKind.RUN_AGAIN, missing=20),
        n=80, missing=20, notes=(text_note("20 cases have no reply"),),
    )  # fmt: skip


def _judge() -> Verdict:
    judge = JudgeValidation(
        judge="grader", provider="anthropic", rubric="Be polite.", labels=40,
        errors=(text_note("kappa 0.31 is below its minimum of 0.60"),),
    )  # fmt: skip
    verdict = _stated(
        StatementKind.UNQUALIFIED_JUDGE, Outcome.INCONCLUSIVE, _step(StepKind.IMPROVE_JUDGE)
    )
    return replace(verdict, judges=(judge,))


def _skill() -> Verdict:
    verdict = failing_run().verdicts[2]
    return _check(
        verdict, Outcome.INCONCLUSIVE, _step(StepKind.ADD_CASES, needed=60, cases="skills case"),
        _step(StepKind.SETTLE_SKILL, skill="code", n=28, margin=0.1, low=-0.2, high=0.02),
        before=0.78, after=0.72, low=-0.14, high=0.02, p_fail=0.2, regressed=6, fixed=2,
    )  # fmt: skip


def _repeats() -> Verdict:
    verdict = inconclusive_verdict()
    settle = _step(StepKind.SETTLE, setting="settle: 5", repeats=5)
    more = _step(StepKind.REPEAT_BASELINE, repeats=10, passes=0.92, now=0.71)
    return replace(verdict, next=(settle, *verdict.next[:1], more))


def _ship() -> Report:
    return report(
        _rate(30, _gate(max_drop=0.05)), replace(_rate(2, _gate(max_drop=0.05)), variant="good")
    )


def _budget() -> Report:
    verdict = replace(
        _stated(
            StatementKind.NO_REPLIES, Outcome.INCONCLUSIVE, _step(StepKind.RUN_AGAIN, missing=100)
        )
    )
    cost = CostReport(
        asked=0.9, stopped="budget of 0.90 USD (--ftgate-max-usd) reached", unasked=100
    )
    return report(verdict, cost=cost, requests=RequestCounts(replies=100, sent=100, seconds=9.0))


def _error(reason: str) -> Callable[[], Report]:
    return lambda: report(
        not_evaluated=(gate_not_evaluated(reason),), requests=RequestCounts(), cost=CostReport()
    )


def _interrupted() -> Report:
    notes = (
        f"cut off with 62 of 200 requests not answered; {CONTINUES}",
        "new so far: 38 of 100 cases, 92 % right",
    )
    return report(
        not_evaluated=(gate_not_evaluated("the run was interrupted"),), notes=notes,
        requests=RequestCounts(replies=138, sent=138, seconds=12.0), cost=CostReport(asked=0.12),
    )  # fmt: skip


_J = "tests/journeys/"
_TRAIN = "no build can promise that another training run passes"
_DATA = "new cases differ by chance, so they settle it 9 times in 10, not always"
ENDS: tuple[End, ...] = (
    End("passed", "the limit holds", lambda: report(_rate(2, ACCURACY, n=300)),
        (f"{_J}test_first_suite.py::test_a_green_run_says_what_it_measured_in_two_lines",)),
    End("passed", "nothing to compare with yet",
        lambda: report(_stated(StatementKind.NOTHING_TO_COMPARE, Outcome.PASSED,
                               _step(StepKind.ACCEPT), rate=0.98)),
        (f"{STEPS}an_unread_first_run_is_accepted_and_compared_with_from_then_on",)),
    End("not gated", "macro-F1 without a baseline",
        lambda: report(_ungated(StatementKind.NOT_GATED, _step(StepKind.ADD_MINIMUM),
                                key="baseline")),
        (f"{STEPS}macro_f1_without_a_baseline_passes_with_a_minimum",)),
    End("not gated", "a minimum of 0, and nothing to compare with",
        lambda: report(_ungated(StatementKind.NOT_GATED, _step(StepKind.ADD_MINIMUM),
                                minimum=0.0, key="max_drop: none")),
        (f"{STEPS}a_minimum_of_nothing_gates_nothing_until_another_one_is_written",)),
    End("not gated", "nothing to compare with: it is the baseline",
        lambda: report(replace(_ungated(StatementKind.NOT_GATED, key="baseline"), gate="cost")),
        (f"{_J}test_cost.py::test_a_rise_against_the_baseline_fails",)),
    End("not gated", "latency that was not measured",
        lambda: report(replace(_ungated(StatementKind.NOT_MEASURED,
                                        _step(StepKind.REQUEST_TO_MEASURE, **NOT_MEASURED),
                                        **NOT_MEASURED), gate="latency", measured=False)),
        (f"{_J}test_latency.py::test_asked_anew_they_are_measured_again",)),
    End("failed", "minimum", lambda: _alone(30, _gate(min=0.85)),
        (f"{STEPS}the_limit_that_a_verdict_names_passes_the_same_replies",)),
    End("failed", "minimum, by a label that is mistaken for another", _mistaken,
        (f"{STEPS}the_limit_that_a_verdict_names_passes_the_same_replies",)),
    End("failed", "baseline", lambda: _rate(30, _gate(max_drop=0.05)),
        (f"{STEPS}a_candidate_that_is_made_the_baseline_passes",
         f"{STEPS}the_limit_that_a_verdict_names_passes_the_same_replies")),
    End("failed", "baseline, beside a variant that passes", _ship,
        (f"{STEPS}the_variant_to_ship_passes_once_the_other_one_is_left_out",)),
    End("failed", "accepted", _against_accepted,
        (f"{STEPS}an_intended_drop_from_the_accepted_run_is_accepted_by_the_command",)),
    End("failed", "anchor", lambda: _against_accepted(anchor=True),
        (f"{STEPS}an_intended_drop_from_the_accepted_run_is_accepted_by_the_command",)),
    End("failed", "must_pass", _must_pass, (f"{STEPS}must_pass_cases_that_are_fixed_pass",)),
    End("failed", "a part of the cases", _part,
        (f"{_J}test_must_pass.py::test_a_lost_label_fails_the_gate_that_looks_at_labels",
         f"{STEPS}a_part_that_is_fixed_passes"),
        "no limit excuses a part: fix it, or ship another variant"),
    End("failed", "format", lambda: failing_run().verdicts[1],
        (f"{STEPS}replies_in_the_right_format_pass",)),
    End("failed", "base", lambda: failing_run().verdicts[2],
        (f"{_J}test_forgetting.py::test_a_loss_planted_in_one_skill_is_found_in_its_family_and_nowhere_else",),
        _TRAIN),
    End("failed", "a likely cause beside the training", _caused,
        ("tests/gates/test_diagnosis.py::test_each_cause_is_a_step_of_a_gate_that_failed_and_of_no_other",),
        "the cause is likely, not proven; nightly, each one is made with the embedded model"),
    End("failed", "thoughts", _thoughts,
        (f"{_J}test_thoughts.py::test_a_fine_tune_that_stopped_thinking_fails_its_gate_and_is_told",
         f"{_J}test_thoughts.py::test_thoughts_that_may_go_pass_once_their_limit_is_left_out"),
        _TRAIN),
    End("failed", "mean", lambda: _usage("cost", CheckKind.MEAN, "usd", Outcome.FAILED,
                                         _step(StepKind.LOWER_USAGE)),
        (f"{_J}test_cost.py::test_a_cheaper_model_passes_the_limit_that_a_dear_one_failed",)),
    End("failed", "p50", lambda: _usage("latency", CheckKind.P50, "ms", Outcome.FAILED,
                                        _step(StepKind.LOWER_USAGE)),
        (f"{_J}test_latency.py::test_a_quicker_model_passes_the_limit_that_a_slow_one_failed",)),
    End("failed", "p95", lambda: _usage("latency", CheckKind.P95, "ms", Outcome.FAILED,
                                        _step(StepKind.LOWER_USAGE)),
        (f"{_J}test_latency.py::test_a_quicker_model_passes_the_limit_that_a_slow_one_failed",)),
    End("failed", "training data", _data,
        (f"{STEPS}training_data_passes_without_the_rows_that_are_cases",)),
    End("inconclusive", "too few cases", inconclusive_verdict,
        (f"{STEPS}cases_that_are_fixed_pass",
         f"{STEPS}the_limit_that_a_verdict_names_passes_the_same_replies",
         "tests/gates/test_checks_needed.py::test_the_named_cases_settle_nine_in_ten_runs_that_behave_like_the_seen_ones"),
        _DATA),
    End("inconclusive", "too few repeats", _repeats,
        (f"{_J}test_looks.py::test_a_gate_that_may_settle_asks_on_until_it_knows",
         "tests/gates/test_power.py::test_a_repeated_baseline_adds_power"), _DATA),
    End("inconclusive", "a real drop, smaller than the limit",
        lambda: _rate(13, _gate(max_drop=0.05), before=3, n=300),
        (f"{_J}test_inconclusive.py::test_a_real_drop_within_the_limit_is_called_real",
         f"{STEPS}a_real_drop_within_the_limit_passes_with_the_limit_that_is_named"), _DATA),
    End("inconclusive", "likely beyond the limit, but not surely",
        lambda: _check(_rate(6, _gate(max_drop=0.15), before=0, n=20), Outcome.INCONCLUSIVE,
                       _step(StepKind.ADD_CASES, needed=14, cases="case"), p_fail=0.02,
                       low=-0.52, high=-0.16),
        (f"{STEPS}the_cases_that_are_added_settle_a_drop_that_was_likely_beyond_the_limit",),
        _DATA),
    End("inconclusive", "replies are missing", _missing,
        (f"{STEPS}cases_without_a_reply_are_complete_after_the_command",)),
    End("inconclusive", "recorded replies are missing", lambda: replace(
            _missing(), next=(_step(StepKind.ADD_REPLIES, missing=20, file="new.jsonl"),)),
        (f"{STEPS}recorded_replies_that_are_added_complete_the_gate",)),
    End("inconclusive", "replies are missing, and nothing to compare with yet",
        lambda: _stated(StatementKind.NOTHING_TO_COMPARE, Outcome.INCONCLUSIVE,
                        _step(StepKind.RUN_AGAIN, missing=10), rate=1.0, missing=10, cases=100),
        (f"{STEPS}a_first_run_that_lacks_replies_passes_after_the_command",)),
    End("inconclusive", "no reply is right, and nothing to compare with yet",
        lambda: _stated(StatementKind.NOTHING_TO_COMPARE, Outcome.INCONCLUSIVE,
                        _step(StepKind.CHECK_SCORE), rate=0.0),
        (f"{STEPS}a_first_run_in_which_nothing_is_right_passes_once_the_score_is_mended",)),
    End("inconclusive", "the baseline has drifted",
        lambda: _rate(2, _gate(max_drop=0.05),
                      baseline_drift=DRIFT),
        (f"{_J}test_drift.py::test_the_command_for_a_drifted_baseline_compares_replies_of_one_day",)),
    End("inconclusive", "a baseline at chance",
        lambda: _check(_rate(99, _gate(max_drop=0.05), before=98), Outcome.INCONCLUSIVE,
                       _step(StepKind.DECLARE_MINIMUM), informative=False,
                       notes=(AT_CHANCE,)),
        (f"{STEPS}a_comparison_that_can_show_nothing_passes_with_the_minimum_that_is_added",)),
    End("inconclusive", "less is tested than was accepted",
        lambda: report(_shrunk(SHRUNK, StepKind.ACCEPT_EXAM)),
        (f"{_J}test_exam.py::test_an_exam_that_has_shrunk_blocks_the_build_and_says_what_it_has_lost",
         f"{_J}test_exam.py::test_nothing_is_asked_for_again_once_a_run_is_accepted_in_the_same_change")),
    End("inconclusive", "an accepted record of an older form",
        lambda: report(_shrunk(ExamChange(is_older=True), StepKind.ACCEPT)),
        (f"{_J}test_exam.py::test_a_record_of_the_older_form_is_accepted_once",)),
    End("inconclusive", "nothing is right on either side",
        lambda: _rate(100, _gate(max_drop=0.05), before=100),
        (f"{STEPS}a_comparison_in_which_nothing_is_right_passes_once_the_score_is_mended",)),
    End("inconclusive", "a minimum that guessing reaches",
        lambda: _check(_alone(2, _gate(min=0.4)), Outcome.INCONCLUSIVE,
                       _step(StepKind.RAISE_MINIMUM), informative=False,
                       notes=(GUESSED,)),
        (f"{STEPS}a_minimum_that_guessing_reaches_passes_once_it_is_raised",)),
    End("inconclusive", "a skill", _skill,
        (f"{_J}test_forgetting.py::test_a_skill_may_be_given_up",), _DATA),
    End("inconclusive", "a rise that shows nothing",
        lambda: _usage("cost", CheckKind.MEAN, "usd", Outcome.INCONCLUSIVE,
                       _step(StepKind.DECLARE_LIMIT)),
        (f"{_J}test_cost.py::test_a_rise_from_nothing_shows_nothing_and_a_limit_of_its_own_passes",)),
    End("inconclusive", "a judge that is not qualified", _judge,
        (f"{_J}test_judge.py::test_a_better_judge_settles_what_one_that_is_not_fit_left_open",),
        "whether a sharper rubric agrees with people must be measured"),
    End("inconclusive", "no grade came",
        lambda: _stated(StatementKind.NO_GRADES, Outcome.INCONCLUSIVE,
                        _step(StepKind.IMPROVE_JUDGE, ungraded=100),
                        _step(StepKind.RUN_AGAIN, missing=100)),
        (f"{_J}test_judge.py::test_a_judge_that_gives_no_grade_is_replaced_since_its_replies_are_cached",)),
    End("invalid", "the replies are the base model's",
        lambda: replace(_rate(2, ACCURACY), outcome=Outcome.INVALID,
            statement=invalid(SAME_AS_BASE), checks=(), flips=(),
            next=(_step(StepKind.CHECK_IDENTITY, claims="adapter"),)),
        (f"{_J}test_forgetting.py::test_the_base_itself_in_place_of_a_fine_tune_is_invalid",
         f"{_J}test_forgetting.py::test_a_tuned_model_that_did_not_answer_passes_once_its_name_is_requested")),
    End("invalid", "another model answers",
        lambda: replace(_rate(2, ACCURACY), outcome=Outcome.INVALID, statement=invalid(
            "another model answered: gpt-small, declared gpt-large"),
            checks=(), flips=(), next=(_step(StepKind.CHECK_IDENTITY, claims="model"),)),
        (f"{_J}test_misbehaving_servers.py::test_the_model_that_is_declared_as_served_is_what_it_claims",)),
    End("error", "a key is missing",
        _error("current: no credentials: set ANTHROPIC_API_KEY, or evaluate what is recorded with "
               "--ftgate-replies=recorded"),
        (f"{_J}test_errors.py::test_a_missing_key_is_an_error_that_says_what_to_set",
         f"{_J}test_cost.py::test_a_key_that_was_missing_is_set_and_the_same_command_passes")),
    End("error", "most requests failed",
        _error("current: 180 of 200 requests brought no reply; the first: connection refused at "
               "http://127.0.0.1:9/v1; is the server running?"),
        (f"{_J}test_errors.py::test_an_error_is_asked_again_in_the_next_run",)),
    End("error", "replies are not recorded",
        _error(NOT_RECORDED),
        (f"{_J}test_replay.py::test_a_missing_reply_is_counted_with_the_command_that_brings_it",
         f"{_J}test_replay.py::test_a_missing_reply_is_recorded_by_the_command_that_brings_it")),
    End("error", "the suite has errors",
        _error(TOO_FEW),
        (f"{STEPS}too_few_cases_are_read_with_the_limit_that_the_error_names",)),
    End("budget", "the budget is spent", _budget,
        (f"{_J}test_budget.py::test_the_command_of_a_stopped_run_finishes_it",)),
    End("interrupted", "Ctrl-C, or the end of the job", _interrupted,
        (f"{_J}test_interrupted.py::test_what_is_in_flight_comes_home_and_nothing_more_is_sent",)),
)  # fmt: skip


def page() -> str:
    """Return the page that shows every end."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "<!-- Made by tests/ftgate_testing/ends.py; change that file, not this page. -->"
    yield "# Every way a gate ends\n"
    yield "For each end: what the closing section shows, and the tests that do what it advises,"
    yield "until the gate passes. Where no advice can promise that, the end says so."
    yield "[Read a build that is not green](how-to/read-a-build.md) explains the words."
    outcome = ""
    for end in ENDS:
        if end.outcome != outcome:
            outcome = end.outcome
            yield f"\n## {outcome.capitalize()}"
        yield f"\n### {outcome}: {end.reason}\n"
        yield f"```\n{end.screen()}\n```\n"
        tests = "\n".join(f"- `{test}`" for test in end.tests)
        yield f"Tested by\n\n{tests}"
        if end.remark:
            yield f"\n{end.remark[0].upper()}{end.remark[1:]}."


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
