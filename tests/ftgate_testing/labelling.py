"""A suite with inputs, to whose replies people give labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from ftgate_testing.answer_files import write_rows

SUITE = """\
cases: cases.jsonl
inputs: production.jsonl
reply: {format: {choice: [late, lost, ok]}}
variants:
  old: {provider: recorded, replies: old.jsonl}
  new: {provider: recorded, replies: new.jsonl}
gates: {accuracy: {max_drop: 0.2}}
"""


def write_suite(
    folder: Path, inputs: int = 40, differing: int = 12, new: Callable[[int], str] = "lost".format
) -> Path:
    """Write a suite whose variants reply differently to the first inputs; return its path.

    To all inputs *old* replies "ok"; *new* returns the other reply for a number.
    """
    cases = [{"id": f"c{n}", "input": f"case {n}", "expected": "ok"} for n in range(20)]
    asked = [{"id": f"p{n}", "input": f"parcel {n}"} for n in range(inputs)]
    write_rows(folder / "cases.jsonl", cases)
    write_rows(folder / "production.jsonl", asked)
    names = [row["id"] for row in (*cases, *asked)]
    write_rows(folder / "old.jsonl", [{"id": name, "text": "ok"} for name in names])
    differ = {f"p{n}": new(n) for n in range(differing)}
    write_rows(
        folder / "new.jsonl", [{"id": name, "text": differ.get(name, "ok")} for name in names]
    )
    (folder / "shop.ftgate.yaml").write_text(SUITE, "utf-8")
    return folder / "shop.ftgate.yaml"


def read_lines(path: Path) -> list[dict[str, object]]:
    """Return the rows of a file of labels or of cases."""
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
