"""Results of Vally: ``results.jsonl``, with a record for each trial of a stimulus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.agent_runs import measured, skills_read, stated_run
from pytest_ftgate.readers.answer_rows import Found, RawFile, Sample, ToolFormat, part_of
from pytest_ftgate.readers.table import Row
from pytest_ftgate.readers.text import mappings_in, text_at, value_at

_TRIAL, _RESULTS = "trial-result", "results.jsonl"
_SUCCESS, _TIMEOUT = "success", "agent_timeout"
_SCORE, _PASSED = "score", "passed"


def results_in(folder: RawFile) -> RawFile | None:
    """Return *folder* as the results in it; None if there are none.

    Raises:
        ConfigurationError: it holds those of several variants.
    """
    own = folder.path / _RESULTS
    if own.is_file():
        return replace(folder, path=own)
    variants = sorted(folder.path.glob(f"*/{_RESULTS}"))
    if variants:
        named = ", ".join(map(str, variants))
        raise ConfigurationError(f"{folder.path} holds several results; name one of {named}")
    return None


def _find_trials(raw: RawFile) -> Found | None:
    rows = [row for row in raw.rows if _is_trial(row.value)]
    if not rows:
        return None
    variants = dict.fromkeys(text_at(row.value, "variant") for row in rows)
    variant = part_of(raw, [*variants], "variants")
    kept = [row for row in rows if text_at(row.value, "variant") == variant]
    # Two files of stimuli may have stimuli of one name.
    files = {_eval_file(row.value) for row in kept}
    replies = [(row, _stimulus(row.value, whole=len(files) > 1)) for row in kept]
    return Found(replies, (_SCORE, _PASSED), arm=variant)


def _is_trial(record: Mapping[str, Any]) -> bool:
    has_grade = "gradeResult" in record and isinstance(record.get("trajectory"), Mapping)
    return record.get("type") == _TRIAL or (has_grade and "type" not in record)


def _eval_file(record: Mapping[str, Any]) -> str:
    return text_at(record, "experiment.evalFile") or text_at(record, "evalFilePath")


def _stimulus(record: Mapping[str, Any], *, whole: bool) -> str:
    paths = ("stimulus", "gradeResult.stimulusName", "trajectory.stimulus.name")
    named = (value_at(record, path) for path in paths)
    name = next((value for value in named if isinstance(value, str)), "")
    return f"{_eval_file(record)}: {name}" if whole else name


def _missing_reason(record: Mapping[str, Any]) -> str:
    """Return why a trial says nothing about the agent; "" if it does."""
    status = text_at(record, "status") or _SUCCESS
    if text_at(record, "trajectory.endReason") == _TIMEOUT:
        return ""
    if status != _SUCCESS:
        return text_at(record, "error") or status
    return "" if value_at(record, f"gradeResult.{_SCORE}") is not None else "not graded"


def _trial(found: tuple[Row, str], score: str) -> Sample:
    record, stimulus = found[0].value, found[1]
    value = value_at(record, f"gradeResult.{score}")
    metrics = value_at(record, "trajectory.metrics") or {}
    usage = value_at(metrics, "tokenUsage") or {}
    keys = ("inputTokens", "outputTokens", "totalTokens")
    run = stated_run(
        model=text_at(record, "model") or text_at(record, "trajectory.metadata.model"),
        status=text_at(record, "trajectory.endReason") or text_at(record, "status"),
        cost_usd=measured(value_at(usage, "costUsd")),
        milliseconds=metrics.get("wallTimeMs") or record.get("durationMs"),
        tool_calls=metrics.get("toolCallCount"),
        uses=_skills(record),
        tokens=[value_at(usage, key) for key in keys],
    )
    return Sample(
        record,
        # An agent that ran out of time, and that was not graded, did not do the task.
        0.0 if value is None else value,
        {"id": stimulus, "expected": None},
        missing=_missing_reason(record),
        line=found[0].line,
        run=run,
    )


def _skills(record: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the skills that were activated, or read by a tool; None without a trace."""
    activated = value_at(record, "trajectory.metrics.skillActivationBreakdown")
    events = value_at(record, "trajectory.events")
    if not isinstance(activated, Mapping) and not isinstance(events, list):
        return None
    data = mappings_in(event.get("data") for event in mappings_in(events))
    calls = [one for one in data if "toolName" in one]
    read = skills_read((str(call["toolName"]), call.get("arguments")) for call in calls)
    return tuple(dict.fromkeys((*map(str, activated or ()), *read)))


VALLY = ToolFormat(
    "Vally results",
    "",
    {"id": "stimulus", "input": "trajectory.stimulus.prompt", "reply": "trajectory.output"},
    _find_trials,
    _trial,
    unit="task",
)
