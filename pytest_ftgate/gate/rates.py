"""The accuracy and the format gate: a floor, a drop against the baseline, one against accepted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from pytest_ftgate.gate.faults import fault_shares, forms, what_changed
from pytest_ftgate.gate.flips import Turned, flips, turned
from pytest_ftgate.gate.judged import judged_drop, judged_floor
from pytest_ftgate.gate.judging import Judging, by_judges, judging_notes, unproven
from pytest_ftgate.gate.looks import Look, levels
from pytest_ftgate.gate.macro import macro_drop, macro_floor
from pytest_ftgate.gate.must import must_pass
from pytest_ftgate.gate.parts import Slice
from pytest_ftgate.gate.point import point
from pytest_ftgate.gate.retrieval import missed
from pytest_ftgate.gate.risks import ALARM, MOST_MISSING, Levels
from pytest_ftgate.gate.sentences import NOTHING, headline, next_steps, notes
from pytest_ftgate.gate.side import Side, side
from pytest_ftgate.gate.slices import members, slices
from pytest_ftgate.gate.traits import trait_notes, traits
from pytest_ftgate.gate.verdict import Check, Outcome, Trait, Verdict, together
from pytest_ftgate.score.label import LabelRate
from pytest_ftgate.score.metrics import guesses, label_rates
from pytest_ftgate.score.sheet import Column
from pytest_ftgate.suite.margins import ForgettingGate, Gate, RateGate
from pytest_ftgate.suite.model import Suite

__all__ = ["Accepted", "Sides", "chance_of", "judge_rate", "labels_of", "shared_levels"]


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
