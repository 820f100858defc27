"""How replies break their form, as a reader of a failure sees it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_ftgate.gate.verdict import FaultShare, Verdict
from pytest_ftgate.gate.words import percent
from pytest_ftgate.report.quote import visible
from pytest_ftgate.report.tables import grid, share_rows

__all__ = ["fault_lines"]

#: A table has no more rows than a reader takes in; -v shows all.
_ROWS = 5
_WIDTH = 80


def fault_lines(verdict: Verdict, verbosity: int = 0) -> Iterator[str]:
    """Yield the shares of each kind of fault, then of each rule, and how a lenient reader sees it.

    Args:
        verdict: of a format gate; nothing is told of others.
        verbosity: from 1 on every kind is shown.
    """
    if verdict.gate != "format" or not verdict.faults:
        return
    yield from _table("fault", verdict.faults, verbosity)
    for trait in verdict.traits:
        if trait.what == "faults" and trait.told:
            yield f"  {trait.told}"
    yield from _examples(verdict.faults if verbosity > 0 else verdict.faults[:_ROWS])
    if verdict.meant is not None:
        was = "" if verdict.meant_before is None else f"{percent(verdict.meant_before)} → "
        yield f"  right for a lenient reader: {was}{percent(verdict.meant)}"
    yield from _table("rule broken", verdict.broken_rules, verbosity)


def _table(title: str, shares: Sequence[FaultShare], verbosity: int) -> Iterator[str]:
    if not shares:
        return
    shown = shares if verbosity > 0 else shares[:_ROWS]
    compared = any(one.before is not None for one in shown)
    headers = [title, *(["before"] * compared), "now", "replies"]
    yield ""
    table = grid(share_rows(shown), headers, right=(len(headers) - 1,))
    yield from (f"  {line}".rstrip() for line in table.split("\n"))
    if len(shown) < len(shares):
        yield f"  ({len(shares) - len(shown)} more: -v)"


def _examples(shares: Sequence[FaultShare]) -> Iterator[str]:
    """Yield the beginnings of replies with a fault that is new, each in a line behind a bar."""
    for share in shares:
        if share.examples:
            yield f"  {share.kind}, for example"
        for one in share.examples:
            said = " ".join(visible(one.said).split()) or "(empty)"
            line = f"    │ {one.case}  {said}"
            yield line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"
