"""What a gate decided, and the numbers it rests on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pytest_ftgate.gate.data.finding import Finding
from pytest_ftgate.gate.examined import Examined
from pytest_ftgate.gate.parts import LossKind, Retention, Slice
from pytest_ftgate.score.label import LabelRate

__all__ = [
    "Check",
    "Example",
    "FaultShare",
    "Flip",
    "Outcome",
    "Trait",
    "Verdict",
    "together",
]


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
class Example:
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
    examples: tuple[Example, ...] = ()


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
