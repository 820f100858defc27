"""Thoughts of reasoning models: the share of replies with one and its length, before and now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import fmean, median
from typing import Final

import numpy as np

from pytest_ftgate.gates.checks import check_drop, uninformative
from pytest_ftgate.gates.design import CONFIDENCE, MIN_CASES_FOR_COST, Levels
from pytest_ftgate.gates.figures import check_of_figure, rise_figure
from pytest_ftgate.gates.note_kinds import ReplyNote
from pytest_ftgate.gates.notes import Note, NoteKind, note
from pytest_ftgate.gates.samples import FloatArray, Samples, align, samples_from_values
from pytest_ftgate.gates.usage import interval_outcome
from pytest_ftgate.gates.verdict import Check, CheckKind, Drift, DriftKind
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.stats.proportions import wilson
from pytest_ftgate.suite.gate_kinds import RateGate

#: What the checks measure.
_SHARE: Final = "thoughts"
_LENGTH: Final = "thought length"
_CUT_OFF: Final = "cut off"
#: With fewer replies on either side, no change is reported.
_MIN_REPLIES = 20
#: A length is reported if it changes by this factor.
_MIN_FACTOR = 1.5
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
        sides = (_select(side, _thought_shares(side)) for side in (before, after))
        margin = gate.max_thought_drop
        check = check_drop(*sides, against=before.variant, margin=margin, levels=levels)
        if not check.informative:
            share = check.before or 0.0
            rare = note(NoteKind.RARE_THOUGHTS, baseline=before.variant, share=share)
            check = replace(check, notes=(rare,))
        yield replace(check, measure=_SHARE)
    if gate.max_thought_rise is not None:
        unit = _length_unit(before, after)
        check = _length_check(before, after, gate.max_thought_rise, unit or "tokens")
        if not unit:
            check = uninformative(check, note(NoteKind.OTHER_THOUGHTS))
        # Without a case in which both sides think, there is no length to compare.
        yield from [check] if check.n or not unit else []


def _select(scores: VariantScores, values: FloatArray) -> Samples:
    """Return samples of the cases that the format gate evaluates."""
    samples = replace(samples_from_values(scores, values), repeats=scores.repeats)
    return samples.select(scores.facts.has_format & (scores.facts.weights > 0))


def _thought_shares(scores: VariantScores) -> FloatArray:
    shares = (
        fmean(reply.thinks for reply in result.replies) if result.replies else np.nan
        for result in scores.results.values()
    )
    return np.array([*shares])


def _length_check(before: VariantScores, after: VariantScores, limit: float, unit: str) -> Check:
    """Compare the mean length of a thought over the cases in which both sides think."""
    then, now = align(*(_select(side, _thought_lengths(side, unit)) for side in (before, after)))
    known = then.has_reply & now.has_reply
    figure, old = rise_figure(then, now, unit), then.select(known).mean
    check = check_of_figure(
        figure, CheckKind.BASELINE, limit, against=before.variant, before=old,
        after=now.select(known).mean, rise=figure.value if old else None, missing=0,
        measure=_LENGTH,
    )  # fmt: skip
    if figure.units < MIN_CASES_FOR_COST:
        few = note(NoteKind.FEW_THOUGHTS, n=figure.units, needed=MIN_CASES_FOR_COST)
        return replace(check, informative=False, notes=(few,))
    return replace(check, outcome=interval_outcome(check.low, check.high, limit))


def _length_unit(*sides: VariantScores) -> str:
    """Return the unit in which the thoughts of all *sides* can be measured; "" without one."""
    thoughts = [reply for side in sides for reply in side.thoughts]
    if all(reply.usage.get("thought") for reply in thoughts):
        return "tokens"
    return "characters" if all(reply.thought for reply in thoughts) else ""


def _length(reply: Reply, unit: str) -> int:
    return reply.usage.get("thought", 0) if unit == "tokens" else len(reply.thought)


def _thought_lengths(scores: VariantScores, unit: str) -> FloatArray:
    """Return the mean length of the thoughts of each case; NaN without a thought."""
    lengths = (
        [length for reply in result.replies if (length := _length(reply, unit))]
        for result in scores.results.values()
    )
    return np.array([fmean(case) if case else np.nan for case in lengths])


# Drift of all replies ---------------------------------------------------------------------------


def thought_drifts(before: VariantScores, after: VariantScores) -> Iterator[Drift]:
    """Yield how the thoughts have changed, and the share of replies that were cut off.

    Nothing is yielded about what neither side does.
    """
    then, now = before.replies, after.replies
    thinking = [before.thoughts, after.thoughts]
    if any(thinking) and then and now:
        yield _share_drift(_SHARE, then, now, *map(len, thinking))
    unit = _length_unit(before, after)
    if all(thinking) and unit:
        yield _length_drift(thinking[0], thinking[1], unit)
    cut_off = [side.stop_reasons["length"] for side in (before, after)]
    if any(cut_off) and then and now:
        yield _share_drift(_CUT_OFF, then, now, *cut_off)


def _share_drift(
    what: DriftKind, then: Sequence[Reply], now: Sequence[Reply], old: int, new: int
) -> Drift:
    """Return the drift of a share, with a message if it changed by more than chance."""
    shares = old / len(then), new / len(now)
    low, high = wilson(float(old), len(then), CONFIDENCE)
    low_now, high_now = wilson(float(new), len(now), CONFIDENCE)
    is_far = not (low <= shares[1] <= high or low_now <= shares[0] <= high_now)
    message = note(ReplyNote.SHARE, what=what, before=shares[0], after=shares[1])
    return Drift(
        what=what, unit="share", before=shares[0], after=shares[1],
        n_before=len(then), n=len(now),
        message=message if is_far and min(len(then), len(now)) >= _MIN_REPLIES else None,
    )  # fmt: skip


def _length_drift(then: Sequence[Reply], now: Sequence[Reply], unit: str) -> Drift:
    old, new = (median(_length(reply, unit) for reply in side) for side in (then, now))
    is_far = new >= _MIN_FACTOR * old or old >= _MIN_FACTOR * new
    message = note(ReplyNote.LENGTH, what="thoughts", before=old, after=new, unit=unit)
    return Drift(
        what=_LENGTH, unit=unit, before=old, after=new,
        n_before=len(then), n=len(now),
        message=message if is_far and min(len(then), len(now)) >= _MIN_REPLIES else None,
    )  # fmt: skip


def no_answer_notes(before: VariantScores, after: VariantScores) -> Iterator[Note]:
    """Yield for each side how many replies have no answer, if there are many."""
    for scores in (before, after):
        replies = scores.replies
        count = sum(reply.has_no_answer for reply in replies)
        if count > _MIN_WITHOUT_ANSWER * len(replies):
            yield note(NoteKind.NO_ANSWER, n=count, of=len(replies), variant=scores.variant)
