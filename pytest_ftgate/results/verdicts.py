"""Verdicts as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pytest_ftgate.gates.verdict import Verdict

__all__ = [
    "keep_verdicts",
    "last_verdicts",
    "node_id",
    "node_name",
    "verdict_from_json",
    "verdict_to_json",
]

_VERDICTS = "verdicts.jsonl"


# Built on first use: pydantic builds the validators of nested classes in milliseconds, not none.
@cache
def _verdicts() -> TypeAdapter[Verdict]:
    return TypeAdapter(Verdict)


def verdict_to_json(verdict: Verdict) -> str:
    """Return *verdict* as one line of JSON, the form in which it travels between processes."""
    return _verdicts().dump_json(verdict).decode()


def verdict_from_json(text: str) -> Verdict:
    """Read what *verdict_to_json* wrote."""
    return _verdicts().validate_json(text)


def keep_verdicts(folder: Path, texts: Sequence[str]) -> None:
    """Keep the verdicts of a run beside the ledger, in place of older ones of the same gates."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {node_id(one): one for one in last_verdicts(folder)}
    kept |= {node_id(one): one for one in map(verdict_from_json, texts)}
    part = folder / f"{_VERDICTS}.part"
    part.write_text("".join(f"{verdict_to_json(one)}\n" for one in kept.values()), "utf-8")
    part.replace(folder / _VERDICTS)


def last_verdicts(folder: Path) -> tuple[Verdict, ...]:
    """Return the verdicts that were kept in *folder*; those of another version are left out."""
    path = folder / _VERDICTS
    found = []
    # Lines end in a line feed alone: replies may hold what else ends one.
    for line in path.read_text("utf-8").split("\n") if path.is_file() else ():
        with suppress(ValidationError):
            found.append(verdict_from_json(line))
    return tuple(found)


def node_id(verdict: Verdict) -> str:
    """Return the name by which pytest knows the gate of *verdict*."""
    return verdict.node or f"{verdict.suite}::{verdict.gate}[{verdict.variant}]"


def node_name(verdict: Verdict) -> str:
    """Return the part of the node id within its file: what tells it from the others there."""
    return node_id(verdict).partition("::")[2]
