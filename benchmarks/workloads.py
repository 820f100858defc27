"""Work of which `guard.py` measures the processor time, in a process that stays.

    python benchmarks/workloads.py NAME FOLDER [--more SHARE]

The process prints ``ready``, and then for each line that it reads the seconds of CPU that the work
took:

- ``evaluation``: 10 gates of 10,000 cases, from fresh scores
- ``scoring``: 2,000 replies of JSON, with a schema and fields
- ``start``: a run of pytest with six gates of 3,000 recorded replies
- ``asking``: a run of pytest that sends 2,000 requests to the stub server

The last two run in a process of their own. ``--more 0.2`` does a fifth more of the same work.
FOLDER holds the suites of these, written by ``prepare``.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path

import growth
import judging
import large

#: The work is so many equal pieces, so that a fifth more is one piece more.
PIECES = 5
GATE_CASES, REPLIES = 10_000, 400
CASES = {"start": 1_000, "asking": 2_000}
#: The work of which one run takes less than a second.
SHORT = ("evaluation", "scoring")
NAMES = (*SHORT, *CASES)


def prepare(folder: Path, names: Collection[str], more: float) -> None:
    """Write the suites of the workloads *names*, and those of *more* work."""
    for name, cases in ((name, cases) for name, cases in CASES.items() if name in names):
        for share in {0.0, more}:
            suite = folder / f"{name}-{share}"
            suite.mkdir(parents=True)
            count = round(cases * (1 + share))
            if name == "asking":
                growth.written(suite, count)
            else:
                large.written(suite, count, 0)


def evaluation() -> Callable[[], None]:
    """Return a piece of the evaluation: two gates of a variant and its baseline."""
    from pytest_ftgate.scoring.scores import VariantScores

    drawn = random.Random(0)
    grades, properties = judging.KINDS["right or wrong"]
    cases = judging.numbered(GATE_CASES, properties)
    sides = [judging.column(name, cases, drawn, grades) for name in ("base", "tuned")]
    suite = judging.suite(cases)

    def piece() -> None:
        base, tuned = (VariantScores(side.variant, side.results) for side in sides)
        judging.evaluate(suite, base, [tuned])

    return piece


def scoring() -> Callable[[], None]:
    """Return a piece of the scoring: the replies of one variant."""
    from pytest_ftgate.requests.reply import Reply
    from pytest_ftgate.requests.request import CaseRequest, Request
    from pytest_ftgate.scoring.scores import score_replies
    from pytest_ftgate.suite.model import Case
    from pytest_ftgate.suite.rule import Rule

    drawn = random.Random(0)
    schema = {"properties": {"label": {"enum": [*large.LABELS]}}, "required": ["label"]}
    score, form = Rule("fields"), (Rule("json_schema", schema),)
    requests, replies = list[CaseRequest](), dict[str, Reply]()
    for number in range(REPLIES):
        name, label = str(number), drawn.choice(large.LABELS)
        expected = {"label": label}
        case = Case(id=name, location="c:1", expected=expected, score=score, format=form)
        request = Request(
            fingerprint=name, provider="recorded", model="", messages=(), max_tokens=9, sampling={}
        )
        requests.append(CaseRequest(case, 0, request))
        replies[name] = Reply(text=large.reply(number, drawn.choice(large.LABELS), 2_000))

    def piece() -> None:
        score_replies("tuned", requests, replies, Path())

    return piece


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
    """Return the workload of this name, which returns its seconds."""
    if name in CASES:
        return lambda: run_suite(folder / f"{name}-{more}")
    piece = evaluation() if name == "evaluation" else scoring()

    def work() -> float:
        piece()  # the other process has used the processor's cache meanwhile
        # What earlier work left behind is freed at its end, and not in the middle of this one.
        gc.collect()
        started = time.process_time()
        for _ in range(round(PIECES * (1 + more))):
            piece()
        return time.process_time() - started

    return work


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--more", type=float, default=0.0)
    given = parser.parse_args()
    do = named(given.name, given.folder, given.more)
    do()  # the first time, modules are imported
    print("ready", flush=True)
    for _ in sys.stdin:
        print(do(), flush=True)
