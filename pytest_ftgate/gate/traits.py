"""How replies have changed that no gate asks about: told beside a verdict, and never blocking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median

from pytest_ftgate.gate.faults import fault_shares
from pytest_ftgate.gate.numbers.proportion import wilson
from pytest_ftgate.gate.words import percent
from pytest_ftgate.score.sheet import Column
from pytest_ftgate.score.tongue import can_tell, language_of
from pytest_ftgate.score.wording import refuses
from pytest_ftgate.suite.margins import RateGate
from pytest_ftgate.suite.model import Suite

__all__ = ["traits"]

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


def traits(
    suite: Suite, gate: RateGate, before: Column | None, after: Column, *, passed: bool = False
) -> Iterator[str]:
    """Yield how the replies to all cases have changed, those without expectation included.

    One gate of a suite tells it, the format gate where there is one.

    Args:
        suite: for the other gates.
        gate: the one that is judged.
        before: the baseline, or None where there is nothing to compare with.
        after: the variant.
        passed: whether the gate did.
    """
    if before is None or gate.kind != ("format" if "format" in suite.gates else "accuracy"):
        return
    was, now = _texts(before), _texts(after)
    if min(len(was), len(now)) < _FEWEST:
        return
    yield from _length(was, now)
    yield from _share("of replies are refusals", _refusals(before), _refusals(after))
    yield from _share("of replies are the same text", _commonest(was), _commonest(now))
    yield from _languages(before, after)
    # A format gate that did not pass shows all of them.
    if passed or gate.kind != "format":
        yield from _faults(before, after)


def _faults(before: Column, after: Column) -> Iterator[str]:
    for one in fault_shares(before, after):
        if one.before is not None and one.after > (one.before_high or 0) and one.low > one.before:
            yield f"{percent(one.after)} of replies are broken by “{one.kind}”, {_was(one.before)}"


def _texts(column: Column) -> list[str]:
    texts = (reply.text.strip() for row in column.rows.values() for reply in row.replies)
    return [text for text in texts if text]


def _length(was: Sequence[str], now: Sequence[str]) -> Iterator[str]:
    words = [median(len(text.split()) for text in side) for side in (was, now)]
    letters = [median(map(len, side)) for side in (was, now)]
    spaced = letters[0] < _UNSPACED * words[0]
    unit, (old, new) = ("words", words) if spaced else ("characters", letters)
    far = new >= _FACTOR * old or old >= _FACTOR * new
    if far and abs(new - old) >= _WORDS:
        told = f"(median {old:.0f} → {new:.0f} {unit})"
        yield f"replies are {new / old:.1f} times as long as before {told}"


def _refusals(column: Column) -> tuple[int, int]:
    replies = [reply for row in column.rows.values() for reply in row.replies]
    return sum(one.stop == "refusal" or refuses(one.text) for one in replies), len(replies)


def _commonest(texts: Sequence[str]) -> tuple[int, int]:
    return Counter(texts).most_common(1)[0][1], len(texts)


def _share(what: str, was: tuple[int, int], now: tuple[int, int]) -> Iterator[str]:
    """Say that a share has grown, and by more than chance or other labels explain."""
    (old, _), (new, _) = ((count / of, of) for count, of in (was, now))
    if new >= _FACTOR * old and new > _bounds(was)[1] and _bounds(now)[0] > old:
        yield f"{percent(new)} {what}, {_was(old)}"


def _was(share: float) -> str:
    return f"{percent(share)} before"


def _bounds(share: tuple[int, int]) -> tuple[float, float]:
    low, high = wilson(float(share[0]), share[1], 0.95)
    return float(low), float(high)


def _languages(before: Column, after: Column) -> Iterator[str]:
    """Say into which language replies have changed, where the package for it is installed."""
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
    changed = Counter(pair for pair in pairs if all(pair) and pair[0] != pair[1])
    count = changed.total()
    if pairs and _bounds((count, len(pairs)))[0] > 1 / _FEWEST:
        (old_one, new_one), _ = changed.most_common(1)[0]
        share = percent(count / len(pairs))
        yield f"{share} of replies changed their language, most from {old_one} to {new_one}"
