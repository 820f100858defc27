"""What was found in training data, as its reader sees it: what, where, and what to do."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby

from pytest_ftgate.gate.data.finding import Finding, Severity
from pytest_ftgate.report.quote import visible

__all__ = ["finding_lines", "ranges"]

_WIDTH = 80
#: How many places are told by verbosity; from 2 on all that are known.
_PLACES = {0: 8, 1: 40}
_HEADS = {Severity.ERROR: "ERROR", Severity.WARNING: "warning", Severity.NOTE: "note"}
_INDENT = " " * 11


def finding_lines(findings: Sequence[Finding], verbosity: int = 0) -> Iterator[str]:
    """Yield each finding: its severity and kind, what is wrong, the lines, and what to do."""
    order = list(Severity)
    for one in sorted(findings, key=lambda one: order.index(one.severity)):
        yield ""
        told = f"{one.kind}: {visible(one.told)}"
        yield from _wrapped(told, f"  {_HEADS[one.severity]:<9}")
        if one.lines:
            word = "line" if len(one.lines) == 1 else "lines"
            yield from _wrapped(f"{word} {_places(one, verbosity)}", _INDENT)
        if one.next:
            yield from _wrapped(f"→ {one.next}", _INDENT)


def _places(finding: Finding, verbosity: int) -> str:
    runs = ranges(finding.lines)
    most = _PLACES.get(max(0, verbosity), len(runs))
    more = f", … ({len(runs) - most} more: -v, -vv)" if len(runs) > most else ""
    return ", ".join(runs[:most]) + more


def ranges(lines: Sequence[int]) -> list[str]:
    """Return ascending numbers as ranges: ``3–5`` for 3, 4 and 5."""
    runs = []
    for _, group in groupby(enumerate(lines), key=lambda one: one[1] - one[0]):
        own = [line for _, line in group]
        runs.append(f"{own[0]}–{own[-1]}" if len(own) > 1 else str(own[0]))
    return runs


def _wrapped(text: str, head: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=head, subsequent_indent=_INDENT, break_on_hyphens=False
    )
