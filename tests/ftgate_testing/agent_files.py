"""Results of agents, in the shapes that their runners document."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

#: A reward of a trial, or the exception that ended it.
Outcome = float | str


def harbor_trial(task: str, outcome: Outcome, **more: Any) -> dict[str, Any]:
    """Return the result of one trial of Harbor; *more* replaces what it states."""
    is_error = isinstance(outcome, str)
    exception = {"exception_type": outcome, "exception_message": "m", "exception_traceback": "t"}
    return {
        "task_name": task,
        "trial_name": f"{task}__abc1234",
        "source": "terminal-bench",
        "agent_info": {
            "name": "claude-code",
            "version": "2.1",
            "model_info": {"name": "claude-sonnet-4-5", "provider": "anthropic"},
        },
        "agent_result": {
            "n_input_tokens": 1000,
            "n_cache_tokens": 400,
            "n_output_tokens": 200,
            "cost_usd": 0.25,
        },
        "verifier_result": None if is_error else {"rewards": {"reward": outcome}},
        "exception_info": exception if is_error else None,
        "agent_execution": {
            "started_at": "2026-10-01T10:00:00Z",
            "finished_at": "2026-10-01T10:01:30Z",
        },
        **more,
    }


def trajectory(skill: str) -> dict[str, Any]:
    """Return the trace of a run that read *skill*, or none if it is ""."""
    call = {"function_name": "Skill", "arguments": {"skill": skill}}
    calls = [call] if skill else [{"function_name": "Bash", "arguments": {"command": "ls"}}]
    step = {"step_id": 1, "source": "agent", "message": "", "tool_calls": calls}
    return {"schema_version": "ATIF-v1.6", "steps": [step]}


def harbor_job(
    folder: Path, outcomes: Mapping[str, Sequence[Outcome]], uses: str | None = None
) -> Path:
    """Write a job of Harbor into *folder*: the outcomes of the trials at each task.

    *uses* is the skill that each run read, "" for none; None for runs without a trace.
    """
    trials = [(task, outcome) for task, several in outcomes.items() for outcome in several]
    job = {"n_total_trials": len(trials), "stats": {"n_completed_trials": len(trials)}}
    write_document(folder / "result.json", job)
    for number, (task, outcome) in enumerate(trials):
        trial = folder / f"{task}__{number:07}"
        write_document(trial / "result.json", harbor_trial(task, outcome))
        write_document(trial / "config.json", {"task": {"path": task}})
        if uses is not None:
            write_document(trial / "agent" / "trajectory.json", trajectory(uses))
    return folder


def benchmark(arms: Mapping[str, Sequence[float]], runs: int = 3) -> dict[str, Any]:
    """Return a benchmark of skill-creator: by arm, the pass rate of each run of each eval."""
    return {
        "metadata": {"skill_name": "pdf", "executor_model": "claude-sonnet-4-5"},
        "runs": [
            {
                "eval_id": number // runs + 1,
                "configuration": arm,
                "run_number": number % runs + 1,
                "result": {
                    "pass_rate": rate,
                    "passed": round(rate * 4),
                    "failed": 4 - round(rate * 4),
                    "total": 4,
                    "time_seconds": 42.5,
                    "tokens": 3800,
                    "tool_calls": 18,
                    "errors": 1,
                },
                "expectations": [],
            }
            for arm, rates in arms.items()
            for number, rate in enumerate(rates)
        ],
        "run_summary": {"delta": {"pass_rate": "+0.50"}},
    }


def write_document(path: Path, document: Any) -> Path:
    """Write *document* as JSON, in a folder that is made for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), "utf-8")
    return path
