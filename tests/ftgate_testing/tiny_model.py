"""A checkpoint of two layers with random weights, and a tokenizer whose tokens are words."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from pytest_ftgate import Reply
from pytest_ftgate.adapters.lora import adapter_sha256
from pytest_ftgate.providers.base import open_provider
from pytest_ftgate.requests.request import Adapter, Request

WORDS = ["<s>", "</s>", "<u>", *(f"w{number}" for number in range(60))]
TEMPLATE = "{% for m in messages %}{{ m.content }} {% endfor %}"


def save_tokenizer(folder: Path, words: list[str] = WORDS, template: str = TEMPLATE) -> None:
    inner = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<u>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<u>"
    )
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)


def save_model(folder: Path, width: int = 32, context: int = 64, rows: int = len(WORDS)) -> Path:
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=rows, hidden_size=width, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=context, eos_token_id=1, bos_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def save_adapter(folder: Path, model: Path, **changes: object) -> Path:
    """Write an adapter with random weights, and *changes* of its config."""
    torch.manual_seed(11)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    peft = get_peft_model(AutoModelForCausalLM.from_pretrained(model), config)
    for name, value in peft.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value)
    peft.save_pretrained(folder)
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **changes}), "utf-8")
    return folder


def request(model: Path, text: str = "w0 w1", folder: Path | None = None, **changes) -> Request:
    """Return a request to *model* with the adapter of *folder*, by Transformers."""
    values = {
        "provider": "transformers", "model": str(model), "messages": (("user", text),),
        "max_tokens": 8, "sampling": {},
        "adapter": folder and Adapter(path=folder, scale=1.0, sha256=adapter_sha256(folder)),
        **changes,
    }  # fmt: skip
    return Request(fingerprint=str(sorted(map(str, values.items()))), **values)


def answers(requests: list[Request]) -> list[Reply]:
    """Return the replies of one provider to all *requests*, each adapter's together."""

    async def run() -> list[Reply]:
        provider = open_provider(requests, {}, {})
        try:
            return await asyncio.gather(*map(provider.generate, requests))
        finally:
            await provider.close()

    return asyncio.run(run())
