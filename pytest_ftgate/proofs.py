"""Whether the variants behind a gate are what they claim to be, by all that was asked for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_ftgate.asks import Judged
from pytest_ftgate.gate.claims import facts, held, lineage, notices, sampled, served_model
from pytest_ftgate.gate.identity import Answers, Identity, prove
from pytest_ftgate.plan.call import Ask
from pytest_ftgate.session import Session

__all__ = ["claims", "known", "proofs"]


def proofs(session: Session, judged: Judged, answers: Answers) -> list[Identity]:
    """Return what is known of the variant, and of what it is compared with.

    Args:
        session: knows what was asked.
        judged: the gate.
        answers: what became of the calls.
    """
    found = [one for asks in session.asks.of(judged) for one in claims(asks, answers)]
    variant = judged.variant
    if variant.tuned:
        identity = session.asks.identity(judged.suite, variant)
        if variant.base is not None:
            found.append(lineage(variant.base, identity[0], answers))
        found.append(prove(identity, answers))
    return list(dict.fromkeys(found))


def claims(asks: Sequence[Ask], answers: Answers) -> Iterator[Identity]:
    """Yield what the replies of one variant say of it."""
    yield served_model(asks, answers)
    yield held(asks, answers)
    yield sampled(asks, answers)
    yield from notices(asks, answers)


def known(session: Session, judged: Judged, answers: Answers) -> dict[str, str]:
    """Return what a record should know of the variant."""
    return facts(session.asks.of(judged)[1 if judged.gate.compares else 0], answers)
