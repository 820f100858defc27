"""The closing section of a run: the verdict first, then a row for each gate."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from pytest_ftgate.gates.design import round_up
from pytest_ftgate.gates.statements import StatementKind
from pytest_ftgate.gates.verdict import ACCEPTED_KINDS, Check, CheckKind, Outcome, Verdict
from pytest_ftgate.recommend.advice import Advice, Recommendation
from pytest_ftgate.reporting import tables
from pytest_ftgate.reporting.gate_summary import (
    action_lines,
    gate_lines,
    head_parts,
    rerun_line,
    step_head,
)
from pytest_ftgate.reporting.headlines import exam_phrase, headline
from pytest_ftgate.reporting.next_steps import error_fix, step_command, step_line
from pytest_ftgate.reporting.notes import note_text
from pytest_ftgate.reporting.number_text import (
    first_names,
    level,
    percent,
    points,
    quantity,
    with_more,
)
from pytest_ftgate.reporting.phrases import (
    decimals,
    levels,
    limit,
    perhaps_count,
    perhaps_fallen,
    size,
    stands_out,
)
from pytest_ftgate.reporting.text import (
    break_command,
    cell_count,
    escape_controls,
    fit_parts,
    line_width,
    shorten,
    wrap_after,
    wrap_lines,
)
from pytest_ftgate.reporting.ungated import (
    classifier_lines,
    gate_name,
    ungated_lines,
    ungated_summary,
    unselected_line,
)
from pytest_ftgate.reporting.verdict import verdict_section
from pytest_ftgate.results.run import Report, node_id, node_name
from pytest_ftgate.results.steps import more_budget

#: Colours repeat what the words say, so that a reader without colour misses nothing.
_COLOURS = {
    "PASSED": {"green": True, "bold": True},
    "BLOCKED": {"red": True, "bold": True},
    "FAILED": {"red": True},
    "INVALID": {"red": True},
    "INCONCLUSIVE": {"yellow": True},
    "✗": {"red": True},
    "✓": {"green": True},
    "?": {"yellow": True},
}
_COLOURED_WORD = re.compile(rf"(?<!\S)({'|'.join(map(re.escape, _COLOURS))})(?!\S)")
#: The most lines of the closing section, of its notes, and of what passed.
MAX_LINES, _MAX_NOTES, _MAX_GREEN = 24, 4, 3
#: The most files in a line.
_MAX_FILES = 9
#: How a line of an error begins that is a command to copy.
_COMMANDS = ("pytest --ftgate", "pytest-ftgate ", "pip install ", "git ")
#: The most lines of an error; pytest shows all of it above.
_MAX_REASON = 6
#: The fewest lines of a block that says what got worse and what to do.
_MIN_BLOCK = 5


def summary_lines(report: Report, verbosity: int = 0) -> list[str]:
    """Return the lines of the closing section, the verdict first.

    It has at most 24 lines, but for a gate with a long name. *verbosity* below 0 gives a line for
    each gate that did not pass.
    """
    lines = [*_verdict_lines(report)] if report.gated_verdicts or report.errors else []
    if verbosity < 0:
        tail = [*wrap_lines(tables.usage_line(report), 0), *_selection_lines(report)]
        tail += message_lines(report.notes)
        return [*lines, *_short_lines(report), *tail] if lines else tail
    tail, notes = [*_tail_lines(report)], _closing_notes(report)
    room = _note_room(report, len(lines) + len(tail))
    if len(notes) > room:
        notes = [*notes[: room - 1], f"… {len(notes) - room + 1} more lines of notes above"]
    blocks = _block_lines(report, MAX_LINES - len(lines) - len(tail) - len(notes))
    return [*lines, *blocks, *tail, *notes]


def detail_lines(report: Report, verbosity: int = 1, *, full_ladder: bool = False) -> list[str]:
    """Return what is shown above the closing section: tables, notes, costs and the ladder.

    *verbosity* 0 is for the ladder, and for notes that are too long for the closing section.
    """
    lines = [*_verbose_lines(report, verbosity)] if verbosity > 0 else []
    if verbosity >= 0 and report.has_checkpoints:
        from pytest_ftgate.reporting.checkpoints import training_lines

        lines += training_lines(report)
    closing = _closing_notes(report)
    if verbosity >= 0 and len(closing) > _note_room(report):
        lines += closing
    if full_ladder and not report.advice:
        lines += ["  no ladder: run all gates of a suite whose cases have an expected answer"]
    for advice in report.advice if full_ladder or verbosity > 0 else ():
        from pytest_ftgate.reporting.ladder import ladder_lines

        lines += ["", *ladder_lines(advice, full=full_ladder)]
    return lines


def _verbose_lines(report: Report, verbosity: int) -> Iterator[str]:
    yield from _tables_by_suite(report.verdicts)
    for verdict in report.gated_verdicts:
        if verdict.outcome is Outcome.INCONCLUSIVE:
            yield from ("", f"  {escape_controls(node_id(verdict))}")
            yield from verdict_section(verdict, verbosity).split("\n")
        elif verdict.outcome is Outcome.PASSED and verdict.runs:
            from pytest_ftgate.reporting.runs import run_lines

            yield from ("", f"  {escape_controls(node_id(verdict))}", *run_lines(verdict))
    told = map(escape_controls, perhaps_lines(report))
    notes = [*_wrap_all(told), *_note_lines(_passed(report))]
    yield from ["", *notes] if notes else []
    if report.gated_verdicts:
        yield from _wrap_all(tables.cost_lines(report.cost, full=True, max_usd=report.max_usd))
    if compared := tables.comparison_line(report.file_changes):
        yield from ("", *wrap_lines(compared))


def _wrap_all(lines: Iterable[str]) -> list[str]:
    return [wrapped for line in lines for wrapped in wrap_lines(line)]


# The verdict ------------------------------------------------------------------------------------


def verdict_word(report: Report) -> str:
    """Return PASSED, BLOCKED, or INCONCLUSIVE if nothing else blocks."""
    failed = report.count(Outcome.FAILED) + report.count(Outcome.INVALID)
    if report.verdict == "blocked" and not failed and not report.errors:
        return "INCONCLUSIVE" if report.count(Outcome.INCONCLUSIVE) else "BLOCKED"
    return report.verdict.upper()


def verdict_phrase(report: Report) -> str:
    """Return how many gates ended how, in a few words."""
    count, total = report.count(Outcome.INCONCLUSIVE), quantity(len(report.gated_verdicts), "gate")
    if verdict_word(report) == "INCONCLUSIVE":
        inconclusive = [v for v in report.gated_verdicts if v.outcome is Outcome.INCONCLUSIVE]
        if not any(verdict.always_blocks for verdict in inconclusive):
            return f"{count} of {total}; blocks, --ftgate-inconclusive=warn lets it pass"
        reasons = {
            exam_phrase(v.exam)
            if v.exam and v.statement.kind is StatementKind.EXAM_HAS_SHRUNK
            else "not enough evidence"
            for v in inconclusive
        }
        reason = reasons.pop() if len(reasons) == 1 else "for several reasons"
        return f"{count} of {total}: {reason}; blocks the build"
    if report.verdict == "passed" and count:
        return f"{count} of {total} inconclusive (allowed: --ftgate-inconclusive=warn)"
    return tables.gates_line(report)


def _verdict_lines(report: Report) -> list[str]:
    """Return the verdict, with the suite at the right end, or with the rates if all passed."""
    line = f"{verdict_word(report)}  {verdict_phrase(report)}"
    if all(v.outcome is Outcome.PASSED for v in report.gated_verdicts) and not report.errors:
        lines = _limited(fit_parts([line, *passed_parts(report.gated_verdicts)]), 1 + _MAX_GREEN)
        return [*lines, *_stop_lines(report)]
    suites = {node_id(verdict).partition("::")[0] for verdict in report.gated_verdicts}
    suite = escape_controls(next(iter(suites))) if len(suites) == 1 else ""
    room = line_width() - cell_count(line) - cell_count(suite)
    first = line + " " * room + suite if suite and room >= 2 else line  # noqa: PLR2004 - a gap
    return [first, *_stop_lines(report)]


def _stop_lines(report: Report) -> list[str]:
    """Return the lines that separate a budget's stop from a failure."""
    if not report.cost.stopped:
        return []
    unsent = quantity(report.cost.unasked, "request")
    return wrap_lines(f"STOPPED  {report.cost.stopped}; {unsent} not sent", 0)


def _limited(lines: list[str], most: int) -> list[str]:
    if len(lines) <= most:
        return lines
    more = "  … (-v shows all)"
    return [*lines[: most - 1], shorten(lines[most - 1], line_width() - len(more)) + more]


def passed_parts(verdicts: Iterable[Verdict], *, brief: bool = False) -> list[str]:
    """Return for each gate what it measured: ``accuracy: new 97 % (−1, limit 5)``.

    *brief* leaves out changes and limits.
    """
    variants: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for verdict in sorted(verdicts, key=_place):
        if verdict.outcome is Outcome.PASSED:
            by_text = variants[verdict.suite, verdict.gate]
            by_text[_passed_text(verdict, brief=brief)].append(verdict.variant)
    parts = [
        (gate, ", ".join(f"{first_names(names)} {text}" for text, names in by_text.items()))
        for (_, gate), by_text in variants.items()
    ]
    return [escape_controls(f"{gate}: {text}") for gate, text in parts]


def _place(verdict: Verdict) -> tuple[str, int, bool, str]:
    """Return a key that puts the baseline first, whatever order the gates ran in."""
    is_compared = any(check.before is not None for check in verdict.checks)
    return verdict.suite, verdict.line, is_compared, verdict.variant


def _passed_text(verdict: Verdict, *, brief: bool) -> str:
    """Return the rate of a variant and the change; unless *brief*, the limit as well."""
    check, shown_change = verdict.check, verdict.shown_change
    rate = verdict.statement.values.get("rate")
    if check is None:
        change = f" ({points(shown_change.change)} not gated)" if shown_change else ""
        return f"{percent(rate)}{change}" if isinstance(rate, float) else headline(verdict)
    compared = (one for one in verdict.checks if one.before is not None and one.unit == check.unit)
    shown = next(compared, check)
    if brief and shown.kind is CheckKind.BASE:
        return levels(replace(shown, against=""))
    if shown.inputs is not None:
        inputs = quantity(shown.inputs.inputs, "input")
        change = f"unchanged on {inputs}" if shown.is_unchanged else size(shown)
        return change if brief else with_more(change, limit(shown, nested=True))
    after, part = level(shown.after, shown.unit, decimals(shown)), ""
    overall = verdict.statement.values.get("overall")
    if shown.kind in ACCEPTED_KINDS and isinstance(overall, float):
        # The accepted results are those of a part of the cases.
        after, part = percent(overall, decimals(shown)), " on the accepted cases"
    if brief:
        change = "" if shown.is_unchanged else _change_text(verdict, shown) + part
        return with_more(after, change)
    minimum = next((one for one in verdict.checks if one.kind is CheckKind.MINIMUM), None)
    # A baseline that has nothing to lose leaves the decision to the minimum.
    has_nothing = shown.before is not None and shown.before <= shown.limit
    limiting = minimum if minimum is not None and has_nothing else shown
    tasks = f"on these {shown.tasks:,} tasks" if shown.tasks else ""
    parts = [_change_text(verdict, shown) + part, limit(limiting, nested=True), tasks]
    return with_more(after, ", ".join(filter(None, parts)))


def _change_text(verdict: Verdict, check: Check) -> str:
    """Return the change of *check*, or one that is only shown; "" without a comparison."""
    if check.has_drifted:
        return size(check)
    if check.is_unchanged:
        return "unchanged"
    if check.before is not None:
        change = check.after - check.before if check.unit == "share" else check.rise or 0.0
        return points(change, decimals(check))
    shown = verdict.shown_change
    return f"{points(shown.change, decimals(check))} not gated" if shown else ""


def verdict_line(verdict: Verdict, name: str) -> str:
    """Return the verdict on the gate *name* in a line, in the words of the closing section.

    The interval is left out where the line has no room for it.
    """
    parts = head_parts(verdict, name)
    if verdict.outcome is Outcome.PASSED:
        parts = [parts[0], escape_controls(_passed_text(verdict, brief=False))]
    line = "   ".join(parts)
    if cell_count(line) > line_width():
        line = "   ".join(part for part in parts if not part.startswith("("))
    return shorten(line, line_width())


# The gates that did not pass --------------------------------------------------------------------


def _short_lines(report: Report) -> Iterator[str]:
    """Yield a line for each gate that did not pass."""
    for verdict in tables.blocking_verdicts(report):
        yield from fit_parts(head_parts(verdict, gate_name(report, verdict)))
        for step in verdict.next[:1]:
            yield from action_lines(step, step.role, remarks=False)
        if verdict.outcome is Outcome.INVALID:
            yield from wrap_lines(escape_controls(headline(verdict)), 4)
    for file in report.unread_files:
        from pytest_ftgate.reporting.suite_errors import unread_line

        yield from wrap_lines(escape_controls(unread_line(file)), 0, keep_long_words=True)
    for names, what, reason in tables.error_groups(report):
        first = escape_controls(reason.strip()).partition("\n")[0]
        yield from wrap_lines(f"✗ {what}: {escape_controls(names)}: {first}", 0)


def _block_lines(report: Report, room: int) -> list[str]:
    """Return the blocks of the gates that did not pass, the worst first, in *room* lines."""
    groups = list[list[str]]()
    for file in report.unread_files:
        from pytest_ftgate.reporting.suite_errors import unread_lines

        groups.append([*unread_lines(report, file)])
    groups += [_error_lines(report, *group) for group in tables.error_groups(report)]
    blocking = tables.blocking_verdicts(report)
    lines: list[str] = []
    # An error that kept gates from being evaluated is mostly the cause of the rest.
    for index, group in enumerate(groups[:2]):
        lines += ["", *group[: max(3, room // (index + 2))]]
    hidden = max(0, len(groups) - 2)
    for index, verdict in enumerate(blocking):
        left = room - len(lines) - 1
        others = len(blocking) - index - 1
        # A line, and one for the rest; the last gate needs its line alone.
        if left < (2 if others or not index else 0):
            hidden += others + 1
            break
        own = max(1, left - min(others, 3)) if len(lines) < _MIN_BLOCK else left - min(others, 1)
        block = gate_lines(verdict, gate_name(report, verdict), own)
        lines += ["", *block] if len(block) > 1 or not lines or index == 0 else block
    more = [f"  … and {hidden} more (-v shows all)"] if hidden else []
    return [*lines, *more]


def _error_lines(report: Report, names: str, what: str, reason: str) -> list[str]:
    """Return the block of gates that were not evaluated, or whose tests failed, for one reason."""
    lines = fit_parts([f"✗ {escape_controls(names)}", what.upper()])
    why = [
        wrapped
        for line in reason.strip().split("\n")
        for wrapped in _reason_lines(escape_controls(line.removeprefix("│")))
    ]
    lines += [*why[:_MAX_REASON], *["    …"] * (len(why) > _MAX_REASON)]
    usd = more_budget(report)
    options = [f"--ftgate-max-usd={round_up(usd)}"] if usd else []
    # A reason may have kept gates of several suites from being evaluated.
    suites = {gate.node.partition("::")[0] for gate in report.errors}
    suite = next(iter(suites)) if len(suites) == 1 else ""
    lines += wrap_after(step_head("fix"), error_fix(report))
    return [*lines, rerun_line(report, suite if suite != "pytest" else "", *options)]


def _reason_lines(line: str) -> list[str]:
    """Return a line of an error in lines of the terminal's width; a command is not wrapped."""
    if line.strip().startswith(_COMMANDS):
        return [f"    {break_command(line.strip())}"]
    return wrap_lines(line, 4, keep_long_words=True)


# What passed, what it cost, and notes -----------------------------------------------------------


def _tail_lines(report: Report) -> Iterator[str]:
    """Yield what passed, replies and cost, and the ladder in a line."""
    passed, blocked = _passed(report), _is_blocked(report)
    if blocked:
        yield ""
    green = [f"✓ {len(passed)} passed", *passed_parts(passed, brief=True)] if passed else []
    lines = _limited(fit_parts(green), _MAX_GREEN) if blocked else []
    yield from _joined(lines, _limited(ungated_summary(report), _MAX_GREEN))
    yield from _fallen_lines(passed)
    if report.has_checkpoints:
        from pytest_ftgate.reporting.checkpoints import closing_lines

        yield from closing_lines(report)
    if report.requests.replies or report.requests.sent:
        yield from fit_parts(tables.usage_line(report).split(" · "), 2, gap=" · ")
    yield from _selection_lines(report)
    for advice in shown_advice(report):
        from pytest_ftgate.reporting.ladder import ladder_sentence

        yield from wrap_lines(f"ladder: {ladder_sentence(advice)} (--ftgate-ladder explains)", 0)


def _joined(lines: Sequence[str], more: Sequence[str]) -> list[str]:
    """Return *lines* and *more*, the first of which follows the last of *lines* if it fits."""
    first = f"{lines[-1]}   {more[0].strip()}" if lines and more else ""
    if not first or cell_count(first) > line_width():
        return [*lines, *more]
    return [*lines[:-1], first, *more[1:]]


def _selection_lines(report: Report) -> list[str]:
    """Return a line on suites without a selected gate, and one on files that have changed.

    Files are those that differ from the base branch; -v shows all.
    """
    lines = (tables.changes_line(report.file_changes, most) for most in range(_MAX_FILES, 0, -1))
    line = next((line for line in lines if cell_count(line) <= line_width()), "")
    line = line or shorten(tables.changes_line(report.file_changes, 1), line_width())
    told = (line, shorten(unselected_line(report), line_width()))
    return [*wrap_lines(tables.override_line(report.overrides), 0), *filter(None, told)]


def _passed(report: Report) -> list[Verdict]:
    return [verdict for verdict in report.gated_verdicts if verdict.outcome is Outcome.PASSED]


def shown_advice(report: Report) -> list[Advice]:
    """Return the advice that stands beside the verdict: on a red build only to roll back.

    Any other advice would speak of another question than the reader has.
    """
    blocked = _is_blocked(report)
    rolls_back = Recommendation.ROLL_BACK
    return [one for one in report.advice if not blocked or one.recommendation is rolls_back]


def _is_blocked(report: Report) -> bool:
    return len(_passed(report)) < len(report.gated_verdicts) or bool(report.errors)


def _passed_notes(report: Report) -> list[str]:
    # A gate that nothing can fail, or that was not measured, says what to do about it.
    ungated = [verdict for verdict in report.verdicts if verdict.is_ungated and verdict.next]
    return _note_lines([*_passed(report), *ungated], with_steps=not _is_blocked(report))


def _closing_notes(report: Report) -> list[str]:
    """Return the lines on costs, on the run, and if nothing blocks, on gates that passed."""
    notes = [] if _is_blocked(report) else _passed_notes(report)
    costs = tables.cost_lines(report.cost, full=False, max_usd=report.max_usd)
    # Beside what blocks, parts that fell by chance alone would be noise; -v names them.
    count = "" if _is_blocked(report) else perhaps_count(_quiet(report))
    return [
        *_wrap_all(costs if report.gated_verdicts else ()),
        *(wrap_lines(f"{count}; -v shows which") if count else ()),
        *notes,
        *message_lines(report.notes),
    ]


def _note_room(report: Report, used: int = 8) -> int:
    """Return the lines for notes; *used* are those beside the gates that did not pass."""
    return _MAX_NOTES if _is_blocked(report) else max(_MAX_NOTES, MAX_LINES - used)


def message_lines(messages: Iterable[str]) -> Iterator[str]:
    """Yield *messages* in lines of the closing section; paths and commands stay whole."""
    for message in messages:
        if message.startswith("pytest ") and " --ftgate" in message:
            yield f"    {escape_controls(message)}"
        else:
            yield from wrap_lines(escape_controls(message), 0, keep_long_words=True)


def unlisted_lines(report: Report, width: int | None = None) -> Iterator[str]:
    """Yield a line for each invalid variant and inconclusive gate, which pytest does not list.

    A headline is cut to fit *width* columns, as pytest does; None for no limit.
    """
    for verdict in tables.blocking_verdicts(report):
        if verdict.outcome is not Outcome.FAILED:
            head = f"{verdict.outcome.upper()} {node_id(verdict)}"
            line = f"{head} - {escape_controls(headline(verdict))}"
            if width is not None and cell_count(line) > width:
                line = shorten(line, width) if cell_count(head) + 6 < width else head
            yield line


def colour_parts(line: str) -> Iterator[tuple[str, dict[str, bool]]]:
    """Yield the parts of *line*, each with its markup for pytest's terminal writer."""
    for part in filter(None, _COLOURED_WORD.split(line)):
        yield part, _COLOURS.get(part, {})


def _tables_by_suite(verdicts: Sequence[Verdict]) -> list[str]:
    lines: list[str] = []
    suites = dict.fromkeys(verdict.suite for verdict in verdicts)
    for suite in suites:
        shown = [verdict for verdict in verdicts if verdict.suite == suite]
        title = wrap_lines(escape_controls(suite), keep_long_words=True) if len(suites) > 1 else []
        lines += ["", *title, *_gate_table([verdict for verdict in shown if verdict.gated])]
        lines += [*ungated_lines(shown), *classifier_lines(shown)]
    return lines


def _gate_table(verdicts: Sequence[Verdict]) -> list[str]:
    """Return a table with a row for each gate, in the width of the terminal.

    Tried in this order: all in words, short cells, no limits, wrapped names.
    """
    if not verdicts:
        return []
    short = tables.verdict_table(verdicts, short=True)
    bare = tables.verdict_table(verdicts, leave_out=("limit",), short=True)
    # An interval must not be wrapped.
    whole = [one._replace(right_columns=(*one.right_columns, 4)) for one in (short, bare)]
    tried = [(one, False) for one in (tables.verdict_table(verdicts), short, bare)]
    for table, wraps in (*tried, *((one, True) for one in whole)):
        lines = tables.table_lines(table, wraps=wraps)
        if max(map(cell_count, lines)) <= line_width():
            break
    return lines


def _fallen_lines(verdicts: Iterable[Verdict]) -> list[str]:
    """Return the headlines of *verdicts* of which a part stands out."""
    return [
        line
        for verdict in verdicts
        if stands_out(verdict)
        for line in wrap_lines(f"{node_name(verdict)} passed: {escape_controls(headline(verdict))}")
    ]


def _quiet(report: Report) -> list[Verdict]:
    """Return the gates that passed of which no part stands out."""
    return [verdict for verdict in _passed(report) if not stands_out(verdict)]


def perhaps_lines(report: Report) -> Iterator[str]:
    """Yield which parts may have fallen, for each gate that passed and has no line of its own.

    Foreign names in them are not escaped.
    """
    for verdict in _quiet(report):
        if text := perhaps_fallen(verdict):
            yield f"{node_name(verdict)} passed: {text}"


def _note_lines(verdicts: Sequence[Verdict], *, with_steps: bool = True) -> list[str]:
    """Return the notes and next steps of *verdicts*, each text once with the gates it is about."""
    gates_by_text: dict[str, list[str]] = defaultdict(list)
    commands: dict[str, str] = {}
    for verdict in verdicts:
        for note in verdict.notes:
            gates_by_text[escape_controls(note_text(note))].append(node_name(verdict))
        for step in verdict.next if with_steps else ():
            text = escape_controls(step_line(step))
            gates_by_text[text].append(node_name(verdict))
            commands[text] = escape_controls(step_command(step))
    lines: list[str] = []
    for text, gates in gates_by_text.items():
        # A command must not be wrapped.
        command = commands.get(text, "")
        lines += wrap_lines(f"{', '.join(gates)}: {text.removesuffix(command).rstrip()}")
        lines += [f"    {command}"] if command else []
    return lines
