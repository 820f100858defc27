"""A simulated coding agent for docs/agents.md: it solves a task as often as a seed draws it.

It reads a task from its input, as `provider: command` gives it, and prints its reward and what the
run took. Without the line "Run the tests" in AGENTS.md it solves fewer tasks.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

task = json.load(sys.stdin)
draw = random.Random(f"{task['id']} {task['run']}")
# Task 7 is too hard for it.
rate = 0.0 if task["id"] == "task-7" else 0.95
if "Run the tests" not in Path("AGENTS.md").read_text("utf-8"):
    rate *= 0.5
print(
    json.dumps(
        {
            "reward": int(draw.random() < rate),
            "text": f"a patch of run {task['run']}",
            "cost_usd": draw.randrange(8, 14) / 100,
            "tool_calls": draw.randrange(5, 15),
        }
    )
)
