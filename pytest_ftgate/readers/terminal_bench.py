"""Runs of Terminal-Bench 1: a ``results.json``, or a folder with one for each repeat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_ftgate.readers.agent_runs import document_in, seconds_between, stated_run
from pytest_ftgate.readers.answer_rows import Found, RawFile, Sample, ToolFormat, part_of
from pytest_ftgate.readers.table import Row
from pytest_ftgate.readers.text import text_at

_KEYS = {"task_id", "trial_name", "is_resolved"}
_RESULTS, _METADATA = "results.json", "run_metadata.json"
#: A failure that is not the agent's, although the trial counts as not resolved.
_NOT_INSTALLED = "agent_installation_failed"


def runs_in(folder: RawFile) -> RawFile | None:
    """Return the trials in a folder: of its own results, else of each run in it; None for none."""
    path = folder.path
    own = path / _RESULTS
    files = [*path.glob(f"*/{_RESULTS}"), *path.glob(f"*{_RESULTS}")]
    files = [own] if own.is_file() else sorted({*files})
    trials = ((file, _trials_of(document_in(file))) for file in files)
    rows = tuple(Row(file, 1, trial) for file, found in trials for trial in found)
    return replace(folder, rows=rows) if rows else None


def _trials_of(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed = document.get("results")
    trials = listed if isinstance(listed, list) else []
    is_known = all(isinstance(one, Mapping) and one.keys() >= _KEYS for one in trials)
    return trials if is_known else []


def _find_trials(raw: RawFile) -> Found | None:
    listed = _trials_of(raw.document) if raw.document is not None else []
    rows = [Row(raw.path, 1, trial) for trial in listed] or [*raw.rows]
    if not rows or not all(row.value.keys() >= _KEYS for row in rows):
        return None
    runs = {row.path: _metadata(row.path.parent) for row in rows}
    agents = {path: _agent(known) for path, known in runs.items()}
    agent = part_of(raw, [*dict.fromkeys(agents.values())], "agents")
    kept = [(row, runs[row.path]) for row in rows if agents[row.path] == agent]
    return Found(kept, ("is_resolved",))


def _metadata(folder: Path) -> Mapping[str, Any]:
    path = folder / _METADATA
    return document_in(path) if path.is_file() else {}


def _agent(metadata: Mapping[str, Any]) -> str:
    return f"{text_at(metadata, 'agent_name')} {text_at(metadata, 'model_name')}".strip()


def _missing_reason(trial: Mapping[str, Any]) -> str:
    """Return why a trial says nothing about the agent: it was not tested; "" if it was."""
    mode = str(trial.get("failure_mode") or "no result")
    return mode if trial["is_resolved"] is None or mode == _NOT_INSTALLED else ""


def _trial(found: tuple[Row, Mapping[str, Any]], _: str) -> Sample:
    trial, metadata = found[0].value, found[1]
    run = stated_run(
        model=text_at(metadata, "model_name"),
        status=str(trial.get("failure_mode") or ""),
        seconds=seconds_between(trial.get("agent_started_at"), trial.get("agent_ended_at")),
        tokens=[trial.get(f"total_{side}_tokens") for side in ("input", "output")],
    )
    return Sample(trial, trial["is_resolved"], missing=_missing_reason(trial), run=run)


TERMINAL_BENCH = ToolFormat(
    "Terminal-Bench results",
    "task",
    {"id": "task_id", "input": "instruction"},
    _find_trials,
    _trial,
    unit="task",
)
