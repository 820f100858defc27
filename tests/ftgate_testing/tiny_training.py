"""A project whose gates are evaluated while a tiny model is trained."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer

from ftgate_testing.answer_files import write_rows
from ftgate_testing.tiny_model import save_model

SKILLS = 240
SUITE = """
cases: cases.jsonl
reply: {format: {choice: [w1, w2]}, score: choice, max_tokens: 2}
variants:
  base: {provider: transformers, model: tiny, gated: false}
  tuned: {like: base, adapter: not-there-yet, gated: true}
baseline: base
gates:
  accuracy: {min: 0.5, max_drop: none}
  forgetting: {skills: [places], max_drop: 0.2}
"""
#: The base says w5 to everything that the skill asks.
PLACES = """
from pathlib import Path

def pytest_ftgate_skills():
    return {"places": Path(__file__).with_name("places.jsonl")}
"""


def save_project(folder: Path) -> Path:
    """Write the model, a suite on it, its cases, and a skill that the model has."""
    save_model(folder / "tiny", context=512)
    tasks = [{"id": f"t{n}", "input": f"w{n % 50}", "expected": "w1"} for n in range(60)]
    tasks = [{**row, "input": f"{row['input']} w{n}"} for n, row in enumerate(tasks)]
    write_rows(folder / "cases.jsonl", tasks)
    model, tokenizer = loaded(folder / "tiny")
    asked = [f"w{n % 57} w{n // 57} w3" for n in range(SKILLS)]
    tokens = tokenizer(
        [f"{text} " for text in asked], return_tensors="pt", add_special_tokens=False
    )
    said = map(tokenizer.decode, model(**tokens).logits[:, -1].argmax(-1, keepdim=True))
    skills = [
        {"id": f"p{number}", "input": text, "expected": word, "skill": "places"}
        for number, (text, word) in enumerate(zip(asked, said, strict=True))
    ]
    write_rows(folder / "places.jsonl", skills)
    (folder / "conftest.py").write_text(PLACES, "utf-8")
    (folder / "s.ftgate.yaml").write_text(SUITE, "utf-8")
    return folder


def loaded(folder: Path):
    tokenizer = AutoTokenizer.from_pretrained(folder, pad_token="</s>")
    return AutoModelForCausalLM.from_pretrained(folder), tokenizer
