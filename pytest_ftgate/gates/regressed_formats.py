"""What regressed cases have in common: formats that broke, and replies that were cut off.

A change is named only if the cases with it regressed clearly more often than the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pytest_ftgate.gates.samples import Samples, align, samples_from_scores
from pytest_ftgate.gates.statements import Value
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.scoring.scores import CaseResult, VariantScores
from pytest_ftgate.stats.proportions import fisher_p
from pytest_ftgate.suite.gate_kinds import RateGate

#: A change is named if so many of the regressed cases have it, this share of them, and if Fisher's
#: p-value is at most this.
_MIN_CASES, _MIN_SHARE, _MAX_P = 2, 0.1, 0.01
#: Broken formats that are no cause are a note from this share of the cases on.
_MIN_NOTED_SHARE = 0.1
#: With fewer cases that have not changed, their mean is left out.
_MIN_REST = 10

_Mask = NDArray[np.bool_]


def with_broken_formats(
    verdict: Verdict,
    gate: RateGate,
    before: Samples | None,
    baseline: VariantScores | None,
    after: VariantScores,
) -> Verdict:
    """Return *verdict* with what its regressed cases have in common, unless it passed.

    *before* is what the deciding check compares *after* with. A format broke if no reply of
    *baseline* breaks it. Cases of which a reply is missing, on either side, are left out.
    """
    check = verdict.check
    if check is None or check.before is None or check.outcome is Outcome.PASSED:
        return verdict
    if not gate.reads_grades or before is None or baseline is None:
        return verdict
    then, now = _answered(before, samples_from_scores(after, gate.kind), baseline, after)
    old, new = ([side.results[key] for key in now.case_ids] for side in (baseline, after))
    regressed = now.values < then.values
    broken = _mask(map(_breaks, new)) & ~_mask(result.has_format_error for result in old)
    cut = _mask(map(_is_cut_off, new)) & ~_mask(map(_is_cut_off, old))
    values, linked = dict[str, Value](), np.zeros(len(now), bool)
    for name, changed in (("broken", broken), ("cut", cut)):
        if link := _link(name, changed, regressed):
            values, linked = values | link, linked | changed
    note = "" if "broken" in values else _unlinked_note(broken, regressed)
    rest = ~(broken | cut)
    if values and gate.metric == "accuracy" and rest.sum() >= _MIN_REST:
        rates = {"rest_before": then.select(rest).mean, "rest_after": now.select(rest).mean}
        values |= {"rest": int(rest.sum()), **rates}
    # Where every case regressed there are no others to compare with.
    blamed = ~rest if regressed.all() and 2 * rest.sum() <= len(now) else linked
    values |= _common_error([new[index] for index in np.flatnonzero(regressed & blamed)])
    statement, notes = verdict.statement.add(**values), (*verdict.notes, *[note] * bool(note))
    return replace(verdict, statement=statement, notes=notes)


def _answered(
    before: Samples, after: Samples, baseline: VariantScores, scores: VariantScores
) -> tuple[Samples, Samples]:
    """Return the samples of the cases of which no reply is missing, on either side."""
    then, now = align(before, after)
    mask = then.has_reply & now.has_reply
    for side in (baseline, scores):
        mask &= _mask(
            key in side.results and not side.results[key].missing_reasons for key in now.case_ids
        )
    return then.select(mask), now.select(mask)


def _mask(flags: Iterable[bool]) -> _Mask:
    return np.fromiter(flags, np.bool_)


def _is_cut_off(result: CaseResult) -> bool:
    return any(reply.stop == "length" for reply in result.replies)


def _breaks(result: CaseResult) -> bool:
    """Return True if a reply breaks its format, other than by being cut off."""
    return any(
        error.kind != "truncated" or not _is_cut_off(result)
        for score in result.scores
        if (error := score.format_error)
    )


def _link(name: str, changed: _Mask, regressed: _Mask) -> dict[str, Value]:
    """Return the values of a statement about a change that regressed cases have in common.

    They are how many of the regressed cases, and of the others, have *changed*; none if the
    regressed cases have not clearly more often.
    """
    hits, drawn, n = int((changed & regressed).sum()), int(regressed.sum()), len(regressed)
    if hits < max(_MIN_CASES, _MIN_SHARE * drawn):
        return {}
    if fisher_p(hits, drawn, int(changed.sum()), n) > _MAX_P:
        return {}
    others = int((changed & ~regressed).sum())
    return {name: hits, f"{name}_others": others, "regressed": drawn, "others": n - drawn}


def _unlinked_note(broken: _Mask, regressed: _Mask) -> str:
    """Return how many cases broke their format if many did, and regressed ones not clearly more.

    "" if no regressed case did.
    """
    count, n = int(broken.sum()), len(broken)
    hits, drawn = int((broken & regressed).sum()), int(regressed.sum())
    if not hits or count < _MIN_NOTED_SHARE * n:
        return ""
    text = f"{count:,} of {n:,} cases broke their format"
    # Without other cases, or with few, the regressed ones may have by chance alone.
    if hits * n > count * drawn or drawn == n:
        return f"{text}, {hits:,} of the {drawn:,} regressed ones among them"
    return f"{text}, regressed ones no more often; the score does not depend on it"


def _common_error(results: Iterable[CaseResult]) -> dict[str, Value]:
    """Return the most frequent kind of format error, and in how many replies it is; {} if none."""
    errors = Counter(
        score.format_error.kind
        for result in results
        for score in result.scores
        if score.format_error
    )
    kind, count = next(iter(errors.most_common(1)), ("", 0))
    return {"format_error": kind, "format_replies": count} if kind else {}
