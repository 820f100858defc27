"""Verdicts as Markdown, for a comment on a pull request and the page of a run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from pytest_ftgate.gates.units import quantity
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.reporting.headlines import advice_detail, half_gone_parts, headline
from pytest_ftgate.reporting.html.case_data import cases_link
from pytest_ftgate.reporting.ladder import (
    frontier_legend,
    ladder_sentence,
    ladder_table,
    monitoring_sentences,
)
from pytest_ftgate.reporting.next_steps import step_line
from pytest_ftgate.reporting.summary import (
    first_action,
    next_steps,
    passed_parts,
    verdict_phrase,
    verdict_word,
)
from pytest_ftgate.reporting.tables import (
    TextTable,
    changes_line,
    column_alignment,
    error_groups,
    rank_verdicts,
    source_link,
    usage_line,
    verdict_rows,
)
from pytest_ftgate.reporting.text import escape_controls
from pytest_ftgate.reporting.ungated import unfailing_gates, ungated_lines, unselected_line
from pytest_ftgate.reporting.verdict import verdict_section
from pytest_ftgate.results.run import Report
from pytest_ftgate.results.verdicts import node_id, node_name

#: Characters with a meaning in a line of Markdown.
_SPECIAL = re.compile(r"[&*<>\[\\\]^_`{|}~$@#]|:(?=//)")
_MAX_ROWS = 60
#: The facts that are addresses, and those that a comment leaves to the page.
_LEFT_OUT = ("run", "source", "command", "duration", "run by", "suites")
#: Longer than any comment on GitHub may be: for a text that stays in this process.
_MAX_CHARACTERS = 1_000_000
_MARKS = {"PASSED": "🟢", "BLOCKED": "🔴", "INCONCLUSIVE": "🟡"}


def markdown_report(report: Report, limit: int = _MAX_CHARACTERS) -> str:
    """Return *report* as GitHub Flavored Markdown of at most *limit* characters.

    Blocks that do not fit are left out whole and counted; a table is never cut within.
    """
    blocks = [block for section in MARKDOWN_SECTIONS for block in section(report)]
    fitting: list[str] = []
    left = limit - 200
    for index, block in enumerate(blocks):
        left -= len(block) + 2
        if left < 0:
            count = quantity(len(blocks) - index, "more part")
            fitting.append(f"_{count} left out for their length._")
            break
        fitting.append(block)
    return "\n\n".join(fitting) + "\n"


def escape_markdown(text: str) -> str:
    """Return foreign *text* in one line, without any Markdown, mention or issue link in effect."""
    text = escape_controls(text).replace("\n", " ")
    return _SPECIAL.sub(_escape_character, text)


def _escape_character(match: re.Match[str]) -> str:
    # GitHub links mentions and issues even if "@" and "#" are entities.
    return f"<span>{match[0]}</span>" if match[0] in "@#" else f"&#{ord(match[0])};"


def _verdict_section(report: Report) -> Iterator[str]:
    word = verdict_word(report)
    yield f"### {_MARKS[word]} {word}: {verdict_phrase(report)}"
    if report.verdict == "passed":
        yield escape_markdown(" · ".join(passed_parts(report.gated_verdicts)))
    elif first := first_action(report):
        name, head, action = map(escape_markdown, first)
        yield f"**{name}** {head}" + (f"<br>do: {action}" if action else "")
    run = f" · [the run]({report.facts['run']})" if "run" in report.facts else ""
    yield usage_line(report) + run + _page_mark(report)
    for line in filter(None, (changes_line(report.file_changes), unselected_line(report))):
        yield escape_markdown(line)


def _table_section(report: Report) -> Iterator[str]:
    # Of a green run the rates are above.
    if report.verdict == "passed" and len(report.gated_verdicts) == report.count(Outcome.PASSED):
        return
    for suite in dict.fromkeys(verdict.suite for verdict in report.gated_verdicts):
        rows = verdict_rows(v for v in report.gated_verdicts if v.suite == suite)
        name = f"<code>{escape_markdown(suite)}</code>"
        headers = [name, "gate", "before", "after", "change", "n", "verdict", "limit"]
        yield markdown_table(TextTable(headers, rows[:_MAX_ROWS], (2, 3, 5)))
        if len(rows) > _MAX_ROWS:
            count = quantity(len(rows) - _MAX_ROWS, "more gate")
            yield f"_{count}, none worse than the last shown._"


def _blocking_section(report: Report) -> Iterator[str]:
    """Yield the gates that did not pass: the headline in the open, all details folded.

    So is a gate that passed with half of a skill gone.
    """
    for verdict in rank_verdicts(report.gated_verdicts):
        if verdict.outcome is not Outcome.PASSED or half_gone_parts(verdict):
            yield _gate_block(report, verdict)


def _page_mark(report: Report, part: str = "") -> str:
    """Return the placeholder of a link to the page, or to *part* of it; "" outside the action."""
    return f"<!-- page:{part} -->" if "run" in report.facts else ""


def _gate_block(report: Report, verdict: Verdict) -> str:
    steps = "".join(
        f"\n  - {escape_markdown(step_line(step))}" for step in next_steps(report, verdict)
    )
    name, source = escape_markdown(node_name(verdict)), source_link(report, verdict)
    if source:
        name = f"[{name}]({source})"
    head = f"- **{name}** {verdict.outcome}"
    cases = f"{quantity(verdict.regressed, 'regressed case')} and why"
    title = f"{escape_markdown(node_id(verdict))}: {cases if verdict.regressed else 'why'}"
    details = _folded(title, verdict_section(verdict, verbosity=1))
    cases_of = (verdict.suite, verdict.gate, verdict.variant, "regressed")
    page = _page_mark(report, cases_link(*cases_of)) if verdict.regressed else ""
    return f"{head}: {escape_markdown(headline(verdict))}{page}{steps}\n\n{details}"


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{code_block(text)}\n\n</details>"


def code_block(text: str) -> str:
    """Return *text* as a code block with a fence that the text cannot close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def _error_section(report: Report) -> Iterator[str]:
    for names, what, reason in error_groups(report):
        text = escape_controls(reason)
        first, _, rest = text.strip().partition("\n")
        head = f"- **{escape_markdown(names)}** {what}: {escape_markdown(first)}"
        yield f"{head}\n\n{_folded('the whole message', text)}" if rest else head


def _ungated_section(report: Report) -> Iterator[str]:
    yield from (f"- {escape_markdown(text)}" for text in unfailing_gates(report))
    for suite in dict.fromkeys(verdict.suite for verdict in report.verdicts):
        lines = [*ungated_lines([v for v in report.verdicts if v.suite == suite])]
        if lines:
            yield _folded(f"{escape_markdown(suite)}: not gated", "\n".join(lines).strip("\n"))


def _ladder_section(report: Report) -> Iterator[str]:
    for advice in report.advice:
        if verdict_word(report) == "PASSED":
            suite = f"<code>{escape_markdown(advice.suite)}</code>"
            yield f"Ladder of {suite}: {escape_markdown(ladder_sentence(advice))}"
            continue
        detail = escape_markdown(advice_detail(advice))
        reasons = "".join(f"\n- {escape_markdown(reason.message)}" for reason in advice.reasons)
        suite = f"<code>{escape_markdown(advice.suite)}</code>"
        yield f"#### Ladder of {suite}\n\n**{advice.recommendation}**{detail}\n{reasons}"
        yield markdown_table(ladder_table(advice))
        notes = (frontier_legend(advice), *advice.notes, *monitoring_sentences(advice))
        if any(notes):
            yield f"<sub>{'<br>'.join(escape_markdown(note) for note in notes if note)}</sub>"


def markdown_table(table: TextTable) -> str:
    """Return *table* with foreign text in its cells as Markdown."""
    from tabulate import tabulate

    return tabulate(
        [[*map(escape_markdown, row)] for row in table.rows],
        table.headers,
        # As "github" is, but with the alignment of columns.
        tablefmt="pipe",
        disable_numparse=True,
        colalign=column_alignment(table),
    )


def _note_section(report: Report) -> Iterator[str]:
    if report.notes:
        yield "\n".join(f"- {escape_markdown(note)}" for note in report.notes)
    facts = [
        f"{name} {escape_markdown(value)}"
        for name, value in report.facts.items()
        if name not in _LEFT_OUT
    ]
    if facts:
        yield f"<sub>{' · '.join(facts)}</sub>"


#: The sections of the report in their order; each yields blocks that are kept or dropped whole.
MARKDOWN_SECTIONS: tuple[Callable[[Report], Iterator[str]], ...] = (
    *(_verdict_section, _table_section, _error_section, _blocking_section),
    *(_ungated_section, _ladder_section, _note_section),
)
