"""The headline of a verdict and of an advice: one sentence, made of their values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_ftgate.gates.notes import Finding, Severity
from pytest_ftgate.gates.statements import (
    ExamChange,
    ExamLoss,
    LossOfExam,
    LostCases,
    StatementKind,
)
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome, Verdict
from pytest_ftgate.recommend.advice import Advice, Recommendation
from pytest_ftgate.reporting import phrases
from pytest_ftgate.reporting.notes import named_note_text, note_text, notes_text
from pytest_ftgate.reporting.number_text import (
    change_size,
    fill,
    first_names,
    percent,
    quantity,
    usd,
    with_more,
)

if TYPE_CHECKING:
    from pytest_ftgate.results.accepted import Acceptance


#: The most cases that a sentence on the exam names.
_MAX_CASES = 5
_HAD_NO_REPLY = "had no reply when the run was accepted"
#: What has become of accepted cases: of one, and of several.
_STATES = {
    "gone": ("is gone", "are gone"),
    "without weight": ("has no weight any more", "have no weight any more"),
    "changed": ("has changed", "have changed"),
    "without a reply": (_HAD_NO_REPLY, _HAD_NO_REPLY),
}


def exam_phrase(change: ExamChange) -> str:
    """Return in a few words how the exam has shrunk."""
    return "record of an older format" if change.is_older else "less is tested than was accepted"


def exam_sentences(change: ExamChange) -> Iterator[str]:
    """Yield a sentence on each thing that has changed, the cases first."""
    if change.is_older:
        yield "the accepted record is older: it lists no cases and no limits"
    yield from (_lost_text(lost, change.accepted) for lost in change.lost)
    yield from map(_loss_text, change.losses)
    if change.came:
        came = "has come" if change.came == 1 else "have come"
        names = first_names(change.came_ids, _MAX_CASES, change.came)
        yield f"{quantity(change.came, 'case')} {came} since a run was accepted: {names}"


def _lost_text(lost: LostCases, accepted: int) -> str:
    state = _STATES[lost.kind][lost.count != 1]
    names = first_names(lost.ids, _MAX_CASES, lost.count)
    which = f"{'it is' if lost.count == 1 else 'they are'} {names}"
    if lost.right is not None:
        which = f"{lost.right} of them {'was' if lost.right == 1 else 'were'} right: {names}"
    return f"{lost.count} of {accepted} accepted cases {state}; {which}"


def _loss_text(loss: ExamLoss) -> str:
    values = f"{_value(loss.before)} is now {_value(loss.now)}"
    return {
        LossOfExam.GATE: f"the accepted gate {loss.name} is gone",
        LossOfExam.VARIANT: f"{loss.name} was accepted, and is not gated any more",
        LossOfExam.COMPARED: f"{loss.name} is not compared with the baseline any more",
        LossOfExam.LIMIT: f"{loss.name}: {values}, which lets more pass than what was accepted",
        LossOfExam.REPEATS: f"{loss.name}: {values}, and fewer replies decide than were accepted",
        LossOfExam.THOUGHTS: f"{loss.name}: {values}, so other parts of replies are scored",
        LossOfExam.MUST_PASS: f"the case {loss.name} need not pass any more",
        LossOfExam.BASELINE: f"baseline: {values}",
    }[loss.kind]


def _value(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def acceptance_lines(acceptance: Acceptance) -> Iterator[str]:
    """Yield what a run has accepted, and what left, changed and came with it."""
    counts = acceptance.not_passed.items()
    states = [f"{quantity(count, 'gate')} {state}" for state, count in counts]
    text = f"accepted {', '.join(acceptance.names)} in {acceptance.file}; commit it with the change"
    yield with_more(text, ", ".join(states))
    yield from _changes(acceptance.changes)
    if acceptance.new_anchors:
        names = first_names(acceptance.new_anchors)
        yield f"new anchor of {names}: no case that was accepted earlier is as it was"
    if not acceptance.is_read:
        yield (
            f"no gate compares with the results in {acceptance.file}: max_drop: none, evidence: "
            "point, or another kind of gate"
        )


def refusal_lines(failed: Mapping[str, tuple[str, ...]], command: str) -> Iterator[str]:
    """Yield that a run with *failed* gates is not accepted, and the command that accepts it.

    *failed* has the names of gates by what became of them, and *command* is that of this run.
    """
    from pytest_ftgate.results.accepted import WITHOUT_REPLIES  # imports SciPy

    gates = "; ".join(f"{first_names(names)} {state}" for state, names in failed.items())
    refused, anyway = (
        f"NOT ACCEPTED: {gates}. No record was written;",
        "to accept this run all the same:",
    )
    if WITHOUT_REPLIES in failed:
        yield f"{refused} to request the missing replies first (add those of a recorded variant):"
        yield command
        yield anyway
    else:
        yield f"{refused} {anyway}"
    yield command.replace("pytest", "pytest --ftgate-accept-failed", 1)


def _changes(changes: Mapping[str, ExamChange]) -> Iterator[str]:
    """Yield each change of the exam once, with the gates that it is about."""
    gates: dict[str, list[str]] = {}
    for gate, change in changes.items():
        for sentence in exam_sentences(change):
            gates.setdefault(sentence, []).append(gate)
    yield from (f"accepted {', '.join(names)}: {text}" for text, names in gates.items())


# Verdicts ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictWords:
    """Every part of a verdict in words; each medium takes the parts that it shows.

    A part that a verdict does not have is "". Foreign names in them are not escaped.

    Attributes:
        headline: the verdict in one line.
        size: ``down 11 points``, or a level such as ``88 %``.
        interval: ``95 % CI 8 to 15``.
        limit: ``limit 5``.
        levels: ``current 98 % → candidate 87 %``.
        cases: ``34 of 300 cases regressed, 0 fixed``.
        doubt: in a sentence, why the verdict is inconclusive, or invalid.
        worst_label, worst: the parts that got worse most, and what they are.
        perhaps: the parts that may have fallen, and how many would by chance.
        cause: what most regressed cases have in common.
    """

    headline: str
    size: str = ""
    interval: str = ""
    limit: str = ""
    levels: str = ""
    cases: str = ""
    doubt: str = ""
    worst_label: str = ""
    worst: tuple[str, ...] = ()
    perhaps: str = ""
    cause: str = ""

    @property
    def title(self) -> str:
        """What every medium says first of a gate: size, interval and limit, if it has them."""
        if not self.size:
            return self.headline
        return ", ".join(filter(None, (with_more(self.size, self.interval), self.limit)))


#: What has levels and cases, beside its headline.
_MEASURED = (StatementKind.RATE, StatementKind.SKILLS, StatementKind.USAGE)


def verdict_words(verdict: Verdict) -> VerdictWords:
    """Return every part of *verdict* in words."""
    check = verdict.check
    label, parts = phrases.worst(verdict)
    words = VerdictWords(
        headline=headline(verdict),
        worst_label=label,
        worst=parts,
        perhaps=phrases.perhaps_fallen(verdict),
        cause=phrases.cause_parts(verdict)[0],
    )
    if verdict.outcome is Outcome.INVALID and "reason" in verdict.statement.values:
        reason = named_note_text("reason", verdict.statement.values)
        return replace(words, size=NOT_WHAT_IT_CLAIMS, doubt=reason)
    if check is None or verdict.statement.kind not in _MEASURED:
        return words
    rates = check.unit == "share" and check.kind is not CheckKind.MUST_PASS
    is_open = verdict.outcome is Outcome.INCONCLUSIVE and check.kind is not CheckKind.MUST_PASS
    named = check.measure or check.under
    about = f"{phrases.subject(verdict)}: " if rates and named else ""
    return replace(
        words,
        size=_size(verdict, check),
        interval=phrases.interval(check),
        limit=phrases.limit(check),
        levels=about + phrases.levels(check, verdict.variant) if phrases.is_compared(check) else "",
        cases=phrases.cases(verdict) if rates and not check.has_drifted else "",
        doubt=phrases.doubt(check) if is_open else "",
    )


def _size(verdict: Verdict, check: Check) -> str:
    """Return what got worse by how much: of the whole, of parts, or of must-pass cases."""
    if check.kind is CheckKind.MUST_PASS:
        wrong = quantity(len(check.case_ids), "must-pass case")
        return f"{wrong} {'wrong' if verdict.outcome is Outcome.FAILED else 'inconclusive'}"
    if check.unit != "share":
        return f"{phrases.figure_name(check)} {phrases.size(check)}".rstrip()
    if check.measure:
        return f"{check.measure} {phrases.size(check)}"
    if verdict.outcome is Outcome.FAILED and check.outcome is not Outcome.FAILED:
        parts = [part for part in verdict.slices if part.state == "regressed"]
        fell = f"{quantity(len(parts), 'part')} fell" if parts else "must-keep cases broke"
        return f"{fell}, overall {phrases.size(check)}"
    return phrases.size(check)


def headline(verdict: Verdict) -> str:
    """Return the verdict in one line."""
    words = _HEADLINES[verdict.statement.kind]
    return words(verdict) if callable(words) else fill(words, verdict.statement.values)


def _skills_headline(verdict: Verdict) -> str:
    check = _deciding(verdict)
    return notes_text(check.notes) if check.before is None else phrases.measured_headline(verdict)


def _ungated_headline(verdict: Verdict) -> str:
    check = _deciding(verdict)
    if check.unit == "share":
        return percent(check.after)
    if check.unit == "usd":
        return f"{usd(check.after)} for 1,000 requests"
    return fill("p50 {p50:ms}, p95 {p95:ms}", {**verdict.statement.values, "p95": check.after})


#: What is wrong with the variant of an invalid gate.
NOT_WHAT_IT_CLAIMS = "not what it claims to be"


def _training_data_headline(verdict: Verdict) -> str:
    values, counts = verdict.statement.values, severity_counts(verdict.findings)
    return fill("{file}: {counts} in {rows:#row}", {**values, "counts": counts})


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
}


def shown_change_text(verdict: Verdict) -> str:
    """Return the change from the baseline that no check limits, and why; "" without one."""
    shown = verdict.shown_change
    if shown is None:
        return ""
    why = _UNCOMPARED.get(shown.key, shown.key)
    # The rate is that of the check, so it reads the same.
    digits = phrases.decimals(verdict.check) if verdict.check else 0
    rates = f"{percent(shown.before, digits)} → {percent(shown.after, digits)}"
    rates += f", {change_size(shown.change, digits)}"
    return with_more(f"against {shown.against} {rates}, not gated", why)


def _not_gated_headline(verdict: Verdict) -> str:
    """Return what leaves nothing that could fail a gate."""
    values = verdict.statement.values
    parts = ["min: 0"] if "minimum" in values else []
    if "cases" in values:
        parts.append(fill("{cases:#case} can show no drop", values))
    elif values["key"] == "baseline":
        parts.append("it is the baseline")
    else:
        parts.append(str(values["key"]))
    return f"nothing can fail it: {', '.join(parts)}"


def _no_replies_headline(verdict: Verdict) -> str:
    from pytest_ftgate.reporting.run_notes import STATED_AMOUNTS

    lacks = verdict.statement.values.get("lacks")
    lack = "no reply counts its tokens" if lacks == "tokens" else "no reply came"
    lack = "no price of the tokens is known" if lacks == "price" else lack
    if lacks in STATED_AMOUNTS and lacks != "tokens":
        lack = f"no run states {STATED_AMOUNTS[str(lacks)]}"
    return f"nothing to evaluate: {lack}"


def _nothing_to_compare_headline(verdict: Verdict) -> str:
    values, text = verdict.statement.values, "nothing to compare with yet"
    if "missing" in values:
        return f"{text}; no reply to {values['missing']:,} of {values['cases']:,} cases"
    return f"{text}; no reply is right" if values.get("rate") == 0 else text


def _unqualified_judge_headline(verdict: Verdict) -> str:
    judge = next(judge for judge in verdict.judges if judge.errors)
    return f"judge not qualified: {judge.judge}: {notes_text(judge.errors)}"


def _deciding(verdict: Verdict) -> Check:
    """Return the check that decided, which these kinds of statements have."""
    if verdict.check is None:
        raise ValueError(f"the verdict on {verdict.variant} has no check")
    return verdict.check


def _not_sent_headline(verdict: Verdict) -> str:
    """Return why a gate, or a variant without gates, was not measured."""
    values, kind = verdict.statement.values, verdict.statement.kind
    is_invalid = kind is StatementKind.INVALID or values.get("is_invalid")
    text = NOT_WHAT_IT_CLAIMS if is_invalid else "no request could be sent"
    return f"{text}: {named_note_text('reason', values)}"


#: The headline of each kind of statement: a template of its values, or what makes it.
_HEADLINES: Mapping[StatementKind, str | Callable[[Verdict], str]] = {
    StatementKind.RATE: phrases.measured_headline,
    StatementKind.SKILLS: _skills_headline,
    StatementKind.USAGE: phrases.measured_headline,
    StatementKind.TRAINING_DATA: _training_data_headline,
    StatementKind.UNGATED: _ungated_headline,
    StatementKind.NOTHING_TO_COMPARE: _nothing_to_compare_headline,
    StatementKind.EXAM_HAS_SHRUNK: _exam_headline,
    StatementKind.NOT_GATED: _not_gated_headline,
    StatementKind.NOT_MEASURED: (
        "not measured{again: again since it did not pass/}: {requested:,} of {replies:,} replies "
        "of {variant} were requested in this run, and {needed} cases are needed"
    ),
    StatementKind.NOT_SENT: _not_sent_headline,
    StatementKind.NO_REPLIES: _no_replies_headline,
    StatementKind.NO_GRADES: "nothing to evaluate: no grade came",
    StatementKind.UNQUALIFIED_JUDGE: _unqualified_judge_headline,
    StatementKind.INVALID: _not_sent_headline,
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
    return f"{advice.subject}, since {note_text(advice.why)}" if advice.why else advice.subject
