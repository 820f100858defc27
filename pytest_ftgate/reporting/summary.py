"""The closing section of a run: the verdict first, then a row for each gate."""

from __future__ import annotations

import re
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from pytest_ftgate.gates.units import percent
from pytest_ftgate.gates.verdict import Check, Outcome, Verdict
from pytest_ftgate.reporting.ladder import ladder_lines
from pytest_ftgate.reporting.tables import (
    around,
    asked_line,
    bill_lines,
    gates_line,
    grid,
    stopped,
    verdict_rows,
)
from pytest_ftgate.reporting.text import visible
from pytest_ftgate.reporting.verdict import WIDTH, indented, wrapped
from pytest_ftgate.results.run import Report
from pytest_ftgate.results.verdicts import node_id, node_name

__all__ = ["beside", "modest", "spoken", "summary", "tinted", "undecided"]

_WIDTH = 80


def beside(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield a table of the variants that have no gates, and why others could not be measured."""
    rows: dict[str, dict[str, Check]] = defaultdict(dict)
    for verdict in verdicts:
        if not verdict.gated and verdict.check is not None:
            rows[verdict.variant][verdict.gate] = verdict.check
    kinds = list(dict.fromkeys(kind for own in rows.values() for kind in own))
    if rows:
        cells = [[name, *(_rate(own.get(kind)) for kind in kinds)] for name, own in rows.items()]
        yield ""
        yield from grid(cells, ["not gated", *kinds]).split("\n")
    notes = [(v.variant, note) for v in verdicts if not v.gated for note in v.notes]
    for variant, note in dict.fromkeys(notes):
        yield from _wrapped(f"{variant}: {visible(note)}")
    for verdict in verdicts:
        if not verdict.gated and verdict.check is None:
            told = visible(verdict.headline).replace("\n", " ")
            yield from _wrapped(f"not gated: {verdict.variant}: {told}")


def _rate(check: Check | None) -> str:
    return "" if check is None else f"{percent(check.after)} {around(check.low, check.high)}"


def modest(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Say of each variant that needs no language model which others are not shown to be better.

    The classifier is the floor: a language model that is not above it is not needed here.
    """
    rates = {v.variant: v.check for v in verdicts if v.gate == "accuracy" and v.check is not None}
    plain = [v.variant for v in verdicts if v.facts.get("provider") == "classical"]
    for name in dict.fromkeys(one for one in plain if one in rates):
        own = rates[name]
        others = {other: check for other, check in rates.items() if other != name}
        level = [other for other, check in others.items() if (check.low or 0) <= (own.high or 1)]
        if level:
            told = f"{name} needs no language model and is right in {percent(own.after)}"
            yield from _wrapped(f"{told}; not clearly above it: {', '.join(level)}")


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH - 2, subsequent_indent="  ", break_on_hyphens=False)


#: Colour only helps: each of these says the same without it.
_TINTS = {
    "PASSED": {"green": True, "bold": True},
    "BLOCKED": {"red": True, "bold": True},
    "FAILED": {"red": True},
    "INVALID": {"red": True},
    "INCONCLUSIVE": {"yellow": True},
}
_TINTED = re.compile(rf"(?<!\S)({'|'.join(_TINTS)})(?!\S)")


def summary(
    report: Report, verbosity: int = 0, *, full: bool = False, ladder: bool = False
) -> list[str]:
    """Return the lines of the closing section, the verdict first.

    Args:
        report: the run.
        verbosity: below 0 the gates that did not pass, a line each; from 1 on all there is.
        full: print the table though everything passed.
        ladder: tell what is advised in full.
    """
    full = full or verbosity > 0
    lines = [*_first(report)] if report.judged else []
    bad = [one for one in report.judged if one.outcome is not Outcome.PASSED]
    told = [*spoken(report.told)]
    advised = list(_ladders(report, full=ladder)) if ladder or verbosity >= 0 else []
    if verbosity < 0:
        why = [line for one in stopped(report.bill) for line in wrapped(one.strip())]
        return [*lines, *_table(bad), *why, *told, *advised]
    many = len({one.suite for one in report.judged}) > 1
    if full or bad or report.unjudged or len(report.judged) < len(report.verdicts):
        lines += _tables(report.verdicts)
    lines += chain.from_iterable(_open(v, many) for v in bad if v.outcome is Outcome.INCONCLUSIVE)
    lines += _aside([one for one in report.judged if one not in bad])
    bill = bill_lines(report.bill, full=full, max_usd=report.max_usd) if report.judged else ()
    lines += [line for one in bill for line in wrapped(one.strip())]
    return [*lines, *told, *advised]


def _first(report: Report) -> Iterator[str]:
    """Yield the verdict and what it took, in a second line as far as one has no room."""
    line, indent = f"{report.verdict.upper()}  {gates_line(report)}", 0
    for part in asked_line(report).split(" · "):
        if indent + len(line) + len(part) + 3 > WIDTH:
            yield from wrapped(line, indent)
            line, indent = part, 2
        else:
            line += f" · {part}"
    yield from wrapped(line, indent)


def _ladders(report: Report, *, full: bool) -> Iterator[str]:
    if full and not report.advice:
        yield "  no ladder: it takes every gate of a suite, and cases with an expected answer"
    for advice in report.advice:
        yield ""
        yield from ladder_lines(advice, full=full)


def spoken(told: Iterable[str]) -> Iterator[str]:
    """Yield sentences in lines as the closing section has them; paths in them stay whole."""
    for one in told:
        yield from wrapped(visible(one), 0, whole=True)


def undecided(report: Report, width: int | None = None) -> Iterator[str]:
    """Yield a line of the short summary for each gate that cannot tell, which pytest leaves out.

    Args:
        report: the run.
        width: columns of a line, to which headlines are cut as pytest's own are; None for all.
    """
    for verdict in report.judged:
        if verdict.outcome is Outcome.INCONCLUSIVE:
            head = f"INCONCLUSIVE {node_id(verdict)}"
            line = f"{head} - {visible(verdict.headline)}"
            if width is not None and len(line) > width:
                line = f"{line[: width - 3]}..." if len(head) + 6 < width else head
            yield line


def tinted(line: str) -> Iterator[tuple[str, dict[str, bool]]]:
    """Yield the parts of *line* with the colours of each."""
    for part in filter(None, _TINTED.split(line)):
        yield part, _TINTS.get(part, {})


def _tables(verdicts: Sequence[Verdict]) -> list[str]:
    lines: list[str] = []
    by_suite: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        by_suite[verdict.suite].append(verdict)
    for suite, own in by_suite.items():
        name = wrapped(visible(suite), whole=True) if len(by_suite) > 1 else []
        lines += ["", *name, *_table(own)]
    return lines


def _table(verdicts: Sequence[Verdict]) -> list[str]:
    lines = _gated([one for one in verdicts if one.gated])
    return [*lines, *(f"  {line}".rstrip() for line in (*beside(verdicts), *modest(verdicts)))]


def _gated(verdicts: Sequence[Verdict]) -> list[str]:
    """Return a row for each gate.

    Where that is too wide limits become signs, or are left to headlines; at last names break.
    """
    headers = ["variant", "gate", "before", "after", "change", "n", "verdict", "limit"]
    told, brief = verdict_rows(verdicts), verdict_rows(verdicts, brief=True)
    bare = [row[:-1] for row in brief]
    lines: list[str] = []
    ways = ((told, None), (brief, None), (bare, None), (brief, WIDTH - 2), (bare, WIDTH - 2))
    for rows, most in ways if verdicts else ():
        # An interval is read as one, so that it is not broken.
        right = (2, 3, 4, 5) if most else (2, 3, 5)
        lines = indented(grid(rows, headers[: len(rows[0])], right=right, most=most))
        if max(map(len, lines)) <= WIDTH:
            break
    return lines


def _aside(verdicts: Sequence[Verdict]) -> list[str]:
    """Say what a reader should know about gates that passed; what many share is said once."""
    shared: dict[str, list[str]] = defaultdict(list)
    for verdict in verdicts:
        for told in (*verdict.notes, *verdict.next):
            shared[visible(told)].append(node_name(verdict))
    return [
        line for told, gates in shared.items() for line in wrapped(f"{', '.join(gates)}: {told}")
    ]


def _open(verdict: Verdict, many: bool) -> list[str]:  # noqa: FBT001
    name = node_id(verdict) if many else node_name(verdict)
    head = f"{name} cannot tell: {visible(verdict.headline)}"
    notes = [line for note in verdict.notes for line in wrapped(f"note: {visible(note)}", 4)]
    steps = [line for step in verdict.next for line in wrapped(step, 4)]
    return ["", *wrapped(head), *notes, *steps]
