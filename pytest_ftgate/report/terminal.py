"""What the reader of one gate sees: what got worse, by how much, how sure we are, what to do."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from pytest_ftgate.gate.parts import Slice
from pytest_ftgate.gate.spent import headline as spent
from pytest_ftgate.gate.verdict import Check, Outcome, Verdict
from pytest_ftgate.gate.words import percent, points
from pytest_ftgate.record.verdicts import node_id
from pytest_ftgate.report.explain import explain, likely, odds
from pytest_ftgate.report.faults import fault_lines
from pytest_ftgate.report.flips import flip_lines
from pytest_ftgate.report.forgotten import forgotten
from pytest_ftgate.report.found import finding_lines
from pytest_ftgate.report.judges import judge_lines
from pytest_ftgate.report.quote import visible
from pytest_ftgate.report.tables import grid, label_rows, slice_rows
from pytest_ftgate.score.label import LabelRate

__all__ = [
    "WIDTH",
    "certainty",
    "facts_of",
    "indented",
    "other_checks",
    "section",
    "stepped",
    "wrapped",
]

#: Columns of a line.
WIDTH = 80
#: A number and its sign stay in one line.
_JOINED = "\N{NO-BREAK SPACE}%"
#: How many labels a section shows by verbosity; -vv shows all that the verdict carries.
_LABELS = {0: 5, 1: 10}


def section(
    verdict: Verdict,
    verbosity: int = 0,
    most: int | None = None,
    told: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Return the section of one verdict that blocks.

    Args:
        verdict: of a gate.
        verbosity: below 0 what fell and what to do; 0 a few cases too; 1 more of them, and how it
            was judged; 2 all that the verdict carries.
        most: how many cases are shown; None for as many as *verbosity* says.
        told: by case what a marked function made of its reply, in lines that begin with a bar.
    """
    lines = [*wrapped(visible(verdict.headline), 0), *certainty(verdict)]
    if verbosity >= 0:
        lines += [*_within(verdict, verbosity), *flip_lines(verdict, verbosity, most, told or {})]
    lines += ["", *_next(verdict.next)] if verdict.next else []
    lines += ["", *_why(verdict, verbosity)]
    return "\n".join(lines)


def _within(verdict: Verdict, verbosity: int) -> list[str]:
    lines = [*finding_lines(verdict.findings, verbosity)]
    if verdict.gate == "forgetting":
        lines += forgotten(verdict, verbosity)
    else:
        lines += [*_slices(verdict.slices), *_labels(verdict.labels, verbosity)]
    lines += ["", *other_checks(verdict)] if len(verdict.checks) > 1 else []
    lines += [*fault_lines(verdict, verbosity), *judge_lines(verdict)]
    lines += [line for note in verdict.notes for line in wrapped(f"note: {visible(note)}")]
    return lines


def _why(verdict: Verdict, verbosity: int) -> Iterator[str]:
    """Say how it was judged: last, and only to whoever asks; others are told where."""
    if verbosity <= 0:
        yield f'  why:  pytest-ftgate explain "{node_id(verdict)}"'
        return
    for index, sentence in enumerate(explain(verdict)):
        head = "  why:  " if index == 0 else "        "
        yield from textwrap.wrap(sentence, WIDTH, initial_indent=head, subsequent_indent=" " * 8)


def facts_of(verdict: Verdict) -> list[str]:
    """Return what the record knows of the variant, a fact a line."""
    head = [f"  {verdict.variant} is"] if verdict.facts else []
    return [*head, *(f"    {name}: {visible(str(told))}" for name, told in verdict.facts.items())]


def _slices(slices: Sequence[Slice]) -> list[str]:
    if not slices:
        return []
    head = slices[0].kind if len({one.kind for one in slices}) == 1 else "slice"
    headers = [head, "before", "after", "change", "n", "verdict"]
    return ["", *indented(grid(slice_rows(slices), headers, right=(1, 2, 4)))]


def _labels(labels: Sequence[LabelRate], verbosity: int) -> list[str]:
    if not labels:
        return []
    shown = labels[: _LABELS.get(max(0, verbosity), len(labels))]
    headers = ["label", "F1 before", "now", "precision", "recall", "n", "taken for"]
    more = [f"  ({len(labels) - len(shown)} more labels: -v, -vv)"] * (len(shown) < len(labels))
    table = indented(grid(label_rows(shown, 1 + 2 * verbosity), headers, right=(1, 2, 3, 4, 5)))
    return ["", *table, *more]


def certainty(verdict: Verdict) -> list[str]:
    """Say how sure the verdict is, in words that need no course."""
    check = verdict.check
    if check is None or check.outcome is Outcome.PASSED or check.against == "must_pass":
        return []
    if check.unit != "share":
        return wrapped(
            f"{check.n} {'cases' if check.unit == 'usd' else 'times'}; {likely(check)}.", 0
        )
    if check.p_fail is None and check.before is not None:
        return wrapped(
            f"{check.n} cases; with 95 % confidence the true change is "
            f"{points(check.low or 0)} to {points(check.high or 0)} points.",
            0,
        )
    if check.before is None:
        told = f"{check.n} cases; with 95 % confidence the true share is {_span(check)}."
        return wrapped(told, 0)
    told = f"{check.n} cases: {verdict.lost} lost, {verdict.gained} gained. "
    if check.outcome is Outcome.FAILED or (check.p_fail or 1) <= check.alarm:
        told += f"Without a real drop this would be seen {odds(check.p_fail or 0)}."
    elif check.p_pass is not None:
        told += (
            f"A drop as large as the margin would look like this or better {odds(check.p_pass)}."
        )
    return wrapped(told, 0)


def _span(check: Check) -> str:
    return f"{(check.low or 0) * 100:.0f} to {(check.high or 0) * 100:.0f} %"


def other_checks(verdict: Verdict) -> Iterator[str]:
    """Yield a sentence on each check that did not decide."""
    for index, check in enumerate(verdict.checks):
        if index != verdict.deciding:
            note = f" ({check.note})" if check.note else ""
            yield from wrapped(f"{_against(check)}: {check.outcome}{note}")


def _against(check: Check) -> str:
    if check.against == "must_pass":
        return f"must-pass cases: {round(check.after * check.n)} of {check.n} are right"
    if check.unit != "share":
        return spent(check)
    if check.before is None:
        return f"against the floor of {percent(check.limit)}: {percent(check.after)}"
    under = f" under the {check.under}" if check.under else ""
    return f"against {check.against}{under}: {percent(check.before)} → {percent(check.after)}"


def stepped(step: str) -> tuple[str, str]:
    """Return what to do in words, and the command that does it, which must be copied whole."""
    text, _, command = step.partition(": pytest ")
    return (f"{text}:", f"pytest {command}") if command else (text, "")


def _next(steps: Sequence[str]) -> Iterator[str]:
    for index, step in enumerate(steps):
        head = "  next: " if index == 0 else "        "
        text, command = stepped(step)
        yield from textwrap.wrap(text, WIDTH, initial_indent=head, subsequent_indent=" " * 8)
        if command:
            yield f"        {command}"


def wrapped(text: str, indent: int = 2, *, whole: bool = False) -> list[str]:
    """Return *text* in lines of at most 80 columns, none of which a build server obeys.

    Args:
        text: what is said.
        indent: columns before the first line; the others stand two further in.
        whole: leave words whole that are longer than a line, such as paths.
    """
    blank = " " * indent
    lines = textwrap.wrap(
        text.replace(" %", _JOINED),
        WIDTH,
        initial_indent=blank,
        subsequent_indent=f"{blank}  ",
        break_on_hyphens=False,
        break_long_words=not whole,
    )
    lines = [line.replace(_JOINED, " %") for line in lines]
    # A server's own words may be in it, and "::" at the start of a line is a workflow command.
    return [
        line.replace("::", ": :", 1) if line.lstrip().startswith("::") else line for line in lines
    ]


def indented(block: str) -> list[str]:
    """Return the lines of *block*, two columns in."""
    return [f"  {line}".rstrip() for line in block.split("\n")]
