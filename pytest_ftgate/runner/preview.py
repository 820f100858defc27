"""What a run would ask and could show, without asking."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from statistics import mean

from pytest_ftgate.cache.cache import Ledger
from pytest_ftgate.client.budget import JUDGES
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gates.checks import discordance, paired
from pytest_ftgate.gates.power import Certain, certain
from pytest_ftgate.gates.rates import chance_of
from pytest_ftgate.gates.samples import aligned, side
from pytest_ftgate.gates.units import counted
from pytest_ftgate.providers.recorded import Recorded
from pytest_ftgate.reporting.ladder import debt_lines
from pytest_ftgate.requests.contamination import Leak, leak, skills_leak
from pytest_ftgate.requests.estimate import Estimate, Past, estimate
from pytest_ftgate.requests.judges import Put
from pytest_ftgate.requests.lint import lint
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Ask, Call, distinct
from pytest_ftgate.requests.workload import varies
from pytest_ftgate.runner.judges import matter
from pytest_ftgate.runner.recommend import debt
from pytest_ftgate.runner.session import Session, whole
from pytest_ftgate.runner.workloads import Judged
from pytest_ftgate.scoring.score import Mark
from pytest_ftgate.scoring.scorers import spoilt
from pytest_ftgate.scoring.scores import Column, score
from pytest_ftgate.suite.model import Case, DataGate, ForgettingGate, RateGate, Suite, Variant

__all__ = [
    "estimates",
    "grading",
    "grading_of_kept",
    "kept_replies",
    "lacks",
    "leaks",
    "lints",
    "powers",
]

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
    return _judge_calls(session, suite, variants, _usual)


def grading_of_kept(session: Session, suite: Suite, variants: Iterable[Variant]) -> set[str]:
    """Return the calls that judge the replies which are kept of *variants*, by fingerprint."""
    return {call.fingerprint for call in _judge_calls(session, suite, variants, lambda *_: None)}


def kept_replies(session: Session, suite: Suite, variant: Variant) -> list[tuple[Case, str]]:
    """Return the cases of which a whole reply of *variant* is kept, each with its text."""
    asks = session.asks.task(suite, variant, whole(suite))
    found = _answers(session, variant.name, asks, lambda *_: None)
    pairs = ((ask.case, found.get(ask.call.fingerprint)) for ask in asks)
    return [(case, reply.text) for case, reply in pairs if reply and not spoilt(reply, case)]


def _judge_calls(
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


def estimates(session: Session, gates: Sequence[Judged]) -> tuple[list[Estimate], list[str]]:
    """Return what each variant would ask, and why others cannot be asked."""
    calls, problems = _variant_calls(session, gates)
    calls += _grading(session, gates, problems)
    ledger = session.ledger()
    known = ledger.replies(call.fingerprint for _, own in calls for call in own)
    at_once = session.settings.concurrency
    told = []
    for variant, own in calls:
        kept = {*known, *(call.fingerprint for call in own if call.replies)}
        past = _past(own, [call for _, some in calls for call in some], known, ledger)
        told.append(estimate(variant, own, kept, past, at_once))
    ledger.close()
    return told, problems


def _variant_calls(
    session: Session, gates: Sequence[Judged]
) -> tuple[list[tuple[str, list[Call]]], list[str]]:
    """Return the calls that each variant needs first, and why others have none."""
    seen, problems, found = set[str](), list[str](), list[tuple[str, list[Call]]]()
    for suite, variant in _variants(gates):
        # Each marked function has a suite object of its own, of the same name.
        whose = (suite.name, variant.name)
        mine = [j for j in gates if (j.suite.name, j.variant.name) == whose]
        idle = bool(mine) and all(isinstance(j.gate, DataGate) for j in mine)
        try:
            groups = [group for judged in mine for group in session.asks.of(judged)]
            told = groups if groups or idle else [session.asks.task(suite, variant, whole(suite))]
            asks = chain.from_iterable(told)
        except FtgateError as error:
            problems.append(f"{variant.name}: {error}")
            continue
        calls = [call for call in distinct(asks) if call.fingerprint not in seen]
        seen.update(call.fingerprint for call in calls)
        found.append((variant.name, calls))
    return found, problems


def _grading(
    session: Session, gates: Sequence[Judged], problems: list[str]
) -> list[tuple[str, list[Call]]]:
    """Return what judges would be asked; why they cannot be goes into *problems*."""
    graded = (j for j in gates if j.suite.judges and j.gate.kind == "accuracy" and not j.rules)
    suites = {judged.suite.name: judged.suite for judged in graded}
    found: list[Call] = []
    for suite in suites.values():
        try:
            found += grading(
                session, suite, [v for s, v in _variants(gates) if s.name == suite.name]
            )
        except FtgateError as error:
            problems.append(f"{JUDGES}: {error}")
    return [(JUDGES, found)] if found else []


def _past(
    own: Sequence[Call],
    calls: Iterable[Call],
    known: Mapping[str, Reply],
    ledger: Ledger,
) -> Past:
    """Return what replies took: of these calls, else of their model here, else of its name."""
    if not own:
        return Past()
    model = (own[0].provider, own[0].model)
    like = [call for call in calls if (call.provider, call.model) == model]
    replies = _kept_of(own, known) or _kept_of(like, known) or ledger.of_model(own[0].model)
    written = [reply.usage["output"] for reply in replies if reply.usage.get("output")]
    seconds = [reply.seconds for reply in replies if reply.seconds]
    return Past(
        output=mean(written) if written else None, seconds=mean(seconds) if seconds else None
    )


def _kept_of(calls: Iterable[Call], known: Mapping[str, Reply]) -> list[Reply]:
    return [known[call.fingerprint] for call in calls if call.fingerprint in known]


def lints(session: Session, gates: Sequence[Judged]) -> Iterator[str]:
    """Yield what is likely to mislead the variants of *gates*, a line for each finding."""
    found: dict[tuple[str, str], list[str]] = {}
    for suite, variant in _variants(gates):
        # One that cannot be planned is told by the estimates.
        with suppress(FtgateError):
            for sentence in lint(variant, session.asks.task(suite, variant, whole(suite))):
                found.setdefault((suite.name, sentence), []).append(variant.name)
    for (_, sentence), variants in found.items():
        yield f"  lint: {', '.join(variants)}: {sentence}"


def _variants(gates: Sequence[Judged]) -> Iterator[tuple[Suite, Variant]]:
    """Yield the variants of the selected gates, and those that are measured beside them."""
    suites = {judged.suite.name: judged.suite for judged in gates}
    chosen = {(judged.suite.name, judged.variant.name) for judged in gates}
    for suite in suites.values():
        for variant in suite.variants.values():
            if not variant.gated or (suite.name, variant.name) in chosen:
                yield suite, variant


def leaks(gates: Sequence[Judged]) -> Iterator[Leak]:
    """Yield the variants that were trained on cases of their suite."""
    yield from filter(None, (leak(suite, variant) for suite, variant in _variants(gates)))
    skills = ((j.gate, j.variant) for j in gates if isinstance(j.gate, ForgettingGate))
    yield from filter(None, (skills_leak(gate, variant) for gate, variant in skills))


def lacks(gates: Sequence[Judged]) -> Iterator[str]:
    """Yield what the evaluation of each suite lacks, and what it keeps back."""
    for suite in {judged.judged_by.name: judged.judged_by for judged in gates}.values():
        if suite.holdout:
            count = f"{counted(len(suite.holdout), 'case')} more"
            yield f"  {count} of {suite.name}: held out, asked of the chosen rung alone"
        yield from debt_lines(debt(suite))


def powers(session: Session, gates: Sequence[Judged]) -> list[Certain]:
    """Return what each of *gates* could show, by the replies that the ledger has.

    What replies take is held to limits as it is; nothing is lost there that had to be ruled out.
    """
    return [
        _power(session, judged, judged.gate)
        for judged in gates
        if isinstance(judged.gate, RateGate | ForgettingGate)
    ]


def _power(session: Session, judged: Judged, gate: RateGate | ForgettingGate) -> Certain:
    suite, variant = judged.suite, judged.variant
    repeats = session.asks.looks(judged)[-1].repeats if varies(variant) else None
    told = partial(certain, judged.judged_by, gate, variant.name, repeats=repeats)
    if isinstance(gate, ForgettingGate) or gate.max_drop is None or variant.name == suite.baseline:
        return told()
    if judged.rules:
        return told()  # only the function itself can mark what is kept
    columns = [_kept(session, suite, one) for one in (suite.variants[suite.baseline], variant)]
    before, after = (side(column, gate.kind) if column else None for column in columns)
    blind = before is not None and before.mean - gate.max_drop <= chance_of(suite, gate)
    if before is None or after is None or blind:
        return told(blind=blind)
    return told(measured=discordance(paired(*aligned(before, after))))


def _kept(session: Session, suite: Suite, variant: Variant) -> Column | None:
    """Return the scores of *variant* where the ledger has every reply."""
    try:
        asks = session.asks.task(suite, variant, whole(suite))
    except FtgateError:
        return None
    ledger = session.ledger()
    found = ledger.replies({ask.call.fingerprint for ask in asks})
    ledger.close()
    # Grades of judges would have to be asked for.
    known = not suite.judges and all(ask.call.fingerprint in found for ask in asks)
    return score(variant.name, asks, found, suite.path.parent) if known else None
