"""Whether the variants behind a gate are what they claim to be, by all that was asked for it."""

from __future__ import annotations

from pytest_ftgate.asks import Judged
from pytest_ftgate.gate.identity import Answers, Identity, prove, served_model
from pytest_ftgate.session import Session

__all__ = ["proofs"]


def proofs(session: Session, judged: Judged, answers: Answers) -> list[Identity]:
    """Return what is known of the variant, and of what it is compared with.

    Args:
        session: knows what was asked.
        judged: the gate.
        answers: what became of the calls.
    """
    found = [served_model(asks, answers) for asks in session.asks.of(judged)]
    if judged.variant.tuned:
        found.append(prove(session.asks.identity(judged.suite, judged.variant), answers))
    return found
