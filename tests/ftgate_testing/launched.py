"""Trainings under gates in one process or several; `torchrun` and `accelerate launch` start it.

    torchrun --nproc-per-node 2 launched.py PROJECT RUNS.json

RUNS.json is a list of trainings, each an object of *Run*; PROJECT is a folder of
`tiny_training.save_project`. Each process writes what came of them to PROJECT/rank-N.json.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import FullyShardedDataParallelPlugin
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

sys.path.insert(0, str(Path(__file__).parents[1]))

from ftgate_testing.tiny_training import loaded
from pytest_ftgate.training import GateCallback
from pytest_ftgate.training.checkpoints import CheckpointGates

STEPS = 4


@dataclass
class Run:
    """One training.

    Attributes:
        trainer: ``plain``, ``sft`` or ``dpo``.
        split: ``fsdp`` splits the weights over the processes.
        gates: arguments of the callback; None for a training without it.
        fault: in the first process, each evaluation ``raises``, or ``hangs`` for seconds.
        early: stop once the metric that *args* name does not rise.
        args: further arguments of the trainer.
    """

    trainer: str = "plain"
    split: str = ""
    gates: dict[str, Any] | None = field(default_factory=dict)
    rate: float = 0.001
    fault: str = ""
    early: bool = False
    adapter: bool = True
    args: dict[str, Any] = field(default_factory=dict)


def text_rows(trainer: str) -> Dataset:
    if trainer == "dpo":
        return Dataset.from_list(
            [{"prompt": f"w{n} w3 ", "chosen": "w1", "rejected": "w2"} for n in range(32)]
        )
    return Dataset.from_list([{"prompt": f"w{n} w3 ", "completion": "w1"} for n in range(32)])


def make_trainer(run: Run, project: Path) -> Trainer:
    torch.manual_seed(3)
    model, tokenizer = loaded(project / "tiny")
    lora = LoraConfig(r=4, target_modules="all-linear", lora_dropout=0.5, task_type="CAUSAL_LM")
    common: dict[str, Any] = {
        "output_dir": str(project / "out"), "max_steps": STEPS, "per_device_train_batch_size": 4,
        "learning_rate": run.rate, "seed": 5, "use_cpu": True, "report_to": "none", "bf16": False,
        "logging_steps": 1, "disable_tqdm": True, "save_strategy": "no",
        "gradient_checkpointing": False, **run.args,
    }  # fmt: skip
    if run.trainer == "plain":
        model = get_peft_model(model, lora) if run.adapter else model
        one = tokenizer.convert_tokens_to_ids("w1")
        rows = [{"input_ids": [n % 60, one, 1], "labels": [-100, one, 1]} for n in range(64)]
        made = {"args": TrainingArguments(**common), "train_dataset": rows, "eval_dataset": rows}
        return Trainer(model=model, processing_class=tokenizer, **made)
    kind, config = (SFTTrainer, SFTConfig) if run.trainer == "sft" else (DPOTrainer, DPOConfig)
    rows = text_rows(run.trainer)
    made = {"args": config(**common), "train_dataset": rows, "eval_dataset": rows}
    return kind(model=model, processing_class=tokenizer, peft_config=lora, **made)


def split_weights(trainer: Trainer, version: int) -> None:
    """Split the weights over processes without a GPU, which accelerate itself does not offer."""
    if version == 1:
        # The plugin wants to name a GPU.
        import accelerate.utils.dataclasses as plugins

        plugins.is_cuda_available = lambda: True
        torch.cuda.current_device = lambda: torch.device("cpu")
        PartialState._shared_state["device"] = torch.device("cpu")
        AcceleratorState._shared_state["device"] = torch.device("cpu")
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=version,
        auto_wrap_policy="TRANSFORMER_BASED_WRAP",
        transformer_cls_names_to_wrap=["LlamaDecoderLayer"],
        state_dict_type="FULL_STATE_DICT",
        use_orig_params=True,
    )
    for state in (AcceleratorState, PartialState):
        state._shared_state["distributed_type"] = DistributedType.FSDP
    AcceleratorState._shared_state["fsdp_plugin"] = plugin
    trainer.is_fsdp_enabled = True


@contextmanager
def faulty(fault: str) -> Iterator[None]:
    """Let each evaluation fail: `raises`, or `hangs N` for N seconds."""
    real = CheckpointGates.evaluate

    def evaluate(*given: Any, **options: Any) -> Any:
        if fault == "raises":
            raise RuntimeError("the evaluation broke")
        time.sleep(float(fault.split()[1]))
        return real(*given, **options)

    if fault:
        CheckpointGates.evaluate = evaluate
    try:
        yield
    finally:
        CheckpointGates.evaluate = real


def outcome(run: Run, project: Path) -> dict[str, Any]:
    """Train, and return what came of it in this process."""
    trainer = make_trainer(run, project)
    if run.split:
        split_weights(trainer, int(run.split.removeprefix("fsdp")))
    callback = None
    if run.early:
        trainer.add_callback(EarlyStoppingCallback(1))
    if run.gates is not None:
        options = {"every": 2, "cases": 20, "at_end": False, **run.gates}
        callback = GateCallback(
            project / "s.ftgate.yaml", rootdir=project, trainer=trainer, **options
        )
        trainer.add_callback(callback)
    said, error = io.StringIO(), ""
    try:
        with faulty(run.fault), redirect_stderr(said):
            trainer.train()
    except Exception as raised:  # noqa: BLE001 - what ended the training is told
        error = f"{type(raised).__name__}: {raised}"
        if "FtgateError" not in error:
            error += traceback.format_exc()
    log = trainer.state.log_history
    return {
        "run": asdict(run),
        "processes": trainer.args.world_size,
        "model": type(trainer.model_wrapped).__name__,
        "steps": trainer.state.global_step,
        "losses": [row["loss"] for row in log if "loss" in row],
        "rows": [row for row in log if "ftgate/seconds" in row],
        "metrics": [name for name in (log or [{}])[-1] if name.startswith("eval_")],
        "best_step": trainer.state.best_global_step,
        "best_metric": trainer.state.best_metric,
        "stopped_at": callback and callback.stopped_at,
        "evaluated": [one.step for one in callback.checkpoints] if callback else [],
        "said": [line for line in said.getvalue().splitlines() if line.startswith("ftgate:")],
        "error": error,
    }


def main() -> None:
    project = Path(sys.argv[1])
    runs = [Run(**values) for values in json.loads(Path(sys.argv[2]).read_text("utf-8"))]
    os.chdir(project)
    came = []
    for run in runs:
        came.append(outcome(run, project))
        # What one training chose of accelerate holds for the process.
        AcceleratorState._reset_state()
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_CPU
    rank = os.environ.get("RANK", "0")
    (project / f"rank-{rank}.json").write_text(json.dumps(came, default=str), "utf-8")


if __name__ == "__main__":
    main()
