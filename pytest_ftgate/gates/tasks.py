"""The claim about these tasks alone: their repeated replies are the sample, and not the tasks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from pytest_ftgate.gates.checks import check_minimum
from pytest_ftgate.gates.design import Levels
from pytest_ftgate.gates.figures import check_of_figure, rate_figure
from pytest_ftgate.gates.notes import NoteKind, note
from pytest_ftgate.gates.samples import FloatArray, Samples
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome
from pytest_ftgate.scoring.scores import CaseResult, VariantScores
from pytest_ftgate.stats.paired import PairedCounts
from pytest_ftgate.stats.rates import MeanScore
from pytest_ftgate.stats.tasks import FEWEST_TASKS, TaskRuns, score_of_these, these_tasks


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
    return check_minimum(after, minimum=minimum, levels=levels, rating=_task_rate)


def _task_rate(samples: Samples) -> MeanScore:
    return score_of_these(task_runs(samples))


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
