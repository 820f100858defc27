"""Results by slice (tag, label, language), and whether retrieval finds the answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from pytest_ftgate.gates.checks import ROUNDING, pair_samples
from pytest_ftgate.gates.levels import CONFIDENCE, MIN_GROUPS, Levels
from pytest_ftgate.gates.samples import Samples, align
from pytest_ftgate.gates.verdict import Slice
from pytest_ftgate.scoring.scorers import contains_answer
from pytest_ftgate.scoring.scores import CaseResult, VariantScores
from pytest_ftgate.stats.paired import PairedCounts, change_interval, holm, is_noninferior, p_drop
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.model import Case


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


def slice_members(cases: Iterable[Case], kinds: Iterable[str]) -> dict[tuple[str, str], set[str]]:
    """Return the case ids of each slice, by kind and name of the slice."""
    members: dict[tuple[str, str], set[str]] = {}
    kinds = tuple(kinds)
    for case in cases:
        for kind in kinds:
            for name in slice_names(case, kind):
                members.setdefault((kind, name), set()).add(case.id)
    return members


def slice_results(
    before: Samples,
    after: Samples,
    members: Mapping[tuple[str, str], set[str]],
    *,
    margin: float,
    levels: Levels,
) -> tuple[Slice, ...]:
    """Return the result of each slice, largest drop first.

    A slice is kept if a drop of *margin* is ruled out. Otherwise it is regressed if a real drop is
    shown, after Holm's correction over all slices, and else inconclusive. *members* are the case
    ids of each slice, by kind and name of the slice. All slices share the alarm level.
    """
    before, after = align(before, after)
    answered = before.has_reply & after.has_reply
    masks = {
        key: answered & np.array([case_id in ids for case_id in after.case_ids], dtype=bool)
        for key, ids in members.items()
    }
    pairs = {
        key: pair_samples(before.select(mask), after.select(mask))
        for key, mask in masks.items()
        if mask.any()
    }
    adjusted = holm([p_drop(counts) for counts in pairs.values()])
    results = [
        _slice(key, counts, float(p), margin, levels)
        for (key, counts), p in zip(pairs.items(), adjusted, strict=True)
    ]
    return tuple(sorted(results, key=lambda result: result.change))


def _slice(
    key: tuple[str, str], pairs: PairedCounts, adjusted: float, margin: float, levels: Levels
) -> Slice:
    low, high = change_interval(pairs, CONFIDENCE)
    few = pairs.groups is not None and pairs.groups < MIN_GROUPS
    kept = is_noninferior(pairs, margin, levels.miss)
    shown = adjusted <= levels.alarm and pairs.delta <= ROUNDING - margin
    state = "kept" if kept else ("regressed" if shown else "inconclusive")
    return Slice(
        kind=key[0],
        name=key[1],
        n=int(pairs.n),
        before=pairs.before,
        after=pairs.after,
        low=low,
        high=high,
        p_drop=adjusted,
        state="inconclusive" if few else state,
    )


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
) -> Iterator[str]:
    """Yield the number of regressed cases for which no passage contains the answer."""
    if gate.kind != "accuracy" or not scores.has_passages:
        return
    ranks = [answer_rank(scores.results[case_id]) for case_id in regressed]
    ranks = [rank for rank in ranks if rank is not None]
    if 0 in ranks:
        misses = f"{ranks.count(0)} of {len(ranks)} regressed case{'s' * (len(ranks) != 1)}"
        yield f"retrieval: no passage contains the expected answer for {misses}"
