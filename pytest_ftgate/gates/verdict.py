"""Verdicts: outcome, checks, slices, and the numbers behind them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from pytest_ftgate.gates.figure import InputChange, JudgeValidation, RunRow, TaskScore
from pytest_ftgate.gates.notes import Finding, Note
from pytest_ftgate.gates.statements import ExamChange, NextStep, Statement, StatementKind, Value
from pytest_ftgate.scoring.score import LabelMetrics
from pytest_ftgate.suite.model import Checkpoint, Gate, Suite


@dataclass(frozen=True, slots=True)
class Retention:
    """The ratio of after to before, with its 95 % interval; *high* is None if unbounded."""

    share: float
    low: float
    high: float | None = None


#: Where the rate before is not above this, there is next to nothing to lose.
MIN_RATE_TO_LOSE = 0.10
Fall = Literal["", "clearly", "perhaps"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The result of one slice of the cases. Rates, changes and margins are shares, 0 to 1.

    Attributes:
        kind, name: what it is, ``family`` (of skills), ``skill``, ``tag``, ``label``, ``language``
            or ``difficulty``, and which.
        family: the family of a skill, or "".
        p_drop: the p-value of a drop, adjusted for the number of tested slices.
        p_alone: the p-value of a drop of this slice alone; None if the slice is never named.
        named: ``clearly`` if the slice clearly fell, ``perhaps`` if it may have fallen.
        p_half: see *Check.p_half*, with *margin* as the limit; not adjusted.
        state: ``regressed``; ``kept`` if a drop of *margin* is ruled out; ``inconclusive``;
            ``untested``; ``allowed`` for a skill that may be lost; or ``uninformative`` if the rate
            before is too low for a drop of *margin*, or of 10 points without one.
        gated: whether a regression of the slice affects the verdict.
        margin: the drop that ``kept`` rules out; None if the slice is not tested.
        required: whether the gate passes only if the slice is ``kept``.
        weight: the weight of the slice in the mean over the skills.
        kept, regressed, fixed: cases right before and now; right before only; right now only.
        retention: the share of the ability that is left; None if there was almost none before.
        under: see *Check.under*.
    """

    kind: str
    name: str
    n: int
    before: float
    after: float
    low: float
    high: float
    p_drop: float
    state: str
    p_alone: float | None = None
    named: Fall = ""
    family: str = ""
    gated: bool = True
    margin: float | None = None
    p_half: float | None = None
    required: bool = False
    weight: float = 1.0
    kept: int = 0
    regressed: int = 0
    fixed: int = 0
    retention: Retention | None = None
    under: str = ""

    @property
    def change(self) -> float:
        """The difference, after minus before."""
        return self.after - self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class LossKind:
    """One way in which regressed cases are wrong now, and how often it occurs.

    Attributes:
        kind: the kind of loss, see gates/forgetting.py.
        cases, share: how many regressed cases are of this kind, and as a share of all, 0 to 1.
        examples: the ids of a few of these cases.
        under: see *Check.under*.
    """

    kind: str
    cases: int
    share: float
    examples: tuple[str, ...] = ()
    under: str = ""


class Outcome(StrEnum):
    """The four possible outcomes of a gate. A failed request is an error, not an outcome."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"


class CheckKind(StrEnum):
    """What a check compares the variant with: a limit, or other results."""

    MINIMUM = "minimum"
    MUST_PASS = "must_pass"  # noqa: S105 - not a password
    BASELINE = "baseline"
    ACCEPTED = "accepted"
    ANCHOR = "anchor"
    BASE = "base"
    MEAN = "mean"
    P50 = "p50"
    P95 = "p95"


#: What is compared with an accepted record.
ACCEPTED_KINDS = (CheckKind.ACCEPTED, CheckKind.ANCHOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One comparison of a gate. Rates and margins are shares, 0 to 1.

    Attributes:
        kind: what the variant is compared with. ``mean``, ``p50`` and ``p95`` are held to a limit
            of the cost, usage or latency gate.
        against: the displayed name of the results compared with; "" for a limit.
        case_ids: the must-pass cases that are wrong.
        limit: the minimum, or the largest allowed drop; for cost and latency the largest allowed
            amount, or the largest allowed relative rise.
        has_default_limit: True if *limit* is what the cases can show, and not declared.
        limit_cases: how many cases that are, those to come and those without a reply included.
        unit: of the rates: ``share``, ``usd`` (of 1,000), ``ms``, ``characters``; of runs
            ``usd_per_success``, ``tokens`` (of thoughts too), ``seconds``, ``tool_calls``.
        n: the number of cases compared.
        tasks: the number of tasks, if the check is about these alone; *n* then counts their runs
            in pairs. 0 if the cases are the sample.
        units: the number of groups of related cases, or None if all cases are independent.
        noun: what a case is called: ``task`` if its replies are the runs of an agent.
        effective: the effective number of cases, after repeats and groups.
        error: the standard error of the change or rate; None if right and wrong are counted.
        before: the rate or amount compared with, or None for a minimum or a limit.
        low, high: the 95 % interval of the change (relative for cost and latency), or of the rate
            or amount where *before* is None; None if unbounded.
        rise: the relative change of cost (of the mean) or latency (median over the cases).
        fixed, regressed: the numbers of fixed and regressed cases (fractions with repeats); of
            cases that got better and worse if scores are graded or weighted.
        p_pass, p_fail: the p-values against a drop as large as the limit, and against no drop.
        p_half: the p-value against a drop of half the limit at most; None if too little shows it.
        miss, alarm: the levels that *p_pass* and *p_fail* are compared with.
        shared: the number of drop checks of the suite that share the alarm level.
        method: ``counts``; ``point`` for a plain threshold; ``t`` for
            cost; ``order`` for latency; ``judge`` for grades with adjusted limits; ``labels`` for
            grades corrected by human labels of the same replies; ``differing`` with *inputs*.
        discordance: the share of cases on which the two variants disagree.
        detectable: the smallest real drop that this many cases detect 9 times in 10.
        certifiable: the smallest limit that this many cases can certify 9 times in 10.
        needed: the number of further cases that would settle an inconclusive check, or None.
        needed_unchanged: that number if the variant is unchanged, or None.
        shown_limit: the strictest limit, in whole points, that the same replies pass; None if the
            check passed, or if no limit helps.
        informative: False if no drop could be seen, so that the check cannot decide.
        missing: the number of cases without a reply.
        under: ``prompt`` if skills were tested under the variant's system prompt.
        retention: the mean retention of the skills; None if there was almost nothing before.
        transfer: backward transfer: the mean change over all skills, equally weighted.
        measure: ``thoughts`` for the share of replies with a thought, ``thought length`` for its
            length; "" for what the gate itself measures.
        is_unchanged: True if both sides rest on the same requests and replies.
        has_drifted: True if the baseline has drifted, so that it is not compared.
        inputs: what inputs without an expected answer add to the change, or None. With it, *before*
            and *after* are the rates of the labelled cases alone, and *n* counts the inputs too.
        notes: what a reader should know about this check.
    """

    kind: CheckKind
    outcome: Outcome
    limit: float
    n: int
    after: float
    before: float | None = None
    against: str = ""
    case_ids: tuple[str, ...] = ()
    tasks: int = 0
    noun: str = "case"
    units: int | None = None
    effective: float = 0.0
    error: float | None = None
    low: float | None = None
    high: float | None = None
    fixed: float = 0.0
    regressed: float = 0.0
    p_pass: float | None = None
    p_fail: float | None = None
    p_half: float | None = None
    #: The `PairedCounts` of *p_half*, in no record; None where a judge's errors correct it.
    pairs: Annotated[Any, Field(exclude=True)] = field(default=None, compare=False, repr=False)
    miss: float = 0.05
    alarm: float = 0.01
    shared: int = 1
    has_default_limit: bool = False
    limit_cases: int = 0
    unit: str = "share"
    rise: float | None = None
    method: str = "counts"
    discordance: float | None = None
    detectable: float | None = None
    certifiable: float | None = None
    needed: int | None = None
    needed_unchanged: int | None = None
    shown_limit: float | None = None
    informative: bool = True
    missing: int = 0
    under: str = ""
    retention: Retention | None = None
    transfer: float | None = None
    measure: str = ""
    is_unchanged: bool = False
    has_drifted: bool = False
    inputs: InputChange | None = None
    notes: tuple[Note, ...] = ()

    @property
    def change(self) -> float | None:
        """The difference, after minus before; with inputs that of cases and inputs."""
        if self.inputs is not None:
            return self.inputs.change
        return None if self.before is None else self.after - self.before

    @property
    def rated(self) -> int:
        """The number of cases that *after* is the rate of: neither inputs nor runs of tasks."""
        return self.inputs.cases if self.inputs else self.tasks or self.n

    @property
    def is_open_minimum(self) -> bool:
        """True for a minimum that is not shown to hold."""
        return self.kind is CheckKind.MINIMUM and self.outcome is not Outcome.PASSED

    @property
    def is_beyond(self) -> bool:
        """True if the whole interval of the change lies beyond the limit."""
        if self.before is None:
            return False
        return self.high is not None and self.high < -self.limit

    @property
    def drop_is_shown(self) -> bool:
        """True if a drop of any size is shown."""
        return self.p_fail is not None and self.p_fail <= self.alarm


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownChange:
    """A change from the baseline that is shown and decides nothing. Rates are shares, 0 to 1.

    Attributes:
        against: the name of the baseline.
        low, high: the 95 % interval of the change.
        n: the number of cases with a reply of both.
        key: what switches the gate off (``max_drop: none``, ``few cases``); "" without a gate.
    """

    against: str
    before: float
    after: float
    low: float
    high: float
    n: int
    key: str = ""

    @property
    def change(self) -> float:
        """The difference, after minus before."""
        return self.after - self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A regressed or a fixed case.

    Attributes:
        case: the id of the case.
        where: the file and line of the case.
        regressed: True if right before and wrong now, False for the reverse.
        shown: the input of the case.
        before, now: the reply before, and the reply of the variant.
        score_before, score: how many runs of a task were right; None where a case has one reply.
        format_error, why: the kind of format error of the reply, or "", and the error in full.
        wrong: what is wrong with the content, where the texts do not show it.
        passages: source and first words of each retrieved passage.
        answered_in: the rank of the first passage with the answer, from 1; 0 for none; None if
            nothing is retrieved or the rank is meaningless.
        called_before, called: the tool calls before and now, one a line.
        thought_before, thought: what the model thought before each of the two replies, or "".
        kind: the kind of loss of a regressed skills case, see *LossKind*.
    """

    case: str
    where: str
    regressed: bool
    shown: str
    expected: str
    before: str
    now: str
    score_before: TaskScore | None = None
    score: TaskScore | None = None
    format_error: str = ""
    why: str = ""
    wrong: str = ""
    skill: str = ""
    passages: tuple[str, ...] = ()
    answered_in: int | None = None
    called_before: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    thought_before: str = ""
    thought: str = ""
    kind: str = ""


#: The properties of replies whose drift is described.
DriftKind = Literal[
    "length", "refusals", "hedging", "same text", "language", "format errors",
    "thoughts", "thought length", "cut off",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """The drift of one property of all replies; it never decides a gate.

    Attributes:
        what: the property.
        unit: the unit of *before* and *after*: ``words``, ``characters`` or ``tokens`` (the
            median), or ``share``. For ``language`` *after* is the share of changed replies, for
            ``format errors`` the share of replies with a format error.
        n: the number of replies; for ``language`` and ``format errors`` of cases.
        p: the p-value of the change; None if it is not tested.
        message: the change; None if it is too small to report.
    """

    what: DriftKind
    unit: str
    before: float
    after: float
    n: int
    p: float | None = None
    message: Note | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatErrorExample:
    """One reply with a format error: the beginning of its text, and the error in detail.

    Attributes:
        is_thought: True if the model thought, and gave no answer.
    """

    case: str
    text: str
    detail: str = ""
    is_thought: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatErrorShare:
    """The share of replies with one kind of format error. Shares are 0 to 1.

    Attributes:
        kind: the kind of format error, or the kind of the format rule that is broken.
        replies: the number of replies with this error now.
        after: their share, with each case weighted equally.
        before: the share before, or None if there is no comparison.
        low, high, before_low, before_high: the 95 % intervals of *after* and *before*.
        examples: up to three replies with this error, if it is new or grew.
    """

    kind: str
    replies: int
    after: float
    low: float
    high: float
    before: float | None = None
    before_low: float | None = None
    before_high: float | None = None
    examples: tuple[FormatErrorExample, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The verdict of one gate about one variant.

    Attributes:
        suite: the suite file, relative to the root directory; the module of a marked function.
        line: the line of the gate in that file.
        declared: the file and the line where the variant is declared.
        gated: False for a variant that is measured without being gated.
        measured: False if nothing could be measured in this run.
        node: the id of the pytest test, where suite, gate and variant do not give it.
        statement: what the verdict says; ``pytest_ftgate.headline`` puts it into words.
        checks: the comparisons.
        exam: how what decides has changed since a run was accepted; None without a record.
        shown_change: the change from the baseline, where no check compares with it.
        deciding: the index of the check that decided.
        slices: the results by slice, if the gate has slices.
        labels: the figures by label, largest drop first, if a gate with labels did not pass.
        flips: the first few dozen regressed and fixed cases, regressed first.
        regressed, fixed: the numbers of all regressed (see *counts_wrong*) and fixed cases.
        format_errors: the share of each kind of format error, largest increase first.
        broken_rules: the share of replies that break each format rule, if there are several.
        lenient, lenient_before: the share of replies with a valid format for a lenient parser, now
            and for the baseline; None except for the format gate.
        findings: the findings in training data, for the training-data gate.
        loss_kinds: the kinds of loss of the forgetting gate, most frequent first.
        breaks: the must-keep cases that the base has right and the variant wrong.
        runs: the figures of an agent's runs: how often they succeed, and what they take.
        drifts: the drift of all replies, reported by one gate of each variant.
        judges: the validation of the judges that graded the replies.
        notes: what else a reader must know: identity, missing replies.
        next: what to do.
        facts: provider, model, digests and server facts of the variant.
        checkpoint: the checkpoint of a training that the variant is, or None. The verdict of one
            that does not decide is not gated, and has its own outcome.
    """

    suite: str
    line: int
    gate: str
    variant: str
    outcome: Outcome
    statement: Statement
    declared: str = ""
    gated: bool = True
    measured: bool = True
    node: str = ""
    checks: tuple[Check, ...] = ()
    shown_change: ShownChange | None = None
    exam: ExamChange | None = None
    deciding: int = 0
    slices: tuple[Slice, ...] = ()
    labels: tuple[LabelMetrics, ...] = ()
    flips: tuple[Flip, ...] = ()
    regressed: int = 0
    fixed: int = 0
    format_errors: tuple[FormatErrorShare, ...] = ()
    broken_rules: tuple[FormatErrorShare, ...] = ()
    lenient: float | None = None
    lenient_before: float | None = None
    findings: tuple[Finding, ...] = ()
    loss_kinds: tuple[LossKind, ...] = ()
    breaks: tuple[str, ...] = ()
    runs: tuple[RunRow, ...] = ()
    drifts: tuple[Drift, ...] = ()
    judges: tuple[JudgeValidation, ...] = ()
    notes: tuple[Note, ...] = ()
    next: tuple[NextStep, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None

    @property
    def is_ungated(self) -> bool:
        """True if the variant is only measured; a checkpoint that does not decide has gates."""
        return not self.gated and self.checkpoint is None

    @property
    def always_blocks(self) -> bool:
        """True if the verdict blocks though inconclusive verdicts may pass."""
        is_empty = self.statement.kind in (StatementKind.NO_REPLIES, StatementKind.NO_GRADES)
        return is_empty or (self.exam is not None and self.exam.has_shrunk)

    @property
    def holds(self) -> bool:
        """True if no limit is broken, also where less is tested than was accepted."""
        has_shrunk = self.statement.kind is StatementKind.EXAM_HAS_SHRUNK
        return self.outcome is Outcome.PASSED or has_shrunk

    @property
    def rates_content(self) -> bool:
        """True if the gate is about the share of right replies to the suite's own cases."""
        return self.gate == "accuracy"

    @property
    def tests_skills(self) -> bool:
        """True if the slices are general skills, and not parts of the suite's own cases."""
        return self.gate == "forgetting"

    @property
    def rates_cases(self) -> bool:
        """True if the gate rates each case, and not the replies as a whole."""
        return self.gate in ("accuracy", "format", "forgetting")

    @property
    def check(self) -> Check | None:
        """The check that decided."""
        return self.checks[self.deciding] if self.checks else None

    @property
    def counts_wrong(self) -> bool:
        """True if *regressed* counts every wrong case, as nothing else says which ones matter."""
        alone = all(check.before is None for check in self.checks)
        return alone or bool(self.check and self.check.is_open_minimum)


def combine_checks(checks: Iterable[Check]) -> tuple[Outcome, int]:
    """Return the combined outcome of *checks*, and the index of the check that decides it.

    Any failed: failed. All passed: passed. Otherwise inconclusive. Uninformative checks are
    ignored if another check is informative.
    """
    indexed = list(enumerate(checks))
    # Must-pass cases show nothing about the other cases, so they cannot replace a comparison.
    has_comparison = any(c.informative and c.kind is not CheckKind.MUST_PASS for _, c in indexed)
    ranked = [(i, c) for i, c in indexed if c.informative] if has_comparison else indexed
    # A drop check decides before a minimum, and a minimum before the must-pass cases.
    ranked.sort(key=lambda pair: (pair[1].before is None, pair[1].kind is CheckKind.MUST_PASS))
    for outcome in (Outcome.FAILED, Outcome.INCONCLUSIVE):
        for index, check in ranked:
            if check.outcome is outcome:
                return outcome, index
    return Outcome.PASSED, ranked[0][0]


def verdict_place(suite: Suite, gate: Gate, variant: str) -> dict[str, Any]:
    """Return the fields of a verdict that say which gate judges which variant."""
    place = {"suite": suite.name, "line": gate.line, "gate": gate.name, "variant": variant}
    return {**place, "declared": suite.places.get(f"variants.{variant}", "")}


def ungated_verdict(
    suite: Suite, gate: Gate, variant: str, check: Check, values: Mapping[str, Value] | None = None
) -> Verdict:
    """Return the measurement of an ungated variant, as a verdict that is only shown."""
    return Verdict(
        **verdict_place(suite, gate, variant),
        outcome=Outcome.PASSED,
        statement=Statement(StatementKind.UNGATED, values or {}),
        gated=False,
        checks=(check,),
    )
