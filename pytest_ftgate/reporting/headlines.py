"""The headline of a verdict and of an advice: one sentence, made of their values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_ftgate.gates.number_text import (
    amount,
    milliseconds,
    percent,
    points,
    quantity,
    share_change,
    signed_percent,
    unsigned_points,
    usd,
)
from pytest_ftgate.gates.statements import (
    ExamChange,
    ExamLoss,
    LossOfExam,
    LostCases,
    StatementKind,
)
from pytest_ftgate.gates.verdict import (
    MIN_RATE_TO_LOSE,
    UNCHANGED,
    Check,
    CheckKind,
    Finding,
    Outcome,
    Severity,
    Slice,
    Verdict,
)
from pytest_ftgate.recommend.advice import Advice, Recommendation

if TYPE_CHECKING:
    from pytest_ftgate.results.accepted import Acceptance


#: What has become of accepted cases: of one, and of several.
_STATES = {
    "gone": ("is gone", "are gone"),
    "without weight": ("has no weight any more", "have no weight any more"),
    "changed": ("has changed", "have changed"),
}


def exam_phrase(change: ExamChange) -> str:
    """Return in a few words how the exam has shrunk."""
    return "record of an older form" if change.is_older else "less is tested than was accepted"


def exam_sentences(change: ExamChange) -> Iterator[str]:
    """Yield a sentence on each thing that has changed, the cases first."""
    if change.is_older:
        yield "the accepted record is of an older form; it does not say what decided"
    yield from (_lost_text(lost, change.accepted) for lost in change.lost)
    yield from map(_loss_text, change.losses)
    if change.came:
        came = "has come" if change.came == 1 else "have come"
        names = _names(change.came_ids, change.came)
        yield f"{quantity(change.came, 'case')} {came} since a run was accepted: {names}"


def _lost_text(lost: LostCases, accepted: int) -> str:
    state = _STATES[lost.kind][lost.count != 1]
    names = _names(lost.ids, lost.count)
    which = f"{'it is' if lost.count == 1 else 'they are'} {names}"
    if lost.right is not None:
        which = f"{lost.right} of them {'was' if lost.right == 1 else 'were'} right: {names}"
    return f"{lost.count} of {accepted} accepted cases {state}; {which}"


def _names(ids: tuple[str, ...], count: int) -> str:
    more = f" and {count - len(ids)} more" if count > len(ids) else ""
    return ", ".join(ids) + more


def _loss_text(loss: ExamLoss) -> str:
    values = f"{_value(loss.before)} is now {_value(loss.now)}"
    return {
        LossOfExam.GATE: f"the accepted gate {loss.name} is gone",
        LossOfExam.VARIANT: f"{loss.name} was accepted, and is not gated any more",
        LossOfExam.COMPARED: f"{loss.name} is not compared with the baseline any more",
        LossOfExam.LIMIT: f"{loss.name}: {values}, which lets more pass than what was accepted",
        LossOfExam.MUST_PASS: f"the case {loss.name} need not pass any more",
        LossOfExam.BASELINE: f"baseline: {values}",
    }[loss.kind]


def _value(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def acceptance_lines(acceptance: Acceptance) -> Iterator[str]:
    """Yield what a run has accepted, and what left, changed and came with it."""
    counts = acceptance.not_passed.items()
    states = [f"{quantity(count, 'gate')} {state}" for state, count in counts]
    warning = f" ({', '.join(states)})" if states else ""
    names = ", ".join(acceptance.names)
    yield f"accepted {names} in {acceptance.file}; commit it with the change{warning}"
    yield from _changes(acceptance.changes)
    if not acceptance.is_read:
        yield (
            f"no gate compares with the results in {acceptance.file}: max_drop: none, evidence: "
            "point, or another kind of gate"
        )


def refusal_lines(failed: Mapping[str, tuple[str, ...]], command: str) -> Iterator[str]:
    """Yield that a run with *failed* gates is not accepted, and the command that accepts it.

    *failed* has the names of gates by what became of them, and *command* is that of this run.
    """
    gates = "; ".join(f"{_first_names(names)} {state}" for state, names in failed.items())
    yield f"NOT ACCEPTED: {gates}. No record was written; to accept this run all the same:"
    yield command.replace("pytest", "pytest --ftgate-accept-failed", 1)


def _changes(changes: Mapping[str, ExamChange]) -> Iterator[str]:
    """Yield each change of the exam once, with the gates that it is about."""
    gates: dict[str, list[str]] = {}
    for gate, change in changes.items():
        for sentence in exam_sentences(change):
            gates.setdefault(sentence, []).append(gate)
    yield from (f"accepted {', '.join(names)}: {text}" for text, names in gates.items())


#: The number of skills or cases that a headline names.
_MAX_NAMED = 4
#: Fewer right answers may well be lost by chance.
_MIN_LOST_CASES = 4


def headline(verdict: Verdict) -> str:
    """Return the verdict in one line."""
    return _HEADLINES[verdict.statement.kind](verdict)


# Accuracy and format ----------------------------------------------------------------------------

_HOLDS = {Outcome.PASSED: "holds", Outcome.FAILED: "is below"}
_MEASURES = {
    "format": "replies in the right format",
    "macro_f1": "macro-F1",
    "thoughts": "replies with a thought",
}
#: What a model does to its replies that a lenient reader accepts: if it is new, and if it is not.
_HABITS = {
    "fenced": ("began to fence {}", "fences {}"),
    "preamble": ("began to write before {}", "writes before {}"),
    "trailing text": ("began to write after {}", "writes after {}"),
    "wrong label casing": ("began to change case or marks of {}", "changes case or marks of {}"),
    "invalid syntax": ("began to leave stray commas in {}", "leaves stray commas in {}"),
}
#: What regressed cases have in common, by the value of the statement that counts them.
_CHANGES = {"broken": "broke their format", "cut": "were cut off by max_tokens"}
#: What a reply is, by the format rule that it breaks.
_REPLY_NAMES = {
    "choice": "its labels",
    "json_schema": "its JSON",
    "pydantic": "its JSON",
    "xml": "its XML",
    "csv": "its CSV",
    "markdown": "its tables",
    "code": "its code",
}


def _rate_headline(verdict: Verdict) -> str:
    check, values = _deciding(verdict), _values(verdict)
    habit = f"{habit_text(values)}; " if "habit" in values else ""
    relative = " (judge-relative)" if values.get("judge_relative") else ""
    if check.kind is CheckKind.MUST_PASS:
        return f"{habit}{_must_pass_text(verdict.outcome, check)}{relative}"
    what = _MEASURES.get(check.measure) or measure_name(values)
    if check.unit != "share":
        text = usage_text(check)
    elif check.before is None:
        text = _minimum_text(what, check)
    else:
        text = _drop_text(what, check, f" against {check.against}")
    text += _regressed_slices_text(verdict, check) + relative + _missing_text(check)
    common = broken_formats_text(values)
    return f"{habit}{text}{f'; {common}' if common else ''}{_rest_text(values)}"


def _missing_text(check: Check) -> str:
    """Return how many cases a drop check could not compare, unless it passed; else ""."""
    if not check.missing or check.before is None or check.outcome is Outcome.PASSED:
        return ""
    return f"; no reply to {check.missing:,} of {check.n + check.missing:,} cases"


def broken_formats_text(values: Mapping[str, Any]) -> str:
    """Return what regressed cases have in common, from the values of a statement; "" if nothing."""
    return "; ".join(
        f"{values[change]} of {values['regressed']} regressed cases {what} "
        f"({values[f'{change}_others']} of the other {values['others']})"
        for change, what in _CHANGES.items()
        if change in values
    )


def _rest_text(values: Mapping[str, Any]) -> str:
    """Return what the cases came to that kept their format and were not cut off; "" if few did."""
    if "rest" not in values:
        return ""
    which = "without either" if "broken" in values and "cut" in values else "that kept it"
    which = which if "broken" in values else "that ended as they should"
    rates = share_change(values["rest_before"], values["rest_after"])
    return f"; the {values['rest']} {which}: {rates}"


def _must_pass_text(outcome: Outcome, check: Check) -> str:
    right = f"{round(check.after * check.n)} of {check.n} must-pass cases are right"
    if outcome is Outcome.FAILED:
        return f"{right}; wrong: {', '.join(check.case_ids)}"
    return right + f"; {check.missing} brought no reply" * bool(check.missing)


def _minimum_text(what: str, check: Check) -> str:
    relation = _HOLDS.get(check.outcome, "may not hold" if check.informative else "holds")
    # Without the number of cases, the rate of a few replies would mislead.
    if check.missing and check.outcome is Outcome.INCONCLUSIVE:
        cases = quantity(check.n, "case")
        relation = f"of {cases}, with no reply to {check.missing}, {relation}"
    text = f"{what} {percent(check.after)} {relation} the minimum of {percent(check.limit)}"
    return text if check.informative else f"{text}, as guessing does"


def _drop_text(what: str, check: Check, against: str = "") -> str:
    before = check.before or 0.0
    change = UNCHANGED if check.is_unchanged else f"{points(check.after - before)} points"
    rates = f"{what} {percent(before)} → {percent(check.after)}{against}"
    return f"{rates}, {change}, {_drop_relation(check)}"


def _drop_relation(check: Check) -> str:
    """Return how the change relates to the limit, as far as the check shows it."""
    value = unsigned_points(check.limit)
    if check.has_default_limit:
        value += f" (what {quantity(check.n, 'case')} can show)"
    limit = f"limit {value}"
    if check.outcome is Outcome.FAILED:
        return f"beyond the limit of {value}"
    if check.outcome is not Outcome.INCONCLUSIVE or not check.informative:
        return limit
    if check.is_beyond:
        return f"{limit}: the interval lies beyond it, but not surely enough"
    if check.drop_is_shown:
        return f"{limit}: the drop is real, but may stay within it"
    return limit


def measure_name(values: Mapping[str, Any]) -> str:
    """Return what a gate measures, from the values of its statement."""
    if "function" not in values:
        measure: str = values["measure"]
        return _MEASURES.get(measure, measure)
    # Names such as TestTone::test_never_promises[formal] read as a sentence.
    name = str(values["function"]).rpartition("::")[2].removeprefix("test_")
    return name.replace("[", " (").replace("]", ")").replace("_", " ") + ":"


def _regressed_slices_text(verdict: Verdict, check: Check) -> str:
    """Return the regressed slices if they alone fail the gate, else ""."""
    regressed = [f"{part.kind} {part.name}" for part in verdict.slices if part.state == "regressed"]
    if verdict.outcome is not Outcome.FAILED or check.outcome is Outcome.FAILED or not regressed:
        return ""
    return f", but regressed: {', '.join(regressed)}"


def habit_text(values: Mapping[str, Any]) -> str:
    """Return in a few words what a model does to its replies that a lenient reader accepts."""
    kind, replies, total = values["habit"], values["replies"], values["of"]
    if_new, if_old = _HABITS[kind]
    habit = (if_new if values["is_new"] else if_old).format(
        _REPLY_NAMES.get(values["rule"], "its replies")
    )
    return f"{kind}: the model {habit}, {replies:,} of {total:,} replies"


# Skills -----------------------------------------------------------------------------------------


def _skills_headline(verdict: Verdict) -> str:
    check = _deciding(verdict)
    if check.before is None:
        return check.note
    what = "general skills under the prompt" if check.under else "general skills"
    text = _drop_text(what, check)
    if verdict.outcome is Outcome.FAILED and verdict.breaks:
        text += f"; must-keep cases broke: {_first_names(verdict.breaks)}"
    return text + _parts_text(verdict, check)


def _parts_text(verdict: Verdict, check: Check) -> str:
    """Return the families and skills that a headline names, with the words before them."""
    parts = [part for part in verdict.slices if part.under == check.under]
    regressed = [part for part in parts if part.gated and part.state == "regressed"]
    unproven = [part.name for part in parts if part.required and part.state == "inconclusive"]
    lost = [
        part
        for part in half_gone_parts(verdict)
        if part.under == check.under or verdict.outcome is Outcome.PASSED
    ]
    if check.outcome is Outcome.FAILED:
        named = sorted(dict.fromkeys([*regressed, *lost]), key=lambda part: part.change)
        return f"; lost most: {_rates_text(named, check)}" if named else ""
    text = ""
    if verdict.outcome is Outcome.FAILED and regressed:
        text = f", but regressed: {_rates_text(regressed, check)}"
        lost = [part for part in lost if part not in regressed]
    elif verdict.outcome is Outcome.INCONCLUSIVE and check.outcome is Outcome.PASSED and unproven:
        text = f", but inconclusive: {_first_names(unproven)}"
    return text + (f"; half gone: {_rates_text(lost, check)}" if lost else "")


def half_gone_parts(verdict: Verdict) -> list[Slice]:
    """Return the families of which at least half is gone, and such skills of the other families.

    A single family or skill is all that the verdict is about, so it is left out.
    """
    families, skills = (
        [part for part in verdict.slices if part.kind == kind and part.state != "allowed"]
        for kind in ("family", "skill")
    )
    lost = [part for part in families if is_half_gone(part) and _has_others(part, families)]
    named = {(part.name, part.under) for part in lost}
    return lost + [
        part
        for part in skills
        if is_half_gone(part)
        and _has_others(part, skills)
        and (part.family, part.under) not in named
    ]


def is_half_gone(part: Slice) -> bool:
    """Return True if half of what was right before, or more, is lost.

    Where little was right, or few right answers are lost, it may well be chance.
    """
    lost = part.before - part.after
    is_enough = part.before > MIN_RATE_TO_LOSE and round(lost * part.n, 6) >= _MIN_LOST_CASES
    return is_enough and round(2 * lost - part.before, 9) >= 0


def _has_others(part: Slice, parts: Iterable[Slice]) -> bool:
    return any(other.name != part.name for other in parts)


def _rates_text(parts: Iterable[Slice], check: Check) -> str:
    return _first_names(
        [
            f"{part.name} {share_change(part.before, part.after)}"
            + f" under the {part.under}" * (part.under not in ("", check.under))
            for part in parts
        ]
    )


def _first_names(names: Sequence[str]) -> str:
    return _names(tuple(names[:_MAX_NAMED]), len(names))


# Cost and latency -------------------------------------------------------------------------------

_WITHIN = {Outcome.PASSED: "within", Outcome.FAILED: "over"}


def usage_text(check: Check) -> str:
    """Return the measured and the allowed value of a cost or latency check, in one line."""
    after, what = amount(check.after, check.unit), _usage_name(check)
    if has_no_limit(check):
        return f"{what} {after}, and no limit is set"
    if check.before is None:
        relation = _WITHIN.get(check.outcome, "perhaps over")
        return f"{what} {after}, {relation} the limit of {amount(check.limit, check.unit)}"
    values = f"{what} {amount(check.before, check.unit)} → {after} against {check.against}"
    rise = "" if check.rise is None else f"{signed_percent(check.rise)}, "
    return f"{values}, {rise}limit {signed_percent(check.limit)}"


def has_no_limit(check: Check) -> bool:
    """Return True if the check is of a figure that is shown only, and limited by none."""
    return check.unit == "nats" and not check.limit


def _usage_name(check: Check) -> str:
    if check.unit == "nats":
        return "it diverges from its base by"
    if check.unit == "usd":
        return "a thousand requests cost"
    if check.measure:
        return "a thought takes"
    is_p95 = check.kind is CheckKind.P95
    return "95 in 100 replies take up to" if is_p95 else "half of the replies take"


def _ungated_headline(verdict: Verdict) -> str:
    check = _deciding(verdict)
    if check.unit == "share":
        return percent(check.after)
    if check.unit == "usd":
        return f"{usd(check.after)} a thousand requests"
    return f"p50 {milliseconds(_values(verdict)['p50'])}, p95 {milliseconds(check.after)}"


def not_measured_text(values: Mapping[str, Any]) -> str:
    """Return why the latency of a variant was not measured."""
    return (
        f"not measured: {values['requested']:,} of {values['replies']:,} replies of "
        f"{values['variant']} were requested in this run, and {values['needed']} cases are needed"
    )


#: What is wrong with the variant of an invalid gate.
NOT_WHAT_IT_CLAIMS = "not what it claims to be"

# Other verdicts ---------------------------------------------------------------------------------


def _training_data_headline(verdict: Verdict) -> str:
    values = _values(verdict)
    counts, rows = severity_counts(verdict.findings), quantity(values["rows"], "row")
    return f"{values['file']}: {counts} in {rows}"


def severity_counts(findings: Sequence[Finding]) -> str:
    """Return the number of findings of each severity, as text."""
    counts = [
        quantity(count, str(severity))
        for severity in Severity
        if (count := sum(finding.severity is severity for finding in findings))
    ]
    return ", ".join(counts) or "nothing found"


def _exam_headline(verdict: Verdict) -> str:
    return next(exam_sentences(verdict.exam)) if verdict.exam else "what decides has changed"


#: Why a change from the baseline is not gated, where the key does not say it.
_UNCOMPARED = {
    "few cases": "too few cases to limit a drop",
    "metric: macro_f1": "macro-F1 limits no drop without max_drop",
}


def shown_change_text(verdict: Verdict) -> str:
    """Return the change from the baseline that no check limits, and why; "" without one."""
    shown = verdict.shown_change
    if shown is None:
        return ""
    why = _UNCOMPARED.get(shown.key, shown.key)
    rates = f"{percent(shown.before)} → {percent(shown.after)}, {points(shown.change)}"
    return f"against {shown.against} {rates}, not gated" + (f" ({why})" if why else "")


def _not_gated_text(values: Mapping[str, Any]) -> str:
    """Return what leaves nothing that could fail a gate."""
    parts = ["min: 0"] if "minimum" in values else []
    if "cases" in values:
        parts.append(f"{quantity(values['cases'], 'case')} can show no drop")
    elif values["key"] == "baseline":
        parts.append("it is the baseline")
    else:
        parts.append(str(values["key"]))
    return f"nothing can fail it: {', '.join(parts)}"


def _no_replies_text(values: Mapping[str, Any]) -> str:
    lack = "no reply counts its tokens" if values.get("lacks") == "tokens" else "no reply came"
    return f"nothing to evaluate: {lack}"


def _nothing_to_compare_text(values: Mapping[str, Any]) -> str:
    text = "nothing to compare with yet"
    if "missing" in values:
        return f"{text}; no reply to {values['missing']:,} of {values['cases']:,} cases"
    return f"{text}; no reply is right" if values.get("rate") == 0 else text


def _unqualified_judge_headline(verdict: Verdict) -> str:
    judge = next(judge for judge in verdict.judges if judge.error)
    return f"judge not qualified: {judge.judge}: {judge.error}"


def _values(verdict: Verdict) -> Mapping[str, Any]:
    return verdict.statement.values


def _deciding(verdict: Verdict) -> Check:
    """Return the check that decided, which these kinds of statements have."""
    if verdict.check is None:
        raise ValueError(f"the verdict on {verdict.variant} has no check")
    return verdict.check


_HEADLINES: Mapping[StatementKind, Callable[[Verdict], str]] = {
    StatementKind.RATE: _rate_headline,
    StatementKind.SKILLS: _skills_headline,
    StatementKind.USAGE: lambda verdict: usage_text(_deciding(verdict)),
    StatementKind.TRAINING_DATA: _training_data_headline,
    StatementKind.UNGATED: _ungated_headline,
    StatementKind.NOTHING_TO_COMPARE: lambda verdict: _nothing_to_compare_text(_values(verdict)),
    StatementKind.EXAM_HAS_SHRUNK: _exam_headline,
    StatementKind.NOT_GATED: lambda verdict: _not_gated_text(_values(verdict)),
    StatementKind.NOT_MEASURED: lambda verdict: not_measured_text(_values(verdict)),
    StatementKind.NOT_SENT: lambda verdict: (
        f"no request could be sent: {_values(verdict)['reason']}"
    ),
    StatementKind.NO_REPLIES: lambda verdict: _no_replies_text(_values(verdict)),
    StatementKind.NO_GRADES: lambda _: "nothing to evaluate: no grade came",
    StatementKind.UNQUALIFIED_JUDGE: _unqualified_judge_headline,
    StatementKind.INVALID: lambda verdict: f"{NOT_WHAT_IT_CLAIMS}: {_values(verdict)['reason']}",
}


# Advice -----------------------------------------------------------------------------------------


def advice_headline(advice: Advice) -> str:
    """Return recommendation and subject in a sentence."""
    return f"{advice.recommendation}{advice_detail(advice)}"


def advice_detail(advice: Advice) -> str:
    """Return what follows the recommendation in a headline, from its punctuation on."""
    is_justified = advice.recommendation is not Recommendation.NOT_JUSTIFIED
    return f"{':' * is_justified} {advice_subject(advice)}"


def advice_subject(advice: Advice) -> str:
    """Return what the recommendation is about: a variant, a rung, or the rules that fail."""
    if advice.recommendation is Recommendation.ROLL_BACK and advice.rollback:
        rollback = advice.rollback
        when = f", accepted {rollback.at} in {rollback.commit}" if rollback.commit else ""
        return f"from {rollback.failing} to {advice.subject}{when}"
    if advice.recommendation is Recommendation.NOT_JUSTIFIED:
        failing = [c.name for c in advice.conditions if c.needed and c.holds is False]
        return f"({', '.join(failing)}): serve {advice.variant}"
    if advice.recommendation is Recommendation.FINE_TUNE and advice.subject != advice.variant:
        return "no other rung reaches the minimum"
    return f"{advice.subject}, since {advice.why}" if advice.why else advice.subject
