"""What a variant retrieves from: files found and read, or a function of the team's own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from jinja2 import TemplateError

from pytest_ftgate.suite.declared import DeclaredRetrieve, DeclaredVariant
from pytest_ftgate.suite.defined import reference_fault
from pytest_ftgate.suite.model import Case, Retrieve
from pytest_ftgate.suite.place import Place
from pytest_ftgate.suite.prompt import PASSAGES, names
from pytest_ftgate.suite.providers import UNASKED

__all__ = ["retrieve_of"]

_REFERENCE = re.compile(r"[\w.]+:\w+")


def retrieve_of(
    place: Place,
    declared: DeclaredVariant,
    templates: Iterable[str | None],
    cases: tuple[Case, ...],
) -> Retrieve | None:
    """Return how a variant finds passages, or None; what is wrong is noted.

    Args:
        place: of the variant.
        declared: what it declares, inherited keys included.
        templates: of its messages, which may have a place for passages.
        cases: the suite's cases, whose files hold the answers.
    """
    wanted = declared.retrieve
    if wanted is None:
        if declared.provider not in UNASKED and any(_places(text, cases) for text in templates):
            told = f'a template names "{PASSAGES}", but nothing is retrieved'
            place.say("retrieve", f'{told}; add retrieve: {{from: "docs/*.md"}}')
        return None
    if isinstance(wanted, str):
        if not _REFERENCE.fullmatch(wanted):
            told = f'retrieve: "{wanted}" is no module:function'
            place.say("retrieve", f'{told}; for files write retrieve: {{from: "{wanted}"}}')
        elif fault := reference_fault(wanted, place.source.path.parent):
            place.say("retrieve", f"retrieve: {fault}")
        return Retrieve(function=wanted)
    paths = tuple(_files(place, wanted, cases))
    return Retrieve(paths=paths, top=wanted.top, chunk=wanted.chunk)


def _places(template: str | None, cases: tuple[Case, ...]) -> bool:
    """Tell whether *template* has a place for passages; a case's own var is none of them."""
    try:
        named = PASSAGES in names(template or "")
    except TemplateError:  # said where the template stands
        return False
    return named and not any(PASSAGES in case.vars for case in cases)


def _files(place: Place, wanted: DeclaredRetrieve, cases: tuple[Case, ...]) -> Iterable[Path]:
    source, line = place.source, place.line("retrieve")
    patterns = [wanted.source] if isinstance(wanted.source, str) else wanted.source
    if not patterns:
        place.say("retrieve", "retrieve: from is an empty list; name a file or a glob")
    found = chain.from_iterable(source.files(one, line, "retrieve: from") for one in patterns)
    answers = {case.where.rpartition(":")[0] for case in cases}
    for path in dict.fromkeys(found):
        if source.name(path) in answers:
            place.say(
                "retrieve",
                f"retrieve: {source.name(path)} holds cases with their answers; leave it out",
            )
        # Read here for its faults alone: what it says is read when the plan is made.
        elif source.text(path, line, "retrieve") is not None:
            yield path
