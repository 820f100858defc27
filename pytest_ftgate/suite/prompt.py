"""Prompts: Jinja templates in a sandbox, where an undefined name is an error."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

__all__ = ["TemplateError", "names", "render"]

# keep_trailing_newline is off: a prompt file ends with a newline that is no part of the prompt.
_environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)


@lru_cache(maxsize=256)
def _compile(text: str) -> Template:
    return _environment.from_string(text)


def names(text: str) -> frozenset[str]:
    """Return the names that the template *text* takes from its case.

    Raises:
        TemplateError: the template does not parse.
    """
    return frozenset(meta.find_undeclared_variables(_environment.parse(text)))


def render(text: str, values: Mapping[str, Any]) -> str:
    """Return *text* with *values* put in.

    Raises:
        TemplateError: a name is undefined, or the sandbox forbids what the template does.
    """
    return _compile(text).render(values)
