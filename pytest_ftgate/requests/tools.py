"""Python functions as tools: their JSON Schema, from signature and docstring."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.requests.request import Tool
from pytest_ftgate.suite.function_references import load_function

if TYPE_CHECKING:
    from pydantic import TypeAdapter


def build_tool(reference: str, folder: Path) -> Tool:
    """Return the tool that *reference* names, with the description and schema for a model.

    Raises:
        ConfigurationError: the function cannot be imported, or its arguments have no schema.
    """
    description, arguments = _docstring(load_function(reference, folder))
    return Tool(
        name=reference.partition(":")[2],
        description=description,
        parameters=_schema(reference, folder, arguments),
        reference=reference,
    )


@lru_cache(maxsize=64)
def tool_caller(reference: str, folder: Path) -> TypeAdapter[Any]:
    """Return an adapter that validates arguments and calls the function with them.

    Raises:
        ConfigurationError: the function cannot be imported, or its arguments cannot be validated.
    """
    from pydantic import TypeAdapter

    function = load_function(reference, folder)
    _check_signature(reference, function)
    try:
        target: Any = _with_resolved_annotations(function)
        return TypeAdapter(target)
    except Exception as error:  # annotations may contain any expression
        raise _schema_error(reference, error) from error


def _with_resolved_annotations(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return *function* with its annotations evaluated in its own module.

    Pydantic would look the module up by name, and two suites may have modules of the same name.
    """

    @wraps(function)
    def resolved(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    resolved.__annotations__ = inspect.get_annotations(function, eval_str=True)
    return resolved


def _check_signature(reference: str, function: Callable[..., Any]) -> None:
    if not inspect.isfunction(function):
        raise ConfigurationError(
            f"{reference} is no function; a tool is one: def look_up(order_id: str)"
        )
    for parameter in inspect.signature(function).parameters.values():
        name = parameter.name
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            star = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
            problem = f"takes {star}{name}, which no schema can describe; name each argument"
        elif parameter.kind is parameter.POSITIONAL_ONLY:
            problem = f"takes {name} by position alone, but a model names arguments; remove /"
        elif parameter.annotation is parameter.empty:
            problem = f"does not say what {name} is; annotate it: {name}: str"
        else:
            continue
        raise ConfigurationError(f"{reference} {problem}")


def _schema(reference: str, folder: Path, descriptions: dict[str, str]) -> dict[str, Any]:
    from pydantic import PydanticUserError

    try:
        schema = tool_caller(reference, folder).json_schema()
    except PydanticUserError as error:
        raise _schema_error(reference, error) from error
    for name, property_schema in schema["properties"].items():
        # The title repeats the name.
        property_schema.pop("title", None)
        if name in descriptions:
            property_schema.setdefault("description", descriptions[name])
    return schema


def _schema_error(reference: str, error: Exception) -> ConfigurationError:
    message = str(error).split("\n", maxsplit=1)[0]
    return ConfigurationError(
        f"{reference}: its arguments have no JSON Schema: {message}; "
        "annotate them with types that JSON has, or with pydantic models"
    )


def _docstring(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """Return the description of a function and of its arguments, from its docstring."""
    from docstring_parser import parse

    docstring = parse(inspect.getdoc(function) or "")
    arguments = {
        parameter.arg_name: " ".join((parameter.description or "").split())
        for parameter in docstring.params
    }
    described = {name: text for name, text in arguments.items() if text}
    return docstring.description or "", described
