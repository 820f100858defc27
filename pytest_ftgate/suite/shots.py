"""The worked examples of one variant: read from their file, checked, and put into turns."""

from __future__ import annotations

from jinja2 import TemplateError

from pytest_ftgate.suite.cases import rows, to_cases
from pytest_ftgate.suite.declared import DeclaredExamples
from pytest_ftgate.suite.examples import chosen, twins
from pytest_ftgate.suite.model import Case, ReplyRules, Shot, Turn
from pytest_ftgate.suite.place import Place
from pytest_ftgate.suite.prompt import PASSAGES, render

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
    source, line = place.source, place.line("examples")
    path = source.find(examples.source, line, "examples: from")
    if path is None:
        return []
    found = chosen(to_cases(source, rows(source, path, line), reply), examples)
    for shot, case in twins(found, cases):
        place.say("examples", f"example {shot.where} is the eval case {case.where}; remove one")
    return [Shot(shot.shown, _turns(place, shot, user)) for shot in found]


def _turns(place: Place, shot: Case, user: str) -> tuple[Turn, ...]:
    if shot.expected is None:
        place.say("examples", f'example {shot.where} has no "expected", so nothing to show')
        return ()
    answer = shot.expected[0] if isinstance(shot.expected, list) else shot.expected
    if shot.score.kind == "tool_call":
        place.say("examples", f"example {shot.where} expects a tool call, which cannot be shown")
        return ()
    # An example is shown without passages, wherever the template has a place for them.
    values = {"input": shot.input, "id": shot.id, "tags": shot.tags, PASSAGES: "", **shot.vars}
    try:
        asked = shot.messages or (("user", render(user, values)),)
    except TemplateError as error:
        place.say("examples", f"example {shot.where} cannot be shown: {error}")
        return ()
    return (*asked, ("assistant", str(answer)))
