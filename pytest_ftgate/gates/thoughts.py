"""Thoughts of reasoning models: the share of replies with one and its length, before and now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pytest_ftgate.gates.checks import DropRule, check_drop, uninformative
from pytest_ftgate.gates.design import MIN_CASES_FOR_COST, Levels
from pytest_ftgate.gates.figures import case_means, rise_check
from pytest_ftgate.gates.notes import Note, NoteKind, note
from pytest_ftgate.gates.samples import align, format_samples
from pytest_ftgate.gates.usage import interval_outcome
from pytest_ftgate.gates.verdict import Check
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.gate_kinds import RateGate

#: What the checks measure.
_SHARE, _LENGTH = "thoughts", "thought length"
#: From this share of replies without an answer on, a note says so.
_MIN_WITHOUT_ANSWER = 0.05


def thought_checks(
    gate: RateGate, before: VariantScores, after: VariantScores, levels: Levels
) -> Iterator[Check]:
    """Yield the checks of the thoughts of a variant against those of the baseline *before*.

    The share of replies with a thought is compared as the format is, the length of a thought as
    the cost is.
    """
    if gate.max_thought_drop is not None:
        then, now = (
            format_samples(side, case_means(side, lambda reply: reply.thinks))
            for side in (before, after)
        )
        margin, against = gate.max_thought_drop, before.variant
        check = check_drop(then, now, DropRule(against=against, margin=margin, levels=levels))
        if not check.informative:
            share = check.before or 0.0
            rare = note(NoteKind.RARE_THOUGHTS, baseline=before.variant, share=share)
            check = replace(check, notes=(rare,))
        yield replace(check, measure=_SHARE)
    if gate.max_thought_rise is not None:
        unit = length_unit(before, after)
        check = _length_check(before, after, gate.max_thought_rise, unit or "tokens")
        if not unit:
            check = uninformative(check, note(NoteKind.OTHER_THOUGHTS))
        # Without a case in which both sides think, there is no length to compare.
        yield from [check] if check.n or not unit else []


def _length_check(before: VariantScores, after: VariantScores, limit: float, unit: str) -> Check:
    """Compare the mean length of a thought over the cases in which both sides think."""
    then, now = align(*(
        format_samples(side, case_means(side, lambda reply: thought_length(reply, unit) or None))
        for side in (before, after)
    ))  # fmt: skip
    check = rise_check(then, now, unit, limit, before.variant)
    check = replace(check, missing=0, measure=_LENGTH)
    if check.effective < MIN_CASES_FOR_COST:
        few = note(NoteKind.FEW_THOUGHTS, n=int(check.effective), needed=MIN_CASES_FOR_COST)
        return replace(check, informative=False, notes=(few,))
    return replace(check, outcome=interval_outcome(check.low, check.high, limit))


def length_unit(*sides: VariantScores) -> str:
    """Return the unit in which the thoughts of all *sides* can be measured; "" without one."""
    thoughts = [reply for side in sides for reply in side.thoughts]
    if all(reply.usage.get("thought") for reply in thoughts):
        return "tokens"
    return "characters" if all(reply.thought for reply in thoughts) else ""


def thought_length(reply: Reply, unit: str) -> int:
    """Return the length of the thought of *reply*; 0 if it has none, or if that is unknown."""
    return reply.usage.get("thought", 0) if unit == "tokens" else len(reply.thought)


def no_answer_notes(before: VariantScores, after: VariantScores) -> Iterator[Note]:
    """Yield for each side how many replies have no answer, if there are many."""
    for scores in (before, after):
        replies = scores.replies
        count = sum(reply.has_no_answer for reply in replies)
        if count > _MIN_WITHOUT_ANSWER * len(replies):
            yield note(NoteKind.NO_ANSWER, n=count, of=len(replies), variant=scores.variant)
