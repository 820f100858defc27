"""The drop check of labelled cases and inputs together: people label only the inputs that differ.

Inputs with equal replies cannot change the result. Of those that differ a random part is labelled,
and looks at a fifth, two fifths and so on of the labels are evaluated in turn, so that labelling
may stop as soon as one decides. Rule and error rates: docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil

import numpy as np

from pytest_ftgate.gates.checks import DropRule, drop_fails
from pytest_ftgate.gates.design import (
    CONFIDENCE,
    MAX_LOOKS,
    MAX_MISSING_SHARE,
    MIN_GROUPS,
    Levels,
    Look,
    look_levels,
)
from pytest_ftgate.gates.disagreements import (
    Disagreement,
    Disagreements,
    Draw,
    Truths,
    draw_pairs,
    find_disagreements,
)
from pytest_ftgate.gates.figure import InputChange
from pytest_ftgate.gates.notes import Note, NoteKind, note
from pytest_ftgate.gates.pair_labels import LabelQuality, label_quality
from pytest_ftgate.gates.samples import Samples, align, same_replies
from pytest_ftgate.gates.verdict import Check, Outcome
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.stats.differing import FEWEST_LABELS, LabelledChanges
from pytest_ftgate.suite.model import Inputs

#: With a larger share of inputs that differ, labels of those that differ save nothing.
_MOST_DIFFERING = 0.5
#: With a larger share of labels that cannot say, a check is inconclusive.
_MAX_UNKNOWN = 0.1
#: What a label that cannot say, or a missing reply, is taken for: nothing, a loss, or a gain.
_NOTHING, _LOST, _GAINED = 0.0, -1.0, 1.0


@dataclass(frozen=True, slots=True)
class InputReplies:
    """The inputs of a suite, and the replies of the baseline and of the variant."""

    inputs: Inputs
    baseline: VariantScores
    variant: VariantScores


def check_labelled_drop(
    before: Samples, after: Samples, replies: InputReplies, rule: DropRule
) -> Check:
    """Compare labelled cases and inputs together, by *rule*.

    *before* and *after* are the samples of the labelled cases.
    """
    before, after = align(before, after)
    evidence = _evidence(before, after, replies)
    decision = _decide(evidence, rule)
    blocking = [*_blocking_notes(evidence, decision)]
    check = _check(evidence, decision, rule, before, after)
    notes = (*blocking, *(one for one in _notes(evidence, decision) if one not in blocking))
    if blocking and check.inputs is not None:
        inputs = replace(check.inputs, is_blocked=True, to_label=0)
        return replace(check, outcome=Outcome.INCONCLUSIVE, inputs=inputs, notes=notes)
    is_complete = not evidence.missing and not evidence.found.differing
    if is_complete and (not len(after) or same_replies(before, after)):
        return replace(check, outcome=Outcome.PASSED, is_unchanged=True, notes=notes)
    return replace(check, notes=notes)


# What is known ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Evidence:
    """What is known of cases and inputs.

    Attributes:
        case_changes, case_sizes: the change of each unit of labelled cases, and its cases.
        missing: the number of cases and inputs without a reply of both sides.
        quality: what the labels show of those who gave them.
    """

    inputs: Inputs
    found: Disagreements
    draw: Draw
    truths: Truths
    case_changes: tuple[float, ...]
    case_sizes: tuple[float, ...]
    missing: int
    quality: LabelQuality

    @cached_property
    def labelled(self) -> tuple[Disagreement, ...]:
        """The labelled part of the draw."""
        return self.draw.labelled(self.truths)

    @cached_property
    def looks(self) -> tuple[int, ...]:
        """How many labels each look takes."""
        declared = self.inputs.most_labels
        all_ = len(self.draw.order)
        most = all_ if declared is None else min(all_, max(declared, FEWEST_LABELS))
        least = min(FEWEST_LABELS, most)
        sizes = {max(least, ceil(most * number / MAX_LOOKS)) for number in range(1, MAX_LOOKS + 1)}
        return tuple(sorted(sizes)) if most else ()

    def counted(self, decision: _Decision) -> int:
        """Return how many labels of the draw are shown: those that decided, or else all."""
        is_by_look = decision.number and decision.outcome is not Outcome.INCONCLUSIVE
        return decision.labels if is_by_look else len(self.labelled)

    @property
    def unknown(self) -> int:
        """The number of labelled inputs with a text that nobody can judge."""
        counted = (*self.draw.known, *self.labelled)
        return sum(one.change(self.truths) is None for one in counted)

    def changes(self, labels: int, taken_for: float = _NOTHING) -> LabelledChanges:
        """Return the changes with the first *labels* of the draw.

        Missing replies, and texts that nobody can judge, count as *taken_for*: -1 for a loss, 1 for
        a gain, 0 to leave them out.
        """
        known = [(_change(one, self.truths, taken_for), one) for one in self.draw.known]
        drawn = [(_change(one, self.truths, taken_for), one) for one in self.draw.order[:labels]]
        sampled = [(change, one) for change, one in drawn if change is not None]
        rest = [one for change, one in drawn if change is None] + [*self.draw.order[labels:]]
        lacking = np.full(self.missing if taken_for else 0, taken_for)
        own = [(change or 0.0) * len(one.cases) for change, one in known]
        return LabelledChanges(
            tied=np.array(self.found.tied, np.float64),
            known=np.concatenate([np.array([*self.case_changes, *own]), lacking]),
            known_sizes=np.concatenate(
                [np.array([*self.case_sizes, *(len(one.cases) for _, one in known)]), abs(lacking)]
            ),
            sampled=np.array([change * len(one.cases) for change, one in sampled], np.float64),
            sampled_sizes=np.array([len(one.cases) for _, one in sampled], np.float64),
            unlabelled=np.array([len(one.cases) for one in rest], np.float64),
        )


def _change(one: Disagreement, truths: Truths, taken_for: float) -> float | None:
    """Return the change of *one*; of texts that nobody can judge the least or the largest."""
    change = one.change(truths)
    if change is not None or not taken_for:
        return change
    bounds = {
        (one.key, text): float(one.shifts[text] * taken_for > 0.0)
        for text in one.texts
        if truths.get((one.key, text)) is None
    }
    return one.change({**truths, **bounds})


def _evidence(before: Samples, after: Samples, replies: InputReplies) -> _Evidence:
    found = find_disagreements(replies.inputs, replies.baseline, replies.variant)
    quality = label_quality(replies.inputs, found)
    inputs = replace(replies.inputs, labels=quality.usable)
    answered = before.has_reply & after.has_reply
    shifts = (after.values - before.values)[answered]
    _, unit = np.unique(after.units[answered], return_inverse=True)
    return _Evidence(
        inputs=inputs,
        found=found,
        draw=draw_pairs(inputs, found),
        truths=quality.truths,
        case_changes=tuple(np.bincount(unit, shifts).tolist()) if shifts.size else (),
        case_sizes=tuple(np.bincount(unit).astype(float).tolist()) if shifts.size else (),
        missing=found.missing + int((~answered).sum()),
        quality=quality,
    )


# Which look decides -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decision:
    """What the last look that was reached came to.

    Attributes:
        labels: how many labels of the draw it has.
        number: the number of the look; 0 for none, where all that differ count as lost.
        could_turn: True if what nobody can say, or what is missing, could turn it.
    """

    outcome: Outcome
    labels: int
    number: int
    levels: Levels
    could_turn: bool


def _decide(evidence: _Evidence, rule: DropRule) -> _Decision:
    """Return what the first look that decides came to, else the last one that was reached."""
    reached = [size for size in evidence.looks if size <= len(evidence.labelled)]
    decision = None
    for number, labels in enumerate([0, *reached]):
        levels = _levels(evidence.looks, number, rule.levels)
        outcomes = [
            _outcome(evidence.changes(labels, taken_for), rule, levels, evidence.quality.strength)
            for taken_for in (_LOST, _GAINED)
        ]
        agree = outcomes[0] is outcomes[1]
        decision = _Decision(
            outcome=outcomes[0] if agree else Outcome.INCONCLUSIVE,
            labels=labels,
            number=number,
            levels=levels,
            could_turn=not agree,
        )
        if decision.outcome is not Outcome.INCONCLUSIVE:
            break
    assert decision is not None  # noqa: S101 - there is a look without labels
    return decision


def _levels(looks: Sequence[int], number: int, total: Levels) -> Levels:
    """Return the error rates of a look; the one without labels has nothing to spend."""
    if not looks or not number:
        return replace(total, last=not looks)
    fractions = tuple(size / looks[-1] for size in looks[:number])
    return look_levels(Look(number=number, of=len(looks), fractions=fractions), total)


def _outcome(changes: LabelledChanges, rule: DropRule, levels: Levels, strength: float) -> Outcome:
    """Return the outcome; a judge shows the share *strength* of a true change at least."""
    if changes.units < MIN_GROUPS:
        return Outcome.INCONCLUSIVE
    if changes.p_noninferior(rule.margin * strength) <= levels.miss:
        return Outcome.PASSED
    ps = changes.p_drop(), changes.p_not_beyond(rule.margin)
    fails = drop_fails(changes.change, *ps, rule.margin, levels)
    return Outcome.FAILED if fails else Outcome.INCONCLUSIVE


# The check --------------------------------------------------------------------------------------


def _check(
    evidence: _Evidence, decision: _Decision, rule: DropRule, before: Samples, after: Samples
) -> Check:
    # Labels between two looks decide nothing; they are in the estimate alone.
    changes = evidence.changes(evidence.counted(decision))
    low, high = changes.interval(CONFIDENCE)
    answered = before.has_reply & after.has_reply
    check = Check(
        kind=rule.kind,
        against=rule.against,
        outcome=decision.outcome,
        limit=rule.margin,
        n=int(changes.n),
        units=changes.units if changes.units < changes.n else None,
        effective=changes.units,
        before=before.select(answered).mean,
        after=after.select(answered).mean,
        low=low,
        high=high,
        fixed=changes.fixed,
        regressed=changes.regressed,
        shared=rule.levels.shared,
        method="differing",
        missing=evidence.missing,
        inputs=_input_change(evidence, decision, rule, changes),
    )
    return _with_p_values(check, evidence, decision, rule)


def _with_p_values(check: Check, evidence: _Evidence, decision: _Decision, rule: DropRule) -> Check:
    """Return *check* with the p-values of the look that was reached, and its levels."""
    changes, limit = evidence.changes(decision.labels), rule.margin * evidence.quality.strength
    return replace(
        check,
        p_pass=changes.p_noninferior(limit),
        p_fail=changes.p_drop(),
        miss=decision.levels.miss,
        alarm=decision.levels.alarm,
    )


def _input_change(
    evidence: _Evidence, decision: _Decision, rule: DropRule, changes: LabelledChanges
) -> InputChange:
    labelled = evidence.counted(decision)
    is_open = decision.outcome is Outcome.INCONCLUSIVE
    later = [size for size in evidence.looks if size > labelled] if is_open else []
    counted = (*evidence.draw.known, *evidence.labelled[:labelled])
    shown = [change for one in counted if (change := one.change(evidence.truths)) is not None]
    return InputChange(
        change=changes.change,
        cases=int(sum(evidence.case_sizes)),
        inputs=evidence.found.inputs,
        equal=sum(evidence.found.tied),
        differing=len(evidence.found.differing),
        known=len(evidence.draw.known),
        labelled=labelled,
        better=sum(change > 0.0 for change in shown),
        worse=sum(change < 0.0 for change in shown),
        look=decision.number,
        looks=len(evidence.looks),
        to_label=later[0] - labelled if later else 0,
        chance=_chance(evidence, rule, later[0]) if later else 0.0,
        to_last=later[-1] - labelled if later else 0,
        chance_at_last=_chance(evidence, rule, later[-1]) if later else 0.0,
        is_bound=bool(changes.unlabelled.size and not changes.sampled.size),
    )


def _chance(evidence: _Evidence, rule: DropRule, labels: int) -> float:
    """Return how surely the check passes with so many *labels*, if nothing else has changed."""
    changes, number = evidence.changes(len(evidence.labelled)), evidence.looks.index(labels) + 1
    limit = rule.margin * evidence.quality.strength
    levels = _levels(evidence.looks, number, rule.levels)
    unknown = len(evidence.labelled) - changes.sampled.size
    return changes.chance_to_pass(labels - unknown, limit, levels.miss)


# What a reader should know ----------------------------------------------------------------------


def _blocking_notes(evidence: _Evidence, decision: _Decision) -> Iterator[Note]:
    """Yield why the check is inconclusive, whatever the labels say."""
    found, quality, labelled = evidence.found, evidence.quality, len(evidence.labelled)
    is_open = decision.outcome is Outcome.INCONCLUSIVE
    total = found.inputs + found.missing + int(sum(evidence.case_sizes))
    if evidence.missing > MAX_MISSING_SHARE * total:
        yield note(NoteKind.MISSING, missing=evidence.missing, of=total)
    differ, has_all = len(found.differing), labelled == len(evidence.draw.order)
    if is_open and not has_all and differ > _MOST_DIFFERING * found.inputs:
        yield note(NoteKind.NEARLY_ALL_DIFFER, n=differ, of=found.inputs)
    if is_open and quality.matching == 0 < quality.labels:
        yield from (one for one in quality.notes if one.kind == NoteKind.LABELS_OF_NO_REPLY)
    if quality.contradicts:
        yield note(NoteKind.LABELS_CONTRADICT, n=quality.contradictions, of=quality.repeated)
    # As long as labels can follow, those that cannot say leave the check open as it is.
    if not (is_open and evidence.looks and labelled < evidence.looks[-1]):
        yield from _unsure_notes(evidence, decision)
    if decision.could_turn and evidence.missing and not evidence.unknown:
        yield note(NoteKind.MISSING_COULD_TURN, missing=evidence.missing, of=total)
    if is_open and evidence.looks and labelled >= evidence.looks[-1] and not decision.could_turn:
        yield note(NoteKind.LABELS_USED_UP, n=evidence.looks[-1], all=int(has_all))


def _unsure_notes(evidence: _Evidence, decision: _Decision) -> Iterator[Note]:
    """Yield that too many labels cannot say, or that these could turn the outcome."""
    counted = len(evidence.draw.known) + len(evidence.labelled)
    if evidence.unknown > _MAX_UNKNOWN * counted:
        yield note(NoteKind.LABELS_CANNOT_SAY, n=evidence.unknown, of=counted)
    elif decision.could_turn and evidence.unknown:
        yield note(NoteKind.LABELS_COULD_TURN, n=evidence.unknown, of=counted)


def _notes(evidence: _Evidence, decision: _Decision) -> Iterator[Note]:
    """Yield what else a reader should know of labels and replies."""
    found, quality, draw = evidence.found, evidence.quality, evidence.draw
    yield from _unsure_notes(evidence, decision)
    if found.differing:
        yield note(NoteKind.EQUAL_IS_NOT_RIGHT)
    is_open = decision.outcome is Outcome.INCONCLUSIVE
    waiting = len(evidence.labelled) - decision.labels if is_open else 0
    if waiting:
        yield note(NoteKind.LABELS_WAIT, n=waiting, look=decision.number + 1)
    if behind := draw.behind_gap(evidence.truths):
        place = len(evidence.labelled)
        first = draw.order[place].cases[0].id
        yield note(NoteKind.LABELS_BEHIND_GAP, n=behind, place=place + 1, id=first)
    yield from quality.notes
    if found.unsteady is not None:
        yield note(NoteKind.BASELINE_UNSTEADY, share=found.unsteady)
