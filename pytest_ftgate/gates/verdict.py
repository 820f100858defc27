"""Verdicts: outcome, checks, slices, findings, and the numbers that they rest on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from pytest_ftgate.scoring.classification import LabelRate
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.training_data import Example

__all__ = [
    "Check",
    "Examined",
    "FaultShare",
    "Figure",
    "Finding",
    "Flip",
    "FormatErrorExample",
    "Item",
    "LossKind",
    "Outcome",
    "Retention",
    "Severity",
    "Slice",
    "Trait",
    "Verdict",
    "Yardstick",
    "together",
]


@dataclass(frozen=True, slots=True)
class Retention:
    """After divided by before, and its 95 % interval; *high* is None where nothing bounds it."""

    share: float
    low: float
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What became of one part of the cases: ``lost``, ``kept``, ``open`` or ``blind``.

    Blind is a part of which so little was there that a loss as large as the margin cannot be.

    Attributes:
        kind: what the part shares: ``skill``, ``tag``, ``label``, ``language`` or ``difficulty``.
        name: which of them.
        judged: whether a loss of it matters to the verdict; else it is shown and no more.
        margin: the loss that is ruled out where it is kept; *required* where it must be.
        weight: how much it counts in the mean over the skills.
        kept, lost, gained: cases that were right before and still are; that fell; that rose.
        retention: how much of it is left; None where there was next to nothing.
        under: as in *Check* of gate/verdict.py.
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
    judged: bool = True
    margin: float | None = None
    required: bool = False
    weight: float = 1.0
    kept: int = 0
    lost: int = 0
    gained: int = 0
    retention: Retention | None = None
    under: str = ""

    @property
    def change(self) -> float:
        """The difference, after minus before."""
        return self.after - self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class LossKind:
    """In how many of the lost answers a model went wrong in one way.

    Attributes:
        kind: one of six, see gate/losses.py; *examples* are the ids of a few.
        cases: how many; *share* is that of all lost answers.
        under: as in *Check* of gate/verdict.py.
    """

    kind: str
    cases: int
    share: float
    examples: tuple[str, ...] = ()
    under: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A share or a kappa with its 95 % interval, and how many ratings it rests on."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What one judge is worth, by what people said of the same replies.

    Attributes:
        judge: its model.
        provider: who serves it.
        rubric: how its rubric begins.
        labels: how many replies people labelled; 0 where it was never examined.
        unread: how many of these it gave no grade.
        agreement: how often it says what people say.
        kappa: Cohen's, by scikit-learn; of more than two grades with quadratic weights.
        sensitivity, specificity: of the replies that people call good, or bad, the share that it
            calls so too; None where it compares.
        consistency: how often it says the same of two replies in both orders.
        repeats: how often two samples of it say the same; None where it was asked once.
        length: Spearman's correlation of its error with the length of the reply, *length_p* how
            easily so much comes by chance.
        padded: of so many bad replies *padded_up* became better by being said twice, and
            *padded_down* worse.
        floor: what it had to reach, each by the lower end of its interval.
        fault: why it may not gate, or "".
        warnings: what else speaks against it.
        is_binary: a reply is wholly good or wholly bad to it, so that rates can be corrected.
    """

    judge: str
    provider: str
    rubric: str
    labels: int = 0
    unread: int = 0
    agreement: Figure | None = None
    kappa: Figure | None = None
    sensitivity: Figure | None = None
    specificity: Figure | None = None
    consistency: Figure | None = None
    repeats: Figure | None = None
    length: float | None = None
    length_p: float | None = None
    padded: int = 0
    padded_up: int = 0
    padded_down: int = 0
    floor: Mapping[str, float] = field(default_factory=dict)
    fault: str = ""
    warnings: tuple[str, ...] = ()
    is_binary: bool = False

    @property
    def shows(self) -> tuple[float, float] | None:
        """How much of a true change its grades show, and at least; None where it is not known."""
        if not self.is_binary or self.sensitivity is None or self.specificity is None:
            return None
        seen = self.sensitivity.value + self.specificity.value - 1
        return seen, self.sensitivity.low + self.specificity.low - 1


class Severity(StrEnum):
    """What a finding does to the gate: an error fails it, the others are told."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One kind of defect of a training file.

    Attributes:
        kind: one of ``suite.margins.FINDINGS``.
        told: what is wrong, in a sentence that never quotes a secret.
        count: how many rows, or cases, are affected; 0 where the file as a whole is meant.
        lines: where, each line once, ascending.
        next: what to do about it.
        cases: the ids of cases of the suite that are affected.
    """

    kind: str
    severity: Severity
    told: str
    count: int = 0
    lines: tuple[int, ...] = ()
    next: str = ""
    cases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a training file: what it teaches, and as it was written."""

    example: Example
    raw: Any

    @property
    def line(self) -> int:
        """Where it begins in its file."""
        return self.example.line

    @property
    def answer(self) -> str | None:
        """What it teaches, or None where it teaches nothing."""
        return self.example.answer if self.example.teaches else None

    @property
    def texts(self) -> Sequence[str]:
        """Every text in it."""
        own = self.example
        return [*filter(None, (own.system, own.answer)), *(text for _, text in own.turns)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """What a training file is held to.

    Attributes:
        cases: those that the trained model is judged by.
        format: the form that replies must have.
        folder: where functions of the suite are looked for first.
        min_rows, want_rows: fewer rows to learn from are an error, and a warning.
        near: the share of all their different words that near duplicates have in common.
        balance: how many times as many rows the most frequent label may have as the least.
        context: the tokens that the model takes, or None where nobody has said.
        ignore: kinds that are not told.
    """

    cases: tuple[Case, ...] = ()
    format: tuple[Rule, ...] = ()
    folder: Path = Path()
    min_rows: int = 200
    want_rows: int = 500
    near: float = 0.8
    balance: float = 20.0
    context: int | None = None
    ignore: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that a reply may be, where the form has such."""
        return tuple(label for rule in self.format if rule.kind == "choice" for label in rule.value)


class Outcome(StrEnum):
    """The four ends of a gate; a call that could not be asked is an error and none of them."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One comparison of a gate. Rates, changes and margins are shares, 0 to 1.

    Attributes:
        against: ``floor``, the baseline's name, ``accepted`` or ``base``; of what replies take
            ``mean``, ``p50`` or ``p95``, held to a limit, or the baseline's name.
        limit: the floor, or the margin that a drop must stay within; of what replies take the most
            that is allowed, or the largest rise, as a share of what is compared with.
        unit: of *before* and *after*: ``share``, ``usd`` (of a thousand calls) or ``ms``.
        n: cases compared; *effective* is what they are worth after repeats and groups.
        before: the rate compared with, or None for a floor.
        low, high: 95 % interval, of the change or, for a floor or a limit, of the rate or amount;
            None where nothing bounds it. A change of amounts is relative, as *rise* is.
        rise: of amounts, the change that was seen: of the mean, or the median over the cases.
        gains, losses: cases won and lost (fractions where replies were repeated).
        p_pass: how easily such figures come from a drop as large as the margin.
        p_fail: how easily they come from no drop at all.
        miss, alarm: what p_pass and p_fail are held against.
        shared: how many drop checks of the suite share the alarm level.
        method: ``counts``, ``bootstrap`` for macro-F1, ``point`` for a plain threshold, ``t`` for
            money, ``order`` for time; ``judge`` for grades with moved limits, ``labels`` for
            grades corrected by labels of the same replies.
        discordance: the share of cases on which the sides disagree.
        detectable: the smallest real drop that this many cases find 9 times in 10.
        certifiable: the smallest margin that this many cases can certify 9 times in 10.
        needed: how many cases more would settle it, where it is open and more would help.
        informative: False where nothing could have been lost, so that it decides nothing.
        stale: accepted cases that the yardstick has changed under, left out.
        under: ``prompt`` where skills were asked under the variant's system prompt.
        retention: of skills, how much is left in the mean; None where there was next to nothing.
        transfer: backward transfer: the mean change over all skills, each counting the same.
        note: what a reader should know about this check, in a sentence.
    """

    against: str
    outcome: Outcome
    limit: float
    n: int
    after: float
    before: float | None = None
    effective: float = 0.0
    low: float | None = None
    high: float | None = None
    gains: float = 0.0
    losses: float = 0.0
    p_pass: float | None = None
    p_fail: float | None = None
    miss: float = 0.05
    alarm: float = 0.01
    shared: int = 1
    unit: str = "share"
    rise: float | None = None
    method: str = "counts"
    discordance: float | None = None
    detectable: float | None = None
    certifiable: float | None = None
    needed: int | None = None
    informative: bool = True
    missing: int = 0
    stale: int = 0
    under: str = ""
    retention: Retention | None = None
    transfer: float | None = None
    note: str = ""

    @property
    def change(self) -> float | None:
        """The difference, after minus before."""
        return None if self.before is None else self.after - self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A case that one side has and the other has not.

    Attributes:
        lost: True where it held before and is gone now.
        fault: the kind of fault of the reply's form, where it is broken; *why* says how.
        wrong: what is wrong with its content, where the texts do not show it.
        passages: source and first words of what was retrieved for it.
        answered_in: the first passage that holds the answer, from 1; 0 for none; None where
            nothing is retrieved or where it would say nothing.
        called_before, called: the uses of tools on either side, each in one line.
        kind: of a lost skills case, how it was lost; see *LossKind*.
    """

    case: str
    where: str
    lost: bool
    shown: str
    expected: str
    before: str
    now: str
    fault: str = ""
    why: str = ""
    wrong: str = ""
    skill: str = ""
    passages: tuple[str, ...] = ()
    answered_in: int | None = None
    called_before: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trait:
    """How all replies of a side are, and whether that has changed; nothing is gated by it.

    Attributes:
        what: ``length``, ``refusals``, ``same text``, ``language`` or ``faults``.
        unit: of *before* and *after*: ``words`` or ``characters`` (the median), or ``share``; of
            ``language`` *after* is the share that changed, of ``faults`` that of broken replies.
        n_before, n: how many replies are told of; of ``language`` and ``faults`` how many cases.
        p: how easily as great a change comes by chance; None where nothing tests it.
        told: the change in a sentence; "" where there is none worth telling.
    """

    what: str
    unit: str
    before: float
    after: float
    n_before: int
    n: int
    p: float | None = None
    told: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatErrorExample:
    """One reply with a fault: the beginning of its text, and what exactly is wrong with it."""

    case: str
    said: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultShare:
    """How often replies break their form in one way.

    Attributes:
        kind: the kind of fault, or the kind of a rule that does not hold.
        replies: how many replies have it now.
        after: their share, 0 to 1, each case counting the same; *low* and *high* are its 95 %
            interval, as *before_low* and *before_high* are that of *before*.
        before: the share on the side compared with, or None where there is none.
        examples: three replies that have it, where it is new or grew.
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
    """What one gate decided about one variant.

    Attributes:
        suite: the suite file, relative to the root directory; of a marked function its module.
        line: the line of the gate in it.
        node: how pytest calls its test, where that is not made of suite, gate and variant.
        gated: False for a variant that is measured beside the others and judged by nobody.
        checks: what was compared; *deciding* is the index of the one that decided.
        slices: what became of parts of the cases, where the gate looks at them.
        labels: how well each label is told from the others, where a gate that did not pass has
            labels; the greatest loss first.
        flips: lost cases first; at most a few dozen, *lost* and *gained* count all.
        faults: how often each kind of fault occurs, the one that grew most first.
        broken_rules: how often each rule of the form is broken, where it has several.
        meant: the share of replies whose form holds for a lenient reader, and *meant_before* that
            of the baseline; None but for the format gate.
        findings: what is wrong with training data, where that is what the gate looks at.
        kinds: of forgetting, how the lost answers went wrong, the commonest first.
        breaks: the must-keep cases that the base has right and the variant wrong.
        traits: how all replies have changed, told by one gate of each variant.
        judges: what the judges were found to be worth that graded its replies.
        notes: what else a reader must know: identity, missing replies, stale cases.
        next: what to do, each a sentence or a command.
        facts: what is known of the variant: provider, model, digests, what the server says of it.
    """

    suite: str
    line: int
    gate: str
    variant: str
    outcome: Outcome
    headline: str
    gated: bool = True
    node: str = ""
    checks: tuple[Check, ...] = ()
    deciding: int = 0
    slices: tuple[Slice, ...] = ()
    labels: tuple[LabelRate, ...] = ()
    flips: tuple[Flip, ...] = ()
    lost: int = 0
    gained: int = 0
    faults: tuple[FaultShare, ...] = ()
    broken_rules: tuple[FaultShare, ...] = ()
    meant: float | None = None
    meant_before: float | None = None
    findings: tuple[Finding, ...] = ()
    kinds: tuple[LossKind, ...] = ()
    breaks: tuple[str, ...] = ()
    traits: tuple[Trait, ...] = ()
    judges: tuple[Examined, ...] = ()
    notes: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def check(self) -> Check | None:
        """The check that decided."""
        return self.checks[self.deciding] if self.checks else None


def together(checks: Iterable[Check]) -> tuple[Outcome, int]:
    """Return what several checks decide, and the index of the one that decides it.

    Any failed: failed. All passed: passed. Otherwise inconclusive. Checks that could not have
    shown anything are left aside as long as another one could.
    """
    ranked = list(enumerate(checks))
    # Must-pass cases say nothing of the others, so they cannot stand in for a comparison.
    telling = any(c.informative and c.against != "must_pass" for _, c in ranked)
    heard = [(i, c) for i, c in ranked if c.informative] if telling else ranked
    # A drop says more than a floor, for it has a before, and a floor more than a few cases.
    heard.sort(key=lambda one: (one[1].before is None, one[1].against == "must_pass"))
    for outcome in (Outcome.FAILED, Outcome.INCONCLUSIVE):
        for index, check in heard:
            if check.outcome is outcome:
                return outcome, index
    return Outcome.PASSED, heard[0][0]
