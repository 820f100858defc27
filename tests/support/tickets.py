"""The tickets of the example, and its trainer as a module."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

EXAMPLE = Path(__file__).parents[2] / "examples" / "tickets"
SYSTEM_PROMPT = "tickets.short.md"


def example_trainer() -> ModuleType:
    """Import ``train.py``, which needs torch, transformers and PEFT."""
    sys.path.insert(0, str(EXAMPLE))
    import train

    return train


def tickets(name: str, labels: tuple[str, ...]) -> list[dict[str, str]]:
    """Return the rows of a file of the example that have one of *labels*."""
    rows = map(json.loads, (EXAMPLE / name).read_text("utf-8").splitlines())
    return [row for row in rows if row["expected"] in labels]


def write_rows(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
