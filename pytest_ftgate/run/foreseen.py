"""What judges would be asked, told before anything is: about the replies that are kept, and others.

A reply that has not come is taken for one of a usual length, so that what it costs to grade it can
be told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from pytest_ftgate.ask.providers.recorded import Recorded
from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.plan.call import Ask, Call
from pytest_ftgate.plan.judge import Put
from pytest_ftgate.run.hearing import matter
from pytest_ftgate.run.session import Session, whole
from pytest_ftgate.score.content import spoilt
from pytest_ftgate.score.mark import Mark
from pytest_ftgate.suite.model import Case, Suite, Variant

__all__ = ["grading", "grading_of_kept", "kept_replies"]

#: Characters of a reply that has not come, where it may be as long.
_USUAL, _CHARACTERS = 400, 4

_Asks = tuple[Ask, ...]
#: Makes what stands for a reply that is not kept, of a variant's name and what it is asked.
_Instead = Callable[[str, Ask], Reply | None]


def grading(session: Session, suite: Suite, variants: Iterable[Variant]) -> list[Call]:
    """Return the calls that the judges of *suite* would take for *variants*.

    Raises:
        FtgateError: a judge, or a variant, cannot be asked.
    """
    return _calls(session, suite, variants, _usual)


def grading_of_kept(session: Session, suite: Suite, variants: Iterable[Variant]) -> set[str]:
    """Return the calls that judge the replies which are kept of *variants*, by fingerprint."""
    return {call.fingerprint for call in _calls(session, suite, variants, lambda *_: None)}


def kept_replies(session: Session, suite: Suite, variant: Variant) -> list[tuple[Case, str]]:
    """Return the cases of which a whole reply of *variant* is kept, each with its text."""
    asks = session.asks.task(suite, variant, whole(suite))
    found = _answers(session, variant.name, asks, lambda *_: None)
    pairs = ((ask.case, found.get(ask.call.fingerprint)) for ask in asks)
    return [(case, reply.text) for case, reply in pairs if reply and not spoilt(reply, case)]


def _calls(
    session: Session, suite: Suite, variants: Iterable[Variant], instead: _Instead
) -> list[Call]:
    if not suite.judges:
        return []
    puts = chain(_of_labels(session, suite), _of_replies(session, suite, variants, instead))
    found = {put.ask.call.fingerprint: put.ask.call for one in puts for put in one}
    return [*found.values()]


def _of_labels(session: Session, suite: Suite) -> Iterator[Sequence[Put]]:
    for bench, labels, longer in session.hearings.examination(suite):
        yield from (bench.puts(matter(one)) for one in labels)
        yield from (bench.puts(matter(one, times=2)) for one in longer)


def _of_replies(
    session: Session, suite: Suite, variants: Iterable[Variant], instead: _Instead
) -> Iterator[Sequence[Put]]:
    baseline = suite.variants[suite.baseline]
    look = whole(suite)
    theirs = _answers(session, baseline.name, session.asks.task(suite, baseline, look), instead)
    for variant in variants:
        asks = session.asks.task(suite, variant, look)
        answers = _answers(session, variant.name, asks, instead)
        for _, _, what in session.hearings.puts(suite, asks, answers, theirs):
            if not isinstance(what, Mark):
                yield what


def _answers(session: Session, name: str, asks: _Asks, instead: _Instead) -> Mapping[str, Reply]:
    """Return the replies to *asks* that are kept, and what stands for the others."""
    ledger = session.ledger()
    kept = ledger.replies({ask.call.fingerprint for ask in asks})
    ledger.close()
    found = ((ask, kept.get(ask.call.fingerprint) or _recorded(ask.call)) for ask in asks)
    told = ((ask.call.fingerprint, reply or instead(name, ask)) for ask, reply in found)
    return {key: reply for key, reply in told if reply is not None}


def _recorded(call: Call) -> Reply | None:
    if not call.replies:
        return None
    with Recorded() as recorded:
        found = recorded.answer(call)
    return found if isinstance(found, Reply) else None


def _usual(variant: str, ask: Ask) -> Reply:
    """Return a reply such as may come, which no other call has."""
    length = min(_USUAL, _CHARACTERS * ask.call.max_tokens)
    return Reply(text=f"{variant} {ask.case.id} {ask.repeat} ".ljust(length, "x"))
