"""What it takes to score and judge many recorded replies: seconds, CPU and memory of a process.

    python benchmarks/large.py [CASES]

Writes one suite of three variants whose replies are recorded (100,000 cases without an argument,
so 300,000 replies), each right nine times in ten and well formed as often, with the accuracy and
the format gate for all of them and a drop against the first; then judges it in a process of its
own, as a user would. Beside it stands the same for a tenth of the cases. Replies are drawn by a
fixed seed. CPU is told in three parts: start and loading; planning, with the reading of the
replies; and scoring, judging and reporting.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

LABELS = ("billing", "refund", "delivery", "other")
VARIANTS = ("current", "short", "tuned")
SUITE = f"""\
cases: all.cases.jsonl
reply: {{format: {{choice: [{", ".join(LABELS)}]}}}}
variants:
{"".join(f"  {name}: {{provider: recorded, replies: {name}.jsonl}}{chr(10)}" for name in VARIANTS)}
gates: {{accuracy: {{min: 0.8, max_drop: 0.03}}, format: {{min: 0.8, max_drop: 0.02}}}}
"""
#: Tells of the process from inside how far its processor time had come.
WATCH = """\
from time import process_time

from pytest_ftgate.run.session import Session

planned, begin = 0.0, Session.begin


def timed(session, gates):
    global planned
    start = process_time()
    begin(session, gates)
    planned += process_time() - start


def pytest_collection_finish():
    global loaded
    loaded = process_time()


def pytest_unconfigure():
    print("took", loaded, planned, process_time() - loaded - planned)


Session.begin = timed
"""


@dataclass(frozen=True)
class Took:
    """What a process took: seconds, seconds of CPU by part and in all, megabytes at the peak."""

    wall: float
    parts: tuple[float, ...]
    cpu: float
    peak: float


def written(folder: Path, cases: int) -> None:
    """Write the suite, its cases and its replies."""
    drawn = random.Random(0)
    expected = [drawn.choice(LABELS) for _ in range(cases)]
    rows = [
        {"id": f"c{n:06}", "input": f"Ticket {n}: where is it?", "expected": label}
        for n, label in enumerate(expected)
    ]
    lines(folder / "all.cases.jsonl", rows)
    (folder / "all.ftgate.yaml").write_text(SUITE)
    (folder / "watch.py").write_text(WATCH)
    for name in VARIANTS:
        said = [
            label if drawn.random() < 0.9 else drawn.choice((*LABELS, f"It is {label}."))
            for label in expected
        ]
        lines(folder / f"{name}.jsonl", [{"id": f"c{n:06}", "text": t} for n, t in enumerate(said)])


def lines(path: Path, rows: list[dict[str, str]]) -> None:
    """Write one row a line."""
    with path.open("w") as stream:
        stream.writelines(f"{json.dumps(row)}\n" for row in rows)


def judged(folder: Path) -> Took:
    """Judge the suite in a process of its own."""
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environ |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "pytest", "-p", "pytest_ftgate.plugin", "-p", "watch"]
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
    parts = told.rpartition("took ")[2].split()[:3]
    cpu = usage.ru_utime + usage.ru_stime
    return Took(wall, tuple(map(float, parts)), cpu, usage.ru_maxrss / 1000)


def main(most: int) -> None:
    """Measure both sizes and print the table."""
    columns = (("s", 7), ("CPU s", 7), ("load", 6), ("plan", 6), ("judge", 6), ("MB", 6))
    print(f"{'cases':>9} {'replies':>9}", *(f"{name:>{width}}" for name, width in columns))
    for cases in (most // 10, most):
        with tempfile.TemporaryDirectory() as name:
            written(Path(name), cases)
            took = judged(Path(name))
        parts = " ".join(f"{part:>6.1f}" for part in took.parts)
        count = f"{cases:>9,} {3 * cases:>9,}"
        print(f"{count} {took.wall:>7.1f} {took.cpu:>7.1f} {parts} {took.peak:>6.0f}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 100_000)
