"""From what was measured to what is advised: one recommendation, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ftgate.advise.advice import Advice
from pytest_ftgate.advise.confirm import confirmation
from pytest_ftgate.advise.decide import Decision, decide
from pytest_ftgate.advise.evidence import Evidence
from pytest_ftgate.advise.ladder import Ladder, ladder_of
from pytest_ftgate.advise.rollback import rollback
from pytest_ftgate.advise.standing import frontier_key

__all__ = ["advise"]


def advise(evidence: Evidence) -> Advice | None:
    """Return what is advised about a suite, or None where nothing was marked right or wrong.

    The same evidence brings the same advice: the day and what git knows are part of it.
    """
    ladder = ladder_of(evidence)
    if all(row.accuracy is None for row in ladder.rows):
        return None
    back = rollback(evidence)
    decision = decide(evidence, ladder, back)
    key = frontier_key(ladder.rows)
    chosen, held = ladder.row(decision.variant), evidence.held_out
    return Advice(
        suite=evidence.suite.name,
        recommendation=decision.recommendation,
        subject=decision.subject,
        variant=decision.variant,
        headline=decision.headline,
        reasons=decision.reasons,
        below=decision.below,
        rungs=ladder.rows,
        frontier_by="time" if key == "p50_ms" else "usd" if key else "",
        conditions=decision.conditions,
        money=ladder.money,
        challenges=decision.challenges,
        confirmation=confirmation(evidence.suite, chosen, held) if chosen and held else None,
        retiring=ladder.retiring,
        rollback=back,
        debt=evidence.debt,
        unmeasured=dict(evidence.unmeasured),
        notes=tuple(_notes(evidence, ladder, decision)),
    )


def _notes(evidence: Evidence, ladder: Ladder, decision: Decision) -> Iterator[str]:
    for one in decision.conditions:
        if one.needed and one.holds is None:
            yield one.told
    if evidence.suite.judges:
        yield "right is what a judge model says; here it is not corrected for the judge's errors"
    for name, why in evidence.unmeasured.items():
        yield f"{name} could not be measured: {why}"
    few = [row.variant for row in ladder.rows if row.accuracy is None]
    if few:
        yield f"without an accuracy, and so not climbed: {', '.join(few)}"
