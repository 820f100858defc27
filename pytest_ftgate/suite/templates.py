"""Prompt templates: Jinja in a sandbox, where an undefined name is an error."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, TemplateRuntimeError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pytest_ftgate.errors import did_you_mean
from pytest_ftgate.readers.source import Source
from pytest_ftgate.suite.model import Case

__all__ = ["PASSAGES", "check_user", "names", "render", "written"]

#: The name by which a template places what was retrieved; whether it may is a variant's matter.
PASSAGES = "passages"

# keep_trailing_newline is off: a prompt file ends with a newline that is no part of the prompt.
_environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)


@lru_cache(maxsize=256)
def _compile(text: str) -> Template:
    return _environment.from_string(text)


@lru_cache(maxsize=256)
def _pieces(text: str) -> tuple[tuple[str, str], ...] | None:
    """Return each name of a template with the text before it; None where it holds more than names.

    The last name is empty. Most templates hold no more, and joining them takes a tenth of the
    time that a context of Jinja's takes.
    """
    found, before = list[tuple[str, str]](), ""
    for output in _environment.parse(text).body:
        for node in output.nodes if isinstance(output, nodes.Output) else [None]:
            if isinstance(node, nodes.TemplateData):
                before += node.data
            elif isinstance(node, nodes.Name):
                found.append((before, node.name))
                before = ""
            else:
                return None
    return (*found, (before, ""))


def _joined(pieces: tuple[tuple[str, str], ...], values: Mapping[str, Any]) -> str:
    said = [text for before, name in pieces for text in (before, str(values[name]) if name else "")]
    # Without what is empty, so that one value alone is that value and no copy.
    return "".join([text for text in said if text])


@lru_cache(maxsize=256)
def names(text: str) -> frozenset[str]:
    """Return the names that the template *text* takes from its case.

    Raises:
        TemplateError: the template does not parse.
    """
    return frozenset(meta.find_undeclared_variables(_environment.parse(text)))


def written(text: str) -> str:
    """Return what stands in the template *text* itself, without what is put in for a case.

    Raises:
        TemplateError: the template does not parse.
    """
    return "".join(node.data for node in _environment.parse(text).find_all(nodes.TemplateData))


def render(text: str, values: Mapping[str, Any]) -> str:
    """Return *text* with *values* put in.

    Raises:
        TemplateError: a name is undefined, or what the template does fails or is forbidden.
    """
    try:
        pieces = _pieces(text)
        # A name that is not there is told by Jinja, in its own words.
        if pieces and all(not name or name in values for _, name in pieces):
            return _joined(pieces, values)
        return _compile(text).render(values)
    except TemplateError:
        raise
    # What the template itself does, such as adding text to a number.
    except Exception as error:
        raise TemplateRuntimeError(f"{type(error).__name__}: {error}") from error


def check_user(
    source: Source, line: int, what: str, template: str, cases: tuple[Case, ...]
) -> None:
    """Note what keeps the user message *template* from being rendered for *cases*."""
    try:
        wanted = names(template)
    except TemplateError as error:
        source.say(line, f"{what}: not a template: {error}")
        return
    offered = {"input", "id", "tags", *(key for case in cases for key in case.vars)}
    for name in sorted(wanted - offered - {PASSAGES}) if cases else ():
        near = did_you_mean(name, offered) or f"; cases have {', '.join(sorted(offered))}"
        source.say(line, f'{what}: no case has "{name}"{near}')
