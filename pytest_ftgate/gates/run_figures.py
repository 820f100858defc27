"""What the runs of agents took, as figures: cost, cost per success, tokens, seconds, tool calls.

Of these tasks the runs are the sample, else the tasks are. A run of which an amount is unknown is
missing from its figure, and never counts as 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from pytest_ftgate.gates.design import CONFIDENCE
from pytest_ftgate.gates.figure import Figure
from pytest_ftgate.gates.figures import reply_tokens
from pytest_ftgate.gates.samples import FloatArray
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scores import CaseResult, VariantScores
from pytest_ftgate.stats.resampling import ratio_interval, ratio_of_ratios_interval
from pytest_ftgate.suite.prices import Tariff, request_price

#: With fewer runs, or tasks, an amount without a bound has no interval.
FEWEST_FOR_INTERVAL = 20


class Amount(StrEnum):
    """What a figure of runs is about; the values are the units of the figures."""

    COST = "usd_per_run"
    COST_PER_SUCCESS = "usd_per_success"
    TOKENS = "tokens"
    SECONDS = "seconds"
    TOOL_CALLS = "tool_calls"


def run_figures(
    scores: VariantScores, tariff: Tariff, *, these_tasks: bool
) -> dict[Amount, Figure]:
    """Return the figures of a variant's runs, those without any known run left out.

    All are means over the tasks; the cost per success is the mean cost over the mean content score,
    so that failures pay too. Without a success it is left out.
    """
    figures = (run_figure(scores, amount, tariff, these_tasks=these_tasks) for amount in Amount)
    return {
        amount: figure for amount, figure in zip(Amount, figures, strict=True) if figure is not None
    }


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
    sides = common_runs(runs_of(before, amount, tariffs[0]), runs_of(after, amount, tariffs[1]))
    if sides is None:
        return None
    # Of these tasks, so many parts of the runs of one side have one of the other beside them.
    parts = np.minimum(sides[0].counts, sides[1].counts) if these_tasks else None
    then, now = (side.units(parts) for side in sides)
    per_success = amount is Amount.COST_PER_SUCCESS
    least = (then[0], then[1], now[1]) if per_success else then[:1]
    if not all(values.sum() > 0.0 for values in least):
        return None
    sums = [float(values.sum()) for values in (*now, *then)]
    ends, enough = None, now[0].size >= FEWEST_FOR_INTERVAL
    if not per_success:
        # Both sides have the same tasks and weights, so that the sums are as the means.
        ends = ratio_interval(now[0], then[0], confidence) if enough else None
        return _less_one(_figure(amount, sums[0] / sums[2], ends, now[0].size, sides))
    if enough and sums[0] > 0.0:
        ends = ratio_of_ratios_interval(now, then, confidence)
    return _less_one(
        _figure(amount, sums[0] / sums[1] / (sums[2] / sums[3]), ends, now[0].size, sides)
    )


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
    if run is not None and run.cost_usd is not None:
        return run.cost_usd
    price = request_price(tariff, _usage(reply))
    return None if price is None else float(price)


def _usage(reply: Reply) -> Mapping[str, int]:
    run = reply.run
    if reply.usage or run is None or run.input_tokens is None or run.output_tokens is None:
        return reply.usage
    return {"input": round(run.input_tokens), "output": round(run.output_tokens)}


def common_runs(before: Runs | None, after: Runs | None) -> tuple[Runs, Runs] | None:
    """Return the runs of the tasks of both sides; None if there is no such task."""
    if before is None or after is None:
        return None
    shared = [task for task in after.tasks if task in {*before.tasks}]
    return (before.select(shared), after.select(shared)) if shared else None


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


def _less_one(figure: Figure) -> Figure:
    low, high = (None if end is None else end - 1.0 for end in (figure.low, figure.high))
    return replace(figure, value=figure.value - 1.0, low=low, high=high)
