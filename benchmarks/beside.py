"""What six gates cost beside 3,000 ordinary tests: processor time and memory.

    python benchmarks/beside.py [PAIRS]

Writes a project of 3,000 ordinary tests and a suite with six gates: accuracy and format of three
variants, 100 cases each, with recorded replies. Each of 3 pairs runs ``python -m pytest -q`` once
without ``--ftgate`` and once with it; the pairs alternate which goes first. A first run fills the
cache. Processor times are reliable on a busy machine as well.

It prints the medians, the paired differences and the ratios, and exits with 1 if the gates cost
2 seconds or 250 MB or more.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import NamedTuple

PAIRS, TESTS, CASES = 3, 3_000, 100
MAX_SECONDS, MAX_MEGABYTES = 2.0, 250.0
VARIANTS = {"current": 2, "same": 2, "better": 1}
SUITE = """\
cases: tickets.cases.jsonl
reply: {format: {choice: [billing, refund]}}
variants:
VARIANTS
gates: {accuracy: {max_drop: 0.1}, format: {min: 0.9}}
"""
PLAIN = """\
import pytest

@pytest.mark.parametrize("number", range({count}))
def test_plain(number):
    assert number >= 0
"""


class Run(NamedTuple):
    """What one process took."""

    seconds: float
    megabytes: float


def write(folder: Path) -> None:
    """Write the ordinary tests, ten files of them, and the suite with its recorded replies."""
    for number in range(10):
        (folder / f"test_{number}.py").write_text(PLAIN.format(count=TESTS // 10))
    labels = ["billing", "refund"]
    cases = [
        {"id": f"c{n}", "input": f"Ticket {n}", "expected": labels[n % 2]} for n in range(CASES)
    ]
    write_lines(folder / "tickets.cases.jsonl", cases)
    variants = ""
    for name, wrong in VARIANTS.items():
        replies = [
            {"id": case["id"], "text": labels[(n + (n < wrong)) % 2]}
            for n, case in enumerate(cases)
        ]
        write_lines(folder / f"{name}.jsonl", replies)
        variants += f"  {name}: {{provider: recorded, replies: {name}.jsonl}}\n"
    (folder / "tickets.ftgate.yaml").write_text(SUITE.replace("VARIANTS\n", variants))


def write_lines(path: Path, rows: list[dict[str, str]]) -> None:
    """Write *rows* as JSON lines."""
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def measure(folder: Path, *args: str) -> Run:
    """Return the processor time and the peak memory of one run."""
    options = ["-q", "-p", "no:cacheprovider", *args]
    # Other installed plugins are not measured, and bytecode is written as on a user's machine.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "pytest_ftgate", *options]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"pytest ended with {process.returncode}: {' '.join(command)}")
    # Linux counts the peak in kilobytes, macOS in bytes.
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return Run(used.ru_utime + used.ru_stime, used.ru_maxrss / unit)


def pair(folder: Path, *, swapped: bool) -> tuple[Run, Run]:
    """Return a run without ``--ftgate`` and one with it, the second one first if *swapped*."""
    if swapped:
        gated = measure(folder, "--ftgate")
        return measure(folder), gated
    return measure(folder), measure(folder, "--ftgate")


def main(pairs: int) -> None:
    """Measure the pairs and print the results."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder)
        measure(folder, "--ftgate")
        runs = [pair(folder, swapped=bool(number % 2)) for number in range(pairs)]
    print(f"{TESTS:,} ordinary tests, six gates, median of {pairs} pairs")
    costs = []
    for unit in Run._fields:
        plain, gated = ([getattr(run, unit) for run in side] for side in zip(*runs, strict=True))
        costs.append(median(b - a for a, b in zip(plain, gated, strict=True)))
        ratio = median(b / a for a, b in zip(plain, gated, strict=True))
        figures = f"{median(plain):.2f} without, {median(gated):.2f} with --ftgate"
        print(f"{unit}: {figures}, {costs[-1]:+.2f}, {ratio:.2f} times")
    sys.exit(costs[0] >= MAX_SECONDS or costs[1] >= MAX_MEGABYTES)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS)
