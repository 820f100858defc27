"""Every way in which a gate ends: its screen, and the tests that follow its steps.

``PYTHONPATH=tests python -m ftgate_testing.ends`` writes docs/contributing/ends.md, which
tests/docs/test_ends.py holds. No sentence is written here: screens are made of runs, and where a
run would take a model or a day, of the kinds and values that such a run brings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from ftgate_testing.ended_runs import (
    DOWN,
    INTERRUPTING,
    LABELS,
    NOTICES_THE_END,
    SUITE,
    ended_run,
    evaluated,
    missing,
    tickets,
    verdict_of,
    wrong,
)
from ftgate_testing.inputs import compared, every, labelled
from ftgate_testing.reports import FORGETTING, failing_run, inconclusive_verdict, report
from ftgate_testing.score_columns import rate_verdict, skill_scores, suite, variant_scores
from pytest_ftgate.gates.diagnosis import cause_steps
from pytest_ftgate.gates.figure import JudgeValidation
from pytest_ftgate.gates.forgetting import SkillComparison, evaluate_forgetting
from pytest_ftgate.gates.identity import drift_note
from pytest_ftgate.gates.notes import Cause, IdentityNote, Note, NoteKind, note, text_note
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
from pytest_ftgate.gates.verdict import CheckKind, Outcome, Verdict
from pytest_ftgate.reporting.gate_summary import gate_lines
from pytest_ftgate.reporting.headlines import exam_sentences
from pytest_ftgate.reporting.summary import summary_lines
from pytest_ftgate.requests.reply import wrong_model
from pytest_ftgate.requests.request import Request
from pytest_ftgate.results.run import Report, node_name
from pytest_ftgate.suite.gate_kinds import RateGate

PAGE = Path(__file__).parents[2] / "docs" / "contributing" / "ends.md"
STEPS = "tests/journeys/test_followed_steps.py::test_"
SHRUNK = ExamChange(
    accepted=200,
    lost=(LostCases("gone", 46, 40, ("t003", "t011", "t012", "t019", "t023")),),
    losses=(ExamLoss(LossOfExam.LIMIT, "max_drop", 0.05, "none"),),
)
#: A function of the project that answers.
ASKED = '{provider: python, function: "answers:answer"}'


@dataclass(frozen=True, slots=True)
class End:
    """One way in which a gate, or a run, ends.

    Attributes:
        outcome: the heading of the page.
        reason: which check or which reason decides.
        made: makes the verdict, or the run.
        tests: the tests that follow its steps to a green run, or that reach the end where no step
            can promise one.
        remark: what the steps cannot promise; "" if they lead to a green run.
    """

    outcome: str
    reason: str
    made: Callable[[], Verdict | Report]
    tests: tuple[str, ...]
    remark: str = ""

    def __post_init__(self) -> None:
        # It takes a run to make one.
        object.__setattr__(self, "made", cache(self.made))

    def screen(self) -> str:
        """Return what the closing section shows."""
        made = self.made()
        if isinstance(made, Report):
            lines = summary_lines(made)
        else:
            (verdict,) = report(made).verdicts
            lines = gate_lines(verdict, node_name(verdict), 24)
        return "\n".join(line.rstrip() for line in lines).strip("\n")


# Ends of runs -------------------------------------------------------------------------------------


def _drop(gates: str, before: int, after: int, n: int = 100, **more) -> Verdict:
    """Return the verdict on *new*, of whose *n* replies so many are wrong, against *current*."""
    replies = {"current": wrong(before), "new": wrong(after)}
    return verdict_of(evaluated(gates, tickets(n), **replies, **more))


def _alone(gates: str, count: int, said: str = "", **more) -> Report:
    """Return the run of a baseline that is compared with nothing, with *count* wrong replies."""
    return evaluated(gates, tickets(100), current=wrong(count, said), **more)


def _minimum(count: int, said: str = "", *, gates: str = "accuracy: {min: 0.85}") -> Verdict:
    return verdict_of(_alone(gates, count, said), "current")


def _below_minimum() -> Verdict:
    run = evaluated("accuracy: {min: 0.85}", tickets(300), current=wrong(66))
    return verdict_of(run, "current")


def _part() -> Verdict:
    cases = tickets(400, lambda n: {"tags": ["invoices" if n < 60 else "others"]})
    gates = "accuracy: {max_drop: 0.2, slices: [tag]}"
    return verdict_of(evaluated(gates, cases, current=wrong(0), new=wrong(30)))


def _must_pass() -> Verdict:
    cases = tickets(100, lambda n: {"must_pass": True} if n == 0 else {})
    return verdict_of(evaluated("accuracy: {min: 0.85}", cases, current=wrong(1)), "current")


def _cut_off() -> Verdict:
    def cut(n: int) -> dict[str, object] | str:
        return {"text": "I think that", "stop": "length"} if n < 30 else LABELS[n % 2]

    gates = "accuracy: {max_drop: 0.05}"
    return verdict_of(evaluated(gates, tickets(100), current=wrong(2), new=cut))


def _data() -> Report:
    asked = [f"Customer {n} writes {n * 7919 % 9973}" for n in range(100)]
    cases = tickets(100)
    rows = [{"input": asked[n], "expected": LABELS[n % 2]} for n in range(100)]
    rows[:3] = [{"input": case["input"], "expected": case["expected"]} for case in cases[:3]]
    tuned = {"new": ", rung: fine-tuned, training_data: train.jsonl"}
    gates = "accuracy: {min: 0.5}\ndata: {min_rows: 50}"
    replies = {"current": wrong(2), "new": wrong(2)}
    return evaluated(gates, cases, {"train.jsonl": rows}, more=tuned, **replies)


def _likely_beyond() -> Verdict:
    # Several variants share the error rate, so that each needs more evidence.
    others = {f"good-{number}": wrong(0) for number in range(8)}
    gates = "accuracy: {max_drop: 0.15}"
    return verdict_of(evaluated(gates, tickets(20), current=wrong(0), new=wrong(8), **others))


def _missing(gates: str, **replies) -> Verdict:
    return verdict_of(evaluated(gates, tickets(100), **replies), [*replies][-1])


# Ends that take a model, a server or a day --------------------------------------------------------


def _rate(wrong_replies: int, gate: RateGate, **more) -> Verdict:
    """Return the verdict on a variant with so many of 100 replies wrong, against 2 wrong ones."""
    new, current = (
        variant_scores(name, [0.0] * count + [1.0] * (100 - count))
        for name, count in (("new", wrong_replies), ("current", 2))
    )
    return evaluate_rate(suite(gate), gate, Comparison(new, current, **more))


def _gate(**limits: float) -> RateGate:
    return RateGate(kind="accuracy", line=7, **limits)


def _caused() -> Verdict:
    verdict = _rate(30, _gate(max_drop=0.05))
    (step,) = cause_steps(verdict.outcome, [note(Cause.SCALE, times=2.0)])
    return replace(verdict, next=(step, *verdict.next))


def _against_accepted(*, anchor: bool = False) -> Verdict:
    new = variant_scores("new", [0.0] * 30 + [1.0] * 70)
    last, first = (variant_scores("new", [0.0] * k + [1.0] * (100 - k)) for k in (28, 2))
    accepted, oldest = (samples_from_scores(s, "accuracy") for s in (last, first))
    gate = _gate(max_drop=0.2)
    sides = {"accepted": accepted, "anchor": oldest} if anchor else {"accepted": oldest}
    return evaluate_rate(suite(gate), gate, Comparison(new, new, **sides))


def _drifted() -> Verdict:
    then, now = (
        samples_from_scores(variant_scores("current", [float(right)] * 20), "accuracy")
        for right in (True, False)
    )
    return _rate(2, _gate(max_drop=0.05), baseline_drift=drift_note(then, now))


def _check(verdict: Verdict, outcome: Outcome, *steps: NextStep, **values) -> Verdict:
    """Return *verdict* with other values of its check, and with *steps*."""
    check = replace(verdict.check, outcome=outcome, **values)
    return replace(verdict, outcome=outcome, checks=(check,), deciding=0, next=steps)


def _step(kind: StepKind, **values) -> NextStep:
    return NextStep(kind, {"suite": SUITE, "where": f"{SUITE}:7", **values})


def _latency(kind: CheckKind) -> Verdict:
    verdict = _check(
        _rate(2, _gate(min=0.5)), Outcome.FAILED, _step(StepKind.LOWER_USAGE),
        kind=kind, unit="ms", after=1_900.0, limit=1_500.0, before=None, against="",
        low=1_710.0, high=2_090.0, informative=True,
    )  # fmt: skip
    return replace(verdict, gate="latency", statement=Statement(StatementKind.USAGE), flips=())


def _open_cost() -> Verdict:
    """Return the cost of replies that may be ten times as long as the longest one that was seen."""
    most = {"most": 0.02, "max_tokens": 4096, "passing": 900, "longest": 412}
    verdict = _check(
        _rate(2, _gate(min=0.5)), Outcome.INCONCLUSIVE,
        _step(StepKind.SET_MAX_TOKENS, tokens=900, longest=412),
        _step(
            StepKind.ADD_CASES, needed=160, unchanged=0, cases="case", default=0.0, fails=False
        ),
        kind=CheckKind.MEAN, unit="usd", after=2.1, limit=3.0, before=None, against="",
        low=1.92, high=3.3, informative=True,
        notes=(note(NoteKind.UNSEEN_COST, **most, share=0.036),),
    )  # fmt: skip
    return replace(verdict, gate="cost", statement=Statement(StatementKind.USAGE), flips=())


def _copies() -> Verdict:
    """Return the accuracy of an agent whose runs of a task are copies."""
    return _check(
        _rate(2, _gate(min=0.5)), Outcome.INCONCLUSIVE,
        _step(StepKind.CLAIM_OTHERS, where="tickets.ftgate.yaml:9"),
        kind=CheckKind.MINIMUM, before=None, against="", limit=0.3, tasks=12, n=36, noun="task",
        after=0.5, low=0.33, high=0.67, notes=(note(NoteKind.COPIES, variant="new"),),
    )  # fmt: skip


def _without_bound() -> Verdict:
    """Return the cost of runs that state it, where nothing limits what one may cost."""
    verdict = _check(
        _rate(2, _gate(min=0.5)), Outcome.INCONCLUSIVE, _step(StepKind.BOUND_COST, needed=300),
        kind=CheckKind.MEAN, unit="usd", n=90, after=1.94, limit=2.0, before=None, against="",
        low=1.86, high=2.03, informative=True, method="t",
        notes=(note(NoteKind.FEW_CASES, n=90, needed=300),),
    )  # fmt: skip
    return replace(verdict, gate="cost", statement=Statement(StatementKind.USAGE), flips=())


def _unpriced() -> Verdict:
    """Return the cost of replies of a server that reports no tokens."""
    verdict = _check(
        _rate(2, _gate(min=0.5)), Outcome.INCONCLUSIVE,
        _step(StepKind.DECLARE_PRICE, variant="new", where="tickets.ftgate.yaml:6"),
        kind=CheckKind.MEAN, unit="usd", n=0, after=0.0, limit=3.0, before=None, against="",
        low=None, high=None, missing=300, informative=True,
    )  # fmt: skip
    told = note(NoteKind.NO_TOKENS, n=300, of=300, variant="new")
    statement = Statement(StatementKind.USAGE)
    return replace(verdict, gate="cost", statement=statement, notes=(told,), flips=())


def _runs(outcome: Outcome, step: NextStep, **values) -> Verdict:
    """Return what a success of an agent costs in 40 runs of these tasks."""
    verdict = _check(
        _rate(2, _gate(min=0.5)), outcome, step,
        kind=CheckKind.MEAN, unit="usd_per_success", limit=0.5, before=None, against="",
        informative=True, n=40, tasks=8, effective=40, method="t", **values,
    )  # fmt: skip
    return replace(verdict, gate="cost", statement=Statement(StatementKind.USAGE), flips=())


def _few_runs() -> Verdict:
    step = _step(StepKind.REPEAT_RUNS, repeats=9, fails=False)
    return _runs(Outcome.INCONCLUSIVE, step, after=0.46, low=0.4, high=0.53)


def _unstated_runs() -> Verdict:
    step = _step(StepKind.STATE_AMOUNT, missing=8, unit="usd_per_success", program=True)
    gap = {"n": 8, "of": 48, "unit": "usd_per_success", "variant": "new"}
    told = note(NoteKind.UNKNOWN_RUNS, **gap, allowed=0.05)
    return _runs(Outcome.INCONCLUSIVE, step, after=0.3, low=0.2, high=0.4, missing=8, notes=(told,))


def _no_success() -> Verdict:
    told = note(NoteKind.NO_SUCCESS, n=40, rate=0.124, least=1.61)
    step = _step(StepKind.CHECK_SCORE)
    return _runs(Outcome.FAILED, step, after=1.61, low=1.61, high=None, notes=(told,))


def _thoughts() -> Verdict:
    verdict = _check(
        _rate(30, _gate(max_drop=0.05)), Outcome.FAILED,
        _step(StepKind.KEEP_THOUGHTS, variant="new"), measure="thoughts",
    )  # fmt: skip
    return replace(verdict, statement=Statement(StatementKind.RATE, {"measure": "accuracy"}))


def _stated(kind: StatementKind, outcome: Outcome, *steps: NextStep, **values) -> Verdict:
    """Return a verdict without a check."""
    verdict = _rate(2, _gate(min=0.5))
    return replace(
        verdict, outcome=outcome, statement=Statement(kind, values), checks=(), deciding=0,
        flips=(), next=steps, notes=(),
    )  # fmt: skip


def _shrunk(change: ExamChange, step: StepKind) -> Verdict:
    """Return the verdict of a gate that passes on what is left of what was accepted."""
    verdict = _stated(StatementKind.EXAM_HAS_SHRUNK, Outcome.INCONCLUSIVE, _step(step))
    return replace(verdict, exam=change, notes=tuple(map(text_note, [*exam_sentences(change)][1:])))


def _missing_requests() -> Verdict:
    lost = note(NoteKind.MISSING, missing=20, of=100)
    return _check(
        _rate(4, _gate(max_drop=0.05)), Outcome.INCONCLUSIVE,
        _step(StepKind.RUN_AGAIN, missing=20), n=80, missing=20, notes=(lost,),
    )  # fmt: skip


def _judge() -> Verdict:
    values = {"metric": "kappa", "value": 0.31, "low": 0.12, "high": 0.5, "minimum": 0.6}
    judge = JudgeValidation(
        judge="grader", provider="anthropic", rubric="Be polite.", labels=40,
        errors=(note(NoteKind.METRIC_BELOW, **values),),
    )  # fmt: skip
    verdict = _stated(
        StatementKind.UNQUALIFIED_JUDGE, Outcome.INCONCLUSIVE, _step(StepKind.IMPROVE_JUDGE)
    )
    return replace(verdict, judges=(judge,))


def _skill() -> Verdict:
    """Return the verdict on a skill with a limit of its own, which the mean does not excuse."""
    gate = replace(FORGETTING, margins={"code": 0.1})
    base = skill_scores("base of new", {"code": (24, 4), "reading": (40, 8)})
    tuned = skill_scores("new", {"code": (22, 6), "reading": (40, 8)})
    return evaluate_forgetting(suite(gate), gate, SkillComparison({"": (tuned, base)}))


def _repeats() -> Verdict:
    verdict = inconclusive_verdict()
    settle = _step(StepKind.SETTLE, setting="settle: 5", repeats=5)
    return replace(verdict, next=(settle, *verdict.next[:1]))


def _invalid(reason: Note, claims: str) -> Verdict:
    statement = Statement(StatementKind.INVALID, reason.values_with("reason"))
    verdict = _stated(StatementKind.INVALID, Outcome.INVALID)
    step = _step(StepKind.CHECK_IDENTITY, claims=claims)
    return replace(verdict, statement=statement, next=(step,))


def _same_as_base() -> Verdict:
    counts = {"agree": 60, "of": 60, "base_agrees": 60, "model": "tickets"}
    return _invalid(note(IdentityNote.SAME_BY_ADAPTER, **counts), "adapter")


def _another_model() -> Verdict:
    asked = Request(
        fingerprint="", provider="openai-compatible", model="gpt-large", messages=(),
        max_tokens=16, sampling={},
    )  # fmt: skip
    return _invalid(text_note(wrong_model(asked, "gpt-small")), "model")


def _unused_skill() -> Verdict:
    counts = {"skill": "pdf", "of": 60, "others": ("docx (4)",), "hint": ""}
    verdict = _invalid(note(IdentityNote.SKILL_UNUSED, **counts), "skill")
    return replace(verdict, next=(verdict.next[0].add(where="tickets.ftgate.yaml:6"),))


def _untraced() -> Verdict:
    verdict = _rate(2, _gate(min=0.5))
    told = note(IdentityNote.USE_UNKNOWN, skill="pdf", of=100)
    step = _step(StepKind.RECORD_USES, skill="pdf", recorded=True)
    return replace(verdict, notes=(told,), next=(step,))


def _differing() -> Verdict:
    """Return the verdict on cases and inputs, of which some differ and few are labelled."""
    current, new = (variant_scores(name, [1.0] * 100) for name in ("current", "new"))
    replies = labelled(compared(1_000, differ=60), 20, every("old", "new", "both", "neither"))
    return rate_verdict(_gate(max_drop=0.03), new, current, inputs=replies)


_J = "tests/journeys/"
_SETTLES = "test_a_gate_that_may_settle_asks_on_until_it_knows_and_nothing_the_next_time"
_COUNTED_AND_RECORDED = "test_a_missing_reply_is_counted_and_recorded_by_the_command_that_brings_it"
_TRAIN = "no build can promise that another training run passes"
_DATA = "new cases differ by chance, so the verdict is clear 9 times in 10, not always"
_DROP = "accuracy: {max_drop: 0.05}"
_LIMIT = f"{STEPS}the_limit_that_a_verdict_names_passes_the_same_replies"
_CASES = f"{STEPS}cases_that_are_fixed_pass"
ENDS: tuple[End, ...] = (
    End("passed", "the limit holds",
        lambda: evaluated(_DROP, tickets(300), current=wrong(2), new=wrong(2)),
        (f"{_J}test_first_suite.py::test_a_green_run_says_what_it_measured_in_two_lines",)),
    End("passed", "nothing to compare with yet", lambda: _alone(_DROP, 2),
        (f"{STEPS}an_unread_first_run_is_accepted_and_compared_with_from_then_on",)),
    End("passed", "no trace says which skills were read", lambda: report(_untraced()),
        (f"{_J}test_runs_of_agents.py::test_without_a_trace_the_use_of_a_skill_is_open_until_it_is_recorded",)),
    End("not gated", "a minimum of 0, and nothing to compare with",
        lambda: _alone("accuracy: {min: 0, max_drop: none}", 2),
        (f"{STEPS}a_minimum_of_nothing_gates_nothing_until_another_one_is_written",)),
    End("not gated", "nothing to compare with: it is the baseline",
        lambda: _alone("cost: {max_rise: 0.2}", 2, more={"current": ", usd_per_1k: 1"}),
        (f"{_J}test_cost.py::test_a_rise_against_the_baseline_fails",)),
    End("not gated", "latency that was not measured",
        lambda: _alone("latency: {max_p95_ms: 1500}", 2),
        (f"{_J}test_latency.py::test_replies_from_the_cache_are_not_measured_until_they_are_asked_anew",)),
    End("failed", "minimum", _below_minimum,
        (_LIMIT, _CASES)),
    End("failed", "minimum, by a format that is broken", lambda: _minimum(30, "none of these"),
        (f"{STEPS}replies_in_the_right_format_pass",)),
    End("failed", "baseline", lambda: _drop(_DROP, 2, 30),
        (f"{STEPS}a_candidate_that_is_made_the_baseline_passes", _CASES)),
    End("failed", "baseline, beside a variant that passes",
        lambda: evaluated(_DROP, tickets(100), current=wrong(2), good=wrong(2), new=wrong(30)),
        (f"{STEPS}the_variant_to_ship_passes_once_the_other_one_is_left_out",)),
    End("failed", "baseline, by replies that were cut off", _cut_off,
        ("tests/gates/test_next_steps.py::test_replies_that_were_cut_off_need_more_tokens_at_the_key_that_limits_them",)),
    End("failed", "accepted", _against_accepted,
        (f"{STEPS}an_intended_drop_from_the_accepted_run_is_accepted_by_the_command",)),
    End("failed", "anchor", lambda: _against_accepted(anchor=True),
        (f"{STEPS}an_intended_drop_from_the_accepted_run_is_accepted_by_the_command",)),
    End("failed", "must_pass", _must_pass, (f"{STEPS}must_pass_cases_that_are_fixed_pass",)),
    End("failed", "a part of the cases", _part,
        (f"{_J}test_must_pass.py::test_a_lost_label_fails_the_gate_that_looks_at_labels",
         f"{STEPS}a_part_that_is_fixed_passes"),
        "a larger max_drop does not cover a part that regressed: fix it, or ship another variant"),
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
    End("failed", "mean",
        lambda: verdict_of(_alone("cost: {max_usd_per_1k: 0.5}", 2,
                                  more={"current": ", usd_per_1k: 0.62"}), "current"),
        (f"{_J}test_cost.py::test_a_cheaper_model_passes_the_limit_that_a_dear_one_failed",)),
    End("failed", "no run of an agent succeeded", _no_success,
        (f"{_J}test_limits_of_runs.py::test_without_a_success_the_gate_fails_and_says_so",)),
    End("failed", "p50", lambda: _latency(CheckKind.P50),
        (f"{_J}test_latency.py::test_a_quicker_model_passes_the_limit_that_a_slow_one_failed",)),
    End("failed", "p95", lambda: _latency(CheckKind.P95),
        (f"{_J}test_latency.py::test_a_quicker_model_passes_the_limit_that_a_slow_one_failed",)),
    End("failed", "training data", _data,
        (f"{STEPS}training_data_passes_without_the_rows_that_are_cases",)),
    End("inconclusive", "too few cases", lambda: _drop(_DROP, 2, 5),
        (_CASES, _LIMIT,
         "tests/gates/test_checks_needed.py::test_the_named_cases_settle_nine_in_ten_runs_that_behave_like_the_seen_ones"),
        _DATA),
    End("inconclusive", "so close that no affordable number of cases decides",
        lambda: _minimum(14),
        ("tests/gates/test_next_steps.py::test_where_more_cases_than_that_are_needed_something_else_decides",)),
    End("inconclusive", "too few labels of inputs that differ", _differing,
        (f"{_J}test_inputs.py::test_labels_of_what_differs_lead_from_an_open_gate_to_a_passed_one",)),
    End("inconclusive", "too few repeats", _repeats,
        (f"{_J}test_looks.py::{_SETTLES}",
         "tests/gates/test_power.py::test_a_repeated_baseline_adds_power"), _DATA),
    End("inconclusive", "a real drop, smaller than the limit", lambda: _drop(_DROP, 3, 13, 300),
        (f"{_J}test_inconclusive.py::test_a_real_drop_within_the_limit_is_called_real",
         f"{STEPS}a_real_drop_within_the_limit_passes_with_the_limit_that_is_named"), _DATA),
    End("inconclusive", "likely beyond the limit, but not surely", _likely_beyond,
        (f"{STEPS}the_cases_that_are_added_settle_a_drop_that_was_likely_beyond_the_limit",),
        _DATA),
    End("inconclusive", "replies are missing", _missing_requests,
        (f"{STEPS}cases_without_a_reply_are_complete_after_the_command",)),
    End("inconclusive", "recorded replies are missing",
        lambda: _missing(_DROP, current=wrong(2), new=missing(20, 100)),
        (f"{STEPS}recorded_replies_that_are_added_complete_the_gate",)),
    End("inconclusive", "replies are missing, and nothing to compare with yet",
        lambda: _missing(_DROP, current=missing(10, 100)),
        (f"{STEPS}a_first_run_that_lacks_replies_passes_after_the_command",)),
    End("inconclusive", "no reply is right, and nothing to compare with yet",
        lambda: _minimum(100, gates=_DROP),
        (f"{STEPS}a_first_run_in_which_nothing_is_right_passes_once_the_score_is_mended",)),
    End("inconclusive", "the baseline has drifted", _drifted,
        (f"{_J}test_drift.py::test_the_command_for_a_drifted_baseline_compares_replies_of_one_day",)),
    End("inconclusive", "a baseline at chance", lambda: _drop(_DROP, 98, 99),
        (f"{STEPS}a_comparison_that_can_show_nothing_passes_with_the_minimum_that_is_added",)),
    End("inconclusive", "less is tested than was accepted",
        lambda: report(_shrunk(SHRUNK, StepKind.ACCEPT_EXAM)),
        (f"{_J}test_exam.py::test_an_exam_that_has_shrunk_blocks_the_build_and_says_what_it_has_lost",
         f"{_J}test_exam.py::test_nothing_is_asked_for_again_once_a_run_is_accepted_in_the_same_change")),
    End("inconclusive", "an accepted record of an older format",
        lambda: report(_shrunk(ExamChange(is_older=True), StepKind.ACCEPT)),
        (f"{_J}test_exam.py::test_a_record_of_the_older_form_is_accepted_once",)),
    End("inconclusive", "nothing is right on either side", lambda: _drop(_DROP, 100, 100),
        (f"{STEPS}a_comparison_in_which_nothing_is_right_passes_once_the_score_is_mended",)),
    End("inconclusive", "a minimum that guessing reaches",
        lambda: _minimum(2, gates="accuracy: {min: 0.4}"),
        (f"{STEPS}a_minimum_that_guessing_reaches_passes_once_it_is_raised",)),
    End("inconclusive", "a skill", _skill,
        (f"{_J}test_forgetting.py::test_a_skill_may_be_given_up",), _DATA),
    End("inconclusive", "a rise that shows nothing",
        lambda: _drop("cost: {max_rise: 0.2}", 2, 2,
                      more={"current": ", usd_per_1k: 0", "new": ", usd_per_1k: 1"}),
        (f"{STEPS}a_rise_from_nothing_passes_with_a_limit_of_its_own",)),
    End("inconclusive", "a cost that may be rare and large", _open_cost,
        (f"{_J}test_cost.py::test_the_max_tokens_that_an_open_cost_names_passes",
         "tests/gates/test_usage_cost.py::test_what_a_case_may_have_cost_unseen_is_told_with_two_ways_to_pass_that_do")),
    End("inconclusive", "costs that nothing limits", _without_bound,
        (f"{STEPS}stated_costs_that_nothing_limits_pass_as_a_plain_threshold",)),
    End("inconclusive", "a server that reports no tokens", _unpriced,
        (f"{STEPS}a_price_of_a_server_that_reports_no_tokens_is_had_by_declaring_it",)),
    End("inconclusive", "runs of an agent that are copies", _copies,
        (f"{STEPS}runs_that_are_copies_pass_once_each_task_counts_once",)),
    End("inconclusive", "too few runs of an agent", _few_runs,
        (f"{_J}test_limits_of_runs.py::test_the_repeats_that_few_runs_need_are_named_and_settle_the_gate",)),
    End("inconclusive", "runs of an agent that do not state their cost", _unstated_runs,
        (f"{_J}test_limits_of_runs.py::test_recorded_runs_that_state_nothing_are_missing_until_they_state_it",)),
    End("inconclusive", "a judge that is not qualified", _judge,
        (f"{_J}test_judge.py::test_a_better_judge_settles_what_one_that_is_not_fit_left_open",),
        "whether a sharper rubric agrees with people must be measured"),
    End("inconclusive", "no grade came",
        lambda: _stated(StatementKind.NO_GRADES, Outcome.INCONCLUSIVE,
                        _step(StepKind.IMPROVE_JUDGE, ungraded=100)),
        (f"{_J}test_judge.py::test_a_judge_that_gives_no_grade_is_replaced_since_its_replies_are_cached",)),
    End("invalid", "the replies are the base model's", lambda: report(_same_as_base()),
        (f"{_J}test_forgetting.py::test_the_base_itself_in_place_of_a_fine_tune_is_invalid",
         f"{_J}test_forgetting.py::test_a_tuned_model_that_did_not_answer_passes_once_its_name_is_requested")),
    End("invalid", "another model answers", lambda: report(_another_model()),
        (f"{_J}test_misbehaving_servers.py::test_the_model_that_is_declared_as_served_is_what_it_claims",)),
    End("invalid", "no run used the skill", lambda: report(_unused_skill()),
        (f"{_J}test_runs_of_agents.py::test_a_skill_that_no_run_used_makes_the_gates_of_its_variant_invalid",)),
    End("error", "a key is missing",
        lambda: ended_run("{provider: anthropic, model: claude-haiku-5-5}"),
        (f"{_J}test_errors.py::test_a_missing_key_is_an_error_that_says_what_to_set",
         f"{_J}test_cost.py::test_a_key_that_was_missing_is_set_and_the_same_command_passes")),
    End("error", "most requests failed", lambda: ended_run(ASKED, code=DOWN),
        (f"{_J}test_errors.py::test_an_error_is_asked_again_in_the_next_run",)),
    End("error", "replies are not recorded",
        lambda: ended_run(ASKED, "--ftgate-replies=recorded"),
        (f"{_J}test_replay.py::{_COUNTED_AND_RECORDED}",)),
    End("error", "the suite has errors",
        lambda: ended_run(ASKED, gate="{max_drop: 0.05}", cases=20),
        (f"{STEPS}too_few_cases_are_read_with_the_limit_that_the_error_names",)),
    End("budget", "the budget is spent",
        lambda: ended_run(ASKED.replace("}", ", usd_per_1k: 10}"), "--ftgate-max-usd=0.9"),
        (f"{_J}test_budget.py::test_the_command_of_a_stopped_run_finishes_it",)),
    End("budget", "it pays for no request",
        lambda: ended_run(ASKED.replace("}", ", usd_per_1k: 10000}"), "--ftgate-max-usd=0.5"),
        (f"{_J}test_budget.py::test_a_budget_that_pays_for_no_request_is_raised_to_what_the_plan_shows",)),
    End("interrupted", "Ctrl-C, or the end of the job",
        lambda: ended_run(ASKED, code=INTERRUPTING, conftest=NOTICES_THE_END),
        (f"{_J}test_interrupted.py::test_what_is_in_flight_comes_home_and_nothing_more_is_sent",)),
)  # fmt: skip


def page() -> str:
    """Return the page that shows every end."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "<!-- Made by tests/ftgate_testing/ends.py; change that file, not this page. -->"
    yield "# Every way a gate ends\n"
    yield "For each end: what the closing section prints, and the tests that do what its steps say,"
    yield "until the gate passes. Where no step can promise that, the end says so. The screens are"
    yield "made of runs; only how long they took is not theirs."
    yield "[Read a build that is not green](../how-to/read-a-build.md) explains the words."
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
