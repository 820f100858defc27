"""What the runs of agents took, as figures: cost, cost per success, tokens, seconds, tool calls.

Rows have them beside those of the baseline, and how often the runs succeed.

Of these tasks the runs are the sample, else the tasks are. A run of which an amount is unknown is
missing from its figure, and never counts as 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from pytest_ftgate.gates.design import CONFIDENCE, MAX_MISSING_SHARE
from pytest_ftgate.gates.figure import Figure, RunRow
from pytest_ftgate.gates.figures import figure_of_score, reply_tokens
from pytest_ftgate.gates.notes import Note
from pytest_ftgate.gates.samples import FloatArray, align, samples_from_scores
from pytest_ftgate.gates.tasks import task_runs
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.requests.reply import Reply, reply_price
from pytest_ftgate.scoring.scores import CaseResult, VariantScores
from pytest_ftgate.stats.resampling import ratio_interval, ratio_of_ratios_interval
from pytest_ftgate.stats.tasks import (
    FEWEST_TASKS,
    TaskRuns,
    score_of_tasks_like_these,
    score_of_these,
)
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.model import Suite
from pytest_ftgate.suite.prices import Tariff

#: With fewer runs, or tasks, an amount without a bound has no interval.
FEWEST_FOR_INTERVAL = 20


class Amount(StrEnum):
    """What a figure of runs is about; the values are the units of the figures."""

    COST = "usd_per_run"
    COST_PER_SUCCESS = "usd_per_success"
    TOKENS = "tokens"
    SECONDS = "seconds"
    TOOL_CALLS = "tool_calls"


def run_figure(
    scores: VariantScores,
    amount: Amount,
    tariff: Tariff,
    *,
    these_tasks: bool,
    confidence: float = CONFIDENCE,
) -> Figure | None:
    """Return the mean *amount* of a run, or the cost per success; None if it is not known."""
    runs = runs_of(scores, amount, tariff)
    if runs is None:
        return None
    above, below = runs.units(runs.counts if these_tasks else None)
    if not below.sum() > 0.0:
        return None
    ends = None
    if above.size >= FEWEST_FOR_INTERVAL:
        ends = ratio_interval(above, below, confidence)
    return _figure(amount, float(above.sum() / below.sum()), ends, above.size, (runs,))


def run_rise(
    before: VariantScores,
    after: VariantScores,
    amount: Amount,
    tariffs: tuple[Tariff, Tariff],
    *,
    these_tasks: bool,
    confidence: float = CONFIDENCE,
) -> Figure | None:
    """Return the relative rise of *amount* over the common tasks; None if it is not known.

    *tariffs* are the prices before and after. The rise has no meaning, and is None, where the
    amount before is 0, or where either side has no success to pay for.
    """
    both = runs_of(before, amount, tariffs[0]), runs_of(after, amount, tariffs[1])
    if both[0] is None or both[1] is None:
        return None
    shared = [task for task in both[1].tasks if task in {*both[0].tasks}]
    if not shared:
        return None
    sides = both[0].select(shared), both[1].select(shared)
    # Of these tasks, so many parts of the runs of one side have one of the other beside them.
    parts = np.minimum(sides[0].counts, sides[1].counts) if these_tasks else None
    then, now = (side.units(parts) for side in sides)
    per_success = amount is Amount.COST_PER_SUCCESS
    least = (then[0], then[1], now[1]) if per_success else then[:1]
    if not all(values.sum() > 0.0 for values in least):
        return None
    sums = [float(values.sum()) for values in (*now, *then)]
    value, ends = sums[0] / sums[2], None
    if per_success:
        value = sums[0] / sums[1] / (sums[2] / sums[3])
    if now[0].size >= FEWEST_FOR_INTERVAL:
        if not per_success:
            # Both sides have the same tasks and weights, so that the sums are as the means.
            ends = ratio_interval(now[0], then[0], confidence)
        else:
            # What costs nothing has no spread.
            ends = ratio_of_ratios_interval(now, then, confidence) if sums[0] else (0.0, 0.0)
    figure = _figure(amount, value, ends, now[0].size, sides)
    return figure.moved(lambda ratio: ratio - 1.0)


# Runs -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """The runs of some tasks of which an amount is known.

    Attributes:
        tasks: the ids of the tasks.
        amounts: by task, the amount of each run.
        rewards: by task, the content score of each run, or 1 where it does not matter.
        weights: the weight of each task, shape (tasks,).
        groups: the group of each task, which is itself for a task without one.
        missing: the number of runs of which the amount is not known.
    """

    tasks: tuple[str, ...]
    amounts: tuple[FloatArray, ...]
    rewards: tuple[FloatArray, ...]
    weights: FloatArray
    groups: tuple[str, ...]
    missing: int

    @property
    def counts(self) -> FloatArray:
        """The number of runs of each task, shape (tasks,)."""
        return np.array([*map(len, self.amounts)], np.float64)

    def select(self, tasks: Sequence[str]) -> Runs:
        """Return the runs of *tasks*, in this order."""
        at = [self.tasks.index(task) for task in tasks]
        amounts, rewards = (tuple(rows[one] for one in at) for rows in (self.amounts, self.rewards))
        groups = tuple(self.groups[one] for one in at)
        return Runs(tuple(tasks), amounts, rewards, self.weights[at], groups, self.missing)

    def units(self, parts: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """Return the weighted amounts and rewards of each unit, both of shape (units,).

        The units of a task sum to its weighted mean. They are so many *parts* of its runs, or the
        groups of tasks if that is None.
        """
        numbers = np.ones(len(self.tasks)) if parts is None else parts
        above, below = (
            np.array(
                [
                    part.sum() * weight / row.size
                    for row, weight, number in zip(rows, self.weights, numbers, strict=True)
                    for part in np.array_split(row, int(number))
                ],
                np.float64,
            )
            for rows in (self.amounts, self.rewards)
        )
        if parts is not None:
            return above, below
        labels = np.unique(np.array(self.groups), return_inverse=True)[1]
        sums = [np.bincount(labels, values).astype(np.float64) for values in (above, below)]
        return sums[0], sums[1]


def runs_of(scores: VariantScores, amount: Amount, tariff: Tariff) -> Runs | None:
    """Return the runs of which *amount* is known; None if there is none.

    For the cost per success the content score has to be known too.
    """
    rows, missing = dict[str, list[tuple[float, float]]](), 0
    weights, groups = list[float](), list[str]()
    per_success = amount is Amount.COST_PER_SUCCESS
    counted = scores.facts.weights > 0
    if per_success:
        counted &= scores.facts.scorable
    for task, result, weight, counts in zip(
        scores.case_ids, scores.case_results, scores.facts.weights, counted, strict=True
    ):
        if not counts:
            continue
        known = [*_known_runs(result, amount, tariff, per_success=per_success)]
        missing += len(result.replies) + len(result.missing_reasons) - len(known)
        if known:
            rows[task] = known
            weights.append(float(weight))
            groups.append(result.case.group or f"\0{task}")
    if not rows:
        return None
    values = [np.array(known, np.float64) for known in rows.values()]
    return Runs(
        tasks=tuple(rows),
        amounts=tuple(row[:, 0] for row in values),
        rewards=tuple(row[:, 1] for row in values),
        weights=np.array(weights, np.float64),
        groups=tuple(groups),
        missing=missing,
    )


def _known_runs(
    result: CaseResult, amount: Amount, tariff: Tariff, *, per_success: bool
) -> Iterator[tuple[float, float]]:
    for reply, score in zip(result.replies, result.scores, strict=True):
        value = run_amount(reply, amount, tariff)
        reward = score.correct if per_success else 1.0
        if value is not None and reward is not None:
            yield value, reward


def run_amount(reply: Reply, amount: Amount, tariff: Tariff) -> float | None:
    """Return what the run that ended with *reply* took, or None if that is not known.

    The runner's word comes first: else a cost is the price of the tokens, and the seconds are those
    that the provider measured.
    """
    run = reply.run
    if amount is Amount.TOOL_CALLS:
        return None if run is None else run.tool_calls
    if amount is Amount.TOKENS:
        return (run.total_tokens if run else None) or reply_tokens(reply)
    if amount is Amount.SECONDS:
        # A recorded reply has 0 seconds: its time is unknown.
        return (run.seconds if run else None) or reply.seconds or None
    price = reply_price(tariff, reply)
    return None if price is None else float(price)


# Figures ----------------------------------------------------------------------------------------


def _figure(
    amount: Amount,
    value: float,
    ends: tuple[float, float] | None,
    units: int,
    sides: tuple[Runs, ...],
) -> Figure:
    low, high = ends or (None, None)
    return Figure(
        unit=str(amount), value=value, low=low, high=None if high == np.inf else high,
        n=int(sides[-1].counts.sum()), units=units, missing=sum(side.missing for side in sides),
        method="t",
    )  # fmt: skip


# Rows ---------------------------------------------------------------------------------------------

#: The k of pass^k where each task has as many runs, or more.
_MOST_K = 3
#: The most skills that a line names, the most used first.
_MAX_SKILLS = 3


def in_tasks(verdict: Verdict) -> Verdict:
    """Return *verdict* with words that say tasks and runs, in place of cases and replies."""
    checks = (replace(one, noun="task", notes=_named(one.notes)) for one in verdict.checks)
    steps = (
        step.add(noun="task", **({"cases": "task"} if step.values.get("cases") == "case" else {}))
        for step in verdict.next
    )
    return replace(verdict, checks=tuple(checks), notes=_named(verdict.notes), next=tuple(steps))


def _named(notes: tuple[Note, ...]) -> tuple[Note, ...]:
    return tuple(replace(one, values={**one.values, "noun": "task"}) for one in notes)


def run_rows(
    suite: Suite, gate: RateGate, before: VariantScores | None, after: VariantScores
) -> Iterator[RunRow]:
    """Yield the rows of the runs in *after*, and in *before* if they are compared."""
    yield from _success_rows(gate, before, after)
    these = gate.claims_these
    sides = (before, after)
    tariffs = tuple(suite.variants[side.variant].tariff if side else None for side in sides)
    for amount in Amount:
        then, now = (
            run_figure(side, amount, tariff, these_tasks=these) if side and tariff else None
            for side, tariff in zip(sides, tariffs, strict=True)
        )
        rise = None
        # What the runs took that state nothing may be another amount.
        if before and tariffs[0] and tariffs[1] and not any(map(_is_partial, (then, now))):
            both = (tariffs[0], tariffs[1])
            rise = run_rise(before, after, amount, both, these_tasks=these)
        if then or now:
            yield RunRow(name=str(amount), after=now, before=then, rise=rise)
    yield from _use_rows(before, after)


def _is_partial(figure: Figure | None) -> bool:
    """Return True if *figure* leaves out more runs than may be missing."""
    return figure is not None and figure.missing > MAX_MISSING_SHARE * (figure.n + figure.missing)


# Success ------------------------------------------------------------------------------------------


def _success_rows(
    gate: RateGate, before: VariantScores | None, after: VariantScores
) -> Iterator[RunRow]:
    """Yield pass@1 and pass^k of the tasks that all sides ran; of graded runs their mean."""
    sides = [side for side in (before, after) if side is not None]
    samples = [samples_from_scores(side, gate.sample) for side in sides]
    if before is not None:
        samples = [*align(*samples)]
    answered = samples[0].has_reply & samples[-1].has_reply
    if answered.sum() < FEWEST_TASKS or any(one.weights is not None for one in samples):
        return
    runs = [task_runs(one.select(answered)) for one in samples]
    counted = all(one.is_counted for one in runs)
    yield _success_row("pass@1" if counted else "score", runs, 1, these=gate.claims_these)
    k = int(min(_MOST_K, *(one.runs.min() for one in runs)))
    if counted and k > 1:
        yield _success_row(f"pass^{k}", runs, k, these=gate.claims_these)


def _success_row(name: str, runs: list[TaskRuns], k: int, *, these: bool) -> RunRow:
    score = score_of_these if these else score_of_tasks_like_these
    figures = [figure_of_score(score(one, k)) for one in runs]
    return RunRow(name=name, after=figures[-1], before=figures[0] if len(figures) > 1 else None)


# Skills that were used ----------------------------------------------------------------------------


def _use_rows(before: VariantScores | None, after: VariantScores) -> Iterator[RunRow]:
    """Yield for each skill that a trace names how many of the traced runs used it."""
    sides = [_uses(side) for side in (before, after)]
    used = Counter[str]()
    for counts, _ in sides:
        used.update(counts)
    for skill, _ in used.most_common(_MAX_SKILLS):
        then, now = (
            Figure(unit="share", value=counts[skill] / traced, n=traced, units=traced)
            if traced
            else None
            for counts, traced in sides
        )
        yield RunRow(name="uses", after=now, before=then, skill=skill)


def _uses(scores: VariantScores | None) -> tuple[Counter[str], int]:
    """Return how many runs used each skill, and how many say what they used."""
    results = scores.case_results if scores else ()
    known = (reply.run for result in results for reply in result.replies if reply.run)
    traced = [run.uses for run in known if run.uses is not None]
    return Counter(skill for uses in traced for skill in {*uses}), len(traced)
