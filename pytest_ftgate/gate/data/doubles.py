"""Rows that say what another row says, and rows that say what a case of the suite asks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_ftgate.gate.data.finding import Finding, Item, Severity, Yardstick
from pytest_ftgate.gate.data.same import near_pairs, normalised
from pytest_ftgate.gate.words import counted
from pytest_ftgate.plan.leaks import seen
from pytest_ftgate.suite.model import Case

__all__ = ["Leaks", "asked", "doubles", "leaks_in"]

_Asked = tuple[str, ...]


def asked(item: Item) -> _Asked:
    """Return what a row asks, less what differs in case or punctuation alone."""
    own = item.example
    return (normalised(own.system), *(f"{role} {normalised(text)}" for role, text in own.turns))


def doubles(items: Sequence[Item], yardstick: Yardstick) -> Iterator[Finding]:
    """Yield the rows that repeat an earlier one, or nearly."""
    first: dict[tuple[_Asked, str], int] = {}
    again: dict[int, int] = {}
    for item in items:
        key = asked(item), normalised(item.example.answer or "")
        if key in first:
            again[item.line] = first[key]
        first.setdefault(key, item.line)
    if again:
        yield _finding("duplicate", again, f"{_rows(again)} another", "remove them")
    left = [item for item in items if item.line not in again]
    near = _nearly(left, yardstick.near)
    if near:
        told = f"{_rows(near, 'nearly ')} another that has the same answer"
        yield _finding("near duplicate", near, told, "keep one of each, or write more varied ones")


def _rows(found: Mapping[int, int], how: str = "") -> str:
    return f"{counted(len(found), 'row')} {how}{'repeats' if len(found) == 1 else 'repeat'}"


def _finding(kind: str, again: Mapping[int, int], told: str, step: str) -> Finding:
    line, other = next(iter(again.items()))
    return Finding(
        kind=kind,
        severity=Severity.WARNING,
        told=f"{told}; the first is that of line {other}, in line {line}",
        count=len(again),
        lines=tuple(sorted(again)),
        next=step,
    )


def _nearly(items: Sequence[Item], share: float) -> dict[int, int]:
    found: dict[int, int] = {}
    for one, other in near_pairs([item.example.shown for item in items], share=share):
        mine, its = items[one], items[other]
        if mine.example.answer == its.example.answer:
            found.setdefault(mine.line, its.line)
    return found


@dataclass(frozen=True, slots=True)
class Leaks:
    """The cases that stand in a training file, by id, each with the lines that hold it.

    Attributes:
        same: lines that say the same, but for case and punctuation.
        near: further lines that say nearly the same, or hold it in a longer text.
    """

    same: Mapping[str, Sequence[int]]
    near: Mapping[str, Sequence[int]]

    @property
    def cases(self) -> frozenset[str]:
        """The ids of all of them."""
        return frozenset((*self.same, *self.near))

    def findings(self, of: int) -> Iterator[Finding]:
        """Yield what is to be said of them, out of so many cases."""
        if self.same:
            yield _leak("leak", Severity.ERROR, self.same, of, "")
        if self.near:
            yield _leak("near leak", Severity.WARNING, self.near, of, "nearly ")


def _leak(
    kind: str, severity: Severity, found: Mapping[str, Sequence[int]], of: int, how: str
) -> Finding:
    verb = "stands" if len(found) == 1 else "stand"
    case, lines = next(iter(found.items()))
    return Finding(
        kind=kind,
        severity=severity,
        told=f"{len(found):,} of {counted(of, 'case')} {verb} {how}in the training data; the "
        f"first is {case}, in line {lines[0]}",
        count=len(found),
        lines=tuple(sorted({line for own in found.values() for line in own})),
        next="take the rows out and train again; until then these cases show nothing",
        cases=tuple(found),
    )


def leaks_in(items: Sequence[Item], cases: Sequence[Case], share: float) -> Leaks:
    """Return which of *cases* the rows of a training file give away."""
    turns = ((item.line, turn) for item in items for turn in item.example.turns)
    said = [(text, line) for line, (role, text) in turns if role == "user"]
    rows = defaultdict[str, list[int]](list)
    for text, line in said:
        rows[normalised(text)].append(line)
    keys = {case.id: normalised(case.shown) for case in cases}
    same = {case: rows[key] for case, key in keys.items() if key in rows}
    near = defaultdict[str, list[int]](list)
    # Those in a longer text, and of the same words in another order, count as near.
    for case, line in seen([item.example for item in items], cases).items():
        near[case].append(line)
    for one, row in near_pairs([c.shown for c in cases], [text for text, _ in said], share=share):
        near[cases[one].id].append(said[row][1])
    left = {c.id: sorted({*near.get(c.id, ())} - {*same.get(c.id, ())}) for c in cases}
    return Leaks(same, {case: lines for case, lines in left.items() if lines})
