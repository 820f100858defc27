"""Results of SWE-bench: its reports, and the lists of tasks of its leaderboard."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.agent_runs import RunFacts, document_in, require_version
from pytest_ftgate.readers.answer_rows import Found, RawFile, Sample, ToolFormat
from pytest_ftgate.readers.table import Row

_SCHEMAS = (2, 1)
_REPORT = "report.json"
#: What lists of ids say about their tasks; the last list that names a task counts. None is missing.
_STATES: Mapping[str, tuple[str, float | None]] = {
    "submitted_ids": ("not run", None),
    "completed_ids": ("unresolved", 0.0),
    "unresolved_ids": ("unresolved", 0.0),
    "empty_patch_ids": ("empty patch", 0.0),
    "error_ids": ("error", None),
    "infra_failure_ids": ("infrastructure failure", None),
    "resolved_ids": ("resolved", 1.0),
    # Of the leaderboard: each list is a part of the one before.
    "generated": ("unresolved", 0.0),
    "with_logs": ("unresolved", 0.0),
    "applied": ("unresolved", 0.0),
    "no_generation": ("no patch", 0.0),
    "no_logs": ("no log", None),
    "resolved": ("resolved", 1.0),
}
#: Lists of a leaderboard, and those that name all of its tasks.
_LISTS, _WHOLE = ("no_generation", "no_logs", "resolved"), ("generated", "with_logs", "applied")
#: Files of a submission that name all of its tasks.
_PREDICTIONS = ("all_preds.jsonl", "preds.jsonl", "preds.json")


def reports_in(folder: RawFile) -> RawFile | None:
    """Return the reports of the tasks in a folder of logs; None if there are none."""
    files = sorted(folder.path.glob(f"*/{_REPORT}"))
    reports = ((file, document_in(file)) for file in files)
    # Some submissions leave out the task, which the folder names.
    named = ({file.parent.name: one} if "resolved" in one else one for file, one in reports)
    tasks = {task: value for one in named for task, value in one.items()}
    return replace(folder, document=tasks) if _are_reports(tasks) else None


def _are_reports(document: Mapping[str, Any]) -> bool:
    values = document.values()
    return bool(document) and all(isinstance(one, Mapping) and "resolved" in one for one in values)


def _find_tasks(raw: RawFile) -> Found | None:
    document = raw.document or {}
    if _are_reports(document):
        states = {
            task: _STATES["resolved" if value["resolved"] else "unresolved_ids"]
            for task, value in document.items()
        }
    elif "resolved_ids" in document and "submitted_ids" in document:
        require_version(raw.name, document, _SCHEMAS)
        states = _states(document)
    elif "resolved" in document and any(key in document for key in (*_LISTS[:2], *_WHOLE)):
        states = dict.fromkeys(_all_tasks(raw, document), ("unresolved", 0.0))
        states |= _states(document)
    else:
        return None
    tasks = [
        Row(raw.path, 1, {"instance_id": task, "state": state}) for task, state in states.items()
    ]
    return Found(tasks, ("resolved",))


def _states(document: Mapping[str, Any]) -> dict[str, tuple[str, float | None]]:
    """Return what the lists of *document* say about each task."""
    return {
        str(task): state
        for key, state in _STATES.items()
        for task in document.get(key) or ()
        if isinstance(task, str)
    }


def _all_tasks(raw: RawFile, document: Mapping[str, Any]) -> Iterable[str]:
    """Return the tasks that were not resolved too, which newer lists leave out.

    Raises:
        ConfigurationError: no file of predictions names them.
    """
    if any(document.get(key) for key in _WHOLE):
        return ()
    folders = (raw.path.parent, raw.path.parent.parent)
    files = [folder / name for folder in folders for name in _PREDICTIONS]
    predictions = next(filter(Path.is_file, files), None)
    if predictions is None:
        raise ConfigurationError(
            f"{raw.name} lists what was resolved, and not which other tasks there were; put the "
            f"predictions of the submission beside it, as {_PREDICTIONS[0]}"
        )
    return [*_predicted(predictions)]


def _predicted(path: Path) -> Iterator[str]:
    """Yield the task of each prediction."""
    if path.suffix == ".json":
        yield from document_in(path)
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            with suppress(ValueError, KeyError, TypeError):
                yield str(json.loads(line)["instance_id"])


def _task(row: Row, _: str) -> Sample:
    reason, score = row.value["state"]
    missing = reason if score is None else ""
    return Sample(row.value, score, missing=missing, run=RunFacts(status=reason))


SWE_BENCH = ToolFormat(
    "SWE-bench results",
    "task",
    {"id": "instance_id"},
    _find_tasks,
    _task,
    unit="task",
)
