"""Files of answers, as any tool might write them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def answer_rows(count: int, wrong: Iterable[int] = (), **more: Any) -> list[dict[str, Any]]:
    """Return rows of which those with the indices *wrong* are wrong; *more* are further columns."""
    bad = {*wrong}
    return [
        {
            "id": f"q{n}",
            "question": f"What is the word of number {n}?",
            "expected": f"word {n}",
            "answer": "none" if n in bad else f"word {n}",
            **{key: value(n) if callable(value) else value for key, value in more.items()},
        }
        for n in range(count)
    ]


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> str:
    """Write *rows* as lines of JSON and return the path as text."""
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return str(path)
