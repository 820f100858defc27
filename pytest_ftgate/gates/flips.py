"""Flips: the regressed and the fixed cases of a comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pytest_ftgate.gates.samples import FloatArray, Samples, align
from pytest_ftgate.gates.slices import answer_rank, passage_heads
from pytest_ftgate.gates.verdict import Flip
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.score import FormatError
from pytest_ftgate.scoring.scorers import expected_text, tool_call_text
from pytest_ftgate.scoring.scores import CaseResult, VariantScores

#: The largest number of flips in a verdict; its counts include all regressed and fixed cases.
MAX_FLIPS = 40
#: The largest number of characters of a text.
_MAX_CHARS = 600


@dataclass(frozen=True, slots=True)
class Regressions:
    """The ids of the regressed cases, and of the fixed cases."""

    regressed: tuple[str, ...]
    fixed: tuple[str, ...]

    def with_first(self, case_ids: Sequence[str]) -> Regressions:
        """Return a copy in which *case_ids* are the first regressed cases."""
        rest = (case_id for case_id in self.regressed if case_id not in case_ids)
        return Regressions((*case_ids, *rest), self.fixed)

    def interleaved_by_format_error(self, scores: VariantScores) -> Regressions:
        """Return a copy in which the first regressed cases show all kinds of format error."""
        kinds = {key: _format_error_kind(scores.results[key]) for key in self.regressed}
        return Regressions(interleave(kinds), self.fixed)


def interleave(kinds: Mapping[str, object]) -> tuple[str, ...]:
    """Return the keys of *kinds*, the first ones of as many kinds as possible."""
    counts: Counter[object] = Counter()
    rounds = {}
    for key, kind in kinds.items():
        rounds[key] = counts[kind]
        counts[kind] += 1
    return tuple(sorted(rounds, key=rounds.__getitem__))


def find_regressions(before: Samples | None, after: Samples) -> Regressions:
    """Return the regressed and the fixed cases, largest change first.

    Without *before*, every wrong case of *after* is regressed.
    """
    values_before: FloatArray = np.ones(len(after))
    if before is not None:
        before, after = align(before, after)
        values_before = before.values
    with np.errstate(invalid="ignore"):
        change = after.values - values_before
        selected = [np.flatnonzero(change < 0), np.flatnonzero(change > 0)]
    ranked = [indices[np.argsort(-abs(change[indices]), kind="stable")] for indices in selected]
    regressed, fixed = (tuple(after.case_ids[index] for index in indices) for indices in ranked)
    return Regressions(regressed, fixed)


def flips(
    before: VariantScores | None, after: VariantScores, regressions: Regressions
) -> tuple[Flip, ...]:
    """Return the first *MAX_FLIPS* flips for display, regressed cases first.

    *before* is None if its replies are no longer available.
    """
    ranked = [(case_id, True) for case_id in regressions.regressed[:MAX_FLIPS]]
    ranked += [(case_id, False) for case_id in regressions.fixed[: MAX_FLIPS - len(ranked)]]
    return tuple(
        _flip(before, after.results[case_id], regressed=regressed, retrieval=after.has_passages)
        for case_id, regressed in ranked
    )


def _flip(
    before: VariantScores | None, result: CaseResult, *, regressed: bool, retrieval: bool
) -> Flip:
    case = result.case
    old = before.results.get(case.id) if before else None
    error = _format_error(result)
    then = _representative_reply(old, right=regressed) if old else None
    now = _representative_reply(result, right=not regressed)
    return Flip(
        case=case.id,
        where=case.location,
        regressed=regressed,
        shown=case.input_text[:_MAX_CHARS],
        expected=expected_text(case),
        before=_storable(then.text) if then else "",
        now=_storable(now.text) if now else "",
        format_error=error.kind if error else "",
        why=_storable(f"{error.kind}: {error.detail}".rstrip(": ")) if error else "",
        wrong=_storable(next((score.reason for score in result.scores if score.reason), "")),
        skill=case.skill or "",
        passages=passage_heads(result),
        answered_in=answer_rank(result) if retrieval else None,
        called_before=_tool_calls(then),
        called=_tool_calls(now),
        thought_before=_storable(then.thought) if then else "",
        thought=_storable(now.thought) if now else "",
    )


def _format_error(result: CaseResult) -> FormatError | None:
    return next((score.format_error for score in result.scores if score.format_error), None)


def _format_error_kind(result: CaseResult) -> str | None:
    error = _format_error(result)
    return error.kind if error else None


def _representative_reply(result: CaseResult, *, right: bool) -> Reply | None:
    """Return the best reply to a case if *right*, else the worst; None without replies."""
    scores = [(score.correct or 0.0) + (score.format_error is None) for score in result.scores]
    if len(scores) != len(result.replies) or not scores:
        return next(iter(result.replies), None)
    return result.replies[scores.index(max(scores) if right else min(scores))]


def _tool_calls(reply: Reply | None) -> tuple[str, ...]:
    return tuple(_storable(tool_call_text(call)) for call in reply.tool_calls) if reply else ()


def _storable(text: str) -> str:
    """Return the head of *text*, with lone surrogates escaped."""
    return text[:_MAX_CHARS].encode("utf-8", "backslashreplace").decode()
