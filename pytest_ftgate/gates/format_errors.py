"""Format errors by kind, on both sides, and drift in how replies look."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from statistics import median
from typing import Any

from pytest_ftgate.gates.samples import side
from pytest_ftgate.gates.units import percent
from pytest_ftgate.gates.verdict import Check, FaultShare, FormatErrorExample, Outcome, Trait
from pytest_ftgate.scoring.formats import can_tell, language_of
from pytest_ftgate.scoring.score import Broken
from pytest_ftgate.scoring.scores import Column, Row, Said
from pytest_ftgate.stats.proportions import wilson
from pytest_ftgate.stats.resampling import stuart_maxwell
from pytest_ftgate.suite.model import RateGate, Suite

__all__ = ["fault_shares", "forms", "rule_shares", "trait_notes", "traits", "what_changed"]

_CONFIDENCE = 0.95
#: So many replies are quoted for a fault, and so many characters of each.
_EXAMPLES, _QUOTED = 3, 300
#: What a model does that a lenient reader would not mind: of late, and all along.
_HABITS = {
    "fenced": ("began to fence {}", "fences {}"),
    "preamble": ("began to write before {}", "writes before {}"),
    "trailing text": ("began to write after {}", "writes after {}"),
    "wrong label casing": ("began to change case or marks of {}", "changes case or marks of {}"),
    "invalid syntax": ("began to leave stray commas in {}", "leaves stray commas in {}"),
}
_NAMES = {
    "choice": "its labels",
    "json_schema": "its JSON",
    "pydantic": "its JSON",
    "xml": "its XML",
    "csv": "its CSV",
    "markdown": "its tables",
    "code": "its code",
}
#: A lenient rate that falls by less than this part of the strict one is said not to fall.
_LITTLE = 0.1


@dataclass(frozen=True, slots=True)
class _Count:
    """How often each name occurs among the replies of *n* cases, and as a mean of the cases."""

    n: int
    replies: Counter[str]
    cases: Counter[str]


def _counted(column: Column, names: Callable[[Broken], Iterable[str]]) -> _Count:
    replies: Counter[str] = Counter()
    cases: dict[str, float] = defaultdict(float)
    n = 0
    for row in column.rows.values():
        if not row.case.format or not row.scores:
            continue
        n += 1
        for score in row.scores:
            for name in names(score.broken) if score.broken else ():
                replies[name] += 1
                cases[name] += 1 / len(row.scores)
    return _Count(n, replies, Counter(cases))


def fault_shares(before: Column | None, after: Column) -> tuple[FaultShare, ...]:
    """Return how often each kind of fault occurs, the one that grew most first.

    Args:
        before: the side compared with, or None where there is none.
        after: the variant.
    """
    shares = _shares(before, after, lambda broken: (broken.kind,))
    return tuple(replace(one, examples=_examples(one, after)) for one in shares)


def _examples(share: FaultShare, column: Column) -> tuple[FormatErrorExample, ...]:
    """Return the first replies with a fault that is new, or commoner than chance explains."""
    if share.before and share.low <= share.before:
        return ()
    found = (
        FormatErrorExample(case=row.case.id, said=reply.text[:_QUOTED], detail=score.broken.detail)
        for row in column.rows.values()
        for reply, score in zip(row.replies, row.scores, strict=True)
        if score.broken and score.broken.kind == share.kind
    )
    return tuple(islice(found, _EXAMPLES))


def rule_shares(before: Column | None, after: Column) -> tuple[FaultShare, ...]:
    """Return how often each rule is broken, where a form has several; else nothing."""
    if all(len(case.format) < 2 for case in after.cases):  # noqa: PLR2004 - one is told by its faults
        return ()
    return _shares(before, after, lambda broken: dict.fromkeys(broken.rules))


def _shares(
    before: Column | None, after: Column, names: Callable[[Broken], Iterable[str]]
) -> tuple[FaultShare, ...]:
    now, was = _counted(after, names), _counted(before, names) if before else None
    kinds = {*now.replies, *(was.replies if was else ())}
    shares = [_error_share(kind, now, was) for kind in kinds if now.n]
    return tuple(sorted(shares, key=lambda one: ((one.before or 0) - one.after, one.kind)))


def _error_share(kind: str, now: _Count, was: _Count | None) -> FaultShare:
    low, high = wilson(float(now.cases[kind]), now.n, _CONFIDENCE)
    told = FaultShare(
        kind=kind,
        replies=now.replies[kind],
        after=now.cases[kind] / now.n,
        low=float(low),
        high=float(high),
    )
    if was is None or not was.n:
        return told
    low, high = wilson(float(was.cases[kind]), was.n, _CONFIDENCE)
    share = was.cases[kind] / was.n
    return replace(told, before=share, before_low=float(low), before_high=float(high))


def forms(gate: RateGate, before: Column | None, after: Column) -> dict[str, Any]:
    """Return what a verdict of *gate* tells of broken forms, by the names that it has for it.

    Args:
        gate: the accuracy or the format gate.
        before: the baseline, or None where there is nothing to compare with.
        after: the variant.
    """
    if gate.kind != "format":
        return {}
    return {
        "faults": fault_shares(before, after),
        "broken_rules": rule_shares(before, after),
        "meant": _meant(after),
        "meant_before": _meant(before) if before else None,
    }


def _meant(column: Column) -> float | None:
    """Return the share of replies that hold their form for a lenient reader."""
    return side(column, "meant").mean if column.formed.any() else None


def what_changed(gate: RateGate, check: Check, before: Column | None, after: Column) -> str:
    """Say in a few words what a model does to its replies, where only a strict reader minds.

    "" where the gate is another, or where replies are broken for a lenient reader as well.

    Args:
        gate: the accuracy or the format gate.
        check: the one that decided.
        before: the baseline, or None where there is nothing to compare with.
        after: the variant.
    """
    if gate.kind != "format" or check.outcome is Outcome.PASSED or not after.formed.any():
        return ""
    compared = before if check.before is not None and check.against != "accepted" else None
    strict = check.limit if check.before is None else check.before
    lenient = side(compared, "meant").mean if compared else strict
    if lenient - side(after, "meant").mean > _LITTLE * max(strict - check.after, 0.0):
        return ""
    shares = [one for one in fault_shares(compared, after) if one.kind in _HABITS and one.replies]
    return _habit(shares[0], after) if shares else ""


def _habit(share: FaultShare, column: Column) -> str:
    late, plain = _HABITS[share.kind]
    is_new = share.before is not None and share.before < share.after / 2
    told = (late if is_new else plain).format(_name(column, share.kind))
    count = sum(len(row.scores) for row in column.rows.values() if row.case.format)
    return f"{share.kind}: the model {told}, {share.replies:,} of {count:,} replies"


def _name(column: Column, kind: str) -> str:
    broken: Sequence[Broken] = [
        score.broken
        for row in column.rows.values()
        for score in row.scores
        if score.broken and score.broken.kind == kind and score.broken.rules
    ]
    rules = Counter(one.rules[0] for one in broken).most_common(1)
    return _NAMES.get(rules[0][0], "its replies") if rules else "its replies"


#: Fewer replies than this say nothing of how replies have changed.
_FEWEST = 20
#: A change is told from this factor on, a length from this many words.
_FACTOR, _WORDS = 1.5, 3
#: So many cases at most are read for their language, spread evenly.
_READ = 300
#: A text of fewer characters, such as a label, has no language to speak of.
_SPOKEN = 16
#: From here on characters a word, a text is one that puts no spaces between words.
_UNSPACED = 15
#: With fewer cases whose fault is another the test of their mix would say nothing; from here on
#: a change is told.
_FEWEST_CHANGED, _RARE = 10, 0.01


def traits(suite: Suite, gate: RateGate, before: Column | None, after: Column) -> tuple[Trait, ...]:
    """Return how the replies to all cases have changed, those without expectation included.

    One gate of a suite tells it, the format gate where there is one; a marked function never.

    Args:
        suite: for the other gates.
        gate: the one that is judged.
        before: the baseline, or None where there is nothing to compare with.
        after: the variant.
    """
    teller = "format" if "format" in suite.gates else "accuracy"
    if before is None or gate.name != teller:
        return ()
    was, now = before.said, after.said
    if min(len(was.words), len(now.words)) < _FEWEST:
        return ()
    found = [
        _length(was, now),
        _drift_share(
            "refusals", "are refusals", *((one.refusals, one.replies) for one in (was, now))
        ),
        _drift_share(
            "same text",
            "are the same text",
            *((one.commonest, len(one.words)) for one in (was, now)),
        ),
        *_languages(before, after),
        *_mix(before, after),
    ]
    return tuple(found)


def trait_notes(
    found: Iterable[Trait], gate: RateGate, faults: Iterable[FaultShare], *, passed: bool
) -> Iterator[str]:
    """Yield what is worth telling of *found* beside a verdict, a sentence each.

    Args:
        found: the traits.
        gate: the one that is judged.
        faults: how often replies are broken in each way.
        passed: whether the gate did; a format gate that did not shows all of its faults anyway.
    """
    found = tuple(found)
    shown = gate.kind == "format" and not passed
    yield from (one.told for one in found if one.told and not (shown and one.what == "faults"))
    for one in faults if found and not shown else ():
        if one.before is not None and one.after > (one.before_high or 0) and one.low > one.before:
            yield f"{percent(one.after)} of replies are broken by “{one.kind}”, {_was(one.before)}"


def _length(was: Said, now: Said) -> Trait:
    words = [median(side.words) for side in (was, now)]
    letters = [median(side.letters) for side in (was, now)]
    spaced = letters[0] < _UNSPACED * words[0]
    unit, (old, new) = ("words", words) if spaced else ("characters", letters)
    far = new >= _FACTOR * old or old >= _FACTOR * new
    medians = f"(median {old:.0f} → {new:.0f} {unit})"
    said = f"replies are {new / old:.1f} times as long as before {medians}"
    return Trait(
        what="length",
        unit=unit,
        before=old,
        after=new,
        n_before=len(was.words),
        n=len(now.words),
        told=said if far and abs(new - old) >= _WORDS else "",
    )


def _drift_share(what: str, are: str, was: tuple[int, int], now: tuple[int, int]) -> Trait:
    """Return a share, told where it has grown by more than chance or other labels explain."""
    old, new = was[0] / was[1], now[0] / now[1]
    grown = new >= _FACTOR * old and new > _bounds(was)[1] and _bounds(now)[0] > old
    return Trait(
        what=what,
        unit="share",
        before=old,
        after=new,
        n_before=was[1],
        n=now[1],
        told=f"{percent(new)} of replies {are}, {_was(old)}" if grown else "",
    )


def _was(share: float) -> str:
    return f"{percent(share)} before"


def _bounds(share: tuple[int, int]) -> tuple[float, float]:
    low, high = wilson(float(share[0]), share[1], 0.95)
    return float(low), float(high)


def _languages(before: Column, after: Column) -> Iterator[Trait]:
    """Yield into which language replies have changed, where the package for it is installed."""
    if not can_tell():
        return
    both = [key for key in after.rows if key in before.rows]
    some = both[:: max(1, len(both) // _READ)]
    texts = [
        (old[0].text, new[0].text)
        for key in some
        if (old := before.rows[key].replies) and (new := after.rows[key].replies)
    ]
    spoken = [pair for pair in texts if min(len(text) for text in pair) >= _SPOKEN]
    pairs = [(language_of(old), language_of(new)) for old, new in spoken]
    if not pairs:
        return
    changed = Counter(pair for pair in pairs if all(pair) and pair[0] != pair[1])
    share, said = changed.total() / len(pairs), ""
    if _bounds((changed.total(), len(pairs)))[0] > 1 / _FEWEST:
        (old_one, new_one), _ = changed.most_common(1)[0]
        said = (
            f"{percent(share)} of replies changed their language, most from {old_one} to {new_one}"
        )
    n = len(pairs)
    yield Trait(what="language", unit="share", before=0.0, after=share, n_before=n, n=n, told=said)


def _mix(before: Column, after: Column) -> Iterator[Trait]:
    """Yield whether the shares of the faults are still the same, by the first reply to each case.

    The test is Stuart and Maxwell's, of a table that counts cases by their fault before and now.
    """
    pairs = [
        (_fault(old), _fault(row))
        for key, row in after.rows.items()
        if (old := before.rows.get(key)) and old.scores and row.scores and row.case.format
    ]
    kinds = sorted({kind for pair in pairs for kind in pair})
    if sum(one != other for one, other in pairs) < _FEWEST_CHANGED:
        return
    counts = Counter(pairs)
    p = stuart_maxwell([[counts[one, other] for other in kinds] for one in kinds]).p
    old, new = (sum(kind != "" for kind in side) / len(pairs) for side in zip(*pairs, strict=True))
    changed = f"the mix of faults is another than before (Stuart-Maxwell, {_chance(p)})"
    yield Trait(
        what="faults",
        unit="share",
        before=old,
        after=new,
        n_before=len(pairs),
        n=len(pairs),
        p=p,
        told=changed if p < _RARE else "",
    )


def _fault(row: Row) -> str:
    broken = row.scores[0].broken
    return broken.kind if broken else ""


def _chance(p: float) -> str:
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"  # noqa: PLR2004 - as it is written
