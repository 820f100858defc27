"""What a run shows of variants without gates, and of gates that nothing can fail."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from pytest_ftgate.gates.notes import NoteKind
from pytest_ftgate.gates.statements import StatementKind
from pytest_ftgate.gates.verdict import Check, Verdict
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.reporting.notes import note_text
from pytest_ftgate.reporting.number_text import amount, first_names, percent, points, quantity
from pytest_ftgate.reporting.tables import TextTable, rate_cell, shown_file, table_lines
from pytest_ftgate.reporting.text import escape_controls, fit_parts, wrap_lines
from pytest_ftgate.results.run import Report, node_id, node_name
from pytest_ftgate.suite.providers import provider_spec

#: The most suites without a selected gate that are named.
_MAX_NAMED = 2


def gate_name(report: Report, verdict: Verdict) -> str:
    """Return the name of a gate, with its suite where the run has several."""
    several = len({one.suite for one in report.gated_verdicts}) > 1
    return node_id(verdict) if several else node_name(verdict)


def unselected_line(report: Report) -> str:
    """Return how many gates of other suites were left out, and in how many suites all were.

    The first names of each are shown. "" if there are none.
    """
    suites, texts = report.unselected, []
    gates = [node for node in report.left_out if node.partition("::")[0] not in suites]
    if gates:
        names = first_names(gates, _MAX_NAMED)
        texts.append(f"{quantity(len(gates), 'gate')} deselected or skipped: {names}")
    if suites:
        names = first_names([*map(shown_file, suites)], _MAX_NAMED)
        texts.append(f"no gate was selected in {quantity(len(suites), 'suite')}: {names}")
    return "; ".join(texts)


def ungated_lines(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield a table of the variants without gates, then why some could not be measured."""
    checks: dict[str, dict[str, Check]] = defaultdict(dict)
    ungated = [verdict for verdict in verdicts if verdict.is_ungated]
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
        yield from table_lines(TextTable(["not gated", *kinds], rows))
    notes = [(verdict.variant, note_text(note)) for verdict in ungated for note in verdict.notes]
    for variant, note in dict.fromkeys(notes):
        yield from wrap_lines(f"{variant}: {escape_controls(note)}")
    for verdict in ungated:
        if verdict.check is None:
            text = escape_controls(headline(verdict)).replace("\n", " ")
            yield from wrap_lines(f"not gated: {verdict.variant}: {text}")


def _check_cell(check: Check | None) -> str:
    if check is None or check.unit != "share":
        return amount(check.after, check.unit) if check else ""
    return rate_cell(check.after, check.low, check.high)


def classifier_lines(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield for each classical classifier the variants that are about as good.

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
        rivals = [
            variant
            for variant, check in checks.items()
            if variant != name
            and (check.low or 0) <= (classifier.high or 1)
            and (check.high or 1) >= (classifier.low or 0)
        ]
        if rivals:
            rate = f"{name} needs no language model and is right in {percent(classifier.after)}"
            yield from wrap_lines(f"{rate}; not clearly above it: {', '.join(rivals)}")


def ungated_summary(report: Report) -> list[str]:
    """Return the rates of the variants without gates, and which were not measured."""
    ungated = [verdict for verdict in report.verdicts if verdict.is_ungated]
    measured = [v for v in ungated if v.statement.kind is not StatementKind.NOT_GATED]
    rates = [
        f"{v.variant} {percent(v.check.after)}{_of_part(v)}{_brief_change(v)}"
        for v in measured
        if v.check and v.rates_content
    ]
    # A variant that no request could be sent to has no gate; another gate lacks its figures.
    unmeasured = [
        v.variant if v.statement.kind is StatementKind.NOT_SENT else gate_name(report, v)
        for v in measured
        if not v.measured
    ]
    parts = ["  not gated", *rates] if rates else []
    if unmeasured:
        indent = "" if parts else "  "
        names = ", ".join(dict.fromkeys(unmeasured))
        parts.append(f"{indent}not measured: {names} (-v shows why)")
    lines = [line for text in unfailing_gates(report) for line in wrap_lines(text)]
    return [*fit_parts(map(escape_controls, parts)), *lines]


def _of_part(verdict: Verdict) -> str:
    """Return `` of 130`` if a variant was asked that many of the cases; "" if all."""
    needed = (one.values["n"] for one in verdict.notes if one.kind == NoteKind.NEEDED_CASES)
    return "".join(f" of {n:,}" for n in needed)


def _brief_change(verdict: Verdict) -> str:
    shown = verdict.shown_change
    return f" ({points(shown.change)})" if shown else ""


def unfailing_gates(report: Report) -> Iterator[str]:
    """Yield a sentence on the gates that nothing can fail, for each reason."""
    gates: dict[str, list[str]] = defaultdict(list)
    for verdict in report.gate_verdicts:
        check = verdict.check
        if verdict.is_ungated:
            figure = f" {amount(check.after, check.unit)}" if check else ""
            gates[headline(verdict)].append(
                f"{gate_name(report, verdict)}{figure}{_brief_change(verdict)}"
            )
    for why, names in gates.items():
        yield escape_controls(f"not gated  {', '.join(names)}: {why}")
