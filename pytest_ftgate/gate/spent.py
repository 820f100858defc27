"""What the cost and the latency gate share: limits, and the words for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pytest_ftgate.gate.drop import UNCHANGED
from pytest_ftgate.gate.verdict import Check, Outcome, Verdict, together
from pytest_ftgate.gate.words import amount, counted, rise
from pytest_ftgate.suite.margins import SpendGate
from pytest_ftgate.suite.model import Suite

__all__ = ["beside", "decided", "headline", "verdict_on"]

_NOTHING = "nothing to compare with: it is the baseline"
_HOLDS = {Outcome.PASSED: "within", Outcome.FAILED: "over"}


def decided(low: float | None, high: float | None, limit: float) -> Outcome:
    """Hold an interval to a limit: passed where all of it is within, failed where none is."""
    if high is not None and high <= limit:
        return Outcome.PASSED
    return Outcome.FAILED if low is not None and low > limit else Outcome.INCONCLUSIVE


def verdict_on(
    suite: Suite, gate: SpendGate, variant: str, checks: tuple[Check, ...], notes: Iterable[str]
) -> Verdict:
    """Return what *checks* decide about a variant."""
    outcome, deciding = together(checks) if checks else (Outcome.PASSED, 0)
    check = checks[deciding] if checks else None
    own = (c.note for c in checks if c.note not in ("", UNCHANGED))
    return Verdict(
        suite=suite.name,
        line=gate.line,
        gate=gate.kind,
        variant=variant,
        outcome=outcome,
        headline=headline(check) if check else _NOTHING,
        checks=checks,
        deciding=deciding,
        notes=(*own, *notes),
        next=tuple(_next(outcome, check)),
    )


def beside(suite: Suite, gate: SpendGate, variant: str, check: Check, told: str) -> Verdict:
    """Return what an ungated variant takes: shown beside the others, judged by nobody."""
    return Verdict(
        suite=suite.name,
        line=gate.line,
        gate=gate.kind,
        variant=variant,
        outcome=Outcome.PASSED,
        headline=told,
        gated=False,
        checks=(replace(check, outcome=Outcome.PASSED),),
    )


def headline(check: Check) -> str:
    """Return what was seen and what was allowed, in one line."""
    after, what = amount(check.after, check.unit), _what(check)
    if check.before is None:
        order = _HOLDS.get(check.outcome, "perhaps over")
        return f"{what} {after}, {order} the limit of {amount(check.limit, check.unit)}"
    told = f"{what} {amount(check.before, check.unit)} → {after} against {check.against}"
    seen = "" if check.rise is None else f"{rise(check.rise)}, "
    return f"{told}, {seen}allowed {rise(check.limit)}"


def _what(check: Check) -> str:
    if check.unit == "usd":
        return "a thousand calls cost"
    return "95 in 100 replies take up to" if check.against == "p95" else "half of the replies take"


def _next(outcome: Outcome, check: Check | None) -> Iterator[str]:
    if check is None or outcome is Outcome.PASSED:
        return
    if outcome is Outcome.FAILED:
        yield "choose a smaller model or a shorter prompt, or raise the limit in a reviewed change"
    elif not check.informative:
        yield "declare a limit of its own, since the comparison cannot show anything"
    elif check.missing:
        yield "run again for the missing replies"
    elif check.needed:
        yield f"about {counted(check.needed, 'more case')} would settle it"
    else:
        yield "more cases are needed"
