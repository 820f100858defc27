"""The worked examples of one variant: read from their file, checked, and put into turns."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from jinja2 import TemplateError

from pytest_ftgate.suite.alike import twins
from pytest_ftgate.suite.declared import DeclaredExamples
from pytest_ftgate.suite.examples import chosen
from pytest_ftgate.suite.expected import stranger
from pytest_ftgate.suite.faults import folded
from pytest_ftgate.suite.model import Case, ReplyRules, Shot, Turn, digest
from pytest_ftgate.suite.place import Place
from pytest_ftgate.suite.prompt import PASSAGES, render
from pytest_ftgate.suite.shapes import Example
from pytest_ftgate.suite.source import Source
from pytest_ftgate.suite.training import training_rows

__all__ = ["shots_of"]


def shots_of(
    place: Place, examples: DeclaredExamples, user: str, cases: tuple[Case, ...], reply: ReplyRules
) -> list[Shot]:
    """Return the examples that a variant shows, or may show; what is wrong is noted.

    Args:
        place: of the variant.
        examples: what it declares.
        user: the user message's template.
        cases: the suite's cases, none of which may be an example.
        reply: the suite's rules for replies.
    """
    source = place.source
    path = source.find(examples.source, place.line("examples"), "examples: from")
    if path is None:
        return []
    if reply.score.kind == "tool_call":
        place.say("examples", "examples cannot show a tool call, which cases expect; remove them")
    before = len(source.faults)
    pool = [row for row in training_rows(source, path) if row.teaches]
    if not pool and len(source.faults) == before:
        place.say("examples", f"examples: {examples.source} has no row to learn from")
    found = chosen(pool, examples)
    # Of similar ones each case is shown its own, and never one that is nearly itself.
    near = examples.choose != "similar"
    for shot, case, how in twins(found, cases, near=near):
        where = f"{source.name(path)}:{shot.line}"
        place.say("examples", f"example {where} {how} the eval case {case.where}; remove one")
    if reply.score.kind == "choice":
        _check_labels(source, path, found, reply)
    shots = [Shot(shot.shown, _turns(place, path, shot, user)) for shot in found]
    source.faults[before:] = folded(source.faults[before:])
    return shots


def _check_labels(source: Source, path: Path, found: Iterable[Example], reply: ReplyRules) -> None:
    for shot in found:
        wrong = stranger([shot.answer], reply.format) if shot.answer is not None else None
        if wrong:
            source.say(shot.line, wrong, path)


def _turns(place: Place, path: Path, shot: Example, user: str) -> tuple[Turn, ...]:
    where = f"{place.source.name(path)}:{shot.line}"
    if shot.answer is None:
        place.say("examples", f'example {where} has no "expected", so nothing to show')
        return ()
    # An example is shown without passages, wherever the template has a place for them.
    usual = {"input": shot.shown, "id": digest([shot.shown])[:8], "tags": (), PASSAGES: ""}
    try:
        single = len(shot.turns) == 1
        asked = (("user", render(user, {**usual, **shot.values})),) if single else shot.turns
    except TemplateError as error:
        place.say("examples", f"example {where} cannot be shown: {error}")
        return ()
    return (*asked, ("assistant", shot.answer))
