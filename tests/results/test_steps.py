"""The one list of steps of each verdict: what the whole run adds to what a gate knows."""

from __future__ import annotations

from dataclasses import replace

from ftgate_testing.reports import (
    ACCURACY,
    failing_run,
    gate_not_evaluated,
    inconclusive_verdict,
    report,
)
from ftgate_testing.score_columns import suite, variant_scores
from ftgate_testing.tables import every_row

from pytest_ftgate.client.budget import CostReport
from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.gates.statements import ExamChange, NextStep, StepKind, StepRole
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.reporting.next_steps import step_command, step_text
from pytest_ftgate.results.run import RequestCounts
from pytest_ftgate.results.steps import more_budget, with_steps
from pytest_ftgate.suite.model import Checkpoint

RIGHT, WRONG = [1.0] * 100, [1.0] * 80 + [0.0] * 20


def verdict(variant: str, values=WRONG, *, gate=ACCURACY, declared="") -> Verdict:
    """Return the verdict on *variant* against a baseline that is always right."""
    of = suite(gate, variants=("current", "new", "other"))
    of = replace(of, places={f"variants.{variant}": declared} if declared else {})
    sides = variant_scores(variant, values), variant_scores("current", RIGHT, text="late_delivery")
    return evaluate_rate(of, gate, Comparison(sides[0], sides[variant != "current"]))


FAILED = verdict("new")
UNDECIDED = inconclusive_verdict()
WITHOUT_FLIPS = replace(
    FAILED, flips=(), next=tuple(one for one in FAILED.next if one.kind is not StepKind.FIX_CASES)
)


def steps(*verdicts: Verdict, **more) -> tuple[NextStep, ...]:
    """Return the steps of the first of *verdicts* in a report of all of them."""
    return report(*verdicts, **more).verdicts[0].next


def step(kind: StepKind, found: tuple[NextStep, ...]) -> NextStep | None:
    return next((one for one in found if one.kind is kind), None)


# Their order ------------------------------------------------------------------------------------


@every_row("found", [*failing_run().verdicts, UNDECIDED])
def test_a_fix_stands_first_and_what_to_see_last(found):
    roles = [one.role for one in steps(found, verdict("other", RIGHT))]

    assert roles == sorted(roles, key=[*StepRole].index)
    assert found.outcome is Outcome.PASSED or roles[0] is StepRole.FIX


def test_a_likely_cause_is_checked_before_anything_else_is_fixed():
    cause = NextStep(StepKind.CHECK_CAUSE, {"cause": "chat template"})

    found = steps(replace(FAILED, next=(*FAILED.next, cause)))

    assert found[0].kind is StepKind.CHECK_CAUSE


@every_row("stopped", ["2 USD of --ftgate-max-usd", ""])
def test_where_a_budget_stopped_the_run_the_first_step_goes_on_with_it(stopped):
    again = NextStep(StepKind.RUN_AGAIN, {"missing": 3, "suite": "suite.ftgate.yaml"})
    found = replace(FAILED, next=(*FAILED.next, again))

    (first, *_) = steps(found, cost=CostReport(stopped=stopped))

    assert (first.kind is StepKind.RUN_AGAIN) is bool(stopped)


def test_the_budget_that_goes_on_pays_for_what_was_not_sent():
    cost = CostReport(asked=2.0, stopped="2 USD of --ftgate-max-usd", unasked=50)
    again = NextStep(StepKind.RUN_AGAIN, {"missing": 50, "suite": "suite.ftgate.yaml"})
    stopped = report(
        replace(FAILED, next=(again,)), cost=cost, requests=RequestCounts(replies=100, sent=100)
    )

    price = 2.0 / 100 * 50
    assert price < more_budget(stopped) < 2 * price
    assert stopped.verdicts[0].next[0].values["max_usd"] == more_budget(stopped)
    for values in ({"stopped": "5 minutes of --ftgate-max-minutes"}, {"asked": 0.0}):
        assert more_budget(replace(stopped, cost=replace(cost, **values))) == 0.0


# Another variant --------------------------------------------------------------------------------


def test_a_variant_that_passes_its_gates_is_offered_with_the_place_of_the_one_that_failed():
    found = steps(verdict("new", declared="s.ftgate.yaml:5"), verdict("other", RIGHT))

    ship = step(StepKind.SHIP_OTHER, found)
    assert ship.role is StepRole.OR
    values = {"variant": "other", "gates": 1, "for": "new", "where": "s.ftgate.yaml:5"}
    assert {key: ship.values[key] for key in values} == values
    assert ship.values["is_baseline"] is False


def test_the_baseline_is_kept_where_no_other_variant_passes():
    baseline = verdict("current", RIGHT)

    kept = step(StepKind.SHIP_OTHER, steps(FAILED, baseline))
    shipped = step(StepKind.SHIP_OTHER, steps(FAILED, baseline, verdict("other", RIGHT)))

    assert (kept.values["variant"], kept.values["is_baseline"]) == ("current", True)
    assert (shipped.values["variant"], shipped.values["is_baseline"]) == ("other", False)


def test_no_variant_is_offered_that_did_not_pass_everything():
    passed = verdict("other", RIGHT)
    another = replace(passed, suite="another.ftgate.yaml")
    marked = replace(passed, node="test_it.py::test_it[other]")
    unknown = replace(gate_not_evaluated(), node="suite.ftgate.yaml::format[other]")

    for others, more in (
        ((verdict("other"),), {}),
        ((passed, replace(verdict("other"), gate="format")), {}),
        ((replace(passed, gated=False),), {}),
        ((another,), {}),
        ((marked,), {}),
        ((passed,), {"not_evaluated": (unknown,)}),
    ):
        assert step(StepKind.SHIP_OTHER, steps(FAILED, *others, **more)) is None
    assert step(StepKind.SHIP_OTHER, steps(UNDECIDED, passed)) is None


# What commands repeat ---------------------------------------------------------------------------


def test_commands_repeat_the_options_of_the_run():
    options = ("--ftgate-replies=recorded", "--ftgate-max-usd=2", "--ftgate-safe")

    with_options = steps(FAILED, options=options)
    commands = [step_command(one) for one in with_options if "pytest --ftgate" in step_command(one)]

    assert all(one.values["options"] == options for one in with_options)
    assert commands
    assert all(" ".join(options) in command for command in commands)
    assert all("options" not in one.values for one in steps(FAILED))


def test_an_option_that_a_step_sets_replaces_that_of_the_run():
    fresh = NextStep(StepKind.REQUEST_BOTH_AGAIN, {"suite": "suite.ftgate.yaml"})

    (first, *_) = steps(replace(FAILED, next=(fresh,)), options=("--ftgate-replies=recorded",))

    assert "recorded" not in step_command(first)
    assert "--ftgate-replies=fresh" in step_command(first)


@every_row("exam", [ExamChange(), None])
@every_row("kind", [StepKind.SET_LIMIT, StepKind.MAKE_BASELINE])
def test_a_change_of_what_decides_is_accepted_where_a_record_would_call_it_a_loss(kind, exam):
    edit = NextStep(kind, {"setting": "max_drop: 0.1", "variant": "new", "in_mark": False})

    found = step(kind, steps(replace(FAILED, next=(edit,), exam=exam)))

    assert ("record" in found.values) is (exam is not None)
    assert ("--ftgate-accept" in step_command(found)) is (exam is not None)


@every_row("exam", [ExamChange(), ExamChange(is_new=True), None])
def test_another_variant_is_shipped_with_a_command_where_a_record_has_the_one_left_out(exam):
    ship = step(StepKind.SHIP_OTHER, steps(replace(FAILED, exam=exam), verdict("other", RIGHT)))
    has_it = exam is not None and not exam.is_new

    assert ("--ftgate-accept" in step_command(ship)) is has_it
    assert ("then accept a run, since the record has it" in step_text(ship)) is has_it


@every_row("kind", [StepKind.ACCEPT, StepKind.ACCEPT_EXAM])
@every_row("other", [FAILED, verdict("other", RIGHT)], ids=["failed", "passed"])
def test_a_run_is_offered_to_be_accepted_once_no_gate_of_its_suite_fails(kind, other):
    accept = step(kind, steps(replace(UNDECIDED, next=(NextStep(kind),)), other))

    assert ("once no gate fails" in step_text(accept)) is (other is FAILED)


def test_the_variants_of_a_run_are_repeated_for_its_suite_and_not_for_a_gate():
    options = ("--ftgate-variant=new", "--ftgate-safe")
    found = steps(replace(FAILED, exam=ExamChange()), verdict("other", RIGHT), options=options)

    ship, cases = (
        step_command(step(kind, found)) for kind in (StepKind.SHIP_OTHER, StepKind.FIX_CASES)
    )
    assert "--ftgate-variant=new --ftgate-safe" in ship
    assert "--ftgate-safe -vv" in cases
    assert "--ftgate-variant" not in cases


# What to see ------------------------------------------------------------------------------------


def see(found: Verdict) -> list[StepKind]:
    return [one.kind for one in steps(found) if one.role is StepRole.SEE]


def test_cases_are_shown_or_the_verdict_explained_unless_it_passed_or_is_not_gated():
    read = NextStep(StepKind.TRAIN_AGAIN, {"variant": "new"})

    assert see(replace(FAILED, next=(read,))) == [StepKind.SHOW_REGRESSED]
    assert see(FAILED) == []
    # The fix of an open drop has no command.
    assert see(UNDECIDED) == [StepKind.SHOW_REGRESSED]

    assert see(WITHOUT_FLIPS) == [StepKind.EXPLAIN]

    assert see(verdict("new", RIGHT)) == []
    assert see(replace(WITHOUT_FLIPS, gated=False)) == []
    assert see(replace(WITHOUT_FLIPS, checks=())) == []


# Verdicts of another report ---------------------------------------------------------------------


def test_steps_and_variants_of_another_report_are_not_offered_again():
    first = report(WITHOUT_FLIPS, verdict("other", RIGHT), options=("--ftgate-safe",))

    assert with_steps(first).verdicts == first.verdicts

    first = report(FAILED, verdict("other", RIGHT))

    (alone,) = report(first.verdicts[0]).verdicts

    assert step(StepKind.SHIP_OTHER, first.verdicts[0].next) is not None
    assert step(StepKind.SHIP_OTHER, alone.next) is None


@every_row("overrides, checkpoint, left", [
    ((), None, ["accept", "accept run", "make baseline"]),
    (("variants.a.model=m",), None, ["make baseline"]),
    ((), Checkpoint(of="a", label="step-1", step=1, decides=True), []),
])  # fmt: skip
def test_no_step_is_advised_that_the_suite_does_not_let_one_take(overrides, checkpoint, left):
    kinds = (StepKind.ACCEPT, StepKind.ACCEPT_RUN, StepKind.MAKE_BASELINE)
    steps = tuple(NextStep(kind, {}) for kind in kinds)
    one = replace(failing_run().verdicts[0], next=steps, checkpoint=checkpoint)

    (found,) = with_steps(replace(report(one), overrides=overrides)).verdicts

    assert sorted(step.kind for step in found.next if step.kind in kinds) == left
