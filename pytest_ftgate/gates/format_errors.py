"""Format errors by kind, before and now, and the drift of all replies."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress, islice
from statistics import median
from typing import Any
from weakref import WeakKeyDictionary

from pytest_ftgate.gates.notes import Note, ReplyNote, note
from pytest_ftgate.gates.samples import samples_from_scores
from pytest_ftgate.gates.statements import Value
from pytest_ftgate.gates.verdict import (
    ACCEPTED_KINDS,
    Check,
    Drift,
    DriftKind,
    FormatErrorExample,
    FormatErrorShare,
    Outcome,
)
from pytest_ftgate.scoring.case_facts import ReplyStats
from pytest_ftgate.scoring.formats import can_detect_language, detect_language
from pytest_ftgate.scoring.score import FormatError
from pytest_ftgate.scoring.scores import VariantScores, shared_ids
from pytest_ftgate.stats.proportions import wilson
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.model import Suite

_CONFIDENCE = 0.95
#: The number of replies that are quoted for a format error, and of characters of each.
_MAX_EXAMPLES, _MAX_CHARS = 3, 300
#: The kinds of format errors that a lenient reader accepts.
_HABITS = ("fenced", "preamble", "trailing text", "wrong label casing", "invalid syntax")
#: A lenient drop of at most this share of the strict drop counts as no lenient drop.
_MAX_LENIENT_DROP = 0.1

_ErrorNames = Callable[[FormatError], Iterable[str]]


@dataclass(frozen=True, slots=True)
class _Counts:
    """The frequency of each name in the replies of *n* cases.

    Attributes:
        replies: the number of replies with the name.
        cases: the same, as the sum over the cases of the share of their replies.
    """

    n: int
    replies: Counter[str]
    cases: Counter[str]


def _count_errors(scores: VariantScores, names: _ErrorNames) -> _Counts:
    replies: Counter[str] = Counter()
    cases: dict[str, float] = defaultdict(float)
    for _, result in scores.broken:
        if not result.case.format:
            continue
        for score in result.scores:
            for name in names(score.format_error) if score.format_error else ():
                replies[name] += 1
                cases[name] += 1 / len(result.scores)
    return _Counts(int(scores.is_formatted.sum()), replies, Counter(cases))


#: The counts of each variant by kind of error: the baseline is compared with every variant.
_counted = WeakKeyDictionary[VariantScores, _Counts]()


def _kind_counts(scores: VariantScores) -> _Counts:
    if scores not in _counted:
        _counted[scores] = _count_errors(scores, lambda error: (error.kind,))
    return _counted[scores]


def error_shares(
    before: VariantScores | None, after: VariantScores
) -> tuple[FormatErrorShare, ...]:
    """Return the share of each kind of format error, largest increase since *before* first."""
    shares = _shares(_kind_counts(after), _kind_counts(before) if before else None)
    return tuple(replace(share, examples=_examples(share, after)) for share in shares)


def _examples(share: FormatErrorShare, scores: VariantScores) -> tuple[FormatErrorExample, ...]:
    """Return the first replies with a format error that is new or grew by more than chance."""
    if share.before and share.low <= share.before:
        return ()
    examples = (
        FormatErrorExample(
            case=result.case.id,
            text=reply.text[:_MAX_CHARS],
            detail=score.format_error.detail,
            is_thought=reply.thinks and reply.has_no_answer,
        )
        for result in scores.results.values()
        for reply, score in zip(result.replies, result.scores, strict=True)
        if score.format_error and score.format_error.kind == share.kind
    )
    return tuple(islice(examples, _MAX_EXAMPLES))


def rule_shares(before: VariantScores | None, after: VariantScores) -> tuple[FormatErrorShare, ...]:
    """Return the share of replies that break each format rule, if a case has several rules."""
    if not after.facts.has_several_rules:  # one rule adds nothing
        return ()
    now, then = _count_errors(after, _rules), _count_errors(before, _rules) if before else None
    return _shares(now, then)


def _rules(error: FormatError) -> Iterable[str]:
    return dict.fromkeys(error.rules)


def _shares(now: _Counts, then: _Counts | None) -> tuple[FormatErrorShare, ...]:
    kinds = {*now.replies, *(then.replies if then else ())}
    shares = [_error_share(kind, now, then) for kind in kinds if now.n]
    return tuple(sorted(shares, key=lambda share: ((share.before or 0) - share.after, share.kind)))


def _error_share(kind: str, now: _Counts, then: _Counts | None) -> FormatErrorShare:
    after, low, high = _share_of(kind, now)
    before: dict[str, Any] = {}
    if then is not None and then.n:
        names = ("before", "before_low", "before_high")
        before = dict(zip(names, _share_of(kind, then), strict=True))
    replies = now.replies[kind]
    return FormatErrorShare(kind=kind, replies=replies, after=after, low=low, high=high, **before)


def _share_of(kind: str, counts: _Counts) -> tuple[float, float, float]:
    return counts.cases[kind] / counts.n, *_interval(counts.cases[kind], counts.n)


def format_error_fields(
    gate: RateGate, before: VariantScores | None, after: VariantScores
) -> dict[str, Any]:
    """Return the fields of a verdict about format errors; none unless *gate* is a format gate."""
    if gate.kind != "format":
        return {}
    return {
        "format_errors": error_shares(before, after),
        "broken_rules": rule_shares(before, after),
        "lenient": _lenient_share(after),
        "lenient_before": _lenient_share(before) if before else None,
    }


def _lenient_share(scores: VariantScores) -> float | None:
    """Return the share of replies whose format is valid for a lenient reader."""
    return samples_from_scores(scores, "lenient").mean if scores.facts.has_format.any() else None


def changed_habit(
    gate: RateGate, check: Check, before: VariantScores | None, after: VariantScores
) -> dict[str, Value]:
    """Return what a model does to its replies, if only a strict reader rejects it.

    The values are those of a statement; none for other gates, or if the lenient share drops too.
    *check* is the check that decided.
    """
    if gate.kind != "format" or check.outcome is Outcome.PASSED or not after.facts.has_format.any():
        return {}
    if check.measure:
        return {}
    compared = before if check.before is not None and check.kind not in ACCEPTED_KINDS else None
    strict = check.limit if check.before is None else check.before
    lenient = samples_from_scores(compared, "lenient").mean if compared else strict
    lenient_drop = lenient - samples_from_scores(after, "lenient").mean
    if lenient_drop > _MAX_LENIENT_DROP * max(strict - check.after, 0.0):
        return {}
    shares = [
        share for share in error_shares(compared, after) if share.kind in _HABITS and share.replies
    ]
    return _habit_values(shares[0], after) if shares else {}


def _habit_values(share: FormatErrorShare, scores: VariantScores) -> dict[str, Value]:
    results = scores.results.values()
    return {
        "habit": share.kind,
        "is_new": share.before is not None and share.before < share.after / 2,
        "rule": _broken_rule(scores, share.kind),
        "replies": share.replies,
        "of": sum(len(result.scores) for result in results if result.case.format),
    }


def _broken_rule(scores: VariantScores, kind: str) -> str:
    """Return the rule that most replies with this kind of format error break, or ""."""
    rules = Counter(
        error.rules[0]
        for result in scores.results.values()
        for score in result.scores
        if (error := score.format_error) and error.kind == kind and error.rules
    ).most_common()
    return rules[0][0] if rules else ""


# Drift of all replies ---------------------------------------------------------------------------

#: With fewer replies on either side, no drift is reported.
_MIN_REPLIES = 20
#: A share or a length is reported if it changes by this factor, a length also by this many words.
_MIN_FACTOR, _MIN_WORDS = 1.5, 3
#: The number of cases whose language is detected, evenly spread.
_MAX_LANGUAGE_CASES = 300
#: A shorter text, such as a label, has no detectable language.
_MIN_CHARS_FOR_LANGUAGE = 16
#: With this many characters a word, a text is written without spaces.
_UNSPACED_CHARS = 15
#: With fewer cases whose format error changed, the test of their mix shows nothing.
_MIN_CHANGED = 10
#: Below this p-value, a change of the mix is reported.
_MAX_P = 0.01


def reply_drifts(
    suite: Suite, gate: RateGate, before: VariantScores | None, after: VariantScores
) -> tuple[Drift, ...]:
    """Return the drift of the replies to all cases, including cases without expectation.

    Only one gate of a suite reports it: the format gate, or the accuracy gate if there is no format
    gate. The gate of a marked function never does.
    """
    reporting_gate = "format" if "format" in suite.gates else "accuracy"
    if before is None or gate.name != reporting_gate:
        return ()
    return _drifts(before, after, _case_drifts(before, after))


def _case_drifts(before: VariantScores, after: VariantScores) -> Iterator[Drift]:
    """Yield the drifts that the replies to cases of one task can show."""
    stats = (before.reply_stats, after.reply_stats)
    yield _share_drift("same text", *((one.most_common_count, one.written_count) for one in stats))
    yield from _language_drift(before, after)
    yield from _format_error_drift(before, after)


def skill_drifts(before: VariantScores, after: VariantScores) -> tuple[Drift, ...]:
    """Return the drift of the replies to skill cases: it is described, and decides nothing."""
    return _drifts(before, after, _hedge_drift(before, after))


def _hedge_drift(*sides: VariantScores) -> Iterator[Drift]:
    yield _share_drift("hedging", *((side.hedge_count, len(side.replies)) for side in sides))


def _drifts(
    before: VariantScores, after: VariantScores, more: Iterator[Drift]
) -> tuple[Drift, ...]:
    """Return the drifts of any replies, with *more*; of few replies those of their thoughts."""
    then, now = before.reply_stats, after.reply_stats
    thoughts = tuple(thought_drifts(before, after))
    if min(then.written_count, now.written_count) < _MIN_REPLIES:
        return thoughts
    refusals = [(stats.refusal_count, stats.reply_count) for stats in (then, now)]
    length = _reply_length_drift(then, now)
    return (length, _share_drift("refusals", *refusals), *more, *thoughts)


def drift_notes(
    drifts: Iterable[Drift], gate: RateGate, shares: Iterable[FormatErrorShare], *, passed: bool
) -> Iterator[Note]:
    """Yield a note for each drift that is large enough to report.

    A format gate that did not pass shows all of its format errors anyway.
    """
    drifts = tuple(drifts)
    shown = gate.kind == "format" and not passed
    for drift in drifts:
        if drift.message and not (shown and drift.what == "format errors"):
            yield drift.message
    for share in shares if drifts and not shown else ():
        old = share.before
        if old is not None and share.after > (share.before_high or 0) and share.low > old:
            rates = {"before": old, "after": share.after}
            yield note(ReplyNote.ERROR_SHARE, what=share.kind, **rates)


def _reply_length_drift(then: ReplyStats, now: ReplyStats) -> Drift:
    words = [median(stats.word_counts.elements()) for stats in (then, now)]
    characters = [median(stats.character_counts.elements()) for stats in (then, now)]
    has_spaces = characters[0] < _UNSPACED_CHARS * words[0]
    unit, lengths = ("words", words) if has_spaces else ("characters", characters)
    counts = (then.written_count, now.written_count)
    return _length_drift("length", unit, lengths, counts, least=_MIN_WORDS)


def thought_drifts(before: VariantScores, after: VariantScores) -> Iterator[Drift]:
    """Yield how the thoughts have changed, and the share of replies that were cut off.

    Nothing is yielded about what neither side does.
    """
    sides = before, after
    counts = [len(side.replies) for side in sides]
    thinking = [len(side.thoughts) for side in sides]
    if any(thinking) and all(counts):
        yield _share_drift("thoughts", *zip(thinking, counts, strict=True), both_ways=True)
    if all(thinking):
        from pytest_ftgate.gates.thoughts import length_unit, thought_length

        unit = length_unit(before, after)
    if all(thinking) and unit:
        lengths = [median(thought_length(reply, unit) for reply in side.thoughts) for side in sides]
        yield _length_drift("thought length", unit, lengths, thinking)
    cut_off = [side.stop_reasons["length"] for side in sides]
    if any(cut_off) and all(counts):
        yield _share_drift("cut off", *zip(cut_off, counts, strict=True), both_ways=True)


def _length_drift(
    what: DriftKind, unit: str, lengths: Sequence[float], counts: Sequence[int], least: int = 0
) -> Drift:
    """Return the drift of a median length, with a message if it is far, and at least *least*."""
    old, new = lengths
    is_far = new >= _MIN_FACTOR * old or old >= _MIN_FACTOR * new
    is_told = is_far and abs(new - old) >= least and min(counts) >= _MIN_REPLIES
    noun = "replies" if what == "length" else "thoughts"
    message = note(ReplyNote.LENGTH, what=noun, before=old, after=new, unit=unit)
    return Drift(
        what=what, unit=unit, before=old, after=new, n=counts[1],
        message=message if is_told else None,
    )  # fmt: skip


def _share_drift(
    what: DriftKind, then: tuple[int, int], now: tuple[int, int], *, both_ways: bool = False
) -> Drift:
    """Return the drift of a share, with a message if it grew by more than chance.

    *both_ways* says that a share which fell has a message as well.
    """
    old, new = then[0] / then[1], now[0] / now[1]
    (low, high), (low_now, high_now) = _interval(*then), _interval(*now)
    is_told = new >= _MIN_FACTOR * old and new > high and low_now > old
    if both_ways:
        is_far = not (low <= new <= high or low_now <= old <= high_now)
        is_told = is_far and min(then[1], now[1]) >= _MIN_REPLIES
    message = note(ReplyNote.SHARE, what=what, before=old, after=new)
    return Drift(
        what=what, unit="share", before=old, after=new, n=now[1],
        message=message if is_told else None,
    )  # fmt: skip


def _interval(count: float, total: int) -> tuple[float, float]:
    low, high = wilson(float(count), total, _CONFIDENCE)
    return float(low), float(high)


def _language_drift(before: VariantScores, after: VariantScores) -> Iterator[Drift]:
    """Yield the share of replies in another language, if languages can be detected."""
    if not can_detect_language():
        return
    pairs = _text_pairs(before, after)
    if not pairs:
        return
    languages = (
        (detect_language(old), detect_language(new))
        for old, new in pairs
        if not _shares_most_words(old, new)
    )
    changed = Counter(pair for pair in languages if all(pair) and pair[0] != pair[1])
    share, message = changed.total() / len(pairs), None
    if _interval(changed.total(), len(pairs))[0] > 1 / _MIN_REPLIES:
        (old, new), _ = changed.most_common()[0]
        message = note(ReplyNote.LANGUAGE, share=share, before=old, after=new)
    n = len(pairs)
    yield Drift(what="language", unit="share", before=0.0, after=share, n=n, message=message)


def _text_pairs(before: VariantScores, after: VariantScores) -> list[tuple[str, str]]:
    """Return the first replies before and now, for some cases with long replies on both sides."""
    shared = shared_ids(before, after)
    texts = [
        (old[0].text, new[0].text)
        for case_id in shared[:: max(1, len(shared) // _MAX_LANGUAGE_CASES)]
        if (old := before.results[case_id].replies) and (new := after.results[case_id].replies)
    ]
    return [pair for pair in texts if min(map(len, pair)) >= _MIN_CHARS_FOR_LANGUAGE]


def _shares_most_words(one: str, other: str) -> bool:
    """Return True if the texts share half of the words of the shorter one.

    Then both are in one language. The model that detects languages takes a hundred megabytes; it is
    not loaded.
    """
    words, others = ({*text.casefold().split()} for text in (one, other))
    return 2 * len(words & others) >= min(len(words), len(others))


def _format_error_drift(before: VariantScores, after: VariantScores) -> Iterator[Drift]:
    """Yield the drift of the mix of format errors, by the first reply to each case.

    Stuart and Maxwell's test compares the margins of a table that counts the cases by their kind
    of format error before and now.
    """
    counts = _error_pairs(before, after)
    kinds = sorted({kind for pair in counts for kind in pair})
    if sum(count for (old, new), count in counts.items() if old != new) < _MIN_CHANGED:
        return
    from pytest_ftgate.stats.resampling import stuart_maxwell

    *_, p = stuart_maxwell([[counts[row, column] for column in kinds] for row in kinds])
    n = counts.total()
    shares = [sum(count for pair, count in counts.items() if pair[side]) / n for side in range(2)]
    # Where no kind became more frequent, nothing has drifted that a product would suffer from.
    fell = all(_count(counts, kind, 1) <= _count(counts, kind, 0) for kind in kinds if kind)
    yield Drift(
        what="format errors",
        unit="share",
        before=shares[0],
        after=shares[1],
        n=n,
        p=p,
        message=note(ReplyNote.ERROR_MIX, p=p) if p < _MAX_P and not fell else None,
    )


def _count(pairs: Counter[tuple[str, str]], kind: str, side: int) -> int:
    return sum(count for pair, count in pairs.items() if pair[side] == kind)


def _error_pairs(before: VariantScores, after: VariantScores) -> Counter[tuple[str, str]]:
    """Count the cases by their kind of format error before and now, "" for none."""
    if before.case_ids == after.case_ids:
        compared = after.is_formatted & before.is_answered
    else:
        answered = {case_id for case_id, result in before.results.items() if result.scores}
        compared = after.is_formatted & [case_id in answered for case_id in after.case_ids]
    then, now = (_first_error_kinds(side) for side in (before, after))
    known = then.keys() | now.keys()
    broken = known.intersection(compress(after.case_ids, compared.tolist()))
    pairs = Counter((then.get(case_id, ""), now.get(case_id, "")) for case_id in broken)
    pairs["", ""] += int(compared.sum()) - len(broken)
    return pairs


def _first_error_kinds(scores: VariantScores) -> dict[str, str]:
    """Return the kind of format error in the first reply to each case with one, by case id."""
    return {
        result.case.id: error.kind
        for _, result in scores.broken
        if (error := result.scores[0].format_error)
    }
