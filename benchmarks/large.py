"""The resources to score and evaluate many recorded replies: seconds, CPU and memory of a process.

    python benchmarks/large.py [CASES] [CHARACTERS]

Writes one suite of three variants whose replies are recorded (100,000 cases without an argument,
so 300,000 replies), each right nine times in ten and well formed as often, with the accuracy and
the format gate for all of them and a drop check against the first. Then it runs the suite in a
process of its own, as a user would, and again with a tenth of the cases. Both sizes are repeated
with long replies (2,000 characters without an argument), which should need more memory by their
length only: such a reply is JSON, with the label as one of its fields. Replies are drawn by a fixed
seed. CPU is shown in four parts: start and loading; planning; scoring, evaluation and reporting;
and what other threads do, which read the replies.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

LABELS = ("billing", "refund", "delivery", "other")
VARIANTS = ("current", "short", "tuned")
CHOICE = f"{{format: {{choice: [{', '.join(LABELS)}]}}}}"
SCHEMA = """\
{format: {json_schema: {properties: {label: {enum: [LABELS]}}, required: [label]}}, score: fields}
""".replace("LABELS", ", ".join(LABELS)).strip()
SUITE = f"""\
cases: all.cases.jsonl
reply: REPLY
variants:
{"".join(f"  {name}: {{provider: recorded, replies: {name}.jsonl}}{chr(10)}" for name in VARIANTS)}
gates: {{accuracy: {{min: 0.8, max_drop: 0.03}}, format: {{min: 0.8, max_drop: 0.02}}}}
"""
#: Prints from within the process the processor time of each part.
WATCH = """\
from time import process_time, thread_time

from pytest_ftgate.runner.session import Session

planned, submit = 0.0, Session.submit


def timed(session, gates):
    global planned
    start = thread_time()
    submit(session, gates)
    planned += thread_time() - start


def pytest_collection_finish():
    global loaded
    loaded = thread_time()


def pytest_unconfigure():
    whole = thread_time()
    print("took", loaded, planned, whole - loaded - planned, process_time() - whole)


Session.submit = timed
"""


@dataclass(frozen=True)
class Took:
    """Resources of a process: seconds, seconds of CPU by part and in all, peak megabytes."""

    wall: float
    parts: tuple[float, ...]
    cpu: float
    peak: float


def written(folder: Path, cases: int, characters: int) -> None:
    """Write the suite, its cases and its replies, which are labels if *characters* is 0."""
    drawn = random.Random(0)
    expected = [drawn.choice(LABELS) for _ in range(cases)]
    rows = [
        {
            "id": f"c{n:06}",
            "input": f"Ticket {n}: where is it?",
            "expected": {"label": label} if characters else label,
        }
        for n, label in enumerate(expected)
    ]
    lines(folder / "all.cases.jsonl", rows)
    (folder / "all.ftgate.yaml").write_text(
        SUITE.replace("REPLY", SCHEMA if characters else CHOICE)
    )
    (folder / "watch.py").write_text(WATCH)
    for name in VARIANTS:
        labels = [
            label if drawn.random() < 0.9 else drawn.choice((*LABELS, f"It is {label}."))
            for label in expected
        ]
        said = ({"id": f"c{n:06}", "text": reply(n, t, characters)} for n, t in enumerate(labels))
        lines(folder / f"{name}.jsonl", said)


def reply(number: int, label: str, characters: int) -> str:
    """Return a reply with *label*: the label itself, or so many characters of JSON."""
    if not characters:
        return label
    return json.dumps({"label": label, "why": f"Ticket {number} says so. ".ljust(characters, "x")})


def lines(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write one row a line."""
    with path.open("w") as stream:
        stream.writelines(f"{json.dumps(row)}\n" for row in rows)


def judged(folder: Path) -> Took:
    """Run the suite in a process of its own."""
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environ |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "pytest", "-p", "pytest_ftgate", "-p", "watch"]
    command += ["-q", "--ftgate"]
    start = time.perf_counter()
    with (folder / "said.txt").open("w") as said:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    told = (folder / "said.txt").read_text()
    if "PASSED  6 gates" not in told:
        raise SystemExit(told)
    wall = time.perf_counter() - start
    parts = told.rpartition("took ")[2].split()[:4]
    cpu = usage.ru_utime + usage.ru_stime
    return Took(wall, tuple(map(float, parts)), cpu, usage.ru_maxrss / 1000)


def main(most: int, characters: int) -> None:
    """Measure both sizes and both lengths, and print the table."""
    names = ("s", "CPU s", "load", "plan", "gates", "replies", "MB")
    print(f"{'cases':>9} {'replies':>9} {'of':>6}", *(f"{name:>7}" for name in names))
    for length, cases in product((0, characters), (most // 10, most)):
        with tempfile.TemporaryDirectory() as name:
            written(Path(name), cases, length)
            took = judged(Path(name))
        parts = " ".join(f"{part:>7.1f}" for part in took.parts)
        count = f"{cases:>9,} {3 * cases:>9,} {length or 'label':>6}"
        print(f"{count} {took.wall:>7.1f} {took.cpu:>7.1f} {parts} {took.peak:>7.0f}", flush=True)


if __name__ == "__main__":
    given = [int(one) for one in sys.argv[1:]]
    main(*given, *(100_000, 2_000)[len(given) :])
