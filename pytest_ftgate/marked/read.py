"""From the marks of a test function to what is asked and how it is judged, or to every fault."""

from __future__ import annotations

from inspect import unwrap
from typing import Any

import pytest
from pydantic import ValidationError

from pytest_ftgate.errors import SuiteFaults
from pytest_ftgate.marked.lines import SUITE, lines_of
from pytest_ftgate.marked.named import named_suite
from pytest_ftgate.marked.place import Mark, Place
from pytest_ftgate.marked.rules import marked
from pytest_ftgate.marked.slot import Marked
from pytest_ftgate.suite.faults import keys_of, sentence
from pytest_ftgate.suite.source import Source

__all__ = ["read_marks"]

_NO_FILE = 'the suite is {!r}; write the path of a file, such as "prompts/tickets.ftgate.yaml"'


def read_marks(definition: pytest.Function, *, planned: bool) -> Marked:
    """Return what the marks of a function come to; those nearer to it win, argument by argument.

    Args:
        definition: the function.
        planned: it takes replies that are asked before it is run.

    Raises:
        SuiteFaults: they cannot be used; every fault is named, with its line and its remedy.
    """
    function = unwrap(definition.function)
    root, path = definition.config.rootpath.resolve(), definition.path.resolve()
    place = Place(
        session=definition.session,
        source=Source(root=root, path=path),
        function=function,
        name=definition.nodeid.partition("::")[2],
        lines=lines_of(function),
    )
    given = _given(place, definition)
    mark = _read(place, given)
    # Where the suite itself is no path, what it would say of the other arguments is not known.
    known = SUITE not in given or mark.suite is not None
    suite = named_suite(place, mark) if known else None
    if suite is None:
        raise SuiteFaults(place.source.name(path), place.source.faults)
    return marked(place, mark, suite, planned=planned)


def _given(place: Place, definition: pytest.Function) -> dict[str, Any]:
    """Return the arguments of all marks, those nearer to the function in place of others."""
    given: dict[str, Any] = {}
    for mark in reversed([*definition.iter_markers("ftgate")]):
        if len(mark.args) > 1:
            told = "a mark names one suite file; a function for two takes two functions"
            place.say(SUITE, told)
        given |= [(SUITE, one) for one in mark.args[:1]]
        given |= mark.kwargs
    return given


def _read(place: Place, given: dict[str, Any]) -> Mark:
    """Return the arguments; what is wrong is said and left out, and the rest is read on."""
    try:
        return Mark.model_validate(given)
    except ValidationError as error:
        known = tuple(key for key in keys_of(Mark) if key != SUITE)
        wrong = {str(one["loc"][0]): one for one in reversed(error.errors())}
        for key, one in wrong.items():
            told = sentence({**one, "loc": one["loc"][:1]}, known, None)
            told = told.replace("unknown key", "unknown argument")
            place.say(key, _NO_FILE.format(one["input"]) if key == SUITE else told)
        return Mark.model_validate({key: one for key, one in given.items() if key not in wrong})
