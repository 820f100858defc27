"""Whether the variants behind a gate are what they claim to be, by all that was asked for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_ftgate.gate.claims import facts, held, lineage, notices, sampled, seeded, served_model
from pytest_ftgate.gate.identity import Answers, Identity, prove, prove_unlike
from pytest_ftgate.gate.verdict import Outcome, Verdict
from pytest_ftgate.plan.asks import same_seed
from pytest_ftgate.plan.call import Ask
from pytest_ftgate.run.asks import Judged, with_baseline
from pytest_ftgate.run.session import Session
from pytest_ftgate.suite.margins import RateGate
from pytest_ftgate.suite.model import Suite, Variant

__all__ = ["claims", "invalid", "known", "proofs", "tuned"]


def proofs(
    session: Session, judged: Judged, answers: Answers, asked: Sequence[Ask] = ()
) -> list[Identity]:
    """Return what is known of the variant, and of what it is compared with.

    Args:
        session: knows what was asked.
        judged: the gate.
        answers: what became of the calls.
        asked: calls of the variant that no plan foresaw.
    """
    variant = judged.variant
    found = [one for asks in session.asks.of(judged) for one in _claimed(session, judged, asks)]
    found += claims(variant, asked, answers) if asked else []
    found += tuned(session, judged.suite, variant, answers)
    if isinstance(judged.gate, RateGate) and judged.planned:
        task = session.asks.task(judged.suite, variant, session.asks.looks(judged)[0])
        found.append(seeded(*same_seed(task), answers))
    return list(dict.fromkeys(found))


def invalid(judged: Judged, sentence: str, facts: Mapping[str, str], node: str = "") -> Verdict:
    """Return the verdict on a variant that is not what it claims to be, as *sentence* says."""
    return Verdict(
        suite=judged.judged_by.name,
        line=judged.gate.line,
        gate=judged.name,
        variant=judged.variant.name,
        outcome=Outcome.INVALID,
        headline=sentence,
        node=node,
        facts=facts,
    )


def _claimed(session: Session, judged: Judged, asks: Sequence[Ask]) -> tuple[Identity, ...]:
    """Return the claims of a variant, which its gates share."""
    key = (judged.suite.name, judged.variant.name, id(asks))
    if key not in session.claims:
        session.claims[key] = tuple(claims(judged.variant, asks, session.engine.answers))
    return session.claims[key]


def claims(variant: Variant, asks: Sequence[Ask], answers: Answers) -> Iterator[Identity]:
    """Yield what the replies to *asks* say of their model; of settings, those of *variant*."""
    yield served_model(asks, answers)
    yield held(asks, answers)
    yield sampled(asks, answers)
    yield from notices(asks, answers, [*variant.sampling, "output_config", "response_format"])


def tuned(session: Session, suite: Suite, variant: Variant, answers: Answers) -> Iterator[Identity]:
    """Yield whether a tuned variant is another model than its base; nothing for others."""
    if variant.tuned:
        identity = session.asks.identity(suite, variant)
        if variant.base is not None:
            yield lineage(variant.base, identity[0], answers)
        recorded = variant.base_replies is not None
        yield prove_unlike(identity, answers) if recorded else prove(identity, answers)


def known(
    session: Session, judged: Judged, answers: Answers, asked: Sequence[Ask] = ()
) -> dict[str, str]:
    """Return what a record should know of the variant."""
    if not judged.planned:
        return facts(asked, answers)
    return facts(session.asks.of(judged)[1 if with_baseline(judged) else 0], answers)
