"""A checkpoint of two layers with random weights, and a tokenizer whose tokens are words."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

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


def save_model(folder: Path, width: int = 32, context: int = 64) -> Path:
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=width, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=context, eos_token_id=1, bos_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    save_tokenizer(folder)
    return folder
