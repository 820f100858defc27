"""The training-data gate: it asks nothing, and passes when the file has no error."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from pytest_ftgate.gates.training_data_checks import Leaks, answers, doubles, leaks_in, private
from pytest_ftgate.gates.units import counted
from pytest_ftgate.gates.verdict import Finding, Item, Outcome, Severity, Verdict, Yardstick
from pytest_ftgate.readers.source import Source
from pytest_ftgate.readers.table import rows
from pytest_ftgate.requests.estimate import tokens_in
from pytest_ftgate.suite.model import FINDINGS, DataGate, Suite, Variant
from pytest_ftgate.suite.training_data import example

__all__ = ["Data", "examine", "judge_data", "leaked", "read", "summed_up", "yardstick_of"]

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


#: So many lines and cases of a finding travel with a verdict; it counts all.
_CARRIED = 200
#: The context of a slot of llama.cpp, where a variant does not say.
_SLOT = 2048


def judge_data(suite: Suite, gate: DataGate, variant: Variant) -> Verdict:
    """Judge the training data of *variant*: it passes where nothing found is an error."""
    if variant.training_data is None:
        raise ValueError(f"{variant.name} has no training data")
    data = read(variant.training_data)
    found = examine(data, yardstick_of(suite, gate, variant))
    failed = any(one.severity is Severity.ERROR for one in found)
    return Verdict(
        suite=suite.name,
        line=gate.line,
        gate=gate.kind,
        variant=variant.name,
        outcome=Outcome.FAILED if failed else Outcome.PASSED,
        headline=f"{variant.training_data.name}: {summed_up(found)} in "
        f"{counted(len(data.items), 'row')}",
        findings=tuple(_carried(one) for one in found),
        next=tuple(dict.fromkeys(one.next for one in found if _stops(one) and one.next)),
    )


def _stops(finding: Finding) -> bool:
    return finding.severity is Severity.ERROR


def summed_up(found: tuple[Finding, ...]) -> str:
    """Return how many findings of each severity there are, in words."""
    told = [
        counted(number, str(severity))
        for severity in Severity
        if (number := sum(one.severity is severity for one in found))
    ]
    return ", ".join(told) or "nothing found"


def _carried(finding: Finding) -> Finding:
    lines, cases = finding.lines[:_CARRIED], finding.cases[:_CARRIED]
    return replace(finding, lines=lines, cases=cases)


def yardstick_of(suite: Suite, gate: DataGate, variant: Variant) -> Yardstick:
    """Return what the training data of *variant* is held to."""
    slot = variant.runtime.get("context", _SLOT) if variant.provider == "llamacpp" else None
    return Yardstick(
        cases=(*suite.cases, *suite.holdout),
        format=suite.reply.format,
        folder=suite.path.parent,
        min_rows=gate.min_rows,
        want_rows=gate.want_rows,
        near=gate.near,
        balance=gate.balance,
        context=gate.context or slot,
        ignore=gate.ignore,
    )


def leaked(suite: Suite, variant: Variant) -> Leaks:
    """Return the cases of *suite* that *variant* was trained on; none without a gate on data."""
    gate = suite.gates.get("data")
    if variant.training_data is None or not isinstance(gate, DataGate):
        return Leaks({}, {})
    return leaks_in(read(variant.training_data).items, suite.cases, gate.near)
