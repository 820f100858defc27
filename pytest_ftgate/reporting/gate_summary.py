"""A gate in the closing section: what got worse, by how much, how surely, which cases, what to do.

A block has at most as many lines as it is given; what matters least is left out first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_ftgate.gates.notes import NoteKind, Severity
from pytest_ftgate.gates.statements import NextStep, StatementKind, StepRole
from pytest_ftgate.gates.verdict import CheckKind, Outcome, Verdict
from pytest_ftgate.reporting.headlines import (
    VerdictWords,
    shown_change_text,
    verdict_words,
)
from pytest_ftgate.reporting.next_steps import gate_command, step_command, step_words
from pytest_ftgate.reporting.notes import note_text
from pytest_ftgate.reporting.phrases import other_check
from pytest_ftgate.reporting.text import (
    cell_count,
    escape_controls,
    fit_parts,
    line_ranges,
    line_width,
    one_line,
    shorten,
    wrap_after,
    wrap_lines,
)
from pytest_ftgate.results.run import Report

MARKS = {
    Outcome.PASSED: "✓",
    Outcome.FAILED: "✗",
    Outcome.INVALID: "✗",
    Outcome.INCONCLUSIVE: "?",
}
#: Columns of the words before an example or a step, with their indent.
_LABEL = 12
_INDENT = 4
_MAX_PARTS, _MAX_FINDINGS = 3, 3


@dataclass(frozen=True, slots=True)
class _Detail:
    """How much of a block is shown."""

    steps: int = 6
    shows_example: bool = True
    shows_parts: bool = True
    shows_notes: bool = True
    shows_remarks: bool = True


#: From everything to the least; the first one that fits is shown.
_DETAILS = (
    *(_Detail(), _Detail(shows_notes=False), _Detail(steps=4, shows_notes=False)),
    _Detail(steps=4, shows_notes=False, shows_remarks=False),
    _Detail(steps=3, shows_notes=False),
    _Detail(steps=2, shows_notes=False),
    _Detail(steps=2, shows_notes=False, shows_remarks=False),
    _Detail(steps=1, shows_notes=False),
    _Detail(steps=2, shows_notes=False, shows_example=False),
    _Detail(2, shows_example=False, shows_parts=False, shows_notes=False, shows_remarks=False),
    _Detail(1, shows_example=False, shows_parts=False, shows_notes=False, shows_remarks=False),
)


def gate_lines(verdict: Verdict, name: str, max_lines: int) -> list[str]:
    """Return the block of a gate that did not pass, in at most *max_lines* lines.

    Args:
        verdict: of the gate, with what to do in the order of the steps' roles.
        name: what the gate is called.
        max_lines: with less than a block needs, its first line is returned.
    """
    words = verdict_words(verdict)
    for detail in _DETAILS:
        lines = _block(verdict, words, name, detail)
        if len(lines) <= max_lines:
            return lines
    return [shorten("   ".join(head_parts(verdict, name)), line_width())]


def _block(verdict: Verdict, words: VerdictWords, name: str, detail: _Detail) -> list[str]:
    lines = [*fit_parts(head_parts(verdict, name)), *_rate_lines(words)]
    for sentence in _sentences(verdict, words):
        lines += wrap_lines(sentence, _INDENT)
    if detail.shows_parts:
        lines += _part_lines(words)
        lines += wrap_lines(escape_controls(words.perhaps), _INDENT) if words.perhaps else []
        lines += _labelled("why?", escape_controls(words.cause)) if words.cause else []
    if detail.shows_notes and verdict.outcome is not Outcome.FAILED:
        told = [note for check in verdict.checks for note in check.notes]
        others = (note_text(note) for note in verdict.notes if note not in told)
        for text in dict.fromkeys(others):
            lines += _labelled("note", escape_controls(text))
    if detail.shows_example:
        lines += _example_lines(verdict)
    actions = [*_step_lines(verdict.next, detail.steps, remarks=detail.shows_remarks)]
    gap = [""] * (detail.shows_example and bool(actions))
    return [*lines, *gap, *actions]


# What got worse -----------------------------------------------------------------------------------


def head_parts(verdict: Verdict, name: str) -> list[str]:
    """Return the parts of the first line: the gate, the size, the interval and the limit."""
    head, words = f"{MARKS[verdict.outcome]} {escape_controls(name)}", verdict_words(verdict)
    if verdict.outcome is Outcome.INVALID:
        return [head, f"INVALID: {words.title}"]
    if not words.size:
        return [head, *escape_controls(words.headline).replace("\n", " ").split("; ")]
    bounds = f"({words.interval})" if words.interval else ""
    # The names and units of cost, latency and the like have small letters.
    is_share = verdict.check is None or verdict.check.unit == "share"
    size = words.size.upper() if is_share else words.size
    return [head, *filter(None, (size, bounds, words.limit))]


def _rate_lines(words: VerdictWords) -> list[str]:
    """Return the rates of both sides and the cases that changed, in one line if it holds them."""
    parts = [escape_controls(part) for part in (words.levels, words.cases) if part]
    if not parts:
        return []
    return fit_parts([" " * _INDENT + parts[0], *parts[1:]])


def _sentences(verdict: Verdict, words: VerdictWords) -> Iterator[str]:
    """Yield how surely the verdict holds, and what else decides."""
    if verdict.statement.kind is StatementKind.TRAINING_DATA:
        yield from _finding_sentences(verdict)
    if words.doubt:
        yield escape_controls(words.doubt).replace("\n", " ")
    yield from (note_text(one) for one in verdict.notes if one.kind == NoteKind.LOOK_SKILLS)
    check = verdict.check
    if check is None:
        return
    if check.kind is CheckKind.MUST_PASS:
        yield f"wrong: {', '.join(map(escape_controls, check.case_ids))}"
    if verdict.breaks:
        yield f"must-keep cases broke: {', '.join(map(escape_controls, verdict.breaks))}"
    for other in verdict.checks:
        is_open = other.outcome is not Outcome.PASSED and other.informative
        shows_change = check.kind is CheckKind.MINIMUM and other.kind is CheckKind.BASELINE
        if other is not check and (is_open or shows_change):
            yield f"{'also ' * is_open}{other.outcome}: {escape_controls(other_check(other))}"
    if change := shown_change_text(verdict):
        yield escape_controls(change)


def _finding_sentences(verdict: Verdict) -> Iterator[str]:
    """Yield what is wrong in the training data, with the lines to look at."""
    errors = [one for one in verdict.findings if one.severity is Severity.ERROR]
    for finding in errors[:_MAX_FINDINGS]:
        ranges = line_ranges(finding.lines)
        more = ", …" if len(ranges) > _MAX_FINDINGS else ""
        word = "line" if len(finding.lines) == 1 else "lines"
        lines = f", {word} {', '.join(ranges[:_MAX_FINDINGS])}{more}" if ranges else ""
        yield f"{finding.kind}{lines}: {escape_controls(note_text(finding.message))}"


# Which cases ------------------------------------------------------------------------------------


def _part_lines(words: VerdictWords) -> list[str]:
    """Return in one line the parts that got worse most, as many as it holds."""
    lines: list[str] = []
    for most in range(min(_MAX_PARTS, len(words.worst)), 0, -1):
        more = [f"({len(words.worst) - most} more)"] * (len(words.worst) > most)
        texts = [*map(escape_controls, words.worst[:most]), *more]
        lines = fit_parts([step_head(words.worst_label) + texts[0], *texts[1:]], _LABEL)
        if len(lines) == 1:
            break
    return [line.rstrip() for line in lines[:1]]


def _example_lines(verdict: Verdict) -> list[str]:
    flip = next((flip for flip in verdict.flips if flip.regressed), None)
    if flip is None:
        return []
    from wcwidth import ljust

    from pytest_ftgate.reporting.flips import example_texts, has_texts, input_text, turn_text

    check = verdict.check
    before = check.against if check and check.kind is CheckKind.BASELINE else ""
    # The name of the base stands in the line of the rates.
    before = "base" if check and check.kind is CheckKind.BASE else before
    parts = (escape_controls(flip.case), turn_text(flip), one_line(input_text(flip)))
    shown = f"{step_head('e.g.')}{'  '.join(filter(None, parts))}"
    lines = [shorten(shown, line_width()).rstrip()]
    texts = example_texts(flip, before or "before", line_width() - _LABEL - 12)
    for label, text in texts if has_texts(flip) else ():
        head = ljust(shorten(escape_controls(label), 9), 10)
        line = f"{step_head('')}  {head}{text}"
        lines.append(shorten(line, line_width()).rstrip())
    return lines


def step_head(label: str) -> str:
    """Return the columns before a step, or another part of a block, with its *label*."""
    return f"{' ' * _INDENT}{label:<{_LABEL - _INDENT}}"


def _labelled(label: str, text: str) -> list[str]:
    return wrap_after(step_head(label), text)


# What to do -------------------------------------------------------------------------------------


def _step_lines(steps: Sequence[NextStep], most: int, *, remarks: bool = True) -> Iterator[str]:
    """Yield the lines of at most *most* of *steps*: the first one of each role, then commands."""
    firsts = {step.role: step for step in reversed(steps)}
    ranked = sorted(steps, key=lambda one: (one is not firsts[one.role], not step_command(one)))
    chosen = ranked[:most]
    for step in steps:
        if any(step is one for one in chosen):
            yield from action_lines(step, step.role, remarks=remarks)


def action_lines(step: NextStep, label: str, *, remarks: bool = True) -> list[str]:
    """Return the lines of one step: the edit with its place, and the command in one piece."""
    words, head = step_words(step), step_head(label)
    text, remark, where, command = map(escape_controls, words[:4])
    remark = f"({remark})" if remark and (remarks or words.is_edit) else ""
    inset = " " * (_LABEL + 2)
    if words.is_command:
        reason = remark or (f"({text})" if remarks and step.role is not StepRole.SEE else "")
        short = f"{head}{command}   {reason}".rstrip()
        if cell_count(short) <= line_width() or not reason:
            return [short]
        return [head + command, *wrap_after(inset, reason)]
    lines = wrap_after(head, text + ":" * bool(command and not (where or remark)))
    further = fit_parts([lines[-1], *filter(None, (where, remark))], _LABEL + 2)
    lines = [*lines[:-1], *[further[0], *(inset + line.lstrip() for line in further[1:])]]
    return [*lines, inset + command] if command else lines


def rerun_line(report: Report, suite: str, *options: str) -> str:
    """Return the command that goes on where a run stopped, with the options of that run."""
    return step_head("then") + gate_command(suite, *options, repeated=report.options)
