"""The section of one gate: what changed, by how much, how sure, what to do."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from pytest_ftgate.gates.units import counted, interval, percent, points
from pytest_ftgate.gates.usage import headline as spent
from pytest_ftgate.gates.verdict import (
    Check,
    Examined,
    FaultShare,
    Figure,
    Finding,
    LossKind,
    Outcome,
    Retention,
    Severity,
    Slice,
    Verdict,
)
from pytest_ftgate.reporting.explain import explain, likely, odds
from pytest_ftgate.reporting.flips import flip_lines
from pytest_ftgate.reporting.tables import around, grid, label_rows, share_rows, slice_rows
from pytest_ftgate.reporting.text import visible
from pytest_ftgate.results.verdicts import node_id
from pytest_ftgate.scoring.classification import LabelRate

__all__ = [
    "JUDGE_HEADERS",
    "SKILL_HEADERS",
    "WIDTH",
    "Examination",
    "Forgotten",
    "by_prompt",
    "certainty",
    "examinations",
    "facts_of",
    "fault_lines",
    "finding_lines",
    "forgotten",
    "indented",
    "judge_lines",
    "other_checks",
    "ranges",
    "section",
    "skill_rows",
    "stepped",
    "wrapped",
]

#: A table has no more rows than a reader takes in; -v shows all.
_ROWS = 5
_ERROR_WIDTH = 80


def fault_lines(verdict: Verdict, verbosity: int = 0) -> Iterator[str]:
    """Yield the shares of each kind of fault, then of each rule, and how a lenient reader sees it.

    Args:
        verdict: of a format gate; nothing is told of others.
        verbosity: from 1 on every kind is shown.
    """
    if verdict.gate != "format" or not verdict.faults:
        return
    yield from _error_table("fault", verdict.faults, verbosity)
    for trait in verdict.traits:
        if trait.what == "faults" and trait.told:
            yield f"  {trait.told}"
    yield from _examples(verdict.faults if verbosity > 0 else verdict.faults[:_ROWS])
    if verdict.meant is not None:
        was = "" if verdict.meant_before is None else f"{percent(verdict.meant_before)} → "
        yield f"  right for a lenient reader: {was}{percent(verdict.meant)}"
    yield from _error_table("rule broken", verdict.broken_rules, verbosity)


def _error_table(title: str, shares: Sequence[FaultShare], verbosity: int) -> Iterator[str]:
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
            yield line if len(line) <= _ERROR_WIDTH else f"{line[: _ERROR_WIDTH - 1]}…"


_FINDING_WIDTH = 80
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
        text, _FINDING_WIDTH, initial_indent=head, subsequent_indent=_INDENT, break_on_hyphens=False
    )


#: Of a table on a judge.
JUDGE_HEADERS = ("against people", "found", "95 %", "labels", "floor")


@dataclass(frozen=True, slots=True)
class Examination:
    """What people found of one judge: rows under *JUDGE_HEADERS*, none where nobody looked."""

    title: str
    rows: tuple[tuple[str, ...], ...]

    @property
    def missing(self) -> str:
        """What to do where nobody looked; "" where people did."""
        told = "never examined: human: labels.jsonl would hold it against people"
        return "" if self.rows else told


def examinations(verdict: Verdict) -> Iterator[Examination]:
    """Yield what people found of each judge that graded the replies of a verdict."""
    for one in verdict.judges:
        rows = (tuple(row) for row in _rows(one) if row[1]) if one.labels else ()
        yield Examination(f"judge {one.judge} ({one.provider}): {one.rubric}", tuple(rows))


def judge_lines(verdict: Verdict) -> Iterator[str]:
    """Yield the same in lines."""
    for one in examinations(verdict):
        yield ""
        yield f"  {visible(one.title)}"[:80].rstrip()
        if one.missing:
            yield f"    {one.missing}"
            continue
        table = grid(one.rows, JUDGE_HEADERS, right=(1, 3, 4))
        yield from (f"    {line}".rstrip() for line in table.split("\n"))


def _rows(one: Examined) -> Iterator[list[str]]:
    shares = {
        "agreement": one.agreement,
        "finds good replies (sensitivity)": one.sensitivity,
        "finds bad replies (specificity)": one.specificity,
        "the same in both orders": one.consistency,
        "two samples say the same": one.repeats,
    }
    kappa = one.kappa
    if kappa:
        ends = f"({kappa.low:.2f} to {kappa.high:.2f})"
        yield ["Cohen's kappa", f"{kappa.value:.2f}", ends, str(kappa.n), _floor(one, "kappa")]
    for name, figure in shares.items():
        yield [name, *_share(figure), _floor(one, _KEYS.get(name, name))]
    if one.unread:
        yield ["gave no grade", str(one.unread), "", str(one.labels), ""]


_KEYS = {
    "finds good replies (sensitivity)": "sensitivity",
    "finds bad replies (specificity)": "specificity",
    "the same in both orders": "consistency",
}


def _share(figure: Figure | None) -> list[str]:
    if figure is None:
        return ["", "", ""]
    return [
        f"{figure.value:.0%}".replace("%", " %"),
        around(figure.low, figure.high),
        str(figure.n),
    ]


def _floor(one: Examined, name: str) -> str:
    floor = one.floor.get(name)
    return "" if floor is None else f"{floor:.2f}"


_WORDS = {"blind": "nothing to lose"}
#: Of fewer cases nothing is told.
_FEWEST = 10
#: Of the rows of skills; *keeps* is what is left of what the base can do.
SKILL_HEADERS = ("skill", "before", "after", "change", "n", "lost", "won", "keeps", "verdict")


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was forgotten under one prompt.

    Attributes:
        under: which prompt of the product; "" for none.
        skills: of each skill what is known.
        told: what is said of all of them: each a head, and what is listed under it.
    """

    under: str
    skills: tuple[Slice, ...]
    told: tuple[tuple[str, tuple[str, ...]], ...]


def by_prompt(verdict: Verdict) -> Iterator[Forgotten]:
    """Yield what was forgotten under each prompt that skills were asked under."""
    for check in verdict.checks:
        own = [one for one in verdict.slices if one.under == check.under]
        skills = tuple(one for one in own if one.kind == "skill")
        if not skills:
            continue
        across = [
            (f"by {kind}", _across(one for one in own if one.kind == kind))
            for kind in ("difficulty", "language")
        ]
        kinds = _kinds([one for one in verdict.kinds if one.under == check.under])
        told = (*_whole(check), *(one for one in across if one[1]), *kinds)
        yield Forgotten(check.under, skills, told)


def forgotten(verdict: Verdict, verbosity: int = 0) -> Iterator[str]:
    """Yield the lines on what was forgotten, for each prompt that skills were asked under."""
    for one in by_prompt(verdict):
        yield ""
        if one.under:
            yield "  under the prompt of the product:"
        yield from _skill_table(one.skills, verbosity)
        for head, listed in one.told:
            yield from _listed(head, listed)


def skill_rows(parts: Sequence[Slice]) -> list[list[str]]:
    """Return a row for each skill, under the headers of *SKILL_HEADERS*."""
    return [
        [
            *(one.name, percent(one.before), percent(one.after)),
            f"{points(one.change)} {interval(one.low, one.high)}",
            *map(str, (one.n, one.lost, one.gained)),
            *(_kept(one.retention), _word(one)),
        ]
        for one in parts
    ]


def _skill_table(parts: Sequence[Slice], verbosity: int) -> Iterator[str]:
    """Yield a row for each skill; with -v also how much of each is left."""
    kept = SKILL_HEADERS.index("keeps")
    rows = [[*row[:kept], *row[kept + 1 :]] for row in [list(SKILL_HEADERS), *skill_rows(parts)]]
    laid = grid(rows[1:], rows[0], right=(1, 2, 4, 5, 6))
    yield from (f"  {line}".rstrip() for line in laid.split("\n"))
    if verbosity > 0:
        yield from _listed("keeps", [f"{p.name} {_kept(p.retention)}" for p in parts])


def _word(one: Slice) -> str:
    word = _WORDS.get(one.state, one.state)
    if not one.judged:
        return f"{word}, may be lost"
    return f"{word}, must not" if one.required and one.state == "open" else word


def _kept(left: Retention | None) -> str:
    if left is None:
        return "–"
    high = "…" if left.high is None else f"{left.high * 100:.0f}"
    return f"{percent(left.share)} ({left.low * 100:.0f} to {high})"


def _whole(check: Check) -> Iterator[tuple[str, tuple[str, ...]]]:
    if check.retention is not None:
        yield f"keeps {_kept(check.retention)} of what the base can do", ()
    if check.transfer is not None:
        yield f"backward transfer {points(check.transfer)} points, each skill counting the same", ()


def _across(parts: Iterable[Slice]) -> tuple[str, ...]:
    """Return what is told of the parts that cut across the skills."""
    some = (p for p in parts if p.n >= _FEWEST)
    return tuple(f"{p.name} {percent(p.before)} → {percent(p.after)}" for p in some)


def _listed(head: str, told: Sequence[str]) -> Iterator[str]:
    """Yield *head*, and *told* after it, as many on a line as it holds."""
    line = f"  {head}:" if told else f"  {head}"
    for one in told:
        if len(line) + len(one) > 78:  # noqa: PLR2004 - the width of a report
            yield line
            line = "   "
        line += f" {one}{'' if one is told[-1] else ','}"
    yield line


def _kinds(kinds: Sequence[LossKind]) -> Iterator[tuple[str, tuple[str, ...]]]:
    if kinds:
        total = sum(one.cases for one in kinds)
        yield counted(total, "lost answer"), tuple(f"{one.cases} {one.kind}" for one in kinds)


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
