"""Verdicts as JSON, and the file of the last verdicts beside the cache."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pytest_ftgate.gates.verdict import Verdict

__all__ = [
    "load_verdicts",
    "node_id",
    "node_name",
    "store_verdicts",
    "verdict_from_json",
    "verdict_to_json",
]

_VERDICTS = "verdicts.jsonl"


# Built on first use: the validators of nested classes take milliseconds to build.
@cache
def _verdict_adapter() -> TypeAdapter[Verdict]:
    return TypeAdapter(Verdict)


def verdict_to_json(verdict: Verdict) -> str:
    """Return *verdict* as one line of JSON, as processes exchange it."""
    return _verdict_adapter().dump_json(verdict).decode()


def verdict_from_json(text: str) -> Verdict:
    """Parse the output of *verdict_to_json*."""
    return _verdict_adapter().validate_json(text)


def store_verdicts(folder: Path, texts: Sequence[str]) -> None:
    """Store the verdicts of a run in *folder*; they replace older ones of the same gates.

    Args:
        folder: of the cache.
        texts: verdicts as JSON.
    """
    folder.mkdir(parents=True, exist_ok=True)
    verdicts = {node_id(verdict): verdict for verdict in load_verdicts(folder)}
    verdicts |= {node_id(verdict): verdict for verdict in map(verdict_from_json, texts)}
    part = folder / f"{_VERDICTS}.part"
    lines = (f"{verdict_to_json(verdict)}\n" for verdict in verdicts.values())
    part.write_text("".join(lines), "utf-8")
    part.replace(folder / _VERDICTS)


def load_verdicts(folder: Path) -> tuple[Verdict, ...]:
    """Return the verdicts stored in *folder*, without those that this version cannot read."""
    path = folder / _VERDICTS
    known = {field.name for field in fields(Verdict)}
    verdicts = []
    # Split only at line feeds: texts of replies may contain other line separators.
    for line in path.read_text("utf-8").split("\n") if path.is_file() else ():
        with suppress(ValidationError):
            verdict = verdict_from_json(line)
            # A field that is not known comes from another version, whose numbers would read as 0.
            if json.loads(line).keys() <= known:
                verdicts.append(verdict)
    return tuple(verdicts)


def node_id(verdict: Verdict) -> str:
    """Return the pytest node id of the gate of *verdict*."""
    return verdict.node or f"{verdict.suite}::{verdict.gate}[{verdict.variant}]"


def node_name(verdict: Verdict) -> str:
    """Return the part of the node id after the file, which is unique within the file."""
    return node_id(verdict).partition("::")[2]
