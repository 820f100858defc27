"""The runs of agents beside those of the baseline: how often they succeed, and what they take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from pytest_ftgate.gates.design import MAX_MISSING_SHARE
from pytest_ftgate.gates.figure import Figure, RunRow
from pytest_ftgate.gates.figures import figure_of_score
from pytest_ftgate.gates.notes import Note
from pytest_ftgate.gates.run_figures import Amount, run_figure, run_rise
from pytest_ftgate.gates.samples import align, samples_from_scores
from pytest_ftgate.gates.tasks import task_runs
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.stats.tasks import (
    FEWEST_TASKS,
    TaskRuns,
    score_of_tasks_like_these,
    score_of_these,
)
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.model import Suite

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
    samples = [samples_from_scores(side, gate.kind) for side in sides]
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
