"""The claim about these tasks alone: their repeated replies are the sample, and not the tasks.

Limits that so many runs of them cannot show, their checks, and what more runs would show.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import ceil

import numpy as np

from pytest_ftgate.gates.checks import check_minimum
from pytest_ftgate.gates.design import Design, Levels, suite_repeats
from pytest_ftgate.gates.figures import check_of_figure, rate_figure
from pytest_ftgate.gates.notes import Note, NoteKind, note
from pytest_ftgate.gates.samples import FloatArray, Samples, align
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome
from pytest_ftgate.requests.request_groups import replies_vary
from pytest_ftgate.scoring.scores import CaseResult, VariantScores
from pytest_ftgate.stats.paired import PairedCounts
from pytest_ftgate.stats.tasks import (
    FEWEST_TASKS,
    TaskPlan,
    TaskRuns,
    runs_needed,
    score_of_these,
    smallest_shown_drop,
    these_tasks,
)
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.model import Suite


def pair_tasks(before: Samples, after: Samples) -> PairedCounts:
    """Return the comparison of two aligned samples on these tasks.

    Raises:
        ValueError: there are fewer than three tasks.
    """
    return these_tasks(task_runs(before), task_runs(after))


def check_task_minimum(after: Samples, *, minimum: float, levels: Levels) -> Check:
    """Compare the rate of these tasks with a minimum."""
    tasks = int(after.has_reply.sum())
    if tasks < FEWEST_TASKS:
        few = note(NoteKind.TOO_FEW_REPLIES, n=tasks, of=len(after))
        return check_of_figure(rate_figure(after), CheckKind.MINIMUM, minimum, notes=(few,))
    return check_minimum(
        after, minimum=minimum, levels=levels, rating=lambda runs: score_of_these(task_runs(runs))
    )


def task_runs(samples: Samples) -> TaskRuns:
    """Return the rewards of the runs of each task in *samples*, which all have one."""
    sources: Sequence[CaseResult | str] = samples.sources or [""] * len(samples)
    rows = [
        _rewards(source, value, repeats)
        for source, value, repeats in zip(sources, samples.values, samples.repeats, strict=True)
    ]
    rewards = np.full((len(rows), max(map(len, rows))), np.nan)
    for place, row in zip(rewards, rows, strict=True):
        place[: len(row)] = row
    return TaskRuns(rewards)


def _rewards(source: CaseResult | str, value: float, repeats: float) -> FloatArray:
    """Return the rewards of one task: those of its replies, or what its mean says of them.

    An accepted record has the mean alone. Of replies that are right or wrong it says how many are.
    """
    if not isinstance(source, str):
        known = [score.correct for score in source.scores if score.correct is not None]
        # A missing reply that is taken as right or wrong has no score.
        return np.array(known or [value], np.float64)
    count, right = round(repeats), round(value * repeats)
    if abs(right - value * repeats) > 1e-6:  # noqa: PLR2004 - rounding
        return np.array([value])
    return np.array([1.0] * right + [0.0] * (count - right))


def without_copies(check: Check, sides: Iterable[VariantScores | None]) -> Check:
    """Return *check*, inconclusive if the runs of a side are copies: the same text and reward.

    So are those that a cache gave, or a model that does not vary. They show no more than one run.
    """
    for side in filter(None, sides):
        several = [result for result in side.results.values() if len(result.replies) > 1]
        if several and all(map(_are_copies, several)):
            told = note(NoteKind.COPIES, variant=side.variant)
            notes, outcome = (*check.notes, told), Outcome.INCONCLUSIVE
            return replace(check, outcome=outcome, shown_limit=None, notes=notes)
    return check


def _are_copies(result: CaseResult) -> bool:
    texts = {reply.text for reply in result.replies}
    # Rewards alone may be the same of runs that differ.
    return len(texts) == 1 and texts != {""} and len({*result.scores}) == 1


# What runs can show -------------------------------------------------------------------------------


def task_problems(suite: Suite, gate: RateGate, design: Design) -> Iterator[tuple[Note, ...]]:
    """Yield why no replies could pass *gate*, whose verdict is about these tasks alone."""
    tasks = len(gate.evaluated_cases(suite.cases))
    if tasks < FEWEST_TASKS:
        yield (note(NoteKind.FEW_TASKS, n=tasks, needed=FEWEST_TASKS),)
        return
    if not any(map(replies_vary, suite.variants.values())):
        yield (note(NoteKind.COPIED_RUNS, key="max_drop"),)
        return
    runs, smallest = min(suite_repeats(suite)), smallest_shown_drop(design.n, design.miss)
    possible = ceil(smallest * 100) / 100
    for key, limit, told in (
        ("max_drop", gate.max_drop, possible),
        ("min", 1.0 - gate.min if gate.min else None, 1.0 - possible),
    ):
        if limit is not None and limit < smallest:
            needed = runs_needed(tasks, limit, design.miss) if limit > 0.0 else 0
            declared = limit if key != "min" else 1.0 - limit
            counts = {"tasks": tasks, "runs": runs, "needed": needed}
            yield (
                note(NoteKind.RUNS_NEVER_SHOW, key=key, limit=declared, possible=told, **counts),
            )


#: The numbers of runs of each task that a note prices.
_RUNS = (10, 20, 40, 80, 160)


def task_notes(before: Samples | None, after: Samples, check: Check) -> Iterator[Note]:
    """Yield that *check* is about these tasks alone, and what more runs or tasks would show.

    The latter if it is inconclusive: the smallest limits that an unchanged agent passes 9 times in
    10, as its runs vary here.
    """
    yield note(NoteKind.ONLY_THESE, n=check.tasks)
    if before is None or check.outcome is not Outcome.INCONCLUSIVE:
        return
    before, after = align(before, after)
    answered = before.has_reply & after.has_reply
    if answered.sum() < FEWEST_TASKS:
        return
    sides = [task_runs(side.select(answered)) for side in (before, after)]
    disagreement = sum(side.disagreement for side in sides) / 2.0
    if disagreement <= 0.0:
        return
    is_graded = not all(side.is_counted for side in sides)

    def shown(tasks: int, runs: int) -> int:
        plan = TaskPlan(
            tasks=tasks, runs=(runs, runs), disagreement=disagreement, is_graded=is_graded,
            miss=check.miss,
        )  # fmt: skip
        return ceil(100 * plan.limit())

    tasks, runs = check.tasks, round(check.n / check.tasks)
    more = next((number for number in _RUNS if number > 1.5 * runs), 2 * runs)
    yield note(
        NoteKind.RUNS_SHOW, tasks=tasks, runs=runs, shown=shown(tasks, runs), more=more,
        with_runs=shown(tasks, more), twice=2 * tasks, half=more // 2,
        with_tasks=shown(2 * tasks, more // 2),
    )  # fmt: skip
