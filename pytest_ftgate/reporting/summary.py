"""The closing section of a run: the verdict first, then a row for each gate."""

from __future__ import annotations

import re
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from pytest_ftgate.gates.units import percent
from pytest_ftgate.gates.verdict import Check, Outcome, Verdict
from pytest_ftgate.reporting.headlines import half_gone_parts, headline
from pytest_ftgate.reporting.ladder import ladder_lines
from pytest_ftgate.reporting.next_steps import step_line
from pytest_ftgate.reporting.tables import (
    budget_stop_lines,
    cost_lines,
    format_table,
    gates_line,
    not_evaluated_groups,
    rate_cell,
    usage_line,
    verdict_rows,
)
from pytest_ftgate.reporting.text import WIDTH, escape_controls, wrap_lines
from pytest_ftgate.results.run import NOT_RUN, Report
from pytest_ftgate.results.verdicts import node_id, node_name
from pytest_ftgate.suite.providers import provider_spec


def ungated_lines(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield a table of the variants without gates, then why some could not be measured."""
    checks: dict[str, dict[str, Check]] = defaultdict(dict)
    ungated = [verdict for verdict in verdicts if not verdict.gated]
    for verdict in ungated:
        if verdict.check is not None:
            checks[verdict.variant][verdict.gate] = verdict.check
    kinds = list(dict.fromkeys(kind for by_kind in checks.values() for kind in by_kind))
    if checks:
        rows = [
            [variant, *(_check_cell(by_kind.get(kind)) for kind in kinds)]
            for variant, by_kind in checks.items()
        ]
        yield ""
        yield from format_table(rows, ["not gated", *kinds]).split("\n")
    notes = [(verdict.variant, note) for verdict in ungated for note in verdict.notes]
    for variant, note in dict.fromkeys(notes):
        yield from _wrap_ungated(f"{variant}: {escape_controls(note)}")
    for verdict in ungated:
        if verdict.check is None:
            text = escape_controls(headline(verdict)).replace("\n", " ")
            yield from _wrap_ungated(f"not gated: {verdict.variant}: {text}")


def _check_cell(check: Check | None) -> str:
    return rate_cell(check.after, check.low, check.high) if check else ""


def _classifier_lines(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield for each classical classifier the variants that are not shown to be better.

    A variant with a language model that is not better than the classifier is not needed.
    """
    checks = {v.variant: v.check for v in verdicts if v.rates_content and v.check is not None}
    classifiers = [
        verdict.variant
        for verdict in verdicts
        if provider_spec(verdict.facts.get("provider")).classifier and verdict.variant in checks
    ]
    for name in dict.fromkeys(classifiers):
        classifier = checks[name]
        not_better = [
            variant
            for variant, check in checks.items()
            if variant != name and (check.low or 0) <= (classifier.high or 1)
        ]
        if not_better:
            rate = f"{name} needs no language model and is right in {percent(classifier.after)}"
            yield from _wrap_ungated(f"{rate}; not clearly above it: {', '.join(not_better)}")


def _wrap_ungated(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH - 2, subsequent_indent="  ", break_on_hyphens=False)


#: Colours repeat what the words say, so that a reader without colour misses nothing.
_COLOURS = {
    "PASSED": {"green": True, "bold": True},
    "BLOCKED": {"red": True, "bold": True},
    "FAILED": {"red": True},
    "INVALID": {"red": True},
    "INCONCLUSIVE": {"yellow": True},
}
_COLOURED_WORD = re.compile(rf"(?<!\S)({'|'.join(_COLOURS)})(?!\S)")


def summary_lines(
    report: Report, verbosity: int = 0, *, show_table: bool = False, full_ladder: bool = False
) -> list[str]:
    """Return the lines of the closing section, the verdict first.

    *verbosity* below 0 gives a line for each gate that did not pass, from 1 on everything.
    *show_table* prints the table even if all gates passed.
    """
    has_gates = report.gated_verdicts or report.not_evaluated
    lines = [*_verdict_lines(report)] if has_gates else []
    lines += _not_run_lines(report)
    messages = [*message_lines(report.notes)]
    ladders = [*_ladder_sections(report, full=full_ladder)] if full_ladder or verbosity >= 0 else []
    if verbosity < 0:
        not_passed = [v for v in report.gated_verdicts if v.outcome is not Outcome.PASSED]
        lines += _verdict_table(not_passed)
        lines += _wrap_all(budget_stop_lines(report.cost))
    else:
        lines += _full_lines(report, show_table=show_table or verbosity > 0)
    return [*lines, *messages, *ladders]


def _full_lines(report: Report, *, show_table: bool) -> list[str]:
    """Return the tables, what would settle inconclusive gates, notes, and costs."""
    gated = report.gated_verdicts
    passed = [verdict for verdict in gated if verdict.outcome is Outcome.PASSED]
    lines: list[str] = []
    all_passed = len(passed) == len(gated) and not report.not_evaluated
    if show_table or not all_passed or len(gated) < len(report.verdicts):
        lines += _tables_by_suite(report.verdicts)
    several_suites = len({verdict.suite for verdict in gated}) > 1
    for verdict in gated:
        if verdict.outcome is Outcome.INCONCLUSIVE:
            lines += _inconclusive_section(verdict, node_id(verdict) if several_suites else "")
    lines += _half_gone_lines(passed)
    lines += _note_lines(passed)
    if gated:
        lines += _wrap_all(cost_lines(report.cost, full=show_table, max_usd=report.max_usd))
    return lines


def _wrap_all(lines: Iterable[str]) -> list[str]:
    return [wrapped for line in lines for wrapped in wrap_lines(line.strip())]


def _verdict_lines(report: Report) -> Iterator[str]:
    """Yield the verdict, then replies, time and cost, in a second line if one is too short."""
    line, indent = f"{report.verdict.upper()}  {gates_line(report)}", 0
    for part in usage_line(report).split(" · "):
        if indent + len(line) + len(part) + 3 > WIDTH:
            yield from wrap_lines(line, indent)
            line, indent = part, 2
        else:
            line += f" · {part}"
    yield from wrap_lines(line, indent)


def _not_run_lines(report: Report) -> Iterator[str]:
    """Yield the gates that pytest itself has not named above, as it does those with an error."""
    for names, reason in not_evaluated_groups(report):
        if reason == NOT_RUN:
            yield from wrap_lines(f"not evaluated, as {reason}: {escape_controls(names)}")


def _ladder_sections(report: Report, *, full: bool) -> Iterator[str]:
    if full and not report.advice:
        yield "  no ladder: it takes every gate of a suite, and cases with an expected answer"
    for advice in report.advice:
        yield ""
        yield from ladder_lines(advice, full=full)


def message_lines(messages: Iterable[str]) -> Iterator[str]:
    """Yield *messages* in lines of the closing section; paths in them stay whole."""
    for message in messages:
        yield from wrap_lines(escape_controls(message), 0, keep_long_words=True)


def inconclusive_lines(report: Report, width: int | None = None) -> Iterator[str]:
    """Yield a line for each inconclusive gate, which pytest's short summary leaves out.

    A headline is cut to fit *width* columns, as pytest does; None for no limit.
    """
    for verdict in report.gated_verdicts:
        if verdict.outcome is Outcome.INCONCLUSIVE:
            head = f"INCONCLUSIVE {node_id(verdict)}"
            line = f"{head} - {escape_controls(headline(verdict))}"
            if width is not None and len(line) > width:
                line = f"{line[: width - 3]}..." if len(head) + 6 < width else head
            yield line


def colour_parts(line: str) -> Iterator[tuple[str, dict[str, bool]]]:
    """Yield the parts of *line*, each with its markup for pytest's terminal writer."""
    for part in filter(None, _COLOURED_WORD.split(line)):
        yield part, _COLOURS.get(part, {})


def _tables_by_suite(verdicts: Sequence[Verdict]) -> list[str]:
    lines: list[str] = []
    by_suite: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        by_suite[verdict.suite].append(verdict)
    for suite, suite_verdicts in by_suite.items():
        several = len(by_suite) > 1
        title = wrap_lines(escape_controls(suite), keep_long_words=True) if several else []
        lines += ["", *title, *_verdict_table(suite_verdicts)]
    return lines


def _verdict_table(verdicts: Sequence[Verdict]) -> list[str]:
    lines = _gate_table([verdict for verdict in verdicts if verdict.gated])
    ungated = (*ungated_lines(verdicts), *_classifier_lines(verdicts))
    return [*lines, *(f"  {line}".rstrip() for line in ungated)]


def _gate_table(verdicts: Sequence[Verdict]) -> list[str]:
    """Return a table with a row for each gate, in at most 80 columns.

    Tried in this order: limits in words, limits as signs, no limits, wrapped names.
    """
    headers = ["variant", "gate", "before", "after", "change", "n", "verdict", "limit"]
    rows, short_rows = verdict_rows(verdicts), verdict_rows(verdicts, short_limits=True)
    bare_rows = [row[:-1] for row in short_rows]
    layouts = (
        *((rows, None), (short_rows, None), (bare_rows, None)),
        *((short_rows, WIDTH - 2), (bare_rows, WIDTH - 2)),
    )
    lines: list[str] = []
    for layout, max_width in layouts if verdicts else ():
        # An interval must not be wrapped.
        right = (2, 3, 4, 5) if max_width else (2, 3, 5)
        table = format_table(layout, headers[: len(layout[0])], right, max_width)
        lines = [f"  {line}" for line in table.split("\n")]
        if max(map(len, lines)) <= WIDTH:
            break
    return lines


def _half_gone_lines(verdicts: Iterable[Verdict]) -> list[str]:
    """Return the headlines of *verdicts* that name a family or skill of which half is gone."""
    return [
        line
        for verdict in verdicts
        if half_gone_parts(verdict)
        for line in wrap_lines(f"{node_name(verdict)} passed: {escape_controls(headline(verdict))}")
    ]


def _note_lines(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the notes and next steps of *verdicts*, each text once with the gates it is about."""
    gates_by_text: dict[str, list[str]] = defaultdict(list)
    for verdict in verdicts:
        for text in (*verdict.notes, *map(step_line, verdict.next)):
            gates_by_text[escape_controls(text)].append(node_name(verdict))
    return [
        line
        for text, gates in gates_by_text.items()
        for line in wrap_lines(f"{', '.join(gates)}: {text}")
    ]


def _inconclusive_section(verdict: Verdict, name: str) -> list[str]:
    text = escape_controls(headline(verdict))
    lines = ["", *wrap_lines(f"{name or node_name(verdict)} is inconclusive: {text}")]
    for note in verdict.notes:
        lines += wrap_lines(f"note: {escape_controls(note)}", 4)
    for step in verdict.next:
        lines += wrap_lines(step_line(step), 4)
    return lines
