"""How long it takes to collect many marked functions, and to evaluate them from the cache.

    python benchmarks/marked.py [FUNCTIONS] [CASES] [VARIANTS]

Writes a suite (500 cases and 3 variants without arguments) that a Python function answers, requests
its replies once, and then runs 200 marked functions on the cached replies: first with
``--collect-only``, then in full. Half of the functions assert, half return a truth value; each is
right on most cases. Each function and variant is a gate with its own statistics. For comparison it
measures as many ordinary tests that do nothing. Times are of whole processes, start-up included;
processor times are reliable on a busy machine as well.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ANSWERS = """\
def answer(case):
    number = int(case.id[1:])
    return case.input + (" sorry" if number % 50 == VARIANT else " with pleasure")
"""
ASSERTS = """
@pytest.mark.ftgate("bench.ftgate.yaml", max_drop=0.1)
def test_{number}(case, reply):
    assert "sorry" not in reply.text or len(case.id) > {number}
"""
RETURNS = """
@pytest.mark.ftgate("bench.ftgate.yaml", max_drop=0.1)
def test_{number}(case, reply):
    return "sorry" not in reply.text
"""
PLAIN = """\
import pytest

@pytest.mark.parametrize("number", range({count}))
def test_plain(number):
    pass
"""
#: Other installed plugins are not measured.
ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def write(folder: Path, functions: int, cases: int, variants: int) -> None:
    """Write the suite and the marked functions."""
    rows = [{"id": f"c{n}", "input": f"Question {n}", "expected": "x"} for n in range(cases)]
    (folder / "bench.cases.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    lines = ["cases: bench.cases.jsonl", "variants:"]
    for number in range(variants):
        (folder / f"v{number}.py").write_text(ANSWERS.replace("VARIANT", str(number)))
        lines.append(f'  v{number}: {{provider: python, function: "v{number}:answer"}}')
    (folder / "bench.ftgate.yaml").write_text("\n".join([*lines, "gates: {accuracy: {}}"]))
    tests = [(ASSERTS, RETURNS)[n % 2].format(number=n) for n in range(functions)]
    (folder / "test_marked.py").write_text("import pytest\n" + "".join(tests))
    (folder / "test_plain.py").write_text(PLAIN.format(count=functions * variants))


def run(folder: Path, *args: str) -> tuple[float, float, str]:
    """Return the wall time and the processor time of one run, and its last line."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "pytest_ftgate", *args]
    start, before = time.perf_counter(), os.times()
    done = subprocess.run(
        command, cwd=folder, env=os.environ | ALONE, check=False, capture_output=True, text=True
    )
    took, after = time.perf_counter() - start, os.times()
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    worked = sum(after[2:4]) - sum(before[2:4])  # of children
    return took, worked, done.stdout.strip().splitlines()[-1].strip("= ")


def main(functions: int = 200, cases: int = 500, variants: int = 3) -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, functions, cases, variants)
        run(folder, "--ftgate", "-k", "test_0", "test_marked.py")  # fills cache and bytecode
        kept = ("--ftgate", "--ftgate-replies=recorded", "test_marked.py")
        print(f"{functions} marked functions, {variants} variants, {cases} cases")
        for what, args in (
            ("collected", (*kept, "--collect-only")),
            ("judged from the cache", kept),
            ("as many ordinary tests, that do nothing", ("test_plain.py",)),
        ):
            took, worked, said = run(folder, *args)
            print(f"  {what}: {took:.2f} s, of the processor {worked:.2f} s ({said})")


if __name__ == "__main__":
    main(*(int(given) for given in sys.argv[1:]))
