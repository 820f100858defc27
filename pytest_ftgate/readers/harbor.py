"""Jobs of Harbor: a folder with a ``result.json`` for each trial of an agent at a task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.agent_runs import (
    RunFacts,
    document_in,
    measured,
    require_version,
    seconds_between,
    skills_read,
    stated_amount,
    stated_run,
)
from pytest_ftgate.readers.answer_rows import Found, RawFile, Sample, ToolFormat, part_of
from pytest_ftgate.readers.table import Row
from pytest_ftgate.readers.text import as_mapping, mappings_in, text_at, value_at

_KEY, _OUTCOMES = "task_name", {"verifier_result", "exception_info"}
_RESULT, _CONFIG, _TRACE = "result.json", "config.json", Path("agent", "trajectory.json")
_SCHEMAS = (1,)
#: Why a trial is missing whose folder has no result.
_NOT_ENDED = f"not ended, no {_RESULT}"
#: The reward that is read, unless the user names another.
_REWARD = "reward"
#: Exceptions that are the agent's own failure, so that the verdict of the verifier stands. Newer
#: results state that themselves; see harbor/models/trial/error_policy.py.
_OF_THE_AGENT = frozenset(
    (
        *("AgentTimeoutError", "NonZeroAgentExitCodeError", "AgentSafetyRefusalError"),
        *("ContextWindowExceededError", "ContextLengthExceededError", "OutputTokenExceededError"),
        *("OutputLengthExceededError", "ContentPolicyViolationError"),
    )
)


def trials_in(folder: RawFile) -> RawFile | None:
    """Return the results of the trials in the folder of a job; None if it is no such folder.

    Raises:
        ConfigurationError: it holds several jobs, or no trial that has ended.
    """
    path = folder.path
    results = [Row(file, 1, document_in(file)) for file in sorted(path.glob(f"*/{_RESULT}"))]
    rows = tuple(row for row in results if _is_trial(row.value))
    if rows:
        return replace(folder, rows=(*rows, *_unended(path, rows)))
    jobs = [row.path.parent for row in results if _is_job(row.value)]
    if jobs:
        named = ", ".join(map(str, jobs))
        raise ConfigurationError(f"{path} holds jobs of Harbor; name one of {named}")
    own = path / _RESULT
    if own.is_file() and _is_job(document_in(own)):
        raise ConfigurationError(
            f"{path} is a job of Harbor in which no trial has ended: it has no */{_RESULT}; "
            "let it end (harbor jobs resume), or name another job"
        )
    return None


def _unended(job: Path, ended: Sequence[Row]) -> Iterator[Row]:
    """Yield the trials of *job* that have no result: they say nothing about the agent.

    What did not end may be what went wrong, so that these runs are missing, and not left out.
    """
    known = {Path(row.value[_KEY]).name: row.value[_KEY] for row in ended}
    for path in sorted(job.glob(f"*__*/{_CONFIG}")):
        if not path.with_name(_RESULT).exists():
            config = document_in(path)
            stated = text_at(config, "task.path") or text_at(config, "task.name")
            name = Path(stated or path.parent.name.rpartition("__")[0]).name
            told = {"exception_info": {"exception_type": _NOT_ENDED}, "config": config}
            yield Row(path, 1, {_KEY: known.get(name, name), **told})


def _has_ended(trial: Mapping[str, Any]) -> bool:
    return bool(value_at(trial, "exception_info.exception_type") != _NOT_ENDED)


def _is_trial(document: Mapping[str, Any]) -> bool:
    return _KEY in document and not _OUTCOMES.isdisjoint(document)


def _is_job(document: Mapping[str, Any]) -> bool:
    return "n_total_trials" in document and "stats" in document


def _find_trials(raw: RawFile) -> Found | None:
    if raw.document is not None and _is_job(raw.document):
        listed = raw.document.get("trial_results")
        folder = raw.path.parent
        if not listed:
            raise ConfigurationError(
                f"{raw.name} sums up a job of Harbor; name its folder: {folder}"
            )
        raw = replace(raw, rows=tuple(Row(raw.path, 1, trial) for trial in listed))
    if not raw.rows or not all(_is_trial(row.value) for row in raw.rows):
        return None
    agents = dict.fromkeys(_agent(row.value) for row in raw.rows if _has_ended(row.value))
    agent = part_of(raw, [*agents], "agents")
    # The configuration of a trial that has not ended may name its agent in other words.
    others = {*agents} - {agent}
    rows = [*_without_copies(row for row in raw.rows if _agent(row.value) not in others)]
    for row in rows:
        require_version(str(row.path), row.value, _SCHEMAS)
    names = dict.fromkeys(name for row in rows for name in _rewards(row.value))
    first = [_REWARD] if _REWARD in names or not names else []
    return Found(rows, (*first, *names))


def _without_copies(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield each trial once: a folder that was copied, as into a merged job, is no further run."""
    seen = set[str]()
    for row in rows:
        stated = text_at(row.value, "id")
        if not stated or stated not in seen:
            yield row
        seen.add(stated)


def _agent(trial: Mapping[str, Any]) -> str:
    """Return the agent of a trial with its model, as one text."""
    name = text_at(trial, "agent_info.name") or text_at(trial, "config.agent.name")
    model = _model(trial) or text_at(trial, "config.agent.model_name")
    return f"{name} {model}".strip()


def _model(trial: Mapping[str, Any]) -> str:
    parts = (text_at(trial, f"agent_info.model_info.{key}") for key in ("provider", "name"))
    return "/".join(filter(None, parts))


def _rewards(trial: Mapping[str, Any]) -> Mapping[str, Any]:
    rewards = as_mapping(value_at(trial, "verifier_result.rewards"))
    return {name: value for name, value in rewards.items() if value is not None}


def _exceptions(trial: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the exceptions of a trial and of its steps."""
    parts = (trial, *mappings_in(trial.get("step_results")))
    return mappings_in(part.get("exception_info") for part in parts)


def _name(exception: Mapping[str, Any]) -> str:
    return str(exception.get("exception_type") or "an exception")


def _is_of_the_agent(exception: Mapping[str, Any]) -> bool:
    stated = value_at(exception, "policy.has_valid_reward")
    return stated if isinstance(stated, bool) else _name(exception) in _OF_THE_AGENT


def _missing_reason(trial: Mapping[str, Any]) -> str:
    """Return why a trial says nothing about the agent; "" if it does."""
    exceptions = _exceptions(trial)
    others = [_name(one) for one in exceptions if not _is_of_the_agent(one)]
    if others or exceptions:
        return next(iter(others), "")
    return "" if _rewards(trial) else "no reward"


def _trial(row: Row, score: str) -> Sample:
    trial = row.value
    rewards = _rewards(trial)
    # An agent that ended by its own failure, and that was not verified, did not do the task.
    value = rewards.get(score) if rewards else 0.0
    return Sample(trial, value, missing=_missing_reason(trial), run=_run_facts(row))


def _run_facts(row: Row) -> RunFacts:
    trial = row.value
    steps = mappings_in(trial.get("step_results"))
    parts = [trial] if trial.get("agent_result") else steps or [trial]
    calls = _tool_calls(row.path.parent / _TRACE)
    exceptions = _exceptions(trial)
    tokens = (
        _sum([measured(value_at(part, f"agent_result.n_{key}_tokens")) for part in parts])
        for key in ("input", "output")
    )
    return stated_run(
        model=_model(trial),
        status=_name(exceptions[0]) if exceptions else "completed",
        cost_usd=_sum([_cost(part) for part in parts]) or None,
        seconds=_sum([_seconds(part) for part in parts]),
        tokens=tokens,
        tool_calls=None if calls is None else len(calls),
        uses=None if calls is None else skills_read(calls),
    )


def _cost(part: Mapping[str, Any]) -> float | None:
    """Return what a part of a trial cost; Harbor writes 0 where it knows no price of the model."""
    cost = stated_amount(value_at(part, "agent_result.cost_usd"))
    used = (measured(value_at(part, f"agent_result.n_{key}_tokens")) for key in ("input", "output"))
    return cost or (None if any(used) else cost)


def _seconds(part: Mapping[str, Any]) -> float | None:
    times = (value_at(part, f"agent_execution.{key}") for key in ("started_at", "finished_at"))
    return seconds_between(*times)


def _sum(values: Sequence[float | None]) -> float | None:
    """Return the sum of *values*; None if one is not known, since the rest would be too little."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _tool_calls(path: Path) -> list[tuple[str, Any]] | None:
    """Return the calls of tools in a trajectory (ATIF), each with its arguments; None without."""
    if not path.is_file():
        return None
    steps = mappings_in(document_in(path).get("steps"))
    calls = [call for step in steps for call in mappings_in(step.get("tool_calls"))]
    return [(str(call.get("function_name")), call.get("arguments")) for call in calls]


HARBOR = ToolFormat("Harbor job", "task", {"id": _KEY}, _find_trials, _trial, unit="task")
