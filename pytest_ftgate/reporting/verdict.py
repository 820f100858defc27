"""The section of one gate: the change, its size, its certainty, and the next step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from pytest_ftgate.gates.figure import JudgeValidation
from pytest_ftgate.gates.notes import Finding, Severity
from pytest_ftgate.gates.verdict import FormatErrorShare, Outcome, Slice, Verdict
from pytest_ftgate.reporting.headlines import headline, shown_change_text
from pytest_ftgate.reporting.notes import note_text, notes_text
from pytest_ftgate.reporting.number_text import amount, percent, share_change
from pytest_ftgate.reporting.phrases import doubt, other_check
from pytest_ftgate.reporting.tables import (
    TextTable,
    format_error_table,
    label_rows,
    rate_interval,
    slice_rows,
    table_lines,
)
from pytest_ftgate.reporting.text import (
    escape_controls,
    line_ranges,
    line_width,
    no_answer,
    shorten,
    wrap_after,
    wrap_lines,
)
from pytest_ftgate.scoring.score import LabelMetrics

#: Rows of a table of format errors; -v shows all.
_MAX_ROWS = 5


def _format_error_lines(verdict: Verdict, verbosity: int) -> Iterator[str]:
    """Yield the share of each format error, the share under lenient parsing, and broken rules."""
    if not verdict.format_errors:
        return
    yield from _format_error_table("format error", verdict.format_errors, verbosity)
    for drift in verdict.drifts:
        if drift.what == "format errors" and drift.message:
            yield from wrap_lines(note_text(drift.message))
    shown = verdict.format_errors if verbosity > 0 else verdict.format_errors[:_MAX_ROWS]
    yield from _example_lines(shown)
    if verdict.lenient is not None:
        before = "" if verdict.lenient_before is None else f"{percent(verdict.lenient_before)} → "
        yield f"  right once text around it is ignored: {before}{percent(verdict.lenient)}"
    yield from _format_error_table("rule broken", verdict.broken_rules, verbosity)


def _format_error_table(
    title: str, shares: Sequence[FormatErrorShare], verbosity: int
) -> Iterator[str]:
    if not shares:
        return
    shown = shares if verbosity > 0 else shares[:_MAX_ROWS]
    yield ""
    yield from table_lines(format_error_table(title, shown))
    if len(shown) < len(shares):
        yield f"  ({len(shares) - len(shown)} more: -v)"


def _example_lines(shares: Sequence[FormatErrorShare]) -> Iterator[str]:
    """Yield the beginnings of replies with a new format error, each in a line behind a bar."""
    for share in shares:
        if share.examples:
            yield f"  {share.kind}, for example"
        for example in share.examples:
            text = " ".join(escape_controls(example.text).split())
            text = text or no_answer(thinks=example.is_thought)
            yield shorten(f"    │ {example.case}  {text}", line_width())


#: Line ranges shown by verbosity; from 2 on all.
_MAX_RANGES = {0: 8, 1: 40}
_SEVERITY_LABELS = {Severity.ERROR: "ERROR", Severity.WARNING: "warning", Severity.NOTE: "note"}
_FINDING_INDENT = " " * 11


def finding_lines(findings: Sequence[Finding], verbosity: int = 0) -> Iterator[str]:
    """Yield each finding: severity, kind, message, line numbers and next step."""
    order = list(Severity)
    for finding in sorted(findings, key=lambda finding: order.index(finding.severity)):
        yield ""
        message = f"{finding.kind}: {escape_controls(note_text(finding.message))}"
        yield from wrap_after(f"  {_SEVERITY_LABELS[finding.severity]:<9}", message)
        if finding.lines:
            label = "line" if len(finding.lines) == 1 else "lines"
            numbers = _shown_ranges(finding, verbosity)
            yield from wrap_after(_FINDING_INDENT, f"{label} {numbers}")
        if finding.next:
            yield from wrap_after(_FINDING_INDENT, f"→ {note_text(finding.next)}")


def _shown_ranges(finding: Finding, verbosity: int) -> str:
    ranges = line_ranges(finding.lines)
    count = _MAX_RANGES.get(max(0, verbosity), len(ranges))
    more = f", … ({len(ranges) - count} more: -v, -vv)" if len(ranges) > count else ""
    return ", ".join(ranges[:count]) + more


#: How to validate a judge whose table has no rows.
NOT_VALIDATED = "not validated: add human: labels.jsonl"


def judge_tables(verdict: Verdict) -> Iterator[tuple[str, TextTable]]:
    """Yield the title and the validation of each judge that graded the replies of a verdict.

    A judge that was never validated has no rows.
    """
    headers = ("against people", "found", "95 % CI", "labels", "min")
    for judge in verdict.judges:
        rows = [*_judge_rows(judge)] if judge.labels else []
        title = f"judge {judge.judge} ({judge.provider}): {judge.rubric}"
        yield title, TextTable(headers, rows, (1, 3, 4))


def _judge_lines(verdict: Verdict) -> Iterator[str]:
    """Yield the lines of *judge_tables*."""
    for title, table in judge_tables(verdict):
        yield ""
        yield shorten(f"  {escape_controls(title)}", line_width()).rstrip()
        yield from table_lines(table, indent=4) if table.rows else [f"    {NOT_VALIDATED}"]


def _judge_rows(judge: JudgeValidation) -> Iterator[list[str]]:
    estimates = (
        ("Cohen's kappa", judge.kappa, "kappa"),
        ("agreement", judge.agreement, "agreement"),
        ("finds good replies (sensitivity)", judge.sensitivity, "sensitivity"),
        ("finds bad replies (specificity)", judge.specificity, "specificity"),
        ("the same in both orders", judge.consistency, "consistency"),
        ("two samples say the same", judge.repeats, ""),
    )
    for name, found, key in estimates:
        if found is not None:
            cells = [percent(found.value), rate_interval(found.low, found.high)]
            if key == "kappa":
                cells = [f"{found.value:.2f}", f"({found.low:.2f} to {found.high:.2f})"]
            minimum = judge.minimum.get(key)
            yield [name, *cells, str(found.n), "" if minimum is None else f"{minimum:.2f}"]
    if judge.unread:
        yield ["gave no grade", str(judge.unread), "", str(judge.labels), ""]


#: Labels shown by verbosity; -vv shows all that the verdict carries.
_MAX_LABELS = {0: 5, 1: 10}


def verdict_section(
    verdict: Verdict,
    verbosity: int = 0,
    max_cases: int | None = None,
    case_details: Mapping[str, Sequence[str]] | None = None,
    case_command: Callable[[str], str] | None = None,
    *,
    shows_runs: bool = True,
) -> str:
    """Return the section of one verdict that blocks; the closing section says what to do.

    Args:
        verdict: of a gate.
        verbosity: below 0 the headline; 0 tables and a case too; 1 more cases, the notes and the
            explanation; 2 all that the verdict carries.
        max_cases: how many cases are shown; None leaves it to *verbosity*.
        case_details: see *flip_lines*.
        case_command: see *flip_lines*.
        shows_runs: False where the table of an agent's runs stands elsewhere.
    """
    lines = wrap_lines(escape_controls(headline(verdict)), 0)
    is_open = verdict.outcome is Outcome.INCONCLUSIVE
    sentence = doubt(verdict.check) if is_open and verdict.check else ""
    lines += wrap_lines(escape_controls(sentence), 0) if sentence else []
    if shows_runs and verbosity >= 0 and verdict.runs:
        from pytest_ftgate.reporting.runs import run_lines

        lines += ["", *run_lines(verdict)]
    if verbosity >= 0:
        lines += _detail_lines(verdict, verbosity, sentence)
    if verbosity >= 0 and verdict.flips:
        from pytest_ftgate.reporting.flips import flip_lines

        lines += flip_lines(verdict, verbosity, max_cases, case_details or {}, case_command)
    if verbosity > 0:
        lines += ["", *_explanation_lines(verdict)]
    return "\n".join(lines)


def _detail_lines(verdict: Verdict, verbosity: int, said: str) -> list[str]:
    """Return the tables and, if *verbosity* asks for them, the notes that are not *said* yet."""
    lines = [*finding_lines(verdict.findings, verbosity)]
    if verdict.tests_skills:
        from pytest_ftgate.reporting.skills import skill_lines

        lines += skill_lines(verdict, verbosity)
    else:
        lines += [*_slice_table(verdict.slices), *_label_table(verdict.labels, verbosity)]
    others = [*other_check_lines(verdict)] if verbosity > 0 else []
    lines += ["", *others] if others else []
    lines += [*_format_error_lines(verdict, verbosity), *_judge_lines(verdict)]
    notes = map(note_text, verdict.notes if verbosity > 0 else ())
    for text in (text for text in notes if text not in said):
        lines += wrap_lines(f"note: {escape_controls(text)}")
    return lines


def _explanation_lines(verdict: Verdict) -> Iterator[str]:
    from pytest_ftgate.reporting.explain import explain

    for index, sentence in enumerate(explain(verdict)):
        yield from wrap_after("        " if index else "  why:  ", escape_controls(sentence))


def verdict_facts(verdict: Verdict) -> dict[str, str]:
    """Return the facts on the variant, and how it thinks, changed or not."""
    thoughts = {
        str(drift.what): share_change(drift.before, drift.after)
        if drift.unit == "share"
        else f"{drift.before:,.0f} → {amount(drift.after, drift.unit)}"
        for drift in verdict.drifts
        if drift.what in ("thoughts", "thought length", "cut off")
    }
    return {**verdict.facts, **thoughts}


def facts_by_variant(verdicts: Iterable[Verdict]) -> dict[str, dict[str, str]]:
    """Return the facts of each variant that has any."""
    facts = ((verdict.variant, verdict_facts(verdict)) for verdict in verdicts)
    return {variant: known for variant, known in facts if known}


def fact_lines(verdict: Verdict) -> list[str]:
    """Return the recorded facts of the variant, a line each."""
    facts = verdict_facts(verdict).items()
    head = [f"  {verdict.variant} is"] if facts else []
    return [*head, *(f"    {name}: {escape_controls(str(value))}" for name, value in facts)]


def _slice_table(slices: Sequence[Slice]) -> list[str]:
    if not slices:
        return []
    head = slices[0].kind if len({part.kind for part in slices}) == 1 else "slice"
    headers = [head, "before", "after", "change (95 % CI)", "n", "by its limit"]
    return ["", *table_lines(TextTable(headers, slice_rows(slices), (1, 2, 4)))]


def _label_table(labels: Sequence[LabelMetrics], verbosity: int) -> list[str]:
    if not labels:
        return []
    shown = labels[: _MAX_LABELS.get(max(0, verbosity), len(labels))]
    headers = ["label", "F1 before", "now", "precision", "recall", "n", "taken for"]
    more = [f"  ({len(labels) - len(shown)} more labels: -v, -vv)"] * (len(shown) < len(labels))
    rows = label_rows(shown, 1 + 2 * verbosity)
    return ["", *table_lines(TextTable(headers, rows, (1, 2, 3, 4, 5))), *more]


def other_check_lines(verdict: Verdict) -> Iterator[str]:
    """Yield a sentence on each check that did not decide, and on a change that no check limits."""
    told = {note_text(note) for note in verdict.notes}
    for index, check in enumerate(verdict.checks):
        if index != verdict.deciding:
            own = [note for note in check.notes if note_text(note) not in told]
            note = f" ({escape_controls(notes_text(own))})" if own else ""
            yield from wrap_lines(f"{escape_controls(other_check(check))}: {check.outcome}{note}")
    if change := shown_change_text(verdict):
        yield from wrap_lines(escape_controls(change))
