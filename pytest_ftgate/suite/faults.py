"""From a validation error to a sentence that says what to write instead."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from pytest_ftgate.errors import Fault, did_you_mean
from pytest_ftgate.suite.yaml import Where

__all__ = ["folded", "keys_of", "sentence"]

#: Of so many faults that are alike each is told with its line.
_TOLD = 3
#: What may differ between faults that are alike: a value, a number; not the name of a key.
_VALUE = re.compile(r'(?<!key )"[^"]*"|\d+')

_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
}


def keys_of(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the keys that an author may write in *model*."""
    return tuple(f.alias or name for name, f in model.model_fields.items())


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "empty"}[value]
    if isinstance(value, list | Mapping):
        return "a list" if isinstance(value, list) else "a mapping"
    return f'"{value}"' if isinstance(value, str) else str(value)


def sentence(error: Mapping[str, Any], known: tuple[str, ...], written: str | None) -> str:
    """Say in one line what is wrong with a value and what to write.

    Args:
        error: one entry of ``ValidationError.errors()``.
        known: the keys allowed where the error stands, for a misspelt one.
        written: the value as it stands in the file, where that is known.
    """
    where: Where = error["loc"]
    # An item of a list is called by the list's own key.
    key = next((part for part in reversed(where) if isinstance(part, str)), "it")
    kind, given = error["type"], error["input"]
    match kind:
        case "extra_forbidden":
            near = did_you_mean(key, known) or f"; known: {', '.join(known)}"
            told = f'unknown key "{key}"{near}'
        case "missing":
            told = f'"{key}" is missing'
        case "string_type" if isinstance(given, bool | int | float):
            text = written if written is not None else str(given).lower()
            told = f'{key} is {_shown(given)}, but text is wanted here: write "{text}"'
        case "literal_error":
            told = f"{key} is {_shown(given)}, but must be one of {error['ctx']['expected']}"
        case "rule":
            told = str(error["msg"])
        case _ if kind in _KINDS:
            told = f"{key} must be {_KINDS[kind]}, not {_shown(given)}"
        case _:
            told = f"{key} is {_shown(given)}, but {_wanted(error)}"
    return told


def _wanted(error: Mapping[str, Any]) -> str:
    """Turn the library's own words for a bound into ours."""
    said = str(error["msg"])
    bounds = error.get("ctx") or {}
    if 1 in (bounds.get("lt"), bounds.get("le")):
        share = float(error["input"]) / 100
        hint = f"; for {error['input']} % write {share:g}" if 0 < share < 1 else ""
        return said.replace("Input should", "must") + hint
    return said.replace("Input should", "must") if said.startswith("Input should") else said


def folded(faults: Iterable[Fault]) -> list[Fault]:
    """Return the first few of the faults of a file that are alike; the last says how many follow.

    Hundreds of rows with one and the same mistake would hide the others.
    """
    alike: dict[tuple[str, str], list[Fault]] = defaultdict(list)
    for fault in faults:
        alike[fault.path, _VALUE.sub("", fault.message)].append(fault)
    return [fault for group in alike.values() for fault in _first(group)]


def _first(group: list[Fault]) -> list[Fault]:
    more = len(group) - _TOLD
    if more <= 0:
        return group
    *before, last = group[:_TOLD]
    told = f"{last.message} (and {more} more line{'s' * (more > 1)} like it)"
    return [*before, replace(last, message=told)]
