"""From a training file to what is wrong with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pytest_ftgate.gate.data.doubles import doubles, leaks_in
from pytest_ftgate.gate.data.finding import Finding, Item, Severity, Yardstick
from pytest_ftgate.gate.data.labels import answers
from pytest_ftgate.gate.data.private import private
from pytest_ftgate.gate.words import counted
from pytest_ftgate.plan.estimate import tokens_in
from pytest_ftgate.suite.margins import FINDINGS
from pytest_ftgate.suite.rows import rows
from pytest_ftgate.suite.shapes import example
from pytest_ftgate.suite.source import Source

__all__ = ["Data", "examine", "read"]

#: What those who make up training rows write beside them.
_MADE = ("synthetic", "generated", "llm", "model")


@dataclass(frozen=True, slots=True)
class Data:
    """A training file: its rows, and by fault the lines that cannot be read."""

    path: Path
    items: tuple[Item, ...]
    broken: dict[str, tuple[int, ...]]

    @property
    def taught(self) -> int:
        """How many rows there are to learn from."""
        return sum(item.answer is not None for item in self.items)


def read(path: Path) -> Data:
    """Read a training file of any shape; it is read once however many ask for it."""
    changed = path.stat()
    return _read(path, (changed.st_mtime_ns, changed.st_size))


@lru_cache(maxsize=4)
def _read(path: Path, changed: tuple[int, int]) -> Data:
    del changed  # only there so that an edited file is read again
    source = Source(root=path.parent, path=path)
    items = []
    for row in rows(source, path, what="training data"):
        try:
            items.append(Item(example(row.line, row.value), row.value))
        except ValueError as error:
            source.say(row.line, str(error), path)
    broken: dict[str, list[int]] = defaultdict(list)
    for fault in source.faults:
        broken[fault.message].append(fault.line)
    return Data(path, tuple(items), {told: tuple(own) for told, own in broken.items()})


def examine(data: Data, yardstick: Yardstick) -> tuple[Finding, ...]:
    """Return what is wrong with a training file, in the order of ``FINDINGS``."""
    found = [one for one in _all(data, yardstick) if one.kind not in yardstick.ignore]
    return tuple(sorted(found, key=lambda one: FINDINGS.index(one.kind)))


def _all(data: Data, yardstick: Yardstick) -> Iterator[Finding]:
    for told, lines in data.broken.items():
        severity, count = Severity.ERROR, len(lines)
        yield Finding(kind="broken", severity=severity, told=told, count=count, lines=lines)
    yield from _size(data, yardstick)
    yield from _roles(data.items)
    yield from _length(data.items, yardstick.context)
    yield from _unverified(data.items)
    yield from private(data.items)
    yield from doubles(data.items, yardstick)
    yield from answers(data.items, yardstick)
    if yardstick.cases:
        found = leaks_in(data.items, yardstick.cases, yardstick.near)
        yield from found.findings(len(yardstick.cases))


def _size(data: Data, yardstick: Yardstick) -> Iterator[Finding]:
    if data.taught >= yardstick.want_rows:
        return
    few = data.taught < yardstick.min_rows
    wanted = yardstick.min_rows if few else yardstick.want_rows
    told = f"{counted(data.taught, 'row')} to learn from, and {wanted:,} are wanted"
    yield Finding(
        kind="size",
        severity=Severity.ERROR if few else Severity.WARNING,
        told=told,
        next="so few teach a style at most; show them as examples in the prompt instead"
        if few
        else "more rows, or as few as these only for a narrow task",
    )


def _roles(items: Sequence[Item]) -> Iterator[Finding]:
    lines = tuple(item.line for item in items if _out_of_turn(item))
    if lines:
        verb = "has" if len(lines) == 1 else "have"
        yield Finding(
            kind="roles",
            severity=Severity.ERROR,
            told=f"{counted(len(lines), 'conversation')} {verb} turns out of order: user and "
            "assistant must take turns, the user first",
            count=len(lines),
            lines=lines,
            next="join turns of the same speaker, and put what is missing in",
        )


def _out_of_turn(item: Item) -> bool:
    own = item.example
    roles = [role for role, _ in own.turns if role != "tool"]
    # Where tools had a part, turns follow other rules.
    if not own.teaches or len(roles) < len(own.turns):
        return False
    roles += ["assistant"] if own.answer is not None else []
    return any(role != ("user", "assistant")[i % 2] for i, role in enumerate(roles))


def _length(items: Sequence[Item], context: int | None) -> Iterator[Finding]:
    if context is None:
        return
    lines = tuple(i.line for i in items if sum(map(tokens_in, i.texts)) > context)
    if lines:
        verb = "is" if len(lines) == 1 else "are"
        yield Finding(
            kind="truncated",
            severity=Severity.ERROR,
            told=f"{counted(len(lines), 'row')} {verb} longer than the {context:,} tokens that the "
            "model takes (characters divided by four)",
            count=len(lines),
            lines=lines,
            next="the answer stands at the end and is cut off first: shorten or split them",
        )


def _unverified(items: Sequence[Item]) -> Iterator[Finding]:
    lines = tuple(item.line for item in items if _made_up(item.raw))
    if lines:
        verb = "names" if len(lines) == 1 else "name"
        yield Finding(
            kind="unverified",
            severity=Severity.WARNING,
            told=f"{counted(len(lines), 'synthetic row')} {verb} nobody who has checked it",
            count=len(lines),
            lines=lines,
            next='have someone read them, and write "verified_by" beside each',
        )


def _made_up(raw: Any) -> bool:
    if not isinstance(raw, dict) or raw.get("verified_by"):
        return False
    source = str(raw.get("source", "")).lower()
    return bool(raw.get("synthetic") or raw.get("generated_by")) or source in _MADE
