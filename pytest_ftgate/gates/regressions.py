"""Regressions: regressed and fixed cases, their slices, and the formats that broke in them.

A slice is named only if its drop is hardly chance, and a change only if the cases with it regressed
clearly more often than the others.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pytest_ftgate.gates.checks import ROUNDING, pair_samples
from pytest_ftgate.gates.design import CONFIDENCE, MIN_GROUPS, PERHAPS, Levels
from pytest_ftgate.gates.figure import TaskScore
from pytest_ftgate.gates.notes import Note, NoteKind, ReplyNote, note
from pytest_ftgate.gates.samples import FloatArray, Samples, align, samples_from_scores
from pytest_ftgate.gates.statements import Value
from pytest_ftgate.gates.verdict import Fall, Flip, Outcome, Slice, Verdict
from pytest_ftgate.readers.text import common_start
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.score import FormatError
from pytest_ftgate.scoring.scorers import contains_answer, expected_text, tool_call_text
from pytest_ftgate.scoring.scores import CaseResult, VariantScores
from pytest_ftgate.stats.paired import (
    PairedCounts,
    change_interval,
    holm,
    is_noninferior,
    p_drop,
)
from pytest_ftgate.stats.proportions import fisher_p
from pytest_ftgate.suite.gate_kinds import RateGate, SkillPart
from pytest_ftgate.suite.model import Case

#: The ids of the cases of each slice.
SliceMembers = Mapping[SkillPart, Collection[str]]
#: The samples of one slice, before and after.
SliceSides = tuple[Samples, Samples]


def slice_names(case: Case, kind: str) -> Sequence[str]:
    """Return the names of the slices of *kind* (``tag``, ``label``, ``skill``, ...) of a case."""
    if kind == "tag":
        return case.tags
    if kind == "label":
        # The first of several right answers gives the label, unless the answers are labels.
        labels = case.answers if case.score.kind == "labels" else case.answers[:1]
        # The label of a tool call is the name of the tool. Fields have no label.
        names = (label.get("name") if isinstance(label, Mapping) else label for label in labels)
        return [] if case.score.kind == "fields" else [str(n) for n in names if n is not None]
    if kind == "difficulty":
        return [] if case.difficulty is None else [str(case.difficulty)]
    name = case.language if kind == "language" else case.skill
    return [name] if name else []


def slice_members(cases: Iterable[Case], kinds: Iterable[str]) -> dict[SkillPart, set[str]]:
    """Return the case ids of each slice, by kind and name of the slice."""
    members = defaultdict[SkillPart, set[str]](set)
    kinds = tuple(kinds)
    for case in cases:
        for kind in kinds:
            for name in slice_names(case, kind):
                members[kind, name].add(case.id)
    return members


def slice_samples(
    before: Samples, after: Samples, members: SliceMembers
) -> dict[SkillPart, SliceSides]:
    """Return both samples of each slice, of the cases with a reply on both sides.

    *members* are the case ids of each slice. A slice without such a case is left out.
    """
    before, after = align(before, after)
    answered, samples = before.has_reply & after.has_reply, {}
    for key, ids in members.items():
        mask = answered & np.isin(after.case_ids, [*ids])
        if mask.any():
            samples[key] = (before.select(mask), after.select(mask))
    return samples


_Key = TypeVar("_Key")


def adjusted_drops(pairs: Mapping[_Key, PairedCounts]) -> dict[_Key, float]:
    """Return the p-value of a drop of each slice, after Holm's correction over all of them."""
    adjusted = holm([p_drop(counts) for counts in pairs.values()])
    return dict(zip(pairs, map(float, adjusted), strict=True))


def slice_state(pairs: PairedCounts, adjusted: float, margin: float, levels: Levels) -> str:
    """Return ``kept`` if a drop of *margin* is ruled out, or ``regressed`` if a drop is shown.

    It is ``inconclusive`` otherwise. *adjusted* is the p-value of a drop.
    """
    if _has_few_groups(pairs):
        return "inconclusive"
    if is_noninferior(pairs, margin, levels.miss):
        return "kept"
    is_shown = adjusted <= levels.alarm and pairs.delta <= ROUNDING - margin
    return "regressed" if is_shown else "inconclusive"


def _has_few_groups(pairs: PairedCounts) -> bool:
    return pairs.groups is not None and pairs.groups < MIN_GROUPS


def p_alone(pairs: PairedCounts) -> float | None:
    """Return the p-value of a drop of a slice alone; None if it has too few cases to be named."""
    return None if pairs.n < _MIN_CASES or _has_few_groups(pairs) else p_drop(pairs)


def with_names(slices: Sequence[Slice], level: float) -> tuple[Slice, ...]:
    """Return *slices* with which of them clearly fell, and which may have fallen.

    All of them that can be named are corrected together. *level* is the probability that any
    clearly fell if none has changed; each may have fallen with a probability of `PERHAPS`.
    """
    names = iter(fall_names([p for part in slices if (p := part.p_alone) is not None], level))
    return tuple(
        part if part.p_alone is None else replace(part, named=next(names)) for part in slices
    )


def fall_names(p_values: Sequence[float], level: float) -> list[Fall]:
    """Return what to say of parts whose drops have these *p_values*, each alone; see `with_names`.

    A part clearly fell by Holm's correction. It must also be one that may have fallen: Holm's last
    step alone would name a part whose 95 % interval holds no change.
    """
    return [
        "" if p > PERHAPS else "clearly" if adjusted <= level else "perhaps"
        for p, adjusted in zip(p_values, holm(p_values), strict=True)
    ]


def slice_of(
    key: SkillPart, samples: SliceSides, pairs: PairedCounts, p: float, state: str, **more: Any
) -> Slice:
    """Return the result of a slice; *p* is the p-value of a drop, *more* are further fields."""
    low, high = change_interval(pairs, CONFIDENCE)
    before, after = (side.values for side in samples)
    return Slice(
        kind=key[0],
        name=key[1],
        n=round(pairs.n),
        before=pairs.before,
        after=pairs.after,
        low=low,
        high=high,
        p_drop=p,
        state=state,
        regressed=int(np.sum(after < before)),
        fixed=int(np.sum(after > before)),
        **more,
    )


def slice_results(
    before: Samples,
    after: Samples,
    members: SliceMembers,
    *,
    margin: float,
    levels: Levels,
) -> tuple[Slice, ...]:
    """Return the result of each slice, largest drop first.

    A slice is kept if a drop of *margin* is ruled out. Otherwise it is regressed if a real drop is
    shown, after Holm's correction over all slices, and else inconclusive. *members* are the case
    ids of each slice, by kind and name of the slice. All slices share the alarm level, and the miss
    level to be named, which decides nothing.
    """
    samples = slice_samples(before, after, members)
    pairs = {key: pair_samples(*both) for key, both in samples.items()}
    adjusted, results = adjusted_drops(pairs), []
    for key, counts in pairs.items():
        state = slice_state(counts, adjusted[key], margin, levels)
        alone = p_alone(counts)
        results.append(slice_of(key, samples[key], counts, adjusted[key], state, p_alone=alone))
    return with_names(sorted(results, key=lambda result: result.change), levels.miss)


#: The largest number of characters of a passage in a verdict.
_MAX_PASSAGE_CHARS = 120


def passage_heads(result: CaseResult) -> tuple[str, ...]:
    """Return source and first words of each passage that is retrieved for a case."""
    passages = result.replies[0].passages if result.replies else ()
    texts = (f"{passage.source}: {passage.text}".removeprefix(": ") for passage in passages)
    return tuple(text[:_MAX_PASSAGE_CHARS] for text in texts)


def answer_rank(result: CaseResult) -> int | None:
    """Return the rank of the first passage with an expected answer, from 1; 0 for none.

    None without a reply, or if the rank is meaningless for the case.
    """
    if not result.replies:
        return None
    hits = contains_answer(result.case, [passage.text for passage in result.replies[0].passages])
    return None if hits is None else next((rank for rank, hit in enumerate(hits, 1) if hit), 0)


def retrieval_notes(
    gate: RateGate, scores: VariantScores, regressed: Sequence[str]
) -> Iterator[Note]:
    """Yield the number of regressed cases for which no passage contains the answer."""
    if gate.kind != "accuracy" or not scores.has_passages:
        return
    ranks = [answer_rank(scores.results[case_id]) for case_id in regressed]
    ranks = [rank for rank in ranks if rank is not None]
    if 0 in ranks:
        yield note(ReplyNote.NOT_RETRIEVED, count=ranks.count(0), of=len(ranks))


#: A change is named if so many of the regressed cases have it, this share of them, and if Fisher's
#: p-value is at most this; a slice if it has so many cases.
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
    then, now = _answered(before, samples_from_scores(after, gate.sample), baseline, after)
    old, new = ([side.results[key] for key in now.case_ids] for side in (baseline, after))
    regressed = now.values < then.values
    broken = _mask(map(_breaks, new)) & ~_mask(result.has_format_error for result in old)
    cut = _mask(map(_is_cut_off, new)) & ~_mask(map(_is_cut_off, old))
    values, linked = dict[str, Value](), np.zeros(len(now), bool)
    for name, changed in (("broken", broken), ("cut", cut)):
        if link := _link(name, changed, regressed):
            values, linked = values | link, linked | changed
    notes = () if "broken" in values else _unlinked_notes(broken, regressed)
    rest = ~(broken | cut)
    if values and gate.metric == "accuracy" and rest.sum() >= _MIN_REST:
        rates = {"rest_before": then.select(rest).mean, "rest_after": now.select(rest).mean}
        values |= {"rest": int(rest.sum()), **rates}
    # Where every case regressed there are no others to compare with.
    blamed = ~rest if regressed.all() and 2 * rest.sum() <= len(now) else linked
    values |= _common_error([new[index] for index in np.flatnonzero(regressed & blamed)])
    statement = verdict.statement.add(**values)
    return replace(verdict, statement=statement, notes=(*verdict.notes, *notes))


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


def _unlinked_notes(broken: _Mask, regressed: _Mask) -> Iterator[Note]:
    """Yield how many cases broke their format if many did, and regressed ones not clearly more.

    Nothing if no regressed case did.
    """
    count, n = int(broken.sum()), len(broken)
    hits, drawn = int((broken & regressed).sum()), int(regressed.sum())
    if not hits or count < _MIN_NOTED_SHARE * n:
        return
    # Without other cases, or with few, the regressed ones may have by chance alone.
    is_more = hits * n > count * drawn or drawn == n
    kind = ReplyNote.BROKEN_FORMATS if is_more else ReplyNote.UNLINKED_FORMATS
    yield note(kind, count=count, of=n, hits=hits, regressed=drawn)


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


#: The largest number of flips in a verdict; its counts include all regressed and fixed cases.
MAX_FLIPS = 40
#: The largest number of characters of a text, and of those before the part that differs.
_MAX_CHARS, _CONTEXT = 600, 200


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
        errors = {key: _format_error(scores.results[key]) for key in self.regressed}
        kinds = {key: error and error.kind for key, error in errors.items()}
        return Regressions(interleave(kinds), self.fixed)


def changed_texts(
    before: VariantScores, after: VariantScores, found: Regressions
) -> Iterator[Note]:
    """Yield how many first replies have another text, and how many scores changed both ways."""
    both = [(one, after.results.get(case)) for case, one in before.results.items()]
    pairs = [(one, other) for one, other in both if other and one.replies and other.replies]
    changed = [(a, b) for a, b in pairs if a.replies[0].text != b.replies[0].text]
    if pairs and not changed:
        yield note(NoteKind.SAME_TEXTS, of=len(pairs))
    elif pairs:
        counts = {"changed": len(changed), "of": len(pairs), "share": len(changed) / len(pairs)}
        flips = {"regressed": len(found.regressed), "fixed": len(found.fixed)}
        kept = sum(a.correct == b.correct for a, b in changed)
        yield note(NoteKind.CHANGED_TEXTS, **counts, kept=kept, **flips)


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
    replies = (reply.text if reply else "" for reply in (then, now))
    score_before, score = _task_scores(old, result)
    expected, text_before, text = _differing_parts(expected_text(case), *replies)
    return Flip(
        case=case.id,
        where=case.location,
        regressed=regressed,
        shown=case.input_text[:_MAX_CHARS],
        expected=expected,
        before=text_before,
        now=text,
        score_before=score_before,
        score=score,
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


def _task_scores(
    before: CaseResult | None, after: CaseResult
) -> tuple[TaskScore | None, TaskScore | None]:
    """Return how many replies to a case were right before and now, if either has several."""
    sides = [side.scores if side else () for side in (before, after)]
    if max(map(len, sides)) < 2 or any(one.correct is None for side in sides for one in side):  # noqa: PLR2004 - several
        return None, None
    then, now = (
        TaskScore(sum(one.correct or 0.0 for one in side), len(side)) if side else None
        for side in sides
    )
    return then, now


def _differing_parts(expected: str, before: str, now: str) -> Iterator[str]:
    """Yield the part of each text to show: its head, or all from shortly before they differ.

    An ellipsis marks what is left out.
    """
    same = common_start(now, (expected, before))
    start = max(0, same - _CONTEXT) if same > _MAX_CHARS - _CONTEXT else 0
    for text in (expected, before, now):
        first = start if text[:start] == now[:start] else 0
        more = "…" * (len(text) > first + _MAX_CHARS)
        yield f"{'…' * (first > 0)}{_storable(text[first:])}{more}"


def _format_error(result: CaseResult) -> FormatError | None:
    return next((score.format_error for score in result.scores if score.format_error), None)


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
