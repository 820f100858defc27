"""Regressed cases as text: input, expected, before, now, tool calls and passages."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pytest_ftgate.gates.verdict import Flip, Verdict
from pytest_ftgate.reporting.text import quoted, visible, word_diff

__all__ = ["calls", "flip_lines", "passage_lines"]

#: From this verbosity on every use is shown, and whole.
_ALL = 2
_MOST = 3
#: Characters of a line, and lines of a use that is shown whole.
_CALL_WIDTH, _LINES = 62, 6


def calls(uses: Sequence[str], verbosity: int) -> Iterator[str]:
    """Yield the lines that show *uses*, each the call and what came of it.

    Args:
        uses: in their order, each in one line.
        verbosity: 2 shows all of them; below that it is the first three, cut to a line.
    """
    if verbosity >= _ALL:
        for index, use in enumerate(uses):
            yield from quoted(_label(index), use, indent=6, lines=_LINES)
        return
    shown = [_cut(use) for use in uses[:_MOST]]
    left = len(uses) - len(shown)
    more = [f"({left} more call{'s' * (left > 1)}: -vv)"] if left else []
    for index, line in enumerate([*shown, *more]):
        yield from quoted(_label(index), line, indent=6, lines=1)


def _label(index: int) -> str:
    return "" if index else "called"


def _cut(use: str) -> str:
    line = visible(use).replace("\n", " ")
    return line if len(line) <= _CALL_WIDTH else f"{line[: _CALL_WIDTH - 1]}…"


#: Columns for one passage: 80 less indent, bar and label.
_PASSAGE_WIDTH = 62
#: How many passages are shown by default; -vv shows all.
_FEW = 2


def passage_lines(flip: Flip, verbosity: int = 0) -> Iterator[str]:
    """Yield a line for each passage shown with the case, and whether one holds the answer."""
    if not flip.passages and flip.answered_in is None:
        return
    every = [
        textwrap.shorten(visible(one), _PASSAGE_WIDTH, placeholder=" …") for one in flip.passages
    ]
    shown = every if verbosity > 1 else every[:_FEW]
    text = "\n".join(shown) or "none was found"
    yield from quoted("passages", text, indent=6, lines=max(1, len(shown)))
    if every and flip.answered_in is not None:
        yield from quoted("", _answer(flip), indent=6)


def _answer(flip: Flip) -> str:
    count = len(flip.passages)
    if flip.answered_in:
        return f"the answer is in passage {flip.answered_in} of {count}"
    return (
        f"the answer is in none of the {count} passages" if count > 1 else "the answer is not in it"
    )


_WIDTH = 80
#: How many flips are shown by verbosity; -vv shows all that the verdict carries.
_FLIPS = {0: 3, 1: 10}


def _compared(verdict: Verdict) -> bool:
    return any(check.before is not None for check in verdict.checks)


def flip_lines(
    verdict: Verdict, verbosity: int, most: int | None, told: Mapping[str, Sequence[str]]
) -> list[str]:
    """Return the lines on the cases that a verdict lost.

    Args:
        verdict: the verdict.
        verbosity: how often -v was given.
        most: how many cases are shown; None for as many as *verbosity* says.
        told: by case what a marked function made of its reply, in lines that begin with a bar.
    """
    lost = [flip for flip in verdict.flips if flip.lost]
    if not lost or most == 0:
        return []
    shown = lost[: most or _most(verdict.gate, lost, max(0, verbosity))]
    against_side = verdict.check is not None and verdict.check.before is not None
    compared = against_side if told else _compared(verdict)
    head = "passed before, fails now" if compared else "wrong"
    more = "" if len(shown) == len(lost) and verdict.lost == len(lost) else ", -vv shows more"
    lines = ["", f"  {head} ({len(shown)} of {verdict.lost}{more})"]
    for flip in _varied(shown, lost):
        lines += [*_flip(flip, verbosity, told=flip.case in told), *told.get(flip.case, ())]
    return lines


def _most(gate: str, lost: Sequence[Flip], verbosity: int) -> int:
    """Return how many flips are shown; of a broken form one of each kind, with -v three."""
    most = _FLIPS.get(verbosity, len(lost))
    if gate != "format" or verbosity not in _FLIPS:
        return most
    return min(most, len({flip.fault for flip in lost}) * (1 + 2 * verbosity))


def _varied(shown: Sequence[Flip], lost: Sequence[Flip]) -> list[Flip]:
    """Choose flips from as many skills as can be, so that three examples show three things."""
    by_skill: dict[str, list[Flip]] = defaultdict(list)
    for flip in lost:
        by_skill[flip.skill].append(flip)
    ranked = [flip for _, flip in sorted(_rounds(by_skill.values()), key=lambda one: one[0])]
    return ranked[: len(shown)]


def _rounds(groups: Iterable[list[Flip]]) -> Iterator[tuple[int, Flip]]:
    for group in groups:
        yield from enumerate(group)


def _flip(flip: Flip, verbosity: int, *, told: bool) -> Iterator[str]:
    asked = visible(flip.shown).replace("\n", " ")
    room = _WIDTH - 6 - len(flip.case) - 2
    yield f"    {flip.case}  {asked if len(asked) <= room else asked[: room - 1] + '…'}"
    if flip.expected:
        yield from quoted("expected", flip.expected, indent=6, lines=2)
    if flip.before or flip.called_before:
        yield from quoted("before", flip.before, indent=6, lines=3)
    yield from calls(flip.called_before, verbosity)
    yield from quoted("now", flip.now, indent=6, lines=3)
    yield from calls(flip.called, verbosity)
    if flip.why:
        yield from quoted("fault", flip.why, indent=6, lines=2)
    if flip.wrong and not told:
        yield from quoted("wrong", flip.wrong, indent=6, lines=4)
    differs = word_diff(flip.expected, flip.now)
    if differs:
        yield from quoted("differs", differs, indent=6, lines=3 if verbosity < 1 else 8)
    yield from passage_lines(flip, verbosity)
