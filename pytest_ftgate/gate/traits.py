"""How replies have changed that no gate asks about: told beside a verdict, and never blocking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from statistics import median

from pytest_ftgate.gate.numbers.proportion import wilson
from pytest_ftgate.gate.numbers.resample import stuart_maxwell
from pytest_ftgate.gate.verdict import FaultShare, Trait
from pytest_ftgate.gate.words import percent
from pytest_ftgate.score.said import Said
from pytest_ftgate.score.sheet import Column, Row
from pytest_ftgate.score.tongue import can_tell, language_of
from pytest_ftgate.suite.margins import RateGate
from pytest_ftgate.suite.model import Suite

__all__ = ["trait_notes", "traits"]

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
        _share("refusals", "are refusals", *((one.refusals, one.replies) for one in (was, now))),
        _share(
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


def _share(what: str, are: str, was: tuple[int, int], now: tuple[int, int]) -> Trait:
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
