"""What a fine-tune forgot, skill by skill, as a reader of a failure sees it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pytest_ftgate.gate.parts import LossKind, Retention, Slice
from pytest_ftgate.gate.verdict import Check, Verdict
from pytest_ftgate.gate.words import counted, interval, percent, points
from pytest_ftgate.report.tables import grid

__all__ = ["SKILL_HEADERS", "Forgotten", "by_prompt", "forgotten", "skill_rows"]

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
        yield from _table(one.skills, verbosity)
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


def _table(parts: Sequence[Slice], verbosity: int) -> Iterator[str]:
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
