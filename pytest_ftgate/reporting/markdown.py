"""Verdicts as Markdown, for a comment on a pull request and the page of a run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from pytest_ftgate.gates.units import counted
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.reporting.ladder import legend, recommended, rungs, watched
from pytest_ftgate.reporting.summary import beside
from pytest_ftgate.reporting.tables import asked_line, gates_line, verdict_rows
from pytest_ftgate.reporting.text import visible
from pytest_ftgate.reporting.verdict import section
from pytest_ftgate.results.run import Report
from pytest_ftgate.results.verdicts import node_id, node_name

__all__ = ["SECTIONS", "fenced", "markdown", "plain"]

#: All that can act in Markdown within a line; "@" and "#" call people and issues even as entities.
_ACTS = re.compile(r"[&*<>\[\\\]^_`{|}~$@#]|:(?=//)")
_ROWS = 60
_MARKS = {"passed": "🟢 PASSED", "blocked": "🔴 BLOCKED"}


def markdown(report: Report, limit: int) -> str:
    """Return *report* as GitHub Flavored Markdown of at most *limit* characters.

    What does not fit is left out block by block and counted; a table is never cut within.
    """
    blocks = [block for part in SECTIONS for block in part(report)]
    kept: list[str] = []
    room = limit - 200
    for index, block in enumerate(blocks):
        room -= len(block) + 2
        if room < 0:
            kept.append(f"_{counted(len(blocks) - index, 'more part')} left out for their length._")
            break
        kept.append(block)
    return "\n\n".join(kept) + "\n"


def plain(text: str) -> str:
    """Return foreign *text* as words that cannot act in Markdown, in one line."""
    text = visible(text).replace("\n", " ")
    return _ACTS.sub(_inert, text)


def _inert(found: re.Match[str]) -> str:
    return f"<span>{found[0]}</span>" if found[0] in "@#" else f"&#{ord(found[0])};"


def _head(report: Report) -> Iterator[str]:
    yield f"### {_MARKS[report.verdict]}: {gates_line(report)}"
    page = f" · [the run]({report.facts['run']})" if "run" in report.facts else ""
    yield asked_line(report) + page


def _table(report: Report) -> Iterator[str]:
    for suite in dict.fromkeys(one.suite for one in report.judged):
        rows = verdict_rows(one for one in report.judged if one.suite == suite)
        headers = ["variant", "gate", "before", "after", "change", "n", "verdict", "limit"]
        lines = [
            _row([f"<code>{plain(suite)}</code>", *headers[1:]]),
            "|---|---|--:|--:|---|--:|---|---|",
        ]
        lines += [_row([plain(cell) for cell in row]) for row in rows[:_ROWS]]
        yield "\n".join(lines)
        if len(rows) > _ROWS:
            yield f"_{counted(len(rows) - _ROWS, 'more gate')}, none worse than the last shown._"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _blocking(report: Report) -> Iterator[str]:
    """Yield what did not pass: the headline in the open, all the rest folded."""
    order = (Outcome.FAILED, Outcome.INVALID, Outcome.INCONCLUSIVE)
    for outcome in order:
        for verdict in report.judged:
            if verdict.outcome is outcome:
                yield _verdict(verdict)


def _verdict(verdict: Verdict) -> str:
    steps = "".join(f"\n  next: {plain(step)}" for step in verdict.next)
    head = f"- **{plain(node_name(verdict))}** {verdict.outcome}"
    return f"{head}: {plain(verdict.headline)}{steps}\n\n" + _folded(
        _in_it(verdict), section(verdict, verbosity=1)
    )


def _in_it(verdict: Verdict) -> str:
    flips = f"{counted(verdict.lost, 'lost case')} and why" if verdict.lost else "why"
    return f"{plain(node_id(verdict))}: {flips}"


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{fenced(text)}\n\n</details>"


def fenced(text: str) -> str:
    """Return *text* as a code block that nothing in it can end."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def _unjudged(report: Report) -> Iterator[str]:
    for one in report.unjudged:
        first, _, rest = visible(one.why).strip().partition("\n")
        head = f"- **{plain(one.node)}** not judged: {plain(first)}"
        yield f"{head}\n\n{_folded('the whole message', visible(one.why))}" if rest else head


def _beside(report: Report) -> Iterator[str]:
    for suite in dict.fromkeys(one.suite for one in report.verdicts):
        lines = [*beside([one for one in report.verdicts if one.suite == suite])]
        if lines:
            yield _folded(f"{plain(suite)}: not gated", "\n".join(lines).strip("\n"))


def _ladders(report: Report) -> Iterator[str]:
    for advice in report.advice:
        head, name, rest = recommended(advice)
        reasons = "".join(f"\n- {plain(one.told)}" for one in advice.reasons)
        told = f"{plain(head)}**{name}**{plain(rest)}"
        yield f"#### Ladder of <code>{plain(advice.suite)}</code>\n\n{told}\n{reasons}"
        table = rungs(advice)
        aligned = ["--:" if at in table.right else "---" for at in range(len(table.headers))]
        rows = [_row([*map(plain, row)]) for row in table.rows]
        yield "\n".join([_row(table.headers), f"|{'|'.join(aligned)}|", *rows])
        asides = [*filter(None, (legend(advice), *advice.notes, *watched(advice)))]
        if asides:
            yield f"<sub>{'<br>'.join(map(plain, asides))}</sub>"


def _told(report: Report) -> Iterator[str]:
    if report.told:
        yield "\n".join(f"- {plain(one)}" for one in report.told)
    facts = [f"{name} {plain(told)}" for name, told in report.facts.items() if name != "run"]
    if facts:
        yield f"<sub>{' · '.join(facts)}</sub>"


#: The parts of the report, in their order; each yields blocks that stand or fall as a whole.
SECTIONS: tuple[Callable[[Report], Iterator[str]], ...] = (
    *(_head, _table, _unjudged, _blocking),
    *(_beside, _ladders, _told),
)
