"""Identity of the variants behind a gate, and repeated baseline requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_ftgate.gates.identity import (
    Answers,
    Identity,
    facts,
    held,
    lineage,
    notices,
    prove,
    prove_unlike,
    sampled,
    seeded,
    served_model,
)
from pytest_ftgate.gates.looks import Look
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.requests.request import Ask
from pytest_ftgate.requests.workload import anew, same_seed
from pytest_ftgate.runner.session import Session
from pytest_ftgate.runner.workloads import Judged, with_baseline
from pytest_ftgate.suite.model import RateGate, Suite, Variant

__all__ = ["asked_anew", "claims", "drifted", "invalid", "known", "proofs", "tuned"]


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


#: A baseline that was recorded at most so many seconds before its variant was not checked.
_RECENT = 86_400.0
#: Providers whose model is a file here, so that nobody can change it under its name.
_SAME_FOR_EVER = ("llamacpp", "recorded", "classical")

_Asks = tuple[Ask, ...]


def drifted(session: Session, judged: Judged, look: Look) -> str:
    """Say how the baseline has drifted since it was recorded; "" where it has not."""
    from pytest_ftgate.gates.identity import drift
    from pytest_ftgate.gates.samples import side

    old, again = asked_anew(session, judged, look)
    if not old:
        return ""
    suite, baseline = judged.suite, judged.suite.variants[judged.suite.baseline]
    columns = [
        session.columns.of(suite, baseline, of, asks)
        for of, asks in (("then", old), ("now", again))
    ]
    return drift(*(side(column, judged.gate.kind) for column in columns))


def asked_anew(session: Session, judged: Judged, look: Look) -> tuple[_Asks, _Asks]:
    """Return a part of what the baseline was asked, and its asking anew; nothing in most runs.

    Where it was recorded more than a day before the variant, a tenth of it is asked anew for the
    run that the variant's replies came in, and never again for that run.
    """
    suite, baseline = judged.suite, judged.suite.variants[judged.suite.baseline]
    if judged.variant is baseline or baseline.provider in _SAME_FOR_EVER:
        return (), ()
    key = (suite.name, suite.repeats, judged.variant.name, look)
    if key not in session.anew:
        session.anew[key] = _asked_anew(session, judged, look)
    return session.anew[key]


def _asked_anew(session: Session, judged: Judged, look: Look) -> tuple[_Asks, _Asks]:
    from pytest_ftgate.gates.identity import to_ask_anew

    suite, baseline = judged.suite, judged.suite.variants[judged.suite.baseline]
    theirs, mine = (session.asks.task(suite, v, look) for v in (baseline, judged.variant))
    chosen = session.asks.task(suite, baseline, Look(cases=to_ask_anew(suite.cases)))
    ledger = session.ledger()
    then, now = (ledger.made(a.call.fingerprint for a in asks) for asks in (theirs, mine))
    kept = ledger.replies(ask.call.fingerprint for ask in chosen)
    ledger.close()
    old = tuple(ask for ask in chosen if ask.call.fingerprint in kept)
    if not then or not now or not old or now[-1][0] - then[0][0] < _RECENT:
        return (), ()
    return old, anew(old, now[-1][1])
