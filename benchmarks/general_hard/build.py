"""Builds the data of the set `general-hard`, bit by bit the same each time.

    python -m venv hard
    hard/bin/pip install --no-deps -r benchmarks/general_hard/requirements.txt
    hard/bin/python benchmarks/general_hard/build.py          # writes pytest_ftgate/skills/hard
    hard/bin/python benchmarks/general_hard/build.py --check  # compares with what is there

Each family has a file for each level, with the cases that a gate asks, and a file with the cases of
the pilot, which chooses the level and never enters a gate. The first row of a file has the canary
and the source and licence of each skill.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import contexts
import functions
import generated
import honesty
import instructions
import knowledge
import languages
import programs
import rephrasing
from items import LEVELS, Item, Task

ROOT = Path(__file__).parents[2]
DATA = ROOT / "pytest_ftgate" / "skills" / "hard"
CANARY = "pytest-ftgate-canary-0d9f6c1e-5a3b-4d57-9a0e-3c6f6b7f2e18"
#: The cases of each family and level: those of the gate, and those of the pilot.
GATED, PILOT = 160, 20
FAMILIES: dict[str, Sequence[Task]] = {
    "mathematics": generated.tasks(generated.MATHEMATICS),
    "reasoning": generated.tasks(generated.REASONING),
    "code": programs.TASKS,
    "knowledge": knowledge.TASKS,
    "languages": languages.TASKS,
    "instructions": instructions.TASKS,
    "functions": functions.TASKS,
    "long-context": contexts.LONG_CONTEXT,
    "conversation": contexts.CONVERSATION,
    "honesty": honesty.TASKS,
    "rephrasing": rephrasing.TASKS,
}


def family_items(family: str, level: int) -> list[tuple[str, Item]]:
    """Return the items of a level, each with its skill, in an order that mixes the skills."""
    tasks = FAMILIES[family]
    drawn = [_different_items(f"{family} {level} {task.skill}", task, level) for task in tasks]
    chosen: list[tuple[str, Item]] = []
    # One of each in turn: where one has no more, the others fill up.
    while len(chosen) < GATED + PILOT:
        before = len(chosen)
        for task, items in zip(tasks, drawn, strict=True):
            item = next(items, None)
            if item is not None and len(chosen) < GATED + PILOT:
                chosen.append((task.skill, item))
        if len(chosen) == before:
            raise SystemExit(f"{family}: level {level} has {before} items only")
    return chosen


def _different_items(name: str, task: Task, level: int) -> Iterator[Item]:
    """Yield the items of a task without those that ask the same again."""
    seen: set[str] = set()
    repeated = 0
    for item in task.items(Random(name), level):
        key = json.dumps([item.get("input"), item.get("seed")])
        if key in seen:
            repeated += 1
            if repeated > 1000:
                return
            continue
        seen.add(key)
        yield item


def _rows(family: str, level: int) -> tuple[list[Item], list[Item]]:
    """Return the rows of the gate and those of the pilot."""
    rows = []
    for index, (skill, item) in enumerate(family_items(family, level)):
        is_pilot = index < PILOT
        number = f"p{index + 1:02d}" if is_pilot else f"{index + 1 - PILOT:03d}"
        keys = {"skill": skill, "difficulty": level, "language": "en"}
        rows.append({"id": f"hard-{family}-{level}-{number}", **keys, **item})
    return rows[PILOT:], rows[:PILOT]


def _text(family: str, kind: str, rows: list[Item]) -> str:
    head = {
        "about": f"pytest-ftgate general-hard, {family}, {kind}. Test data: do not train on it.",
        "canary": CANARY,
        "sources": {task.skill: task.source for task in FAMILIES[family]},
    }
    lines = (json.dumps(row, ensure_ascii=False) for row in (head, *rows))
    return "\n".join(lines) + "\n"


def texts(families: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each file of *families*."""
    for family in families:
        pilots = []
        for level in LEVELS:
            gated, pilot = _rows(family, level)
            pilots += pilot
            yield f"{family}-{level}.jsonl.gz", _text(family, f"level {level}", gated)
        yield f"{family}-pilot.jsonl.gz", _text(family, "pilot", pilots)


def main() -> None:
    """Write the files and their digests, or compare them with what is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--check", action="store_true", help="write nothing; fail if texts differ")
    parser.add_argument("families", nargs="*", help="only these")
    args = parser.parse_args()
    digests_file = DATA / "digests.json"
    known = json.loads(digests_file.read_text()) if digests_file.exists() else {}
    DATA.mkdir(exist_ok=True)
    differ = []
    for name, text in texts(args.families or [*FAMILIES]):
        content = text.encode()
        digest = hashlib.sha256(content).hexdigest()
        if known.get(name) != digest:
            differ.append(name)
        if not args.check:
            known[name] = digest
            (DATA / name).write_bytes(gzip.compress(content, 9, mtime=0))
    print(
        f"{len(differ)} files differ: {', '.join(differ)}" if differ else "all files are the same"
    )
    if args.check:
        sys.exit(bool(differ))
    digests_file.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of sets must not change what is drawn.
        os.execve(
            sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": "0"}
        )
    main()
