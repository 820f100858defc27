"""Functions as tools: their JSON Schema, read from signature and docstring."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ftgate.errors import Unavailable
from pytest_ftgate.requests.request import Tool
from pytest_ftgate.suite.references import function

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["caller", "tool"]


def tool(reference: str, folder: Path) -> Tool:
    """Return the tool that *reference* names, as a model is told of it.

    Raises:
        Unavailable: it cannot be imported, or its arguments cannot be told.
    """
    told, about = _docstring(function(reference, folder))
    return Tool(
        name=reference.partition(":")[2],
        description=told,
        parameters=_schema(reference, folder, about),
        reference=reference,
    )


@lru_cache(maxsize=64)
def caller(reference: str, folder: Path) -> TypeAdapter[Any]:
    """Return what checks and converts arguments, and calls the function of *reference* with them.

    Raises:
        Unavailable: it cannot be imported, or its arguments cannot be checked.
    """
    from pydantic import TypeAdapter

    found = function(reference, folder)
    _check_signature(reference, found)
    try:
        shape: Any = _resolved(found)
        return TypeAdapter(shape)
    except Exception as error:  # annotations may hold any expression
        raise _unreadable(reference, error) from error


def _resolved(found: Callable[..., Any]) -> Callable[..., Any]:
    """Return *found* with its annotations read where it was written.

    Pydantic reads them in the module of that name, which another suite may have as well.
    """

    @wraps(found)
    def resolved(*args: Any, **kwargs: Any) -> Any:
        return found(*args, **kwargs)

    resolved.__annotations__ = inspect.get_annotations(found, eval_str=True)
    return resolved


def _check_signature(reference: str, found: Callable[..., Any]) -> None:
    if not inspect.isfunction(found):
        raise Unavailable(f"{reference} is no function; a tool is one: def look_up(order_id: str)")
    for parameter in inspect.signature(found).parameters.values():
        name = parameter.name
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            star = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
            wrong = f"takes {star}{name}, which no model can be told of; name each argument"
        elif parameter.kind is parameter.POSITIONAL_ONLY:
            wrong = f"takes {name} by position alone, but a model names arguments; remove /"
        elif parameter.annotation is parameter.empty:
            wrong = f"does not say what {name} is; annotate it: {name}: str"
        else:
            continue
        raise Unavailable(f"{reference} {wrong}")


def _schema(reference: str, folder: Path, about: dict[str, str]) -> dict[str, Any]:
    from pydantic import PydanticUserError

    try:
        schema = caller(reference, folder).json_schema()
    except PydanticUserError as error:
        raise _unreadable(reference, error) from error
    for name, told in schema["properties"].items():
        # A title says the name again.
        told.pop("title", None)
        if name in about:
            told.setdefault("description", about[name])
    return schema


def _unreadable(reference: str, error: Exception) -> Unavailable:
    said = str(error).split("\n", maxsplit=1)[0]
    return Unavailable(
        f"{reference}: its arguments have no JSON Schema: {said}; "
        "annotate them with types that JSON has, or with pydantic models"
    )


def _docstring(found: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """Return what a docstring says of a function, and of each of its arguments."""
    from docstring_parser import parse

    read = parse(inspect.getdoc(found) or "")
    about = {one.arg_name: " ".join((one.description or "").split()) for one in read.params}
    return read.description or "", {name: told for name, told in about.items() if told}
