"""What a verdict on a rate says to a reader: headline, notes, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from pytest_ftgate.gate.drop import UNCHANGED
from pytest_ftgate.gate.looks import Look
from pytest_ftgate.gate.parts import Slice
from pytest_ftgate.gate.verdict import Check, Outcome
from pytest_ftgate.gate.words import counted, percent, points, size
from pytest_ftgate.score.sheet import Column
from pytest_ftgate.suite.margins import RateGate

__all__ = ["NOTHING", "headline", "next_steps", "notes"]

#: What to do about a kind of broken form, where it is not the prompt.
_REMEDIES = {
    "truncated": "raise max_tokens, or ask for shorter replies",
    "refusal": "read what the model refused",
    "fenced": "ask for the bare answer without a code fence, or hold the model to a schema",
    "preamble": "ask for the answer and nothing else",
    "trailing text": "ask for the answer and nothing else",
    "wrong label casing": "show the labels as they are to be written",
    "repetition loop": "ask for shorter replies, or raise the temperature",
}

#: Said where a gate has no side to compare with.
NOTHING = "nothing to compare with yet"
_HOLDS = {Outcome.PASSED: "holds", Outcome.FAILED: "is below"}
#: More repeats than this nobody asks; cases tell more.
_MOST_REPEATS = 20


def headline(
    gate: RateGate, outcome: Outcome, check: Check, lost: tuple[Slice, ...], cause: str = ""
) -> str:
    """Return the verdict in one line, what lies behind it first where *cause* tells that."""
    if cause:
        return f"{cause}; {headline(gate, outcome, check, lost)}"
    what = _spoken(gate)
    if check.against == "must_pass":
        right = f"{round(check.after * check.n)} of {check.n} must-pass cases are right"
        wrong = f"; wrong: {check.note}" if outcome is Outcome.FAILED else ""
        return right + (wrong or f"; {check.missing} brought no reply" * bool(check.missing))
    if check.before is None:
        order = _HOLDS.get(check.outcome, "may not hold")
        # Of a few replies the rate says little, and must not stand there alone.
        if check.missing and check.outcome is Outcome.INCONCLUSIVE:
            order = f"of {counted(check.n, 'case')}, with no reply to {check.missing}, {order}"
        told = f"{what} {percent(check.after)} {order} the floor of {percent(check.limit)}"
        return told + _but_lost(outcome, check, lost)
    told = (
        f"{what} {percent(check.before)} → {percent(check.after)} against {check.against}, "
        f"{points(check.after - check.before)} points, allowed {points(-check.limit)}"
    )
    return told + _but_lost(outcome, check, lost)


def _spoken(gate: RateGate) -> str:
    if gate.called:
        # test_never_promises and TestTone::test_never_promises[formal] are sentences already.
        name = gate.called.rpartition("::")[2].removeprefix("test_")
        return name.replace("[", " (").replace("]", ")").replace("_", " ") + ":"
    what = "replies in the right format" if gate.kind == "format" else gate.metric
    return what.replace("macro_f1", "macro-F1")


def _but_lost(outcome: Outcome, check: Check, lost: tuple[Slice, ...]) -> str:
    if outcome is not Outcome.FAILED or check.outcome is Outcome.FAILED or not lost:
        return ""
    return f", but lost: {', '.join(f'{one.kind} {one.name}' for one in lost)}"


def notes(
    gate: RateGate, column: Column, checks: tuple[Check, ...], look: Look, stale: int
) -> Iterator[str]:
    """Yield what else a reader must know."""
    unmarked = 0 if gate.kind == "format" else len(column.rows) - int(column.marked.sum())
    if unmarked:
        yield f"{unmarked} of {len(column.rows)} cases expect nothing and are left out"
    yield from (
        c.note for c in checks if c.note not in ("", UNCHANGED) and c.against != "must_pass"
    )
    if look.of > 1:
        yield f"decided at look {look.number} of {look.of}, after {_taken(column, look)}"
    if stale:
        told = "the case or how it is marked has changed; accept again with --ftgate-accept"
        yield f"{stale} accepted case{'s are' if stale != 1 else ' is'} stale: {told}"
    for stop, word in (("refusal", "refused"), ("length", "cut off by max_tokens")):
        if column.stops[stop]:
            wrong = ", which counts as wrong" if gate.name == "accuracy" else ""
            yield f"{column.stops[stop]} of {column.stops.total()} replies were {word}{wrong}"
    if column.missing:
        first = column.missing[0].missing[0]
        yield f"no reply to {counted(len(column.missing), 'case')}; first: {first}"


def _taken(column: Column, look: Look) -> str:
    if look.cases is None:
        return f"{look.repeats} {'reply' if look.repeats == 1 else 'replies'} to each case"
    share = look.fractions[-1]
    return f"{len(column.rows):,} of {round(len(column.rows) / share):,} cases"


def next_steps(
    gate: RateGate, outcome: Outcome, check: Check | None, column: Column, look: Look
) -> Iterator[str]:
    """Yield what to do, each a sentence or a command."""
    if check is None and gate.metric == "macro_f1":
        yield f"{NOTHING}: macro-F1 is compared with the baseline alone; add min: to judge this one"
    elif check is None:
        yield f"{NOTHING}; accept this run with --ftgate-accept"
    elif outcome is Outcome.INCONCLUSIVE:
        yield _to_settle(check, look, "repeats=" if gate.called else "settle: ")
    elif outcome is Outcome.FAILED and check.against == "must_pass":
        told = ", again when asked again" if look.vary else ""
        yield f"a must-pass case is wrong{told}; it is the first of the lost cases"
    elif outcome is Outcome.FAILED and gate.kind == "format" and column.faults:
        kind, count = column.faults.most_common(1)[0]
        remedy = _REMEDIES.get(kind, "mend the prompt for it")
        yield f"the commonest fault is “{kind}” ({count} replies); {remedy}"
    elif outcome is Outcome.FAILED:
        yield "read the lost cases; if the drop is intended, accept it in a reviewed change"


def _to_settle(check: Check, look: Look, more_repeats: str) -> str:
    if "has drifted" in check.note:
        return "ask everything anew, so that both sides are of today: --ftgate-replies=fresh"
    if not check.informative:
        return "declare a floor (min:), since the comparison cannot show anything"
    parts = []
    if check.certifiable is not None and check.before is not None:
        parts.append(
            f"{check.n} cases cannot rule out a drop of {size(check.limit)} points "
            f"(they can certify {size(check.certifiable)})"
        )
    if check.needed is not None:
        more = counted(check.needed, "more case")
        parts.append(f"about {more} would settle it{_or_repeats(check, look, more_repeats)}")
    if check.missing:
        parts = ["run again for the missing replies", *parts]
    return "; ".join(parts) or "more cases are needed"


def _or_repeats(check: Check, look: Look, more_repeats: str) -> str:
    """Name the repeats that tell as much, where replies vary; a floor is not helped by any."""
    if not look.vary or look.cases is not None or check.before is None or check.needed is None:
        return ""
    repeats = ceil(look.repeats * (1 + check.needed / check.n))
    return f", or {more_repeats}{repeats}" if repeats <= _MOST_REPEATS else ""
