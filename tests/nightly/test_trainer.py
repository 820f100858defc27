"""A real trainer: what TRL and PEFT make of a few hundred tickets is gated like any adapter."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from ftgate_testing.answer_files import write_rows
from ftgate_testing.checkpoints import load_model, load_tokenizer
from ftgate_testing.tickets import EXAMPLE, SYSTEM_PROMPT, tickets
from peft import LoraConfig
from trl import SFTConfig, SFTTrainer

LABELS = ("refund", "login", "app_crash")
RANK, STEPS, BATCH = 8, 40, 4

SUITE = f"""
prompt: {SYSTEM_PROMPT}
cases: cases.jsonl
reply: {{format: {{choice: [{", ".join(LABELS)}]}}, score: choice, max_tokens: 12}}
variants:
  current: {{provider: llamacpp, model: smollm2-135m, gated: false}}
  trained: {{like: current, adapter: trained, training_data: train.jsonl}}
baseline: current
gates: {{accuracy: {{min: 0.70, max_drop: 0.10}}}}
"""


def chat(ticket: dict[str, str]) -> dict[str, object]:
    """Return a ticket as TRL trains on it: only the completion counts for the loss."""
    system = (EXAMPLE / SYSTEM_PROMPT).read_text("utf-8").strip()
    prompt = [{"role": "system", "content": system}, {"role": "user", "content": ticket["input"]}]
    return {
        "prompt": prompt,
        "completion": [{"role": "assistant", "content": ticket["expected"]}],
    }


@pytest.fixture
def desk(pytester) -> Path:
    write_rows(pytester.path / "cases.jsonl", tickets("tickets.cases.jsonl", LABELS))
    rows = tickets("tickets.train.jsonl", LABELS)[: STEPS * BATCH]
    write_rows(pytester.path / "train.jsonl", [chat(row) for row in rows])
    shutil.copy(EXAMPLE / SYSTEM_PROMPT, pytester.path)
    return pytester.path


def trainer(desk: Path) -> SFTTrainer:
    """Return a trainer of fresh adapters on the weights that llama.cpp serves."""
    lora = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", lora_dropout=0.0)
    options = SFTConfig(
        output_dir=str(desk / "checkpoints"), max_steps=STEPS, per_device_train_batch_size=BATCH,
        learning_rate=1e-3, seed=7, use_cpu=True,
        bf16=torch.backends.cpu.get_cpu_capability().startswith("AVX512"), save_strategy="no",
        report_to="none",
    )  # fmt: skip
    return SFTTrainer(
        model=load_model(),
        args=options,
        train_dataset=Dataset.from_json(str(desk / "train.jsonl")),
        processing_class=load_tokenizer(),
        peft_config=lora,
    )


def test_an_adapter_that_trl_trains_passes_its_gate(desk, pytester):
    made = trainer(desk)
    made.train()
    made.save_model(str(desk / "trained"))
    (desk / "suite.ftgate.yaml").write_text(SUITE, "utf-8")

    result = pytester.runpytest_subprocess("--ftgate", "-rA")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*PASSED *accuracy?trained?*"])
