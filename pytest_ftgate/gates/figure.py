"""Figures as values, apart from their computation, so that run records load without NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pytest_ftgate.gates.notes import Note


class Population(StrEnum):
    """The replies that a figure is about."""

    #: Cached ones with the time and the tokens that they took.
    ALL = "all replies"
    #: Those that were requested in this run.
    THIS_RUN = "this run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number about a variant, with its 95 % interval.

    Attributes:
        unit: ``share``, ``usd`` (for 1,000 requests), ``usd_per_run``, ``usd_per_success``,
            ``tokens`` or ``characters``, ``seconds``, ``ms``, ``tool_calls``; of a
            relative change it is the unit of what changes.
        value: the number; 0 if *n* is 0.
        low, high: the ends of the interval; None if unbounded, or with too few cases for it.
        n: the number of cases with a value; of a quantile the number of replies.
        units: the number of unrelated cases and groups among them.
        missing: the number of cases without a value; of a quantile the number of requests.
        population: the replies that it is about.
        method: the method of the interval, as in ``Check``.
    """

    unit: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int
    units: int
    missing: int = 0
    population: Population = Population.ALL
    method: str = "counts"

    def moved(self, by: Callable[[float], float]) -> Figure:
        """Return the figure with its number and the ends of its interval moved *by* a function."""
        low, high = (None if end is None else by(end) for end in (self.low, self.high))
        return replace(self, value=by(self.value), low=low, high=high)


@dataclass(frozen=True, slots=True)
class TaskScore:
    """How many of the runs of one task were right; of graded runs the sum of their scores."""

    right: float
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One figure of the runs of an agent, beside that of what it is compared with.

    Attributes:
        name: ``pass@1``, ``pass^k`` with the k, ``score`` for the mean of graded runs, ``uses`` for
            the share of runs that used *skill*, or the unit of an amount: see `gates.run_figures`.
        after, before: the figures of the variant and of the baseline; None if not known.
        rise: the relative change of an amount, or None.
        skill: the skill that is used, or "".
    """

    name: str
    after: Figure | None
    before: Figure | None = None
    rise: Figure | None = None
    skill: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputChange:
    """The change of labelled cases and inputs together, and what it rests on.

    Equal inputs count as one where they differ, since one label is about all of them.

    Attributes:
        change: the estimated difference of the mean score, -1 to 1. Without a label every input
            that differs counts as lost.
        cases: the number of labelled cases.
        inputs: the number of inputs with a reply of both sides.
        equal: how many of these have equal replies.
        differing: the inputs that differ.
        known: how many of them had their labels before.
        labelled: how many of the others are labelled, in the order of the draw.
        better, worse: the labelled inputs that got better, and those that got worse.
        look, looks: the look that was reached, and the number of looks; 0 for none.
        to_label: how many further labels the next look takes; 0 if there is none.
        chance: how surely the check passes then if nothing else has changed, 0 to 1.
        to_last, chance_at_last: the same for the last look.
        is_blocked: True if no number of further labels decides it; the first note says why.
        is_bound: True if no label tells of those that were not known, so that *change* is the least
            possible: they all count as lost.
    """

    change: float
    cases: int
    inputs: int
    equal: int
    differing: int
    known: int = 0
    labelled: int = 0
    better: int = 0
    worse: int = 0
    look: int = 0
    looks: int = 0
    to_label: int = 0
    chance: float = 0.0
    to_last: int = 0
    chance_at_last: float = 0.0
    is_blocked: bool = False
    is_bound: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalEstimate:
    """A share or a kappa with its 95 % interval, and the number of ratings behind it."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeValidation:
    """The validation of one judge against human labels of the same replies.

    Attributes:
        judge, provider: the model of the judge, and its provider.
        rubric: the beginning of the rubric.
        labels: the number of replies with a human label; 0 if the judge was never validated.
        unread: the number of labelled replies without a readable grade of the judge.
        agreement: the share of replies on which judge and people agree.
        kappa: Cohen's kappa, with quadratic weights for more than two grades.
        sensitivity, specificity: the share of good, or bad, replies (by human label) that the
            judge grades so too; None if the judge compares two replies.
        consistency: the share of pairs with the same grade in both orders.
        repeats: the share of replies with the same grade in two samples; None without repeats.
        length, length_p: Spearman's correlation between the judge's error and the length of the
            reply, and its p-value.
        padded: the number of bad replies that were graded again with their text doubled.
        padded_up, padded_down: the padded replies with a better, or a worse, grade.
        minimum: the required minimum by figure; the lower end of the interval must reach it.
        errors, warnings: why the judge may not gate, and its further weaknesses.
        is_binary: the judge gives only two grades, so that rates can be corrected.
    """

    judge: str
    provider: str
    rubric: str
    labels: int = 0
    unread: int = 0
    agreement: IntervalEstimate | None = None
    kappa: IntervalEstimate | None = None
    sensitivity: IntervalEstimate | None = None
    specificity: IntervalEstimate | None = None
    consistency: IntervalEstimate | None = None
    repeats: IntervalEstimate | None = None
    length: float | None = None
    length_p: float | None = None
    padded: int = 0
    padded_up: int = 0
    padded_down: int = 0
    minimum: Mapping[str, float] = field(default_factory=dict)
    errors: tuple[Note, ...] = ()
    warnings: tuple[Note, ...] = ()
    is_binary: bool = False

    @property
    def found_shares(self) -> tuple[IntervalEstimate, IntervalEstimate] | None:
        """Sensitivity and specificity; None if either is unknown, or with more than two grades."""
        if not self.is_binary or self.sensitivity is None or self.specificity is None:
            return None
        return self.sensitivity, self.specificity
