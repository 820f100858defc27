"""A gate in the closing section: what got worse, by how much, how surely, which cases, what to do.

A block has at most as many lines as it is given; what matters least is left out first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_ftgate.gates.number_text import percent, points, quantity, share_change, unsigned_points
from pytest_ftgate.gates.statements import NextStep, StatementKind, StepKind
from pytest_ftgate.gates.verdict import Check, CheckKind, Flip, Outcome, Severity, Slice, Verdict
from pytest_ftgate.reporting.headlines import (
    NOT_WHAT_IT_CLAIMS,
    broken_formats_text,
    habit_text,
    headline,
    measure_name,
    shown_change_text,
    usage_text,
)
from pytest_ftgate.reporting.next_steps import gate_command, step_words
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
from pytest_ftgate.results.run import node_id

MARKS = {
    Outcome.PASSED: "✓",
    Outcome.FAILED: "✗",
    Outcome.INVALID: "✗",
    Outcome.INCONCLUSIVE: "?",
}
#: What has a share of the cases before and after; a check of it may still be of a length.
_RATED = (StatementKind.RATE, StatementKind.SKILLS)
#: Columns of the words before an example or a step, with their indent.
_LABEL = 12
_INDENT = 4
_MAX_PARTS, _MAX_CASES = 3, 3


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


def gate_lines(verdict: Verdict, name: str, steps: Sequence[NextStep], max_lines: int) -> list[str]:
    """Return the block of a gate that did not pass, in at most *max_lines* lines.

    Args:
        verdict: of the gate.
        name: what the gate is called.
        steps: what to do, the best step first.
        max_lines: with less than a block needs, its first line is returned.
    """
    for detail in _DETAILS:
        lines = _block(verdict, name, steps, detail)
        if len(lines) <= max_lines:
            return lines
    return [shorten("   ".join(head_parts(verdict, name)), line_width())]


def _block(verdict: Verdict, name: str, steps: Sequence[NextStep], detail: _Detail) -> list[str]:
    lines = fit_parts(head_parts(verdict, name))
    for sentence in _sentences(verdict):
        lines += wrap_lines(sentence, _INDENT)
    if detail.shows_parts:
        lines += [*_part_lines(verdict), *_reason_lines(verdict)]
    if detail.shows_notes and verdict.outcome is not Outcome.FAILED:
        told = {check.note for check in verdict.checks}
        for note in dict.fromkeys(note for note in verdict.notes if note not in told):
            lines += _labelled("note", escape_controls(note))
    if detail.shows_example:
        lines += _example_lines(verdict)
    actions = [*_step_lines(steps[: detail.steps], remarks=detail.shows_remarks)]
    gap = [""] * (detail.shows_example and bool(actions))
    return [*lines, *gap, *actions, *_see_lines(verdict)]


# What got worse -----------------------------------------------------------------------------------


def head_parts(verdict: Verdict, name: str) -> list[str]:
    """Return the parts of the first line: the gate, the size, the interval and the limit."""
    head = f"{MARKS[verdict.outcome]} {escape_controls(name)}"
    check = verdict.check
    if verdict.outcome is Outcome.INVALID:
        return [head, f"INVALID: {NOT_WHAT_IT_CLAIMS}"]
    if check is None or verdict.statement.kind not in _RATED or check.unit != "share":
        return [head, *escape_controls(headline(verdict)).replace("\n", " ").split("; ")]
    if check.kind is CheckKind.MUST_PASS:
        wrong = quantity(len(check.case_ids), "must-pass case")
        return [head, f"{wrong} {'WRONG' if verdict.outcome is Outcome.FAILED else 'inconclusive'}"]
    size = _minimum_size(check) if check.before is None else _drop_size(verdict, check)
    return [head, *size]


def _minimum_size(check: Check) -> list[str]:
    below = ", BELOW THE MINIMUM" if check.outcome is Outcome.FAILED else ""
    low, high = ((bound or 0.0) * 100 for bound in (check.low, check.high))
    interval = f"(95 %: {low:.0f} to {high:.0f} %)"
    return [f"{percent(check.after)}{below}", interval, f"min {percent(check.limit)}"]


def _drop_size(verdict: Verdict, check: Check) -> list[str]:
    change, low, high = check.change or 0.0, check.low, check.high
    default = f" (what {check.n} cases can show)" if check.has_default_limit else ""
    limit = f"limit {unsigned_points(check.limit)}{default}"
    bounds = "" if low is None or high is None else f"(95 %: {points(low)} to {points(high)})"
    if check.outcome is Outcome.FAILED:
        if bounds and (high or 0.0) < 0.0:
            bounds = f"(95 %: {unsigned_points(high or 0.0)} to {unsigned_points(low or 0.0)})"
        return [f"FELL {quantity(round(abs(change) * 100), 'POINT').upper()}", bounds, limit]
    if verdict.outcome is Outcome.FAILED:
        parts = [part for part in verdict.slices if part.state == "regressed"]
        noun = "point" if abs(round(change * 100)) == 1 else "points"
        fell = f"{quantity(len(parts), 'PART').upper()} FELL" if parts else "MUST-KEEP CASES BROKE"
        return [fell, f"overall {points(change)} {noun} {bounds}", limit]
    direction = "up" if change > 0 else "down"
    size = f"{direction} {quantity(round(abs(change) * 100), 'point')}" if change else "no change"
    rates = f"{percent(check.before or 0.0)} → {percent(check.after)}"
    return [f"{rates}: {size}", bounds, limit] if bounds else [f"{rates}: {size}", limit]


def _sentences(verdict: Verdict) -> Iterator[str]:
    """Yield what was compared, and how surely the verdict holds."""
    check = verdict.check
    if verdict.outcome is Outcome.INVALID:
        yield escape_controls(str(verdict.statement.values["reason"])).replace("\n", " ")
    if verdict.statement.kind is StatementKind.TRAINING_DATA:
        yield from _finding_sentences(verdict)
    if check is None or verdict.statement.kind not in _RATED:
        return
    if check.unit != "share":
        pass  # The first line says it all.
    elif verdict.outcome is Outcome.FAILED:
        yield from _failure_sentences(verdict, check)
    else:
        yield from _doubt_sentences(verdict, check)
    for other in verdict.checks:
        if other is not check and other.outcome is not Outcome.PASSED and other.informative:
            yield f"also {other.outcome}: {_check_text(other)}"
        elif check.kind is CheckKind.MINIMUM and other.kind is CheckKind.BASELINE:
            yield f"{other.outcome}: {_check_text(other)}"
    if change := shown_change_text(verdict):
        yield escape_controls(change)


def _finding_sentences(verdict: Verdict) -> Iterator[str]:
    """Yield what is wrong in the training data, with the lines to look at."""
    errors = [one for one in verdict.findings if one.severity is Severity.ERROR]
    for finding in errors[:_MAX_CASES]:
        ranges = line_ranges(finding.lines)
        more = ", …" if len(ranges) > _MAX_CASES else ""
        word = "line" if len(finding.lines) == 1 else "lines"
        lines = f", {word} {', '.join(ranges[:_MAX_CASES])}{more}" if ranges else ""
        yield f"{finding.kind}{lines}: {escape_controls(finding.message)}"


def _failure_sentences(verdict: Verdict, check: Check) -> Iterator[str]:
    if check.kind is CheckKind.MUST_PASS:
        yield f"wrong: {', '.join(map(escape_controls, check.case_ids))}"
    elif check.before is None:
        yield _flip_counts(verdict, named=True)
    else:
        before = f"{check.against} {percent(check.before)}"
        yield f"{_measure(verdict, check)}: {before} → {verdict.variant} {percent(check.after)}"
        chance = "" if check.p_fail is None else f" Chance alone: {_chance(check.p_fail)}."
        yield f"{_flip_counts(verdict)}.{chance if check.outcome is Outcome.FAILED else ''}"
    if verdict.breaks:
        yield f"must-keep cases broke: {', '.join(map(escape_controls, verdict.breaks))}"


def _doubt_sentences(verdict: Verdict, check: Check) -> Iterator[str]:
    """Yield the cases that changed, and in words what the interval leaves open."""
    if check.kind is not CheckKind.MUST_PASS:
        yield _flip_counts(verdict, named=True)
    yield doubt_sentence(check)


def doubt_sentence(check: Check) -> str:
    """Return in a sentence why *check* is inconclusive."""
    if not check.informative or check.has_drifted:
        return f"{escape_controls(check.note)}."
    if check.missing:
        return f"{escape_controls(check.note)}, and these could turn the verdict."
    if check.before is None:
        return f"A true rate below {percent(check.limit)} is still possible; so is one above it."
    return _drop_doubt(check, unsigned_points(check.limit))


def _drop_doubt(check: Check, limit: str) -> str:
    """Return what the interval of a drop leaves open."""
    if check.drop_is_shown:
        cases = quantity(check.n, "case")
        return f"The drop is real. {cases} cannot show that it stays below {limit} points."
    if check.is_beyond:
        return f"The drop is likely beyond the limit of {limit}, but not surely enough to fail."
    if (check.high or 0.0) < 0.0:
        return f"A drop is likely, but not proven, and it may or may not reach {limit} points."
    return f"A drop of {limit} or more is still possible; so is no drop at all."


def _measure(verdict: Verdict, check: Check) -> str:
    if check.measure:
        return measure_name({"measure": check.measure})
    if verdict.statement.kind is StatementKind.SKILLS:
        return "general skills under the prompt" if check.under else "general skills"
    return measure_name(verdict.statement.values).rstrip(":")


def _flip_counts(verdict: Verdict, *, named: bool = False) -> str:
    check = verdict.check
    total = f" of {check.n}" if check is not None else ""
    if check is not None and check.measure:
        return f"{check.regressed:g}{total} cases lost their thought, {check.fixed:g} got one"
    cases = "case" if verdict.regressed == 1 == (check.n if check else 1) else "cases"
    text = f"{verdict.regressed}{total} {cases} regressed, {verdict.fixed} fixed"
    if not any(one.before is not None for one in verdict.checks):
        text = f"{verdict.regressed}{total} {cases} {'is' if cases == 'case' else 'are'} wrong"
    names = [escape_controls(flip.case) for flip in verdict.flips if flip.regressed]
    if not named or not names:
        return text
    more = verdict.regressed - _MAX_CASES
    return f"{text}: {', '.join(names[:_MAX_CASES])}" + (f" and {more} more" if more > 0 else "")


def _chance(p: float) -> str:
    if p < 1e-6:  # noqa: PLR2004 - more zeros are hard to read
        return "under 1 in a million"
    return f"1 in {round(1 / p):,}" if p < 0.1 else percent(p)  # noqa: PLR2004


def _check_text(check: Check) -> str:
    if check.kind is CheckKind.MUST_PASS:
        return f"{quantity(len(check.case_ids), 'must-pass case')} wrong"
    if check.unit != "share":
        return usage_text(check)
    if check.before is None:
        return f"{percent(check.after)}, minimum {percent(check.limit)}"
    rates = f"{percent(check.before)} → {percent(check.after)}"
    under = f" under the {check.under}" if check.under else ""
    what = f"{check.measure} " * bool(check.measure)
    return f"{what}against {check.against}{under} {rates}, limit {unsigned_points(check.limit)}"


# Which cases ------------------------------------------------------------------------------------


def _part_lines(verdict: Verdict) -> list[str]:
    """Return the parts of the cases, the labels or the format errors that got worse most."""
    parts = [*_worst_slices(verdict), *_worst_labels(verdict)]
    kinds = [
        f"{share.kind} {share_change(share.before or 0.0, share.after)}"
        for share in verdict.format_errors
        if share.after > (share.before or 0.0)
    ]
    shown = parts if verdict.rates_content and parts else kinds or parts
    return _labelled_parts("errors" if shown is kinds else "worst", shown)


def _worst_slices(verdict: Verdict) -> list[str]:
    under = verdict.check.under if verdict.check else ""
    slices = [part for part in verdict.slices if part.under == under and part.state != "allowed"]
    families = [part for part in slices if part.kind == "family"]
    shown: list[Slice] = (families if len(families) > 1 else []) or [
        part for part in slices if part.kind != "family"
    ]
    worst = sorted((part for part in shown if part.change < 0), key=lambda part: part.change)
    return [f"{escape_controls(part.name)} {_rates(part.before, part.after)}" for part in worst]


def _worst_labels(verdict: Verdict) -> list[str]:
    worse = [
        f"{escape_controls(label.label)} {_rates(label.f1_before, label.f1)}"
        for label in verdict.labels
        if label.f1_before is not None and label.f1 < label.f1_before
    ]
    return [f"F1 of {worse[0]}", *worse[1:]] if worse else []


def _rates(before: float, after: float) -> str:
    return share_change(before, after).removesuffix(" %")


def _labelled_parts(label: str, parts: Sequence[str]) -> list[str]:
    if not parts:
        return []
    more = [f"({len(parts) - _MAX_PARTS} more)"] * (len(parts) > _MAX_PARTS)
    texts = [*parts[:_MAX_PARTS], *more]
    head = step_head(label)
    lines = fit_parts([head + texts[0], *texts[1:]], _LABEL)
    return [lines[0].rstrip()] if len(lines) > 1 else lines


def _reason_lines(verdict: Verdict) -> list[str]:
    """Return the kind of loss or the habit behind most regressed cases."""
    values = verdict.statement.values
    if "habit" in values:
        return _labelled("why?", habit_text(values))
    if common := broken_formats_text(values):
        return _labelled("why?", common)
    under = verdict.check.under if verdict.check else ""
    kinds = [kind for kind in verdict.loss_kinds if kind.under == under]
    if not kinds:
        return []
    total = quantity(sum(kind.cases for kind in kinds), "regressed answer")
    return _labelled("why?", f"{kinds[0].cases} of {total}: {kinds[0].kind}")


def _example_lines(verdict: Verdict) -> list[str]:
    flip = next((flip for flip in verdict.flips if flip.regressed), None)
    if flip is None:
        return []
    from wcwidth import ljust

    check = verdict.check
    before = check.against if check and check.kind in (CheckKind.BASELINE, CheckKind.BASE) else ""
    shown = f"{step_head('e.g.')}{escape_controls(flip.case)}  {one_line(flip.shown)}"
    lines = [shorten(shown, line_width()).rstrip()]
    for label, text in _example_texts(flip, before or "before"):
        head = ljust(shorten(escape_controls(label), 9), 10)
        line = f"{step_head('')}  {head}{one_line(text)}"
        lines.append(shorten(line, line_width()).rstrip())
    return lines


def _example_texts(flip: Flip, before: str) -> Iterator[tuple[str, str]]:
    if flip.expected:
        yield "expected", flip.expected
    if flip.before:
        yield before, flip.before
    yield "now", flip.now or ("(a thought alone)" if flip.thought else "(empty)")
    if flip.wrong and not flip.expected:
        yield "wrong", flip.wrong


def step_head(label: str) -> str:
    """Return the columns before a step, or another part of a block, with its *label*."""
    return f"{' ' * _INDENT}{label:<{_LABEL - _INDENT}}"


def _labelled(label: str, text: str) -> list[str]:
    return wrap_after(step_head(label), text)


# What to do -------------------------------------------------------------------------------------


def _step_lines(steps: Sequence[NextStep], *, remarks: bool = True) -> Iterator[str]:
    shown = [step for step in steps if step.kind is not StepKind.SHOW_REGRESSED]
    for index, step in enumerate(shown):
        yield from action_lines(step, "or" if index else "do", remarks=remarks)


def action_lines(step: NextStep, label: str, *, remarks: bool = True) -> list[str]:
    """Return the lines of one step: the edit with its place, or the command in one piece."""
    words, head = step_words(step), step_head(label)
    text, remark, where = map(escape_controls, words[:3])
    remark = f"({remark})" if remark and remarks else ""
    if words.command:
        command = escape_controls(words.command)
        reason = remark or (f"({text})" if remarks else "")
        short = f"{head}{command}   {reason}".rstrip()
        if cell_count(short) <= line_width() or not reason:
            return [short]
        return [head + command, *wrap_after(" " * (_LABEL + 2), reason)]
    inset = " " * (_LABEL + 2)
    lines = wrap_after(head, text)
    further = fit_parts([lines[-1], *filter(None, (remark, where))], _LABEL + 2)
    return [*lines[:-1], *[further[0], *(inset + line.lstrip() for line in further[1:])]]


def _see_lines(verdict: Verdict) -> Iterator[str]:
    """Yield the command that shows all cases, or that explains an inconclusive verdict."""
    node = escape_controls(node_id(verdict))
    if verdict.outcome is Outcome.INCONCLUSIVE:
        yield f'{step_head("why")}pytest-ftgate explain "{node}"'
    elif verdict.outcome is Outcome.FAILED:
        yield f'{step_head("see")}pytest --ftgate -vv "{node}"'


def rerun_line(suite: str, *options: str) -> str:
    """Return the command that goes on where a run stopped."""
    return step_head("then") + (gate_command(suite, *options) if suite else "pytest --ftgate")
