"""One piece of work in a process of its own, for `guard.py`: prints its seconds of CPU.

    python benchmarks/workloads.py NAME FOLDER [--more SHARE]

- ``evaluation``: 60 gates of 10,000 cases, from fresh scores
- ``start``: a run of pytest with six gates of 3,000 recorded replies
- ``replies``: a run of pytest with six gates of 30,000 recorded replies
- ``asking``: a run of pytest that sends 2,000 requests to the stub server

``--more 0.2`` does a fifth more of the same work. FOLDER holds the suites, written by ``prepare``.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import growth
import judging
import large

GATES, GATE_CASES = 60, 10_000
CASES = {"start": 1_000, "replies": 10_000, "asking": 2_000}


def prepare(folder: Path, more: float) -> None:
    """Write the suites of all workloads, and those of *more* work."""
    for name, cases in CASES.items():
        for share in {0.0, more}:
            suite = folder / f"{name}-{share}"
            suite.mkdir(parents=True)
            count = round(cases * (1 + share))
            if name == "asking":
                growth.written(suite, count)
            else:
                large.written(suite, count, 0)


def evaluate(more: float) -> float:
    """Return the CPU seconds of evaluating the gates."""
    drawn = random.Random(0)
    grades, properties = judging.KINDS["right or wrong"]
    cases = judging.numbered(GATE_CASES, properties)
    suite, base = judging.suite(cases), judging.column("base", cases, drawn, grades)
    count = round(GATES * (1 + more)) // len(judging.GATES)
    variants = [judging.column(f"v{number}", cases, drawn, grades) for number in range(count)]
    started = time.process_time()
    judging.evaluate(suite, base, variants)
    return time.process_time() - started


def run_suite(folder: Path) -> float:
    """Return the CPU seconds of a run of the suite in *folder*, without a cache from before."""
    shutil.rmtree(folder / ".ftgate", ignore_errors=True)
    command = [sys.executable, "-m", "pytest", "-p", "pytest_ftgate", "--ftgate", "-q"]
    environ = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "STUB_KEY": "none"}
    command += ["-p", "no:cacheprovider", "--rootdir=."]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, cwd=folder, env=environ, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def named(name: str, folder: Path, more: float) -> Callable[[], float]:
    """Return the workload of this name."""
    if name == "evaluation":
        return lambda: evaluate(more)
    return lambda: run_suite(folder / f"{name}-{more}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=["evaluation", *CASES])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--more", type=float, default=0.0)
    given = parser.parse_args()
    print(named(given.name, given.folder, given.more)())
