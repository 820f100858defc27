"""Write runs of simulated agents, in the formats of Harbor and skill-creator, for docs/agents.md.

    python examples/agents/make_runs.py FOLDER

No model and no agent ran: each task has a chance of success, and a seed draws the runs. FOLDER gets
``runs/old`` and ``runs/new``, jobs of an agent with an older and a newer SKILL.md; ``runs/model-a``
and ``runs/model-b``, jobs of one agent with two models; and ``benchmark.json``, evals of a skill.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

SKILL = "invoice-pdf"
#: The runs of each task.
RUNS = 5
#: The tasks that the newer SKILL.md breaks, of 12.
BROKEN = ("task-00", "task-01", "task-02")


def chance(task: int) -> float:
    """Return how often an agent solves a task: most of them always, some never, others at times."""
    return (1.0, 1.0, 0.9, 0.5, 1.0, 0.0)[task % 6]


def write(path: Path, document: Any) -> None:
    """Write *document* as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def write_job(folder: Path, tasks: int, model: str, broken: tuple[str, ...] = ()) -> None:
    """Write a job of Harbor: of each task several trials, each with its trace."""
    draw = random.Random(folder.name)
    trials = [(f"task-{task:02}", chance(task)) for task in range(tasks) for _ in range(RUNS)]
    write(folder / "result.json", {"n_total_trials": len(trials), "stats": {}})
    for number, (task, rate) in enumerate(trials):
        is_solved = draw.random() < (0.0 if task in broken else rate)
        trial = {
            "task_name": task,
            "trial_name": f"{task}__{number:07}",
            "agent_info": {"name": "simulated", "version": "1", "model_info": {"name": model}},
            "agent_result": {
                "n_input_tokens": draw.randrange(20_000, 40_000),
                "n_output_tokens": draw.randrange(1_000, 3_000),
                "cost_usd": draw.randrange(8, 14) / 100,
            },
            "verifier_result": {"rewards": {"reward": float(is_solved)}},
            "exception_info": None,
            "agent_execution": {
                "started_at": "2026-11-02T10:00:00Z",
                "finished_at": f"2026-11-02T10:0{draw.randrange(1, 6)}:00Z",
            },
        }
        step = {"tool_calls": [{"function_name": "Skill", "arguments": {"skill": SKILL}}]}
        write(folder / f"{task}__{number:07}" / "result.json", trial)
        write(folder / f"{task}__{number:07}" / "agent" / "trajectory.json", {"steps": [step]})


def write_benchmark(path: Path, evals: int) -> None:
    """Write a benchmark of skill-creator, with and without a skill that helps."""
    draw = random.Random(path.name)
    runs = []
    for arm, lift in (("without_skill", 0.0), ("with_skill", 0.6)):
        for number in range(evals * RUNS):
            passed = sum(draw.random() < 0.3 + lift for _ in range(4))
            result: dict[str, float] = {
                "pass_rate": passed / 4,
                "passed": passed,
                "failed": 4 - passed,
                "total": 4,
            }
            result["time_seconds"] = draw.randrange(30, 90)
            result["tokens"] = draw.randrange(3_000, 9_000)
            runs.append(
                {
                    "eval_id": number // RUNS + 1,
                    "configuration": arm,
                    "run_number": number % RUNS + 1,
                    "result": {**result, "tool_calls": draw.randrange(4, 12), "errors": 0},
                    "expectations": [],
                }
            )
    metadata = {"skill_name": SKILL, "executor_model": "model-a"}
    write(path, {"metadata": metadata, "runs": runs, "run_summary": {}})


def main(folder: Path) -> None:
    """Write all runs below *folder*."""
    write_job(folder / "runs" / "old", 12, "model-a")
    write_job(folder / "runs" / "new", 12, "model-a", BROKEN)
    write_job(folder / "runs" / "model-a", 60, "model-a")
    write_job(folder / "runs" / "model-b", 60, "model-b")
    write_benchmark(folder / "benchmark.json", 8)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
