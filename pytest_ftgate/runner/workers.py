"""What an xdist worker passes in files to the process that writes the reports."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from pytest_ftgate.client.budget import CostReport
from pytest_ftgate.results.builder import RunPart
from pytest_ftgate.results.run import RequestCounts, SuiteRun
from pytest_ftgate.results.verdicts import from_json, to_json


def send_part(part: RunPart, folder: Path) -> dict[str, str]:
    """Return *part* as texts, for `receive_part`; its suites are written to a file in *folder*."""
    cases = _write(folder, "cases", map(to_json, part.suites)) if part.suites else ""
    # In ASCII, since the name of a file may hold bytes that are no text.
    return {"part": json.dumps(asdict(replace(part, suites=()))), "cases": cases}


def receive_part(sent: Mapping[str, str]) -> RunPart:
    """Return the part that another process sent, and delete its file."""
    values = json.loads(sent["part"])
    return RunPart(
        requests=RequestCounts(**values["requests"]),
        cost=CostReport(**values["cost"]),
        messages=tuple(values["messages"]),
        files=tuple(values["files"]),
        suites=tuple(from_json(SuiteRun, line) for line in _read(sent["cases"])),
    )


def write_accepted(folder: Path, accepted: Mapping[str, object]) -> str:
    """Write what each gate of this process accepts, by node id; return the file, or "".

    In the reports of the tests, each reporter of another plugin would store it.
    """
    return _write(folder, "accepted", [json.dumps(accepted)]) if accepted else ""


def read_accepted(path: str) -> dict[str, Any]:
    """Return what another process wrote to *path*, if any, and delete the file."""
    return {node: values for line in _read(path) for node, values in json.loads(line).items()}


def _write(folder: Path, kind: str, lines: Iterable[str]) -> str:
    path = folder / f"{kind}-{uuid4().hex}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return str(path)


def _read(path: str) -> list[str]:
    """Return the lines of the file that *path* names, if any, and delete it."""
    if not path:
        return []
    # Only a line feed ends a line: replies may contain other line separators.
    lines = Path(path).read_text("utf-8").split("\n")
    Path(path).unlink()
    return [line for line in lines if line]
