"""Values of a run as JSON, and the file of the last verdicts beside the cache."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pydantic_core
from pydantic import TypeAdapter, ValidationError

from pytest_ftgate.gates.statements import Value
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.readers.text import replace_in_json

#: The file of the last verdicts, in the folder of the cache.
VERDICTS = "verdicts.jsonl"

_T = TypeVar("_T")

#: Reads and writes values of a dataclass. Built on first use, which takes milliseconds.
json_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


def to_json(value: Any) -> str:
    """Return a dataclass, such as a verdict, as one line of JSON, as processes exchange it."""
    adapter = json_adapter(type(value))
    try:
        return adapter.dump_json(value).decode()
    except pydantic_core.PydanticSerializationError:
        # A scorer may unescape a lone surrogate in a reply that is JSON.
        whole = replace_in_json(adapter.dump_python(value, mode="json"))
        return pydantic_core.to_json(whole, inf_nan_mode="null").decode()


def from_json(kind: type[_T], text: str | bytes) -> _T:
    """Parse a value of *kind* from the output of *to_json*.

    Raises:
        ValidationError: *text* is no such value.
    """
    value: _T = json_adapter(kind).validate_json(text)
    return value


def store_verdicts(folder: Path, new: Iterable[Verdict]) -> None:
    """Store the verdicts of a run in *folder*, that of the cache; they replace older ones."""
    folder.mkdir(parents=True, exist_ok=True)
    verdicts = {node_id(verdict): verdict for verdict in (*load_verdicts(folder), *new)}
    part = folder / f"{VERDICTS}.part"
    lines = (f"{to_json(verdict)}\n" for verdict in verdicts.values())
    part.write_text("".join(lines), "utf-8")
    part.replace(folder / VERDICTS)


def load_verdicts(folder: Path) -> tuple[Verdict, ...]:
    """Return the verdicts stored in *folder*, without those that this version cannot read."""
    path = folder / VERDICTS
    known = {field.name for field in fields(Verdict)}
    verdicts = []
    # Split only at line feeds: texts of replies may contain other line separators.
    for line in path.read_text("utf-8").split("\n") if path.is_file() else ():
        with suppress(ValidationError):
            verdict = from_json(Verdict, line)
            # A field that is not known comes from another version, whose numbers would read as 0.
            if json.loads(line).keys() <= known:
                verdicts.append(verdict)
    return tuple(verdicts)


def node_id(verdict: Verdict) -> str:
    """Return the pytest node id of the gate of *verdict*."""
    return verdict.node or f"{verdict.suite}::{verdict.gate}[{verdict.variant}]"


def as_typed(verdict: Verdict, typed: Callable[[str], str]) -> Verdict:
    """Return *verdict* with its node id, and the commands that hold it, as the user types them.

    *typed* returns a node id, relative to the root directory, relative to the folder where the
    command was started.
    """
    node = typed(node_id(verdict))
    steps = [replace(step, values=_values_as_typed(step.values, typed)) for step in verdict.next]
    return replace(verdict, node=node, next=tuple(steps))


def _values_as_typed(
    values: Mapping[str, Value], typed: Callable[[str], str]
) -> Mapping[str, Value]:
    """Return the values of a next step, with its paths and node ids as the user types them."""
    names = {key: str(values[key]) for key in ("node", "suite", "where") if key in values}
    return {**values, **{key: typed(name) for key, name in names.items()}}


def node_name(verdict: Verdict) -> str:
    """Return the part of the node id after the file, which is unique within the file."""
    return node_id(verdict).partition("::")[2]
