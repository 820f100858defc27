"""Benchmarks of skill-creator: ``benchmark.json``, with the runs of both arms in one file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.agent_runs import document_in, stated_run
from pytest_ftgate.readers.answer_rows import Found, RawFile, Sample, ToolFormat, part_of
from pytest_ftgate.readers.text import mappings_in, text_at, value_at

#: The arms that are compared if the user names none, the base first.
_ARMS = (("without_skill", "with_skill"), ("old_skill", "new_skill"))
_PASS_RATE, _ALL_PASSED = "pass_rate", "all_passed"
#: What the tool writes for a model that it does not know.
_UNKNOWN = "<"


def arms_of(answers: str | os.PathLike[str]) -> tuple[str, str] | None:
    """Return both arms of a benchmark as ``PATH::ARM``, the base first; None for another file.

    Raises:
        ConfigurationError: the file has one arm, or arms whose order is unknown.
    """
    written = os.fspath(answers)
    path = Path(written)
    runs = list[Mapping[str, Any]]()
    # What is wrong with a file is said where its answers are read.
    with suppress(ConfigurationError):
        runs = _runs(document_in(path)) if path.suffix == ".json" and path.is_file() else []
    if not runs:
        return None
    names = _names(written, runs)
    for pair in _ARMS:
        if {*pair} == {*names}:
            return f"{written}::{pair[0]}", f"{written}::{pair[1]}"
    if len(names) == 1:
        raise ConfigurationError(
            f"{written} has the runs of one arm, {names[0]}: run the benchmark with both, or "
            f"compare it with a second file: compare OLD {written}"
        )
    parts = " ".join(f"{written}::{name}" for name in names[:2])
    raise ConfigurationError(
        f"{written} has the arms {', '.join(names)}; name two: compare {parts}"
    )


def _runs(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the runs of a benchmark; none for another document."""
    runs = document.get("runs")
    is_benchmark = isinstance(runs, list) and isinstance(document.get("run_summary"), Mapping)
    found = mappings_in(runs) if is_benchmark else []
    return found if any(isinstance(run.get("result"), Mapping) for run in found) else []


def _names(name: str, runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the arms of *runs*.

    Raises:
        ConfigurationError: a run has none, or no pass rate.
    """
    for number, run in enumerate(runs):
        lacking = [key for key in ("eval_id", "configuration") if run.get(key) is None]
        lacking += [] if value_at(run, "result.pass_rate") is not None else ["result.pass_rate"]
        if lacking:
            raise ConfigurationError(
                f"{name}: runs[{number}] has no {' and no '.join(lacking)}; write it as in "
                "references/schemas.md of skill-creator"
            )
    return [*dict.fromkeys(str(run["configuration"]) for run in runs)]


def _find_runs(raw: RawFile) -> Found | None:
    runs = _runs(raw.document or {})
    if not runs:
        return None
    arm = part_of(raw, _names(raw.name, runs), "arms")
    model = text_at(raw.document or {}, "metadata.executor_model")
    model = "" if model.startswith(_UNKNOWN) else model
    kept = [run for run in runs if str(run["configuration"]) == arm]
    return Found([(run, model) for run in kept], (_PASS_RATE, _ALL_PASSED))


def _run(found: tuple[Mapping[str, Any], str], score: str) -> Sample:
    run, model = found
    result = run["result"]
    rate = result[_PASS_RATE]
    value = rate if score == _PASS_RATE else float(rate == 1)
    # Without a grade the tool writes that none of 0 expectations passed.
    missing = "not graded" if result.get("total") == 0 else ""
    facts = stated_run(
        model=model,
        status=missing or "graded",
        seconds=result.get("time_seconds"),
        tool_calls=result.get("tool_calls") or None,
        tokens=(None, None, result.get("tokens")),
    )
    # As its folders are called; a bare number would only count the runs.
    case_id = f"eval-{run['eval_id']}" if isinstance(run["eval_id"], int) else str(run["eval_id"])
    return Sample(run, value, {"id": case_id}, missing=missing, run=facts)


SKILL_CREATOR = ToolFormat(
    "skill-creator benchmark",
    "eval",
    {"id": "eval_id", "input": "eval_name"},
    _find_runs,
    _run,
    unit="task",
)
