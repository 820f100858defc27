"""The tools that a variant declares, held to what can be known before any is imported."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pytest_ftgate.errors import Fault, did_you_mean
from pytest_ftgate.suite.declared import DeclaredVariant
from pytest_ftgate.suite.defined import reference_fault
from pytest_ftgate.suite.model import Case, Variant
from pytest_ftgate.suite.place import Place
from pytest_ftgate.suite.rules import Rule
from pytest_ftgate.suite.source import Source
from pytest_ftgate.suite.yaml import Document

__all__ = ["NONE", "check_called", "check_expected", "check_tools"]

#: What a case expects where no tool is to be called.
NONE = "none"
#: Names as APIs take them.
_REFERENCE = re.compile(r"[^\W\d][\w.]*:[A-Za-z_][A-Za-z0-9_]{0,63}")


def check_tools(place: Place, merged: DeclaredVariant) -> None:
    """Note what is wrong with the tools of one variant."""
    own = place.own.model_fields_set
    if "tools" in own:
        for message in _faults(merged.tools, place.source.path.parent):
            place.say("tools", message)
    if "max_turns" in own and not merged.tools:
        place.say("max_turns", "max_turns without tools: a model is asked once; remove it")


def _faults(tools: tuple[str, ...], folder: Path) -> Iterator[str]:
    for written in tools:
        fault = reference_fault(written, folder)
        if fault:
            yield f"tools: {fault}"
        elif not _REFERENCE.fullmatch(written):
            yield f'tools: "{written}" is no name that APIs take: letters, digits, _, at most 64'
    names = Counter(written.partition(":")[2] for written in tools)
    if NONE in names:
        yield f"tools: a tool cannot be called {NONE}, which cases expect where none is called"
    for name, count in names.items():
        if name and count > 1:
            yield f"tools: {count} are called {name}, so a model cannot tell them apart; rename one"


def check_expected(source: Source, cases: Iterable[Case], variants: Mapping[str, Variant]) -> None:
    """Note each case that expects a tool that no variant has; it would be wrong for ever."""
    written = {tool for one in variants.values() for tool in one.tools}
    known = {tool.partition(":")[2] for tool in written}
    # A reference that is none has been said, and cases may well mean it.
    for case in cases if known and all(map(_REFERENCE.fullmatch, written)) else ():
        for name in _expected(case):
            if name not in (NONE, *known):
                near = did_you_mean(name, known) or f"; tools: {', '.join(sorted(known))}"
                path, _, line = case.where.rpartition(":")
                told = f'expected "{name}" is a tool of no variant{near}'
                source.faults.append(Fault(path, int(line), told))


def check_called(
    source: Source, document: Document, rules: Iterable[Rule], variants: Mapping[str, Variant]
) -> None:
    """Note each tool that the format of every reply calls for, and that no variant has."""
    known = {tool.partition(":")[2] for one in variants.values() for tool in one.tools}
    for rule in rules:
        if rule.kind == "tool_call" and rule.value["name"] not in known:
            name = rule.value["name"]
            near = did_you_mean(name, known) or "; give it to one under tools"
            line = document.line(("reply", "format"))
            source.say(line, f'tool_call: "{name}" is a tool of no variant{near}')


def _expected(case: Case) -> Iterator[str]:
    called = any(rule.kind == "tool_call" for rule in case.score.parts)
    if called and case.expected is not None:
        answers = case.expected if isinstance(case.expected, list) else [case.expected]
        yield from (one["name"] if isinstance(one, Mapping) else str(one) for one in answers)
