"""The reference case of the ladder: 800 tickets, 18 categories, and what each rung gets right."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

from ftgate_testing.answer_files import write_rows

LABELS = [f"category_{number:02}" for number in range(18)]
RIGHT = {
    "prompt": 568, "examples": 672, "descriptions": 704, "strong": 736, "hosted": 728, "lora": 728,
}  # fmt: skip
SUITE = """\
cases: cases.jsonl
reply: {{format: {{choice: [{labels}]}}}}
variants:
  prompt: {{provider: recorded, replies: prompt.jsonl, usd_per_1k: 5, gated: false}}
  examples: {{like: prompt, replies: examples.jsonl, usd_per_1k: 5, rung: few-shot, gated: false}}
  descriptions: {{like: examples, replies: descriptions.jsonl, usd_per_1k: 5}}
  strong:
    {{like: prompt, replies: strong.jsonl, usd_per_1k: 60, rung: stronger-model, gated: false}}
  hosted: {{like: lora, replies: hosted.jsonl, usd_per_1k: 0.4, gated: false}}
  lora:
    provider: recorded
    replies: lora.jsonl
    usd_per_1k: 0.4
    rung: fine-tuned
    training_data: train.jsonl
    gated: false
baseline: prompt
economics:
  calls_per_day: {volume}
  variants:
    hosted: {{training_usd: 500, hosting_usd_per_month: 1500}}
    lora: {{training_usd: 40, hosting_usd_per_month: 150}}
gates: {{accuracy: {{max_drop: 0.05}}}}
"""


@cache
def answers() -> tuple[str, ...]:
    return tuple(LABELS[number % 18] for number in range(800))


@cache
def wrong() -> dict[str, set[int]]:
    """Return which cases each rung gets wrong: mostly the hard ones, and not all the same."""
    draw = random.Random(7)
    hard = [draw.random() for _ in range(800)]
    wrong_by_name = {}
    for name, right in RIGHT.items():
        difficulty = [case + draw.gauss(0, 0.15) for case in hard]
        wrong_by_name[name] = set(sorted(range(800), key=difficulty.__getitem__)[right:])
    return wrong_by_name


def write(folder: Path, volume: float, *changes: tuple[str, str]) -> Path:
    """Write the suite with all its files, and return its path."""
    text = SUITE.format(labels=", ".join(LABELS), volume=volume)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    cases = [
        {"id": f"t{n:03}", "input": f"Ticket {n} about {n * 7919 % 1009}", "expected": label}
        for n, label in enumerate(answers())
    ]
    write_rows(folder / "cases.jsonl", cases)
    for name, wrong_cases in wrong().items():
        rows = [
            {"id": f"t{n:03}", "text": LABELS[(n + 1) % 18] if n in wrong_cases else label}
            for n, label in enumerate(answers())
        ]
        write_rows(folder / f"{name}.jsonl", rows)
    rows = [
        {"input": f"Customer {n} writes {n * 104729 % 99991}", "expected": LABELS[n % 18]}
        for n in range(800)
    ]
    write_rows(folder / "train.jsonl", rows)
    path = folder / "tickets.ftgate.yaml"
    path.write_text(text, "utf-8")
    return path
