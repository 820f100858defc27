"""From what was asked to verdicts: of the gates, and of the variants measured beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_ftgate.asks import Judged
from pytest_ftgate.drifting import drifted
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gate.looks import Look
from pytest_ftgate.gate.verdict import Outcome, Verdict
from pytest_ftgate.plan.asks import base_of
from pytest_ftgate.progress import ticking
from pytest_ftgate.session import Session, whole
from pytest_ftgate.suite.model import ForgettingGate, RateGate, Suite

if TYPE_CHECKING:
    from pytest_ftgate.gate.rates import Sides

__all__ = ["is_clear", "judge", "measured", "sides_of"]


def sides_of(session: Session, judged: Judged, look: Look) -> Sides:
    """Return the scores of the variant, and of what it is compared with."""
    from pytest_ftgate.gate.rates import Sides

    suite, gate, variant = judged.suite, judged.gate, judged.variant
    if isinstance(gate, ForgettingGate):
        mine = session.skills_column(suite, variant, gate)
        return Sides(mine, session.skills_column(suite, base_of(variant), gate))
    other = suite.variants[suite.baseline] if gate.max_drop is not None else variant
    column = session.task_column(suite, variant, look)
    must = session.must_pass(suite, variant, look) if gate.kind == "accuracy" else None
    said = drifted(session, judged, look) if gate.max_drop is not None else ""
    return Sides(column, session.task_column(suite, other, look), must=must, drifted=said)


def judge(session: Session, judged: Judged, look: Look) -> Verdict:
    """Return what the gate decides of what was asked up to *look*."""
    # Here and not at the top: the gates import SciPy, which must wait until a gate runs.
    from pytest_ftgate.gate.forgetting import judge_forgetting
    from pytest_ftgate.gate.rates import judge_rate
    from pytest_ftgate.record import accepted_of

    suite, gate = judged.suite, judged.gate
    sides = sides_of(session, judged, look)
    if isinstance(gate, ForgettingGate):
        return judge_forgetting(suite, gate, sides.column, sides.baseline)
    record = session.accepted(suite)
    accepted = accepted_of(record, suite, judged.variant.name, gate.kind)
    return judge_rate(suite, gate, replace(sides, accepted=accepted), look)


def is_clear(verdict: Verdict) -> bool:
    """Tell whether asking on could change nothing."""
    return verdict.outcome in (Outcome.PASSED, Outcome.FAILED)


def measured(session: Session, suite: Suite, config: pytest.Config) -> Iterator[Verdict]:
    """Yield what the variants without gates came to; one that is not what it claims says so."""
    from pytest_ftgate.gate.claims import facts
    from pytest_ftgate.gate.rates import measure, unmeasured
    from pytest_ftgate.proofs import claims, tuned

    for variant in suite.variants.values():
        if variant.gated:
            continue
        try:
            with ticking(config) as tick:
                asks = session.asks.task(suite, variant, whole(suite))
                identity = session.asks.identity(suite, variant) if variant.tuned else ()
                found = session.answers([asks, *identity], tick, suite.name)
            column = session.task_column(suite, variant, whole(suite))
        except FtgateError as error:
            yield unmeasured(suite, variant, str(error))
            continue
        proven = [*claims(variant, asks, found), *tuned(session, suite, variant, found)]
        strange = [one for one in proven if one.outcome is Outcome.INVALID]
        notes = tuple(one.sentence for one in proven if one.outcome is Outcome.INCONCLUSIVE)
        if strange:
            yield unmeasured(suite, variant, f"not what it claims: {strange[0].sentence}")
            continue
        for gate in suite.gates.values():
            if isinstance(gate, RateGate):
                known = facts(asks, found)
                yield replace(measure(suite, gate, column), facts=known, notes=notes)
