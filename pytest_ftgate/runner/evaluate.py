"""Evaluates gates and measures ungated variants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gates.looks import Look
from pytest_ftgate.gates.units import percent
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.requests.contamination import skills_leak
from pytest_ftgate.requests.workload import base_of, varies
from pytest_ftgate.runner.identity import drifted
from pytest_ftgate.runner.judges import labels_on
from pytest_ftgate.runner.progress import ticking
from pytest_ftgate.runner.session import Session, whole
from pytest_ftgate.runner.workloads import Judged
from pytest_ftgate.scoring.scores import Column
from pytest_ftgate.suite.model import (
    CostGate,
    DataGate,
    ForgettingGate,
    LatencyGate,
    RateGate,
    Suite,
    Variant,
)

if TYPE_CHECKING:
    from pytest_ftgate.gates.forgetting import Compared
    from pytest_ftgate.gates.judges import Judging
    from pytest_ftgate.gates.rates import Sides

__all__ = [
    "is_clear",
    "judge",
    "judging_of",
    "left_out",
    "measured",
    "settled",
    "sides_of",
    "so_far",
]

#: So many replies that a judge all grades alike are worth telling.
_FEWEST_SAME = 20

#: How many cases that do not count are named.
_NAMED = 5


def sides_of(session: Session, judged: Judged, look: Look) -> Sides | Compared:
    """Return the scores of the variant, and of what it is compared with."""
    from pytest_ftgate.gates.rates import Sides

    suite, gate, variant = judged.suite, judged.gate, judged.variant
    if isinstance(gate, ForgettingGate):
        return _compared(session, suite, gate, variant)
    other = suite.variants[suite.baseline] if gate.compares else variant
    # Judges are paid for, so that nobody asks them for a gate that does not read their grades.
    graded = gate.kind == "accuracy"
    column = session.columns.task(suite, variant, look, graded=graded)
    must = session.columns.must_pass(suite, variant, look) if graded else None
    # Money and time are of today as they are: prices by today's list, times by this run.
    compared = isinstance(gate, RateGate) and gate.compares
    said = drifted(session, judged, look) if compared else ""
    baseline = session.columns.task(suite, other, look, graded=graded)
    judging = judging_of(session, suite, column, baseline) if graded else None
    sides = Sides(column, baseline, must=must, drifted=said)
    return replace(sides, judging=judging) if judging else sides


def judging_of(session: Session, suite: Suite, column: Column, baseline: Column) -> Judging | None:
    """Return what is known of the judges that graded *column*; None where there are none."""
    if not suite.judges:
        return None
    from pytest_ftgate.gates.judges import Judging

    alone = suite.reply.score.kind == "judge" and all(
        row.case.score is suite.reply.score for row in column.rows.values()
    )
    compared = None if baseline is column else baseline
    said, before = labels_on(suite, column, compared) if alone else ({}, {})
    compares = alone and any(judge.compares for judge in suite.judges)
    # Compared with itself a baseline is as good as it is; nobody was asked.
    sides = [one for one in (column, baseline) if not (compares and one is baseline)]
    marks = [score.correct for one in sides for row in one.rows.values() for score in row.scores]
    return Judging(
        judges=session.hearings.examined(suite),
        alone=alone,
        said=said,
        said_before=before,
        baseline=suite.baseline,
        compares=compares,
        ungraded=_ungraded(column),
        constant=len(marks) if len({*marks}) == 1 and len(marks) >= _FEWEST_SAME else 0,
    )


def _ungraded(column: Column) -> str:
    """Say how many replies came without a grade, and why the first did; "" for none."""
    scores = [score for row in column.rows.values() for score in row.scores]
    lacking = [score.why for score in scores if score.correct is None and score.why]
    return f"no grade for {len(lacking)} of {len(scores)} replies: {lacking[0]}" if lacking else ""


def _compared(session: Session, suite: Suite, gate: ForgettingGate, variant: Variant) -> Compared:
    """Return the skills of the variant and of its base; what broke is asked again of both."""
    from pytest_ftgate.gates.forgetting import Compared, broken

    sides, columns = (variant, base_of(variant)), session.columns
    found = dict[str, tuple[Column, Column]]()
    for under in gate.unders:
        mine, base = (columns.skills(suite, one, gate, under) for one in sides)
        found[under] = (mine, base)
    broke = broken(*found[""])
    if not broke or not any(varies(one) for one in sides):
        return Compared(found, leak=skills_leak(gate, variant))
    mine, base = (columns.skills_again(suite, one, gate, broke) for one in sides)
    return Compared(found, (mine, base), skills_leak(gate, variant))


def judge(session: Session, judged: Judged, look: Look) -> Verdict:
    """Return what the gate decides of what was asked up to *look*."""
    verdict = _judged(session, judged, look)
    verdict = replace(verdict, notes=(*verdict.notes, *left_out(session, judged)))
    return settled(session, verdict)


def settled(session: Session, verdict: Verdict) -> Verdict:
    """Return *verdict* with what it means that replies are missing."""
    if not verdict.check or not verdict.check.missing:
        return verdict
    if session.stopped and not any(session.stopped in note for note in verdict.notes):
        verdict = replace(verdict, notes=(*verdict.notes, session.stopped))
    if verdict.check and not verdict.check.n:
        if any(one.fault for one in verdict.judges):
            return verdict
        lacking = "no grade" if verdict.judges else "no reply"
        return replace(verdict, headline=f"nothing to judge by: {lacking} came", checks=())
    return verdict


def left_out(session: Session, judged: Judged) -> Iterator[str]:
    """Say which cases do not count, since the variant was trained on them."""
    suite, variant = judged.suite, judged.variant
    seen = session.asks.leaked(suite, variant) if isinstance(judged.gate, RateGate) else ()
    if seen and variant.training_data:
        told = [case.id for case in suite.cases if case.id in seen]
        named = ", ".join(told[:_NAMED]) + (", …" if len(told) > _NAMED else "")
        count = f"{len(told)} of {len(suite.cases)} cases do not count"
        yield f"{count}: {variant.name} was trained on them ({variant.training_data.name}): {named}"


def _judged(session: Session, judged: Judged, look: Look) -> Verdict:
    # Here and not at the top: gates import SciPy, each another part of it, and a reader waits.
    suite, gate = judged.suite, judged.gate
    if isinstance(gate, DataGate):
        from pytest_ftgate.gates.training_data import judge_data

        return judge_data(suite, gate, judged.variant)
    if isinstance(gate, LatencyGate):
        return _judge_latency(session, judged, gate, look)
    if isinstance(gate, ForgettingGate):
        from pytest_ftgate.gates.forgetting import judge_forgetting

        return judge_forgetting(suite, gate, _compared(session, suite, gate, judged.variant))
    return _judge_paired(session, judged, gate, look)


def _judge_paired(
    session: Session, judged: Judged, gate: RateGate | CostGate, look: Look
) -> Verdict:
    sides = cast("Sides", sides_of(session, judged, look))
    if isinstance(gate, CostGate):
        from pytest_ftgate.gates.usage import judge_cost

        return judge_cost(judged.suite, gate, sides.column, sides.baseline)
    from pytest_ftgate.gates.rates import judge_rate
    from pytest_ftgate.results.accepted import accepted_of

    record = session.accepted(judged.suite)
    accepted = accepted_of(record, judged.suite, judged.variant.name, gate.kind)
    return judge_rate(judged.suite, gate, replace(sides, accepted=accepted), look)


def _judge_latency(session: Session, judged: Judged, gate: LatencyGate, look: Look) -> Verdict:
    from pytest_ftgate.gates.usage import judge_latency

    suite, variant = judged.suite, judged.variant
    compared = gate.compares and variant.name != suite.baseline
    baseline = session.times(suite, suite.variants[suite.baseline], look) if compared else None
    mine = session.times(suite, variant, look)
    return judge_latency(suite, gate, mine, baseline, session.progress.peak)


def is_clear(verdict: Verdict) -> bool:
    """Tell whether asking on could change nothing."""
    return verdict.outcome in (Outcome.PASSED, Outcome.FAILED)


def measured(session: Session, suite: Suite, config: pytest.Config) -> Iterator[Verdict]:
    """Yield what the variants without gates came to; one that is not what it claims says so."""
    from pytest_ftgate.gates.identity import facts
    from pytest_ftgate.gates.rates import unmeasured
    from pytest_ftgate.runner.identity import claims, tuned

    for variant in suite.variants.values():
        if variant.gated:
            continue
        try:
            with ticking(config) as tick:
                asks = session.asks.task(suite, variant, whole(suite))
                identity = session.asks.identity(suite, variant) if variant.tuned else ()
                found = session.answers([asks, *identity], tick, suite.name)
            column = session.columns.task(suite, variant, whole(suite))
        except FtgateError as error:
            yield unmeasured(suite, variant, str(error))
            continue
        proven = [*claims(variant, asks, found), *tuned(session, suite, variant, found)]
        strange = [one for one in proven if one.outcome is Outcome.INVALID]
        notes = tuple(one.sentence for one in proven if one.outcome is Outcome.INCONCLUSIVE)
        if strange:
            yield unmeasured(suite, variant, f"not what it claims: {strange[0].sentence}")
            continue
        if 2 * len(column.missing) > len(column.rows):
            yield unmeasured(suite, variant, column.missing[0].missing[0])
            continue
        known = facts(asks, found)
        for verdict in _beside(session, suite, variant, column):
            yield replace(verdict, facts=known, notes=(*verdict.notes, *notes))


def _beside(session: Session, suite: Suite, variant: Variant, column: Column) -> Iterator[Verdict]:
    """Yield what a variant without gates reaches, and what its replies take."""
    from pytest_ftgate.gates.rates import measure
    from pytest_ftgate.gates.usage import measure_cost, measure_latency

    for gate in suite.gates.values():
        if isinstance(gate, RateGate):
            yield measure(suite, gate, column)
        elif isinstance(gate, CostGate):
            yield from measure_cost(suite, gate, column)
        elif isinstance(gate, LatencyGate):
            yield from measure_latency(suite, gate, session.times(suite, variant, whole(suite)))


def so_far(session: Session, gates: Iterable[Judged]) -> Iterator[str]:
    """Yield a sentence on the run, and one on each variant that was not asked all of its cases.

    Args:
        session: it sends nothing more, and what was in flight is home.
        gates: of the run.
    """
    progress = session.progress
    begun = {
        (one.judged_by.name, one.variant.name): one
        for one in gates
        if isinstance(one.gate, RateGate) and one.planned and session.has_begun(one)
    }
    if begun and progress.failed:
        told = f"cut off with {progress.failed:,} of {progress.to_ask:,} calls not answered"
        yield f"{told}; the same command goes on, and asks nothing of the rest again"
    for judged in begun.values():
        # What was cut off may be in pieces, and to say less harms nobody.
        with suppress(Exception):
            suite, variant = judged.suite, judged.variant
            column = session.columns.task(suite, variant, whole(suite), graded=False)
            yield from _known(variant.name, column)


def _known(variant: str, column: Column) -> Iterator[str]:
    """Say how far a variant came; nothing where it came to its end."""
    marks = [row.correct for row in column.rows.values() if row.scores]
    if len(marks) == len(column.rows):
        return
    known = [mark for mark in marks if mark is not None]
    right = f", {percent(sum(known) / len(known))} right" if known else ""
    yield f"{variant} so far: {len(marks):,} of {len(column.rows):,} cases{right}"
