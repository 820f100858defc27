"""The one list of steps of each verdict: what the whole run shows, what it was started with.

A gate knows what to do about itself. Which other variant passes, and which command goes on with a
run, is known when the run ends.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from pytest_ftgate.gates.statements import NextStep, StepKind, StepRole, Value
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.results.run import Report, node_id

_ORDER = [*StepRole]
#: The steps that are edits of what an accepted record knows.
_EDITS = (StepKind.SET_LIMIT, StepKind.MAKE_BASELINE, StepKind.SHIP_OTHER)
#: The steps that accept a run; one with a gate that failed is not accepted.
_ACCEPTING = (StepKind.ACCEPT, StepKind.ACCEPT_EXAM)
_REFUSED = (Outcome.FAILED, Outcome.INVALID)
#: The steps that are added here.
_OF_THE_RUN = (StepKind.SHIP_OTHER, StepKind.SHOW_REGRESSED, StepKind.EXPLAIN)
#: Stands in the reason of a run that money stopped.
_MONEY = "--ftgate-max-usd"
#: Money for requests that cost more than those before.
_RESERVE = 1.2


def with_steps(report: Report) -> Report:
    """Return *report* with the whole list of steps of each verdict, in the order of their roles."""
    verdicts = (replace(v, next=tuple(_steps(report, v))) for v in report.verdicts)
    return replace(report, verdicts=tuple(verdicts))


def _steps(report: Report, verdict: Verdict) -> Iterator[NextStep]:
    # A verdict that has been in another report has steps of that one.
    left_out = {*_OF_THE_RUN, *_impossible_steps(report, verdict)}
    own = [step for step in verdict.next if step.kind not in left_out]
    steps = [*own, *_ship_steps(report, verdict), *_see_steps(verdict)]
    steps.sort(key=lambda step: (_ORDER.index(step.role), *_urgency(report, step)))
    values: dict[str, Value] = {"node": node_id(verdict)}
    if report.options:
        values["options"] = report.options
    for step in steps:
        completed = step.add(**values)
        # To leave a variant out is a loss only where the record has it.
        is_new = step.kind is StepKind.SHIP_OTHER and verdict.exam and verdict.exam.is_new
        if step.kind in _EDITS and verdict.exam is not None and not is_new:
            completed = completed.add(record=verdict.suite)
        if step.kind in _ACCEPTING:
            # A gate that failed keeps its run from being accepted.
            gated = (one for one in report.gated_verdicts if one.suite == verdict.suite)
            completed = completed.add(after_fixes=any(one.outcome in _REFUSED for one in gated))
        if step.kind is StepKind.RUN_AGAIN and _MONEY in report.cost.stopped:
            completed = completed.add(max_usd=more_budget(report))
        yield completed


def _impossible_steps(report: Report, verdict: Verdict) -> Iterator[StepKind]:
    """Yield the steps that the suite file of *verdict* does not let one take.

    Neither a run with a key that was set nor one of several checkpoints is accepted, and none of
    these is a variant that the file could name as its baseline.
    """
    if report.overrides or verdict.checkpoint:
        yield from (*_ACCEPTING, StepKind.ACCEPT_RUN)
    if verdict.checkpoint:
        yield StepKind.MAKE_BASELINE


def _urgency(report: Report, step: NextStep) -> tuple[bool, bool]:
    """Return a key that puts first what may explain all of the rest.

    That is a likely cause, or where a budget stopped the run, to go on with it.
    """
    goes_on = report.cost.stopped and step.kind is StepKind.RUN_AGAIN
    return not goes_on, step.kind is not StepKind.CHECK_CAUSE


def _see_steps(verdict: Verdict) -> Iterator[NextStep]:
    """Yield the command that shows the cases, unless a fix has it, or explains the verdict."""
    undecided = verdict.outcome is Outcome.INCONCLUSIVE
    if not verdict.gated or not (undecided or verdict.outcome is Outcome.FAILED):
        return
    if any(step.kind is StepKind.FIX_CASES for step in verdict.next) and not undecided:
        return
    if any(flip.regressed for flip in verdict.flips):
        yield NextStep(StepKind.SHOW_REGRESSED)
    elif verdict.check is not None:
        yield NextStep(StepKind.EXPLAIN)


def _ship_steps(report: Report, verdict: Verdict) -> Iterator[NextStep]:
    """Yield the other variant of the suite that passed all its gates in this run, if any did.

    A variant that is no baseline comes first, since it was made to replace that.
    """
    if verdict.outcome is not Outcome.FAILED:
        return
    outcomes: dict[str, list[Verdict]] = defaultdict(list)
    for other in report.gated_verdicts:
        if other.suite == verdict.suite and not other.node.partition("::")[0].endswith(".py"):
            outcomes[other.variant].append(other)
    compared = [v for one in outcomes.values() for v in one]
    baselines = {check.against for one in compared for check in one.checks}
    baselines |= {one.shown_change.against for one in compared if one.shown_change}
    passed = [
        (name in baselines, name, len(verdicts))
        for name, verdicts in outcomes.items()
        if name != verdict.variant and all(v.outcome is Outcome.PASSED for v in verdicts)
    ]
    unevaluated = " ".join(gate.node for gate in report.errors)
    for is_baseline, name, gates in sorted(passed)[:1]:
        if f"[{name}]" not in unevaluated:
            values: dict[str, Value] = {"variant": name, "gates": gates, "for": verdict.variant}
            values |= {"where": verdict.declared or verdict.suite, "is_baseline": is_baseline}
            yield NextStep(StepKind.SHIP_OTHER, values)


def more_budget(report: Report) -> float:
    """Return the USD that pay for the requests that were not sent; 0 if money did not stop them."""
    cost, sent = report.cost, report.requests.sent
    if _MONEY not in cost.stopped or not sent or not cost.asked:
        return 0.0
    return float(cost.asked) / sent * cost.unasked * _RESERVE
