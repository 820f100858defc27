"""The ladder of one suite: gathers what was measured, asks the held-out cases, and is advised."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pytest_ftgate.ask.answers import Answer
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gate.looks import Look
from pytest_ftgate.gate.verdict import Outcome, Verdict
from pytest_ftgate.run.asks import Judged
from pytest_ftgate.run.judging import is_clear, judge
from pytest_ftgate.run.progress import ticking
from pytest_ftgate.run.session import Session, whole
from pytest_ftgate.score.sheet import Column
from pytest_ftgate.suite.ladder import laddered
from pytest_ftgate.suite.margins import RateGate
from pytest_ftgate.suite.model import Suite, Variant
from pytest_ftgate.suite.source import Source
from pytest_ftgate.suite.training import training_rows

if TYPE_CHECKING:
    from pytest_ftgate.advise.advice import Advice
    from pytest_ftgate.advise.evidence import Evidence

__all__ = ["Judgement", "advised", "has_ladder"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A gate that this process has judged, and how far it was asked."""

    verdict: Verdict
    look: Look


def has_ladder(suite: Suite) -> bool:
    """Tell whether there is something to advise on: rungs to compare, or what is meant to serve."""
    rungs = {rung for rung, _ in laddered(suite.variants, suite.baseline)}
    return len(rungs) > 1 or bool(suite.serves or suite.challengers)


def advised(
    session: Session,
    suite: Suite,
    known: Mapping[tuple[str, str], Judgement],
    beside: Iterable[Verdict],
    config: pytest.Config,
) -> Advice | None:
    """Return what is advised about *suite*, all of whose gates were selected.

    Args:
        session: the run.
        suite: the suite.
        known: by variant and gate what was judged here; another worker's gates are judged anew,
            by the same replies.
        beside: what the variants without gates came to.
        config: for the live line while held-out cases are asked.
    """
    from pytest_ftgate.advise.advise import advise

    evidence = _evidence(session, suite, known, tuple(beside), config)
    advice = advise(evidence)
    if advice is None or not suite.holdout:
        return advice
    try:
        held_out = _held_out(session, suite, suite.variants[advice.variant], config)
    except FtgateError as error:
        told = f"the held-out cases could not be asked of {advice.variant}: {error}"
        return replace(advice, notes=(*advice.notes, told))
    return advise(replace(evidence, held_out=held_out))


def _evidence(
    session: Session,
    suite: Suite,
    known: Mapping[tuple[str, str], Judgement],
    beside: tuple[Verdict, ...],
    config: pytest.Config,
) -> Evidence:
    from pytest_ftgate.advise.evidence import Evidence
    from pytest_ftgate.record.history import accepted_runs
    from pytest_ftgate.run.changes import git_facts
    from pytest_ftgate.run.debt import debt

    today = datetime.now(UTC).date()
    judged = dict(_judged_here_or_there(session, suite, known, config))
    verdicts = (*(one.verdict for one in judged.values()), *beside)
    lost = {v.variant: v.headline for v in beside if v.gate == "measured"}
    columns = _columns(session, suite, judged, lost, config)
    rows = {name: _rows(one) for name, one in suite.variants.items()}
    return Evidence(
        suite=suite,
        columns=columns,
        verdicts=verdicts,
        today=today,
        facts={v.variant: v.facts for v in verdicts if v.facts},
        bill=session.bill().variants,
        training_rows={name: own for name, own in rows.items() if own is not None},
        examples=max((own for own in rows.values() if own is not None), default=None),
        unmeasured=lost,
        git=git_facts(suite, today),
        history=accepted_runs(suite.accepted_path),
        debt=debt(suite),
    )


def _columns(
    session: Session,
    suite: Suite,
    judged: Mapping[tuple[str, str], Judgement],
    lost: dict[str, str],
    config: pytest.Config,
) -> dict[str, Column]:
    """Return the scores of each variant that is not *lost*, to which others are added here."""
    columns: dict[str, Column] = {}
    for name, variant in suite.variants.items():
        if name in lost:
            continue
        try:
            column = _column(session, suite, variant, judged, config)
        except FtgateError as error:
            lost[name] = str(error)
            continue
        if len(column.missing) < len(column.rows):
            columns[name] = column
        else:
            lost[name] = "no reply came"
    return columns


def _rows(variant: Variant) -> int | None:
    """Return how many labelled rows *variant* learned from or chooses examples of."""
    path = variant.training_data
    if path is None:
        return len(variant.pool) or None
    found = training_rows(Source(root=path.parent, path=path), path)
    return sum(row.teaches and row.answer is not None for row in found)


def _judged_here_or_there(
    session: Session,
    suite: Suite,
    known: Mapping[tuple[str, str], Judgement],
    config: pytest.Config,
) -> Iterable[tuple[tuple[str, str], Judgement]]:
    for variant in suite.variants.values():
        for gate in suite.gates_of(variant):
            key = (variant.name, gate.kind)
            if key in known:
                yield key, known[key]
                continue
            # A gate that could not be asked has no verdict there either.
            with suppress(FtgateError):
                yield key, _settled(session, Judged(suite, gate, variant), config)


def _settled(session: Session, judged: Judged, config: pytest.Config) -> Judgement:
    """Judge a gate as its own item would, look by look."""
    looks = session.asks.looks(judged)
    for look in looks:
        asks = session.asks.of(judged, look)
        if asks:
            with ticking(config) as tick:
                answers = session.answers(asks, tick, judged.suite.name)
            wrong = _disproven(session, judged, answers) if look.number == 1 else None
            if wrong is not None:
                return Judgement(wrong, look)
        found = Judgement(judge(session, judged, look), look)
        if is_clear(found.verdict):
            break
    return found


def _disproven(session: Session, judged: Judged, answers: Mapping[str, Answer]) -> Verdict | None:
    from pytest_ftgate.run.proofs import invalid, known, proofs

    for proof in proofs(session, judged, answers):
        if proof.outcome is Outcome.INVALID:
            return invalid(judged, proof.sentence, known(session, judged, answers))
    return None


def _column(
    session: Session,
    suite: Suite,
    variant: Variant,
    judged: Mapping[tuple[str, str], Judgement],
    config: pytest.Config,
) -> Column:
    """Return the scores of a variant, on as much as its gates have asked."""
    looks = [
        judged[variant.name, gate.kind].look
        for gate in suite.gates_of(variant)
        if isinstance(gate, RateGate) and (variant.name, gate.kind) in judged
    ]
    look = max(looks, key=_reach) if looks else whole(suite)
    with ticking(config) as tick:
        session.answers([session.asks.task(suite, variant, look)], tick, suite.name)
    return session.columns.task(suite, variant, look)


def _reach(look: Look) -> tuple[float, int]:
    return (float("inf") if look.cases is None else len(look.cases), look.repeats)


def _held_out(session: Session, suite: Suite, variant: Variant, config: pytest.Config) -> Column:
    """Ask the held-out cases of the chosen variant alone, and score them."""
    held = suite.held_out
    with ticking(config) as tick:
        session.answers([session.asks.task(held, variant, whole(held))], tick, suite.name)
    return session.columns.task(held, variant, whole(held))
