"""Advice on a suite, and every number it rests on, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = [
    "UNJUDGED",
    "Advice",
    "BreakEven",
    "Challenge",
    "Condition",
    "Confirmation",
    "Debt",
    "Gain",
    "Money",
    "Reason",
    "Recommendation",
    "Retirement",
    "Rollback",
    "Series",
    "Standing",
]

#: How a gate ended that nothing could be asked for.
UNJUDGED = "not judged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """How much more one rung gets right than another, on the same cases.

    Attributes:
        over: the variant that it is compared with.
        change: the difference; *low* and *high* are its 95 % interval, paired.
        n: cases that both answered.
        p: how easily this is seen without a real gain, corrected for all pairs (Holm).
        certain: whether *p* is at most 0.05, and no group of cases is taken for many.
    """

    over: str
    change: float
    low: float
    high: float
    n: int
    p: float
    certain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One rung of the ladder: a row of its table.

    Attributes:
        variant: its name; *rung* is the kind of effort, one of ``suite.ladder.RUNGS``.
        n: cases that it answered.
        accuracy, form: rates, each with *_low* and *_high*, the 95 % interval; None where the
            suite does not mark it.
        gain: over the rung below; None for the lowest.
        p50_ms, p95_ms: how long replies took, whenever they were asked; None where not timed.
        tokens: read and written in a call, the mean.
        prompt_tokens: of them those of the system prompt and the examples, about.
        usd_per_1k: what a thousand calls cost, *usd_low* and *usd_high* their 95 % interval.
        unknown: the word for a price that nobody knows, ``local`` or ``unpriced``; else "".
        usd_per_month: at the declared volume, with what it takes besides its calls.
        frontier: no other rung is both better and cheaper.
        outcomes: of its gates; empty for one that has none.
        training_rows: labelled rows that it learned from.
        model: what answered; *provider* is where.
    """

    variant: str
    rung: str
    n: int
    accuracy: float | None = None
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    form: float | None = None
    form_low: float | None = None
    form_high: float | None = None
    gain: Gain | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    tokens: float | None = None
    prompt_tokens: int | None = None
    tokens_per_word: float | None = None
    usd_per_1k: float | None = None
    usd_low: float | None = None
    usd_high: float | None = None
    unknown: str = ""
    usd_per_month: float | None = None
    frontier: bool = False
    outcomes: Mapping[str, str] = field(default_factory=dict)
    training_rows: int | None = None
    provider: str = ""
    model: str = ""

    @property
    def refused(self) -> bool:
        """Whether one of its gates says that it must not serve."""
        return bool({"failed", "invalid"} & set(self.outcomes.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing that speaks for or against fine-tuning.

    Attributes:
        name: as in the table of rules, ``advise/rules.py`` and docs/ladder.md.
        told: what was found, with the number it rests on.
        holds: whether it speaks for fine-tuning; None where nobody knows.
        needed: whether fine-tuning is not justified without it.
    """

    name: str
    told: str
    holds: bool | None
    needed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why something is recommended: a sentence, and the cell of the table that it rests on.

    Attributes:
        variant: the row.
        figure: the field of ``Standing`` that the sentence tells.
    """

    told: str
    variant: str
    figure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """From which volume on a fine-tune is the cheaper of two rungs.

    Attributes:
        variant: the fine-tune; *against* is the other rung.
        calls_per_day: where both cost the same; 0 where it is cheaper at any volume, and None
            where it never is. *low* and *high* are the 95 % interval from the measured tokens,
            None where prices are flat or nothing bounds it.
        days: until what it saves at the declared volume has paid for its training; None where it
            saves nothing. *days_low* and *days_high* are its interval.
        saves_per_month: at the declared volume, in USD; negative where it costs more.
    """

    variant: str
    against: str
    calls_per_day: float | None
    low: float | None = None
    high: float | None = None
    days: float | None = None
    days_low: float | None = None
    days_high: float | None = None
    saves_per_month: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What one rung costs a month, by volume: a line of the plot.

    Attributes:
        variant: whose line it is.
        usd: for each of ``Money.volumes``; *low* and *high* are the 95 % interval.
        fixed: the part of it that does not depend on the volume.
    """

    variant: str
    fixed: float
    usd: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """What the rungs cost as the volume grows.

    Attributes:
        calls_per_day: the declared volume.
        volumes: calls a day, ascending, that the series are told for.
        series: a line for each rung whose price is known.
        break_even: of each fine-tune against each other rung.
        unpriced: variants without a line, with the word for it.
    """

    calls_per_day: float
    volumes: tuple[float, ...]
    series: tuple[Series, ...]
    break_even: tuple[BreakEven, ...]
    unpriced: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """Whether a variant without tuning has become as good as a fine-tuned one.

    Attributes:
        challenger, tuned: the two variants.
        gain: of the challenger over the tuned one.
        margin: how much less would still be as good.
        p: how easily this is seen though it is worse by the margin, Holm over challengers.
        outcome: ``as good``, ``worse`` or ``open``.
    """

    challenger: str
    tuned: str
    gain: Gain
    margin: float
    p: float
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What the held-out cases say of the variant that was chosen.

    Attributes:
        n: held-out cases answered, *accuracy* on them with its 95 % interval.
        before: the accuracy that it was chosen by.
        p: how easily a fall like this is seen though there is none (one-sided, Fisher).
        outcome: ``confirmed``, ``contradicted`` or ``open``.
    """

    variant: str
    n: int
    accuracy: float
    low: float
    high: float
    before: float
    p: float
    outcome: str
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    """A model in use that will be gone: *date* is ISO, *days* counts from the day of the run."""

    model: str
    date: str
    days: int
    variants: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """The way back: the last accepted variant that still passes.

    Attributes:
        failing: what is meant to serve and fails, *gates* are the gates.
        variant: what to serve instead; "" where nothing that was accepted passes.
        commit, at, by: when it was accepted, and by whom; "" where git does not say.
        in_suite: whether the suite still has it; else its commit does.
    """

    failing: str
    gates: tuple[str, ...]
    variant: str
    commit: str = ""
    at: str = ""
    by: str = ""
    in_suite: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Debt:
    """What the evaluation itself lacks.

    Attributes:
        unclaimed: prompt files beside the suite's that no suite names.
        thin: labels with too few cases, and how many they have.
        blunt: gates that can show nothing useful, with the smallest drop that they rule out.
    """

    unclaimed: tuple[str, ...] = ()
    thin: Mapping[str, int] = field(default_factory=dict)
    blunt: Mapping[str, float | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return bool(self.unclaimed or self.thin or self.blunt)


class Recommendation(StrEnum):
    """What to do; exactly one of these."""

    STOP = "stop here"
    NEXT = "try the next rung first"
    FINE_TUNE = "fine-tune"
    NOT_JUSTIFIED = "fine-tuning not justified"
    KEEP = "keep the fine-tune"
    ROLL_BACK = "roll back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What is advised about one suite.

    Attributes:
        suite: the suite file, relative to the root directory.
        recommendation: what to do; *subject* is the variant or the rung that it speaks of.
        variant: what should serve as things stand.
        below: the best rung without tuning, which fine-tunes are held against; "" for none.
        headline: both in a sentence.
        reasons: why, each with a number of the table.
        rungs: the table, least effort first.
        frontier_by: ``usd`` or ``time``: what *frontier* holds against accuracy; "" for nothing.
        conditions: what speaks for and against fine-tuning, where that is the question.
        unmeasured: variants without a row, and why.
    """

    suite: str
    recommendation: Recommendation
    subject: str
    variant: str
    headline: str
    reasons: tuple[Reason, ...]
    below: str
    rungs: tuple[Standing, ...]
    frontier_by: str = ""
    conditions: tuple[Condition, ...] = ()
    money: Money | None = None
    challenges: tuple[Challenge, ...] = ()
    confirmation: Confirmation | None = None
    retiring: tuple[Retirement, ...] = ()
    rollback: Rollback | None = None
    debt: Debt = field(default_factory=Debt)
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
