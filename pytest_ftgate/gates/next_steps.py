"""Next steps of the accuracy gate and the format gate: what makes it pass, by deciding check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from math import ceil

from pytest_ftgate.gates.design import Look
from pytest_ftgate.gates.statements import NextStep, StepKind, Value
from pytest_ftgate.gates.verdict import ACCEPTED_KINDS, Check, CheckKind, Outcome, Verdict
from pytest_ftgate.requests.request_groups import replies_vary
from pytest_ftgate.stats.power import pass_probability
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.model import Suite

#: The largest number of repeats to advise; beyond it, more cases are better.
_MAX_REPEATS = 20
#: The advised number of replies to each case of the baseline, which are requested once.
_BASELINE_REPEATS = 10
#: More repeats of the baseline are advised if an unchanged variant passes this much more often.
_MIN_GAIN = 0.05
#: So few regressed cases can be fixed one by one.
_MAX_CASES = 6


def rate_next_steps(
    suite: Suite, gate: RateGate, verdict: Verdict, look: Look, format_errors: Counter[str]
) -> Iterator[NextStep]:
    """Yield what to do about *verdict*, the best step first.

    *format_errors* counts the replies of the variant with each kind of format error.
    """
    check, missing = verdict.check, verdict.statement.values.get("missing")
    if check is None and missing:
        yield from _missing_steps(suite, verdict.variant, int(missing))
    elif check is None and verdict.outcome is Outcome.PASSED:
        yield NextStep(StepKind.ACCEPT, {"suite": suite.name})
    elif check is None:
        yield NextStep(StepKind.CHECK_SCORE, {"where": gate_place(suite, gate.line)})
    elif verdict.outcome is Outcome.INCONCLUSIVE:
        yield from _steps_if_inconclusive(suite, gate, verdict, check, look)
    elif verdict.outcome is Outcome.FAILED and check.kind is CheckKind.MUST_PASS:
        cases = ", ".join(check.case_ids)
        yield NextStep(StepKind.FIX_MUST_PASS, {"cases": cases, "repeated": look.replies_vary})
    elif verdict.outcome is Outcome.FAILED and check.measure:
        values: dict[str, Value] = {"where": gate_place(suite, gate.line)}
        yield NextStep(StepKind.KEEP_THOUGHTS, {"variant": verdict.variant, **values})
    elif verdict.outcome is Outcome.FAILED:
        yield from _mistake_steps(gate, verdict, check, format_errors)
        yield from _accepting_steps(suite, gate, verdict)


def _mistake_steps(
    gate: RateGate, verdict: Verdict, check: Check, format_errors: Counter[str]
) -> Iterator[NextStep]:
    """Yield the mistake that the prompt should prevent, if one stands out."""
    below_minimum, values = check.before is None, verdict.statement.values
    # Without a comparison every wrong case counts as regressed.
    is_broken = below_minimum and 2 * format_errors.total() >= verdict.regressed
    if gate.kind == "format" or is_broken:
        for kind, count in format_errors.most_common(1):
            yield NextStep(StepKind.FIX_FORMAT, {"format_error": kind, "replies": count})
    elif "format_error" in values:
        error = {"format_error": values["format_error"], "replies": values["format_replies"]}
        yield NextStep(StepKind.FIX_FORMAT, {**error, "of": "regressed cases"})
    elif below_minimum:
        mistakes = Counter(
            {(of.label, other): n for of in verdict.labels for other, n in of.taken_for.items()}
        )
        for (label, other), count in mistakes.most_common(1):
            if count > 1:
                mistake: dict[str, Value] = {"label": label, "taken_for": other, "replies": count}
                yield NextStep(StepKind.FIX_LABEL, mistake)


def gate_place(suite: Suite, line: int) -> str:
    """Return the place of a gate in its file."""
    return f"{suite.name}:{line}"


def limit_steps(suite: Suite, line: int, settings: Iterable[str]) -> Iterator[NextStep]:
    """Yield the step that writes *settings*, such as ``max_drop: 0.1``, if there are any."""
    setting = ", ".join(settings)
    if setting:
        values: dict[str, Value] = {"setting": setting, "where": gate_place(suite, line)}
        yield NextStep(StepKind.SET_LIMIT, values)


def blocking_checks(verdict: Verdict) -> list[Check]:
    """Return the checks that keep a verdict from passing."""
    has_informative = any(check.informative for check in verdict.checks)
    return [
        check
        for check in verdict.checks
        if check.outcome is not Outcome.PASSED and (check.informative or not has_informative)
    ]


def _accepting_steps(suite: Suite, gate: RateGate, verdict: Verdict) -> Iterator[NextStep]:
    """Yield the reviewed changes after which the same replies pass."""
    checks = blocking_checks(verdict)
    kinds = {check.kind for check in checks}
    # No limit excuses a part of the cases that regressed.
    if CheckKind.MUST_PASS in kinds or any(part.state == "regressed" for part in verdict.slices):
        return
    if kinds <= {*ACCEPTED_KINDS}:
        yield NextStep(
            StepKind.ACCEPT_RUN, {"suite": suite.name, "anchor": _must_move_anchor(verdict)}
        )
    elif kinds == {CheckKind.BASELINE}:
        values: dict[str, Value] = {"variant": verdict.variant, "where": suite.name}
        yield NextStep(StepKind.MAKE_BASELINE, values)
    yield from limit_steps(suite, gate.line, _passing_settings(gate, checks))


def _must_move_anchor(verdict: Verdict) -> bool:
    """Return True if the accepted results would fail against their anchor.

    Without an anchor so far, the record that this run failed against becomes it.
    """
    anchors = [check for check in verdict.checks if check.kind is CheckKind.ANCHOR]
    return not anchors or anchors[0].outcome is not Outcome.PASSED


def _passing_settings(gate: RateGate, checks: Iterable[Check]) -> list[str]:
    """Return the limits that pass *checks* with the same replies; none if they cannot."""
    limits: dict[str, float] = {}
    for check in checks:
        if check.shown_limit is None:
            return []
        key = "min" if check.before is None else "max_drop"
        strictest = min if key == "min" else max
        limits[key] = strictest(limits.get(key, check.shown_limit), check.shown_limit)
    separator = "=" if gate.function else ": "
    return [f"{key}{separator}{limit:g}" for key, limit in limits.items()]


def _steps_if_inconclusive(
    suite: Suite, gate: RateGate, verdict: Verdict, check: Check, look: Look
) -> Iterator[NextStep]:
    """Yield what would settle an inconclusive verdict."""
    place: dict[str, Value] = {"where": gate_place(suite, gate.line)}
    if check.has_drifted:
        yield NextStep(StepKind.REQUEST_BOTH_AGAIN, {"suite": suite.name})
    elif not check.informative:
        yield NextStep(_step_without_information(check), place)
    elif check.missing:
        yield from _missing_steps(suite, verdict.variant, check.missing)
    else:
        repeats = _repeats_for_needed(check, look)
        if repeats:
            setting = f"repeats={repeats}" if gate.function else f"settle: {repeats}"
            yield NextStep(StepKind.SETTLE, {"setting": setting, "repeats": repeats, **place})
        if check.needed is not None:
            yield NextStep(StepKind.ADD_CASES, {"needed": check.needed, "cases": "case"})
        yield from limit_steps(suite, gate.line, _passing_settings(gate, blocking_checks(verdict)))
        yield from _baseline_steps(suite, check, look)
        if {one.kind for one in blocking_checks(verdict)} <= {*ACCEPTED_KINDS}:
            values: dict[str, Value] = {"anchor": _must_move_anchor(verdict)}
            yield NextStep(StepKind.ACCEPT_RUN, {"suite": suite.name, **values})
        regressed = [flip.case for flip in verdict.flips if flip.regressed]
        if check.before is not None and 0 < verdict.regressed <= _MAX_CASES:
            yield NextStep(StepKind.FIX_CASES, {"cases": ", ".join(regressed)})


def _step_without_information(check: Check) -> StepKind:
    """Return what to do about a check that shows nothing, whatever the replies."""
    if check.before is None:
        return StepKind.RAISE_MINIMUM
    return StepKind.DECLARE_MINIMUM if check.before or check.after else StepKind.CHECK_SCORE


def _missing_steps(suite: Suite, variant: str, missing: int) -> Iterator[NextStep]:
    """Yield what brings *missing* replies, or grades: a file of replies grows by hand."""
    file = suite.variants[variant].replies
    if file is not None and not suite.judges:
        yield NextStep(StepKind.ADD_REPLIES, {"missing": missing, "file": file.name})
        return
    if suite.judges:
        # A reply of a judge that holds no grade is cached, so that no run brings another one.
        yield NextStep(StepKind.IMPROVE_JUDGE, {"ungraded": missing})
    yield NextStep(StepKind.RUN_AGAIN, {"missing": missing, "suite": suite.name})


def _repeats_for_needed(check: Check, look: Look) -> int:
    """Return the number of repeats that replace the needed cases, or 0 if they do not help."""
    if not look.replies_vary or look.cases is not None:
        return 0
    if check.before is None or check.needed is None:
        return 0
    repeats = ceil(look.repeats * (1 + check.needed / check.n))
    return repeats if repeats <= _MAX_REPEATS else 0


def _baseline_steps(suite: Suite, check: Check, look: Look) -> Iterator[NextStep]:
    """Yield more repeats of the baseline alone, if these let an unchanged variant pass."""
    now = max(look.repeats, suite.baseline_repeats)
    varies = replies_vary(suite.variants[suite.baseline])
    if check.kind is not CheckKind.BASELINE or not varies or now >= _BASELINE_REPEATS:
        return
    # The probability is known for cases that are right or wrong, independent and equal.
    if check.discordance is None or (check.units or check.n) < check.n:
        return
    before, after = (
        pass_probability(
            check.n * 2.0 / (1.0 / repeats + 1.0 / look.repeats),
            *(check.discordance, 0.0, check.limit, check.miss),
        )
        for repeats in (now, _BASELINE_REPEATS)
    )
    if after >= before + _MIN_GAIN:
        yield NextStep(
            StepKind.REPEAT_BASELINE,
            {"repeats": _BASELINE_REPEATS, "passes": after, "now": before, "where": suite.name},
        )
