"""What each trainer and launcher does with gates: the table in docs/contributing/trainers.md.

    PYTHONPATH=tests python -m ftgate_testing.launches [LAUNCHER ...]

It trains a tiny model with each trainer, with the callback and without, and prints the table.
Needs the extra ``train``, trl and accelerate; without a GPU, by gloo.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ftgate_testing import launched

TRAINERS = {"plain": "`Trainer`", "sft": "`SFTTrainer`", "dpo": "`DPOTrainer`"}
SAVED = {"save_strategy": "steps", "save_steps": 2}
THROUGH = {"through": "tuned", "every": None}
#: A trainer that chooses its best checkpoint by what the gates rate.
CHOSEN = {
    **SAVED,
    "save_steps": 1,
    "eval_strategy": "steps",
    "eval_steps": 1,
    "load_best_model_at_end": True,
    "metric_for_best_model": "eval_ftgate_general_skills",
}
_MODES: Mapping[str, Mapping[str, Any]] = {
    # Without a gate that asks all questions where it is in doubt.
    "": {"gates": {"stop_on": []}},
    "through": {"gates": {**THROUGH, "stop_on": []}, "args": SAVED},
}
#: By launcher: the words of the command, the modes of its table, and further trainings by name.
LAUNCHERS: Mapping[str, tuple[Sequence[str], Mapping[str, str], Mapping[str, dict[str, Any]]]] = {
    "python": (["python"], {"": "one process", "through": "one process, `through`"}, {}),
    "torchrun": (
        ["torchrun", "--standalone", "--nproc-per-node", "2"],
        {"": "`torchrun`, DDP", "through": "`torchrun`, DDP, `through`"},
        {
            "stopped": {"rate": 0.3},
            "broken": {"fault": "raises"},
            "required": {"fault": "raises", "gates": {"required": True}},
            "slow": {"fault": "hangs 4", "gates": {"wait_minutes": 0.03, "every": 4}},
            "whole": {"adapter": False, "rate": 0.05, "gates": {"stop_on": []}},
            "chosen": {"early": True, "rate": 0.01, "gates": {"stop_on": []}, "args": CHOSEN},
        },
    ),
    "accelerate": (
        [
            *("accelerate", "launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"),
            *("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"),
        ],
        {"": "`accelerate launch`, DDP"},
        {},
    ),
    "fsdp": (
        ["torchrun", "--standalone", "--nproc-per-node", "2"],
        {"": "`torchrun`, FSDP2", "through": "`torchrun`, FSDP2, `through`"},
        {
            "stopped": {"rate": 0.3, "gates": THROUGH, "args": SAVED},
            "required": {"gates": {"required": True}},
            "fsdp1": {"split": "fsdp1"},
        },
    ),
}
HEAD = ["launched by", *TRAINERS.values()]


def runs(name: str) -> dict[str, dict[str, Any]]:
    """Return the trainings of the launcher *name*: TRAINER, TRAINER MODE, and those by name."""
    _, modes, more = LAUNCHERS[name]
    split = {"split": "fsdp2"} if name == "fsdp" else {}
    found = {f"{one} alone": {"trainer": one, "gates": None, **split} for one in TRAINERS}
    for mode in modes:
        found |= {f"{one} {mode}": {"trainer": one, **_MODES[mode], **split} for one in TRAINERS}
    return found | {key: {**split, **run} for key, run in more.items()}


def launch(name: str, project: Path) -> list[dict[str, Any]]:
    """Return for each process what came of the trainings of the launcher *name*."""
    from ftgate_testing.tiny_training import save_project

    project.mkdir(exist_ok=True)
    save_project(project)
    planned = runs(name)
    (project / "runs.json").write_text(json.dumps([*planned.values()]), "utf-8")
    command = [str(Path(sys.executable).parent / LAUNCHERS[name][0][0]), *LAUNCHERS[name][0][1:]]
    done = subprocess.run(
        [*command, launched.__file__, str(project), str(project / "runs.json")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3_000:])
    files = sorted(project.glob("rank-*.json"))
    return [dict(zip(planned, json.loads(file.read_text("utf-8")), strict=True)) for file in files]


def rows(name: str, came: Sequence[Mapping[str, Any]]) -> Iterator[list[str]]:
    """Yield the rows of the table: what came of each trainer, by mode."""
    for mode, words in LAUNCHERS[name][1].items():
        cells = [_cell([one[f"{trainer} {mode}"] for one in came], came[0], trainer)
                 for trainer in TRAINERS]  # fmt: skip
        yield [words, *cells]


def _cell(found: Sequence[Mapping[str, Any]], first: Mapping[str, Any], trainer: str) -> str:
    if any(one["error"] for one in found):
        return "ended by an error"
    evaluated = len(found[0]["evaluated"])
    planned = launched.STEPS // 2
    warned = any(line.startswith("ftgate: warning") for line in found[0]["said"])
    text = f"{evaluated} of {planned} checkpoints" if evaluated else "nothing evaluated"
    text += ", a warning" if warned else ""
    is_same = all(one["losses"] == first[f"{trainer} alone"]["losses"] for one in found)
    return f"{text}; {'the same' if is_same else 'other'} losses"


def main() -> None:
    lines = [HEAD, ["---"] * len(HEAD)]
    for name in sys.argv[1:] or LAUNCHERS:
        with TemporaryDirectory() as folder:
            lines += rows(name, launch(name, Path(folder) / "project"))
    sys.stdout.writelines(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
