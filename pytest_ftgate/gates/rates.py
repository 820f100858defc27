"""The accuracy and the format gate: minimum, drop, accepted result, must-pass cases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil

from pytest_ftgate.gates.checks import UNCHANGED, floor, macro_drop, macro_floor, point
from pytest_ftgate.gates.flips import Turned, flips, turned
from pytest_ftgate.gates.format_errors import fault_shares, forms, trait_notes, traits, what_changed
from pytest_ftgate.gates.judges import (
    Judging,
    by_judges,
    judged_drop,
    judged_floor,
    judging_notes,
    unproven,
)
from pytest_ftgate.gates.levels import ALARM, MOST_MISSING, Levels
from pytest_ftgate.gates.looks import Look, levels
from pytest_ftgate.gates.samples import Side, side
from pytest_ftgate.gates.slices import members, missed, slices
from pytest_ftgate.gates.units import counted, percent, points, size
from pytest_ftgate.gates.verdict import Check, Outcome, Slice, Trait, Verdict, together
from pytest_ftgate.scoring.classification import LabelRate, guesses, label_rates
from pytest_ftgate.scoring.scores import Column, Row
from pytest_ftgate.suite.model import ForgettingGate, Gate, RateGate, Suite, Variant

__all__ = [
    "AGAIN",
    "NOTHING",
    "Accepted",
    "Sides",
    "chance_of",
    "headline",
    "ids_of",
    "judge_rate",
    "labels_of",
    "measure",
    "must_pass",
    "next_steps",
    "notes",
    "shared_levels",
    "to_ask_again",
    "unmeasured",
]

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


#: A case that is wrong is asked so often in all, and is wrong where most replies are.
AGAIN = 3
_HALF = 0.5


def ids_of(suite: Suite) -> frozenset[str]:
    """Return the ids of the must-pass cases, which are asked whatever a look takes in."""
    return frozenset(case.id for case in suite.cases if case.must_pass)


def to_ask_again(column: Column) -> tuple[str, ...]:
    """Return the must-pass cases that *column* has wrong, which one unlucky reply may explain."""
    return tuple(key for key, row in column.rows.items() if row.case.must_pass and _wrong(row))


def must_pass(column: Column, again: Column | None) -> Check | None:
    """Judge the must-pass cases of *column*; return None where there are none.

    Args:
        column: the variant's scores on them, or on more.
        again: the wrong ones among them, asked again; None where replies do not vary.
    """
    cases = [row for row in column.rows.values() if row.case.must_pass]
    if not cases:
        return None
    asked = again.rows if again else {}
    wrong = [row for row in cases if _wrong(row) and _wrong(asked.get(row.case.id, row))]
    missing = sum(not row.scores for row in cases)
    outcome = Outcome.FAILED if wrong else Outcome.INCONCLUSIVE if missing else Outcome.PASSED
    return Check(
        against="must_pass",
        outcome=outcome,
        limit=1.0,
        n=len(cases) - missing,
        effective=len(cases) - missing,
        after=(len(cases) - missing - len(wrong)) / max(1, len(cases) - missing),
        missing=missing,
        note=", ".join(row.case.id for row in wrong),
    )


def _wrong(row: Row) -> bool:
    return row.correct is not None and row.correct <= _HALF


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was accepted of a variant: its cells, and how many of them the yardstick outran."""

    cells: Side
    stale: int


@dataclass(frozen=True, slots=True)
class Sides:
    """What a rate gate looks at.

    Attributes:
        column: the variant's scores.
        baseline: the baseline's scores; the same column where the variant is the baseline.
        accepted: what was accepted of the variant, or None where nothing was.
        must: the must-pass cases, and the wrong ones among them asked again or None; None where
            there are none.
        drifted: how the baseline has drifted since it was recorded, or "".
        judging: what is known of the judges that graded the replies.
    """

    column: Column
    baseline: Column
    accepted: Accepted | None = None
    must: tuple[Column, Column | None] | None = None
    drifted: str = ""
    judging: Judging = field(default_factory=Judging)

    @property
    def compared(self) -> Column | None:
        """The baseline, where it is another variant."""
        return None if self.column is self.baseline else self.baseline

    @property
    def shown(self) -> Column:
        """The variant's rows, with those of must-pass cases that a look did not take in."""
        more = self.must[0].rows if self.must else {}
        return Column(self.column.variant, {**more, **self.column.rows})


def shared_levels(suite: Suite) -> Levels:
    """Return the risks that each drop check of *suite* may take.

    They depend on what the suite declares alone: not on which gates were selected, and not on
    whether anything has been accepted yet.
    """
    checks = max(1, sum(_drop_checks(suite, name) for name in suite.variants))
    return Levels(alarm=ALARM / checks, shared=checks)


def _drop_checks(suite: Suite, name: str) -> int:
    compared = 1 if name == suite.baseline else 2
    gates = suite.gates_of(suite.variants[name])
    return sum(_looks_for_drops(gate, compared) for gate in gates)


def _looks_for_drops(gate: Gate, compared: int) -> int:
    if isinstance(gate, ForgettingGate):
        # It looks twice: at the mean of the skills, and at each of them.
        return 2 * len(gate.unders)
    # What replies take is held to an interval, which takes no share of the alarm.
    if not isinstance(gate, RateGate) or gate.max_drop is None:
        return 0
    # Macro-F1 has no accepted record; a plain threshold takes no risk of its own.
    compared -= gate.metric == "macro_f1"
    return (0 if gate.evidence == "point" else compared) + bool(gate.slices)


def judge_rate(suite: Suite, gate: RateGate, sides: Sides, look: Look | None = None) -> Verdict:
    """Judge one variant by the accuracy or the format gate.

    Args:
        suite: the suite, for its margins and the number of its checks.
        gate: the gate.
        sides: what is compared.
        look: the part of the replies that *sides* hold; by default all there will be.
    """
    look, column = look or Look(), sides.column
    checks = _worth_telling(_checks(suite, gate, sides, look))
    outcome, deciding = together(checks) if checks else (Outcome.PASSED, 0)
    check = checks[deciding] if checks else None
    parts = _slices(suite, gate, sides, look)
    lost = tuple(part for part in parts if part.state == "lost")
    outcome = Outcome.FAILED if _overruled(check, lost) else outcome
    told, compared = _turned(gate, sides, check)
    drift = traits(suite, gate, sides.compared, column)
    made = Verdict(
        suite=suite.name,
        line=gate.line,
        gate=gate.name,
        variant=column.variant,
        outcome=outcome,
        headline=_headline(gate, outcome, check, lost, sides),
        checks=checks,
        deciding=deciding,
        slices=parts,
        labels=_label_rates(suite, gate, sides) if outcome is not Outcome.PASSED else (),
        flips=flips(compared, sides.shown, told),
        lost=len(told.lost),
        gained=len(told.gained),
        **forms(gate, sides.compared, column),
        traits=drift,
        notes=tuple(_notes(gate, sides, checks, look, told, drift)),
        next=tuple(next_steps(gate, outcome, check, column, look)),
    )
    return by_judges(made, sides.judging)


def _overruled(check: Check | None, lost: tuple[Slice, ...]) -> bool:
    """Tell whether lost parts fail the gate whatever the whole says; too few replies do not."""
    few = check is None or check.missing > MOST_MISSING * (check.n + check.missing)
    return bool(lost) and not few


def _headline(
    gate: RateGate, outcome: Outcome, check: Check | None, lost: tuple[Slice, ...], sides: Sides
) -> str:
    if check is None:
        return NOTHING
    return headline(
        gate, outcome, check, lost, what_changed(gate, check, sides.compared, sides.column)
    )


def _notes(
    gate: RateGate,
    sides: Sides,
    checks: tuple[Check, ...],
    look: Look,
    told: Turned,
    drift: tuple[Trait, ...],
) -> Iterator[str]:
    stale = sides.accepted.stale if sides.accepted else 0
    yield from notes(gate, sides.column, checks, look, stale)
    yield from missed(gate, sides.shown, told.lost)
    yield from judging_notes(sides.judging) if gate.kind == "accuracy" else ()
    passed = all(check.outcome is Outcome.PASSED for check in checks)
    faults = fault_shares(sides.compared, sides.column) if drift else ()
    yield from trait_notes(drift, gate, faults, passed=passed)


def _worth_telling(made: Iterable[Check]) -> tuple[Check, ...]:
    """Return the checks; must-pass cases that are right are no comparison by themselves."""
    checks = tuple(made)
    fine = all(c.against == "must_pass" and c.outcome is Outcome.PASSED for c in checks)
    return () if fine else checks


def _checks(suite: Suite, gate: RateGate, sides: Sides, look: Look) -> Iterator[Check]:
    if gate.kind == "accuracy":
        must = must_pass(*sides.must) if sides.must else None
        yield from [unproven(must, sides.judging)] if must else []
    risks = [levels(look, whole) for whole in (Levels(), shared_levels(suite))]
    made = _macro_checks if gate.metric == "macro_f1" else _mean_checks
    for one in made(suite, gate, sides, *risks):
        check = unproven(one, sides.judging) if gate.kind == "accuracy" else one
        if sides.drifted and check.against == suite.baseline:
            yield replace(check, outcome=Outcome.INCONCLUSIVE, note=sides.drifted)
        else:
            yield point(check) if gate.evidence == "point" else check


def _mean_checks(
    suite: Suite, gate: RateGate, sides: Sides, whole: Levels, shared: Levels
) -> Iterator[Check]:
    mine, accepted = side(sides.column, gate.kind), sides.accepted
    judging = sides.judging if gate.kind == "accuracy" else Judging()
    if gate.min is not None:
        yield judged_floor(judging, mine, least=gate.min, levels=whole)
    if gate.max_drop is None:
        return
    dropped = partial(
        judged_drop, judging, margin=gate.max_drop, levels=shared, chance=chance_of(suite, gate)
    )
    if sides.column is not sides.baseline:
        yield dropped(side(sides.baseline, gate.kind), mine, against=suite.baseline)
    # Where every accepted case is stale there is nothing left to compare with; and what was
    # preferred to another baseline says nothing of this one.
    if accepted is not None and len(accepted.cells) and not judging.compares:
        check = dropped(accepted.cells, mine, against="accepted")
        yield replace(check, stale=accepted.stale)


def _macro_checks(
    suite: Suite, gate: RateGate, sides: Sides, whole: Levels, shared: Levels
) -> Iterator[Check]:
    labels = labels_of(suite)
    mine = guesses(sides.column, labels)
    if gate.min is not None:
        yield macro_floor(mine, least=gate.min, levels=whole)
    if gate.max_drop is not None and sides.column is not sides.baseline:
        theirs, margin = guesses(sides.baseline, labels), gate.max_drop
        yield macro_drop(theirs, mine, against=suite.baseline, margin=margin, levels=shared)


def _slices(suite: Suite, gate: RateGate, sides: Sides, look: Look) -> tuple[Slice, ...]:
    is_baseline = sides.column is sides.baseline
    nothing = sides.accepted is None if is_baseline else bool(sides.drifted)
    if not gate.slices or gate.max_drop is None or nothing:
        return ()
    risks = levels(look, shared_levels(suite))
    after = side(sides.column, gate.kind)
    # The baseline has nothing in this run to be compared with, but what was accepted of it.
    then = sides.accepted.cells if is_baseline and sides.accepted else None
    before = side(sides.baseline, gate.kind) if then is None else then
    parts = members(sides.column.cases, gate.slices)
    return slices(before, after, parts, margin=gate.max_drop, levels=risks)


def _label_rates(suite: Suite, gate: RateGate, sides: Sides) -> tuple[LabelRate, ...]:
    labels = labels_of(suite)
    if gate.kind != "accuracy" or not labels:
        return ()
    before = None if sides.column is sides.baseline else guesses(sides.baseline, labels)
    return label_rates(guesses(sides.column, labels), before)


def _turned(gate: RateGate, sides: Sides, check: Check | None) -> tuple[Turned, Column | None]:
    """Return the cases that turned against what decided, or else against the baseline."""
    mine, accepted = side(sides.column, gate.kind), sides.accepted
    compared, by = sides.compared, check.against if check else ""
    if accepted is not None and (by == "accepted" or (not compared and len(accepted.cells))):
        compared, told = None, turned(accepted.cells, mine)
    else:
        told = turned(side(compared, gate.kind) if compared else None, mine)
    if gate.kind == "format":
        return told.spread(sides.column), compared
    return (told.led_by(check.note.split(", ")) if check and by == "must_pass" else told), compared


def labels_of(suite: Suite) -> tuple[str, ...]:
    """Return the labels that replies of *suite* may be."""
    return tuple(
        label for rule in suite.reply.format if rule.kind == "choice" for label in rule.value
    )


def chance_of(suite: Suite, gate: RateGate) -> float:
    """Return the rate that guessing reaches: one label in so many."""
    labels = labels_of(suite)
    return 1 / len(labels) if labels and gate.kind == "accuracy" else 0.0


def measure(suite: Suite, gate: RateGate, column: Column) -> Verdict:
    """Return what an ungated variant reaches: shown beside the others, judged by nobody."""
    if gate.metric == "macro_f1":
        check = macro_floor(guesses(column, labels_of(suite)), least=0.0, levels=Levels())
    else:
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
        **forms(gate, None, column),
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
