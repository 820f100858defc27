"""Whether two runs at once on one cache send each request once.

    python benchmarks/two_processes.py [REQUESTS]

Starts pytest twice, at the same time, over one plan (2,000 requests without an argument) against a
slow, counting server on loopback. It fails unless each request was sent once, and both runs passed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from ftgate_testing.counting import counting, write_suite

CALLS = 2000
ANSWER = 0.05
COMMAND = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--ftgate")


def main(calls: int) -> int:
    """Run both, and print the counts."""
    with tempfile.TemporaryDirectory() as name, counting(ANSWER) as server:
        planned = write_suite(Path(name), calls // 2, server.port)
        started = time.perf_counter()
        runs = [
            subprocess.Popen(COMMAND, cwd=name, stdout=subprocess.PIPE, text=True) for _ in range(2)
        ]
        told = [run.communicate()[0] for run in runs]
        took = time.perf_counter() - started
    print(
        f"two runs at once of {planned:,} requests: {len(server.asked):,} sent in {took:.1f} s, "
        f"ended with {' and '.join(str(run.returncode) for run in runs)}"
    )
    for one in told:
        print(next((line for line in one.splitlines() if " gates · " in line), one))
    once = len(server.asked) == planned
    return 0 if once and not any(run.returncode for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:]) if len(sys.argv) > 1 else [CALLS]))
