"""The accuracy and the format gate: a floor, a drop against the baseline, one against accepted."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pytest_ftgate.gate.drop import ALARM, UNCHANGED, Levels, drop
from pytest_ftgate.gate.flips import Turned, flips, turned
from pytest_ftgate.gate.floor import floor
from pytest_ftgate.gate.side import Side, side
from pytest_ftgate.gate.verdict import Check, Outcome, Verdict, together
from pytest_ftgate.gate.words import percent, points, size
from pytest_ftgate.score.sheet import Column
from pytest_ftgate.suite.model import ForgettingGate, RateGate, Suite, Variant

__all__ = ["Accepted", "alarm_of", "judge_rate", "measure", "unmeasured"]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was accepted of a variant: its cells, and how many of them the yardstick outran."""

    cells: Side
    stale: int


def alarm_of(suite: Suite) -> float:
    """Return the risk of a false alarm that each drop check of *suite* may take.

    It depends on what the suite declares alone: not on which gates were selected, and not on
    whether anything has been accepted yet.
    """
    return ALARM / max(1, sum(_drop_checks(suite, name) for name in suite.variants))


def _drop_checks(suite: Suite, name: str) -> int:
    compared = 1 if name == suite.baseline else 2
    return sum(
        # Forgetting looks twice: at the mean of the skills, and at each of them.
        2 if isinstance(gate, ForgettingGate) else compared * (gate.max_drop is not None)
        for gate in suite.gates_of(suite.variants[name])
    )


def judge_rate(
    suite: Suite, gate: RateGate, column: Column, baseline: Column, accepted: Accepted | None
) -> Verdict:
    """Judge one variant by the accuracy or the format gate.

    Args:
        suite: the suite, for its margins and the number of its checks.
        gate: the gate.
        column: the variant's scores.
        baseline: the baseline's scores; the same column where the variant is the baseline.
        accepted: what was accepted of the variant, or None where nothing was.
    """
    checks = tuple(_checks(suite, gate, column, baseline, accepted))
    outcome, deciding = together(checks) if checks else (Outcome.PASSED, 0)
    told, compared = _turned(gate, column, baseline, accepted, checks, deciding)
    return Verdict(
        suite=suite.name,
        line=gate.line,
        gate=gate.kind,
        variant=column.variant,
        outcome=outcome,
        headline=_headline(gate.kind, outcome, checks[deciding]) if checks else _NOTHING,
        checks=checks,
        deciding=deciding,
        flips=flips(compared, column, told),
        lost=len(told.lost),
        gained=len(told.gained),
        faults_before=dict(baseline.faults),
        faults_after=dict(column.faults),
        notes=tuple(_notes(column, checks, accepted)),
        next=tuple(_next(gate, outcome, checks[deciding], column)) if checks else (_ACCEPT,),
    )


_NOTHING = "nothing to compare with yet"
_ACCEPT = "nothing to compare with yet; accept this run with --ftgate-accept"


def _turned(
    gate: RateGate,
    column: Column,
    baseline: Column,
    accepted: Accepted | None,
    checks: tuple[Check, ...],
    deciding: int,
) -> tuple[Turned, Column | None]:
    """Return the cases that turned against what decided, or else against the baseline."""
    mine = side(column, gate.kind)
    by_accepted = bool(checks) and checks[deciding].against == "accepted"
    if accepted is not None and (by_accepted or (column is baseline and len(accepted.cells))):
        return turned(accepted.cells, mine), None
    if column is baseline:
        return turned(None, mine), None
    return turned(side(baseline, gate.kind), mine), baseline


def _checks(
    suite: Suite, gate: RateGate, column: Column, baseline: Column, accepted: Accepted | None
) -> list[Check]:
    mine, levels = side(column, gate.kind), Levels(alarm=alarm_of(suite))
    chance = _chance(suite) if gate.kind == "accuracy" else 0.0
    found = [floor(mine, least=gate.min)] if gate.min is not None else []
    if gate.max_drop is None:
        return found
    margin = gate.max_drop
    if column is not baseline:
        theirs = side(baseline, gate.kind)
        found.append(
            drop(theirs, mine, against=suite.baseline, margin=margin, levels=levels, chance=chance)
        )
    # Where every accepted case is stale there is nothing left to compare with.
    if accepted is not None and len(accepted.cells):
        check = drop(
            accepted.cells, mine, against="accepted", margin=margin, levels=levels, chance=chance
        )
        found.append(replace(check, stale=accepted.stale))
    return found


def _chance(suite: Suite) -> float:
    """Return the rate that guessing reaches: one label in so many."""
    labels = [rule.value for rule in suite.reply.format if rule.kind == "choice"]
    return 1 / len(labels[0]) if labels else 0.0


def _headline(kind: str, outcome: Outcome, check: Check) -> str:
    what = "accuracy" if kind == "accuracy" else "replies in the right format"
    if check.before is None:
        order = {Outcome.PASSED: "holds", Outcome.FAILED: "is below"}.get(outcome, "may not hold")
        return f"{what} {percent(check.after)} {order} the floor of {percent(check.limit)}"
    return (
        f"{what} {percent(check.before)} → {percent(check.after)} against {check.against}, "
        f"{points(check.after - check.before)} points, allowed {points(-check.limit)}"
    )


def _notes(column: Column, checks: tuple[Check, ...], accepted: Accepted | None) -> list[str]:
    found = [check.note for check in checks if check.note and check.note != UNCHANGED]
    if accepted is not None and accepted.stale:
        told = "the case or how it is marked has changed; accept again with --ftgate-accept"
        found.append(f"{accepted.stale} accepted cases are stale: {told}")
    for stop, word in (("refusal", "refused"), ("length", "cut off by max_tokens")):
        if column.stops[stop]:
            found.append(f"{column.stops[stop]} of {column.stops.total()} replies were {word}")
    if column.missing:
        first = column.missing[0].missing[0]
        found.append(f"no reply to {len(column.missing)} cases; first: {first}")
    return found


def _next(gate: RateGate, outcome: Outcome, check: Check, column: Column) -> list[str]:
    if outcome is Outcome.INCONCLUSIVE:
        return [_to_settle(check)]
    if outcome is not Outcome.FAILED:
        return []
    if gate.kind == "format" and column.faults:
        kind, count = column.faults.most_common(1)[0]
        return [f"the commonest fault is “{kind}” ({count} replies); mend the prompt for it"]
    return ["read the lost cases below; if the drop is intended, accept it in a reviewed change"]


def _to_settle(check: Check) -> str:
    if not check.informative:
        return "declare a floor (min:), since the comparison cannot show anything"
    parts = []
    if check.certifiable is not None and check.before is not None:
        parts.append(
            f"{check.n} cases cannot rule out a drop of {size(check.limit)} points "
            f"(they can certify {size(check.certifiable)})"
        )
    if check.needed is not None:
        parts.append(f"about {check.needed:,} more cases would settle it")
    if check.missing:
        parts = ["run again for the missing replies", *parts]
    return "; ".join(parts) or "more cases are needed"


def measure(suite: Suite, gate: RateGate, column: Column) -> Verdict:
    """Return what an ungated variant reaches: shown beside the others, judged by nobody."""
    check = floor(side(column, gate.kind), least=0.0)
    return Verdict(
        suite=suite.name,
        line=gate.line,
        gate=gate.kind,
        variant=column.variant,
        outcome=Outcome.PASSED,
        headline=f"{percent(check.after)}",
        gated=False,
        checks=(check,),
        faults_after=dict(column.faults),
    )


def unmeasured(suite: Suite, variant: Variant, reason: str) -> Verdict:
    """Return why an ungated variant could not be measured: said, and nothing rests on it."""
    return Verdict(
        suite=suite.name,
        line=variant.line,
        gate="measured",
        variant=variant.name,
        outcome=Outcome.INVALID,
        headline=f"could not be asked: {reason}",
        gated=False,
    )
