"""What a run would ask, and what its gates could show: printed before anything is spent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gate.power import certifiable_margin
from pytest_ftgate.gate.words import points
from pytest_ftgate.plan import Call, distinct
from pytest_ftgate.report.tables import grid
from pytest_ftgate.session import Judged, Session
from pytest_ftgate.suite.model import ForgettingGate, Suite, Variant

__all__ = ["planned"]

#: Replies of one model disagree on about this share of the cases; measured ones replace it later.
_DISCORDANCE = 0.10
#: A token is about four characters of English.
_CHARACTERS = 4


def planned(session: Session, gates: Sequence[Judged]) -> Iterator[str]:
    """Yield the lines of the plan; asks nothing.

    Args:
        session: reads the ledger.
        gates: the gates that were selected.
    """
    ledger = session.ledger()
    rows, problems = [], []
    seen: set[str] = set()
    for suite, variant in _variants(gates):
        mine = [judged for judged in gates if judged.variant == variant and judged.suite == suite]
        try:
            asks = [ask for judged in mine for ask in session.needs(judged)]
            asks += session.task_asks(suite, variant) if not mine else ()
        except FtgateError as error:
            problems.append(f"  {variant.name}: {error}")
            continue
        calls = [call for call in distinct(asks) if call.fingerprint not in seen]
        seen.update(call.fingerprint for call in calls)
        kept = ledger.replies([call.fingerprint for call in calls])
        tokens = sum(_tokens(call) for call in calls)
        row = [variant.name, f"{len(calls):,}", f"{len(kept):,}", f"{len(calls) - len(kept):,}"]
        rows.append([*row, f"{tokens / 1000:,.0f} k", ", ".join(_certain(j) for j in mine)])
    ledger.close()
    headers = ["variant", "calls", "in ledger", "to ask", "tokens", "can certify"]
    yield "plan: a call that variants share is counted once, where it is first needed"
    yield from (f"  {line}" for line in grid(rows, headers, right=(1, 2, 3, 4)).split("\n"))
    yield from problems
    yield "nothing was asked; prices are not known to this version, so no cost is shown"


def _variants(gates: Sequence[Judged]) -> Iterator[tuple[Suite, Variant]]:
    suites = {judged.suite.name: judged.suite for judged in gates}
    chosen = {(judged.suite.name, judged.variant.name) for judged in gates}
    for suite in suites.values():
        for variant in suite.variants.values():
            if not variant.gated or (suite.name, variant.name) in chosen:
                yield suite, variant


def _tokens(call: Call) -> int:
    if call.case is not None:
        return 0
    return sum(len(text) for _, text in call.messages) // _CHARACTERS + call.max_tokens


def _certain(judged: Judged) -> str:
    """Say which drop an unchanged model would be certified against, nine times in ten."""
    gate = judged.gate
    n = len(gate.cases) if isinstance(gate, ForgettingGate) else len(judged.suite.cases)
    if gate.max_drop is None:
        return f"{gate.kind} floor"
    try:
        least = certifiable_margin(n, _DISCORDANCE)
    except ValueError:
        return f"{gate.kind} too few cases"
    enough = "" if least <= gate.max_drop else f" (asked {points(-gate.max_drop)})"
    return f"{gate.kind} {points(-least)}{enough}"
