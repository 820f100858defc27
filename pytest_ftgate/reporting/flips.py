"""Regressed cases as text: input, expected, before, now, tool calls and passages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from pytest_ftgate.gates.verdict import Flip, Verdict
from pytest_ftgate.readers.text import common_start
from pytest_ftgate.reporting.text import (
    cell_count,
    escape_controls,
    line_width,
    no_answer,
    one_line,
    quoted_lines,
    shorten,
    word_diff,
)

#: Tasks without replies that are shown by default; -v shows all that the verdict carries.
_MAX_TASKS = 5
#: From this verbosity on, every tool call is shown in full.
_FULL_VERBOSITY = 2
_MAX_CALLS = 3
#: Lines of a full tool call, and the columns before the text of a quotation.
_CALL_LINES, _INDENT = 6, 18


def tool_call_lines(tool_calls: Sequence[str], verbosity: int) -> Iterator[str]:
    """Yield the lines that show *tool_calls*, in their order, each with its result.

    *verbosity* 2 shows all of them; below that the first three, shortened to a line.
    """
    lines, max_lines = [*tool_calls], _CALL_LINES
    if verbosity < _FULL_VERBOSITY:
        calls = [escape_controls(call).replace("\n", " ") for call in tool_calls[:_MAX_CALLS]]
        lines, max_lines = [shorten(call, line_width() - _INDENT) for call in calls], 1
    hidden = len(tool_calls) - len(lines)
    lines += [f"({hidden} more call{'s' * (hidden > 1)}: -vv)"] * bool(hidden)
    for index, line in enumerate(lines):
        yield from quoted_lines("" if index else "called", line, max_lines=max_lines)


#: Lines of a thought that is shown in full.
_THOUGHT_LINES = 12


def _thought_lines(thought: str, verbosity: int) -> Iterator[str]:
    """Yield the lines that show a thought: its beginning in one line, or with -vv more of it."""
    if not thought:
        return
    is_full = verbosity >= _FULL_VERBOSITY
    text = thought if is_full else shorten(one_line(thought), line_width() - _INDENT)
    yield from quoted_lines("thought", text, max_lines=_THOUGHT_LINES)


#: Passages shown by default; -vv shows all.
_MAX_PASSAGES = 2


def _passage_lines(flip: Flip, verbosity: int) -> Iterator[str]:
    """Yield a line for each retrieved passage, and whether one of them holds the answer."""
    if not flip.passages and flip.answered_in is None:
        return
    width = line_width() - _INDENT
    passages = [shorten(one_line(passage), width) for passage in flip.passages]
    shown = passages if verbosity > 1 else passages[:_MAX_PASSAGES]
    text = "\n".join(shown) or "none was found"
    yield from quoted_lines("passages", text, max_lines=max(1, len(shown)))
    if passages and flip.answered_in is not None:
        yield from quoted_lines("", _answer_position(flip))


def _answer_position(flip: Flip) -> str:
    count = len(flip.passages)
    if flip.answered_in:
        return f"the answer is in passage {flip.answered_in} of {count}"
    return (
        f"the answer is in none of the {count} passages" if count > 1 else "the answer is not in it"
    )


# Where long texts differ --------------------------------------------------------------------------

#: The most columns of a text that are shown before the part that differs.
_CONTEXT = 20


def example_texts(flip: Flip, before: str, width: int) -> Iterator[tuple[str, str]]:
    """Yield the label and the text of each line that shows how a case regressed.

    Args:
        flip: the case.
        before: the label of the reply before.
        width: the columns of a text. Longer texts that begin alike are shown from where they
            differ. What the score says is wrong then takes the place of the reply before, which
            was right.
    """
    texts = [
        ("expected", flip.expected),
        (before, flip.before),
        ("now", flip.now or no_answer(thinks=bool(flip.thought))),
    ]
    lines = [(label, one_line(text)) for label, text in texts if text]
    is_long = any(cell_count(text) > width for _, text in lines)
    if flip.expected and flip.before and flip.wrong and is_long:
        del lines[1]
    for label, text in lines:
        others = [other for name, other in lines if (name == "now") != (label == "now")]
        yield label, _from_difference(text, others, width)
    if flip.wrong and (is_long or flip.expected in ("", flip.now)):
        yield "wrong", one_line(flip.wrong)


def _from_difference(text: str, others: Iterable[str], width: int) -> str:
    """Return *text*, begun shortly before it differs from the likest of *others*.

    A text whose first *width* columns show the difference is returned whole.
    """
    same = common_start(text, others)
    if cell_count(text) <= width or cell_count(text[:same]) <= width - _CONTEXT:
        return text
    start = max(0, same - _CONTEXT)
    return f"…{text[text.find(' ', start, same) + 1 or start :]}"


def _text_lines(label: str, text: str, others: Sequence[str], max_lines: int) -> Iterator[str]:
    """Yield the lines of a text, which show where it differs from the likest of *others*."""
    lines = [*quoted_lines(label, text, max_lines=len(text) + 1)]
    if len(lines) > max_lines:
        shown = sum(cell_count(line) - _INDENT for line in lines[: max_lines - 1])
        part = _from_difference(one_line(text), map(one_line, others), shown)
        text = part if part.startswith("…") else text
    yield from quoted_lines(label, text, max_lines=max_lines)


# Tasks with several runs -------------------------------------------------------------------------


def turn_text(flip: Flip) -> str:
    """Return how many runs of a task were right before and now: ``5 of 5 → 2 of 5``, or ""."""
    if flip.score is None or flip.score_before is None:
        return ""
    scores = (flip.score_before, flip.score)
    if all(score.right.is_integer() for score in scores):
        return " → ".join(f"{score.right:.0f} of {score.runs}" for score in scores)
    return " → ".join(f"{score.right / score.runs:.2f}" for score in scores)


def turned_lines(verdict: Verdict, verbosity: int) -> Iterator[str]:
    """Yield the tasks that went worse, a line each, and with *verbosity* those that went better."""
    from wcwidth import ljust

    for regressed, word in ((True, "worse"), (False, "better"))[: 1 + (verbosity > 0)]:
        flips = [flip for flip in verdict.flips if flip.regressed is regressed]
        total = verdict.regressed if regressed else verdict.fixed
        shown = flips if verbosity > 0 else flips[:_MAX_TASKS]
        hint = ", -v shows more" if len(shown) < len(flips) else ""
        more = "" if len(shown) == total else f" ({len(shown)} of {total:,}{hint})"
        names = [one_line(escape_controls(flip.case)) for flip in shown]
        widest = max(map(cell_count, names), default=0)
        room = line_width() - 4 - max((len(turn_text(flip)) + 2 for flip in shown), default=0)
        yield from [f"  went {word}{more}"] if shown else []
        for name, flip in zip(names, shown, strict=True):
            text = ljust(shorten(name, room), min(widest, room))
            yield f"    {text}  {turn_text(flip)}".rstrip()


# Cases --------------------------------------------------------------------------------------------

#: Cases shown by verbosity; -vv shows all that the verdict carries.
_MAX_CASES = {0: 1, 1: 10}


def flip_lines(
    verdict: Verdict,
    verbosity: int,
    max_cases: int | None,
    case_details: Mapping[str, Sequence[str]],
    case_command: Callable[[str], str] | None = None,
    page_option: str = "--ftgate-html",
) -> list[str]:
    """Return the lines on the regressed cases of a verdict.

    *verbosity* is how often -v was given, and decides how many cases are shown if *max_cases* is
    None. *case_details* has, for a marked function, by case id the failure of its body, in lines
    that begin with a bar. *case_command* returns the command that runs a case by itself.
    *page_option* writes the page, which has the cases that the verdict does not carry.
    """
    regressed = [flip for flip in verdict.flips if flip.regressed]
    if not regressed or max_cases == 0:
        return []
    shown = regressed[: max_cases or _default_max_cases(verdict, regressed, max(0, verbosity))]
    head = "wrong" if verdict.counts_wrong else "passed before, fails now"
    head = "went worse" if any(map(turn_text, regressed)) else head
    more = ""
    if len(shown) < verdict.regressed:
        more = "-vv shows more" if len(shown) < len(regressed) else f"{page_option}=FILE shows all"
        more = f", {more}"
    lines = ["", f"  {head} ({len(shown)} of {verdict.regressed}{more})"]
    for flip in _vary_skills(shown, regressed):
        details = case_details.get(flip.case, ())
        lines += [*_case_lines(flip, verbosity, show_wrong=flip.case not in case_details), *details]
    # One command shows how to run a case; those of the others differ in the id alone.
    lines += [f"      {case_command(shown[0].case)}"] if case_command else []
    return lines


def _default_max_cases(verdict: Verdict, regressed: Sequence[Flip], verbosity: int) -> int:
    """Return how many cases are shown; of a format gate one of each format error, or three (-v)."""
    # A task without texts takes one line.
    few = _MAX_CASES if any(map(has_texts, regressed)) else {**_MAX_CASES, 0: _MAX_TASKS}
    max_cases = few.get(verbosity, len(regressed))
    if not verdict.format_errors or verbosity not in _MAX_CASES:
        return max_cases
    kinds = {flip.format_error for flip in regressed}
    return min(max_cases, len(kinds) * (1 + 2 * verbosity))


def _vary_skills(shown: Sequence[Flip], regressed: Sequence[Flip]) -> list[Flip]:
    """Return as many flips as *shown*, from as many skills as possible."""
    by_skill: dict[str, list[Flip]] = defaultdict(list)
    for flip in regressed:
        by_skill[flip.skill].append(flip)
    ranks = (pair for group in by_skill.values() for pair in enumerate(group))
    ranked = sorted(ranks, key=lambda pair: pair[0])
    return [flip for _, flip in ranked[: len(shown)]]


def input_text(flip: Flip) -> str:
    """Return the input of a case in one line; "" where it is only its id."""
    text = escape_controls(flip.shown).replace("\n", " ")
    return "" if turn_text(flip) and flip.shown == flip.case else text


def has_texts(flip: Flip) -> bool:
    """Return True unless the files of an agent's runs have no texts of them."""
    return bool(not turn_text(flip) or flip.before or flip.now or flip.called or flip.wrong)


def _case_lines(flip: Flip, verbosity: int, *, show_wrong: bool) -> Iterator[str]:
    shown = "  ".join(filter(None, (turn_text(flip), input_text(flip))))
    case = escape_controls(flip.case).replace("\n", " ")
    yield f"    {case}  {shorten(shown, line_width() - 8 - cell_count(case))}"
    if flip.expected:
        yield from _text_lines("expected", flip.expected, [flip.now], 2)
    yield from _thought_lines(flip.thought_before, verbosity)
    if not has_texts(flip):
        return
    if flip.before or flip.called_before:
        yield from _text_lines("before", flip.before, [flip.now], 3)
    yield from tool_call_lines(flip.called_before, verbosity)
    yield from _thought_lines(flip.thought, verbosity)
    yield from _text_lines(
        "now", flip.now or no_answer(thinks=bool(flip.thought)), [flip.before, flip.expected], 3
    )
    yield from tool_call_lines(flip.called, verbosity)
    if flip.why:
        yield from quoted_lines("format", flip.why, max_lines=4)
    if flip.wrong and show_wrong:
        yield from quoted_lines("wrong", flip.wrong, max_lines=4)
    diff = word_diff(flip.expected, flip.now)
    if diff:
        yield from quoted_lines("differs", diff, max_lines=3 if verbosity < 1 else 8)
    yield from _passage_lines(flip, verbosity)
