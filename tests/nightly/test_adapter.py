"""A trainer's folder answers in llama.cpp, through the product, as it does in transformers."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from ftgate_testing.answer_files import write_rows
from ftgate_testing.checkpoints import load_model, load_tokenizer
from ftgate_testing.tickets import EXAMPLE, SYSTEM_PROMPT, save_adapter, tickets
from peft import PeftModel

from pytest_ftgate.providers.llamacpp import open_llamacpp
from pytest_ftgate.requests.request_groups import task_requests
from pytest_ftgate.suite.loader import load_suite

RANK, LAYERS, WIDTH, KEYS = 8, 30, 576, 192
#: The size of the random changes of q and k, with which most replies are still labels.
STRENGTH = 0.007
TOKENS, BATCH = 12, 16
#: The least share of equal replies: llama.cpp rounds activations to 8 bits.
SAME = 0.97

SUITE = f"""
prompt: {SYSTEM_PROMPT}
cases: cases.jsonl
reply: {{score: exact, max_tokens: {TOKENS}}}
variants:
  tuned: {{provider: llamacpp, model: smollm2-135m, adapter: ADAPTER}}
gates: {{accuracy: {{min: 0.10}}}}
"""


def more_matrices() -> dict[str, np.ndarray]:
    """Return random changes of q and k, under the names of PEFT."""
    random, matrices = np.random.default_rng(7), {}
    for layer in range(LAYERS):
        for part, rows in (("q_proj", WIDTH), ("k_proj", KEYS)):
            name = f"base_model.model.model.layers.{layer}.self_attn.{part}"
            a, b = random.normal(size=(RANK, WIDTH)), random.normal(size=(rows, RANK))
            matrices[f"{name}.lora_A.weight"] = (a / WIDTH**0.5).astype(np.float16)
            matrices[f"{name}.lora_B.weight"] = (b * STRENGTH * WIDTH**0.5).astype(np.float16)
    return matrices


def product_replies(folder: Path) -> list[str]:
    """Return the replies of llama.cpp, with the adapter as the product converts it."""
    shutil.copy(EXAMPLE / SYSTEM_PROMPT, folder)
    (folder / "s.ftgate.yaml").write_text(SUITE.replace("ADAPTER", str(folder / "peft")), "utf-8")
    suite = load_suite(folder / "s.ftgate.yaml", Path("/"))
    requests = [one.request for one in task_requests(suite, suite.variants["tuned"], {})]

    async def generate() -> list[str]:
        provider = open_llamacpp(requests, {})
        replies = await asyncio.gather(*map(provider.generate, requests))
        await provider.close()
        return [reply.text.strip() for reply in replies]

    return asyncio.run(generate())


def transformers_replies(folder: Path, inputs: list[str]) -> list[str]:
    """Return the replies of transformers and PEFT, greedy and in float32."""
    tokenizer = load_tokenizer(padding_side="left")
    model = PeftModel.from_pretrained(load_model(), folder / "peft").eval()
    system = {"role": "system", "content": (EXAMPLE / SYSTEM_PROMPT).read_text("utf-8").strip()}
    chats = [[system, {"role": "user", "content": text}] for text in inputs]
    replies = []
    for first in range(0, len(chats), BATCH):
        rows = tokenizer.apply_chat_template(
            chats[first : first + BATCH],
            add_generation_prompt=True,
            padding=True,
            return_dict=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            tokens = model.generate(**rows, do_sample=False, max_new_tokens=TOKENS)
        made = tokens[:, rows["input_ids"].shape[1] :]
        replies += [text.strip() for text in tokenizer.batch_decode(made, skip_special_tokens=True)]
    return replies


def test_an_adapter_of_q_and_k_answers_as_in_transformers(tmp_path, capsys):
    rows = tickets("tickets.cases.jsonl")
    write_rows(tmp_path / "cases.jsonl", rows)
    save_adapter(tmp_path / "peft", more=more_matrices())

    served = product_replies(tmp_path)
    trained = transformers_replies(tmp_path, [row["input"] for row in rows])

    same = sum(map(str.__eq__, served, trained))
    right = [
        sum(text == row["expected"] for text, row in zip(side, rows, strict=True))
        for side in (served, trained)
    ]
    with capsys.disabled():
        sys.stdout.write(f"\nsame reply: {same} of {len(rows)}; right: {right[0]}, {right[1]}\n")
    assert same >= SAME * len(rows)
    # Labels of the task: equal nonsense would show nothing.
    assert min(right) >= len(rows) // 2
