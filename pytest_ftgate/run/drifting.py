"""A baseline that was recorded some time ago: a part of it is asked anew before it is compared."""

from __future__ import annotations

from pytest_ftgate.gate.looks import Look
from pytest_ftgate.plan.asks import anew
from pytest_ftgate.plan.call import Ask
from pytest_ftgate.run.asks import Judged
from pytest_ftgate.run.session import Session

__all__ = ["asked_anew", "drifted"]

#: A baseline that was recorded at most so many seconds before its variant was not checked.
_RECENT = 86_400.0
#: Providers whose model is a file here, so that nobody can change it under its name.
_SAME_FOR_EVER = ("llamacpp", "recorded", "classical")

_Asks = tuple[Ask, ...]


def drifted(session: Session, judged: Judged, look: Look) -> str:
    """Say how the baseline has drifted since it was recorded; "" where it has not."""
    from pytest_ftgate.gate.drift import drift
    from pytest_ftgate.gate.side import side

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
    from pytest_ftgate.gate.drift import to_ask_anew

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
