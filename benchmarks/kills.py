"""The cost of runs that are killed at random moments: only the requests in flight are sent again.

    python benchmarks/kills.py [KILLS] [REQUESTS]

Runs pytest over one plan (50 kills of 3,000 requests without arguments) against a slow, counting
server on loopback, and kills its process group at a random moment. Then it runs pytest once more to
the end. It fails unless the server got each request once, and those in flight at a kill once more.
The moments are drawn by a fixed seed; their effect depends on the machine.
"""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from ftgate_testing.counting import Counting, counting, write_suite

from pytest_ftgate.requests.request_groups import task_requests
from pytest_ftgate.suite.loader import load_suite

KILLS, CALLS = 50, 3000
#: Requests in flight at once for each of the suite's variants, and in all.
AT_ONCE, FLYING = 4, 8
#: Seconds that the server takes, and the most seconds before a run is killed.
ANSWER, LONGEST = 0.05, 0.8
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--ftgate")
COMMAND = (*PYTEST, f"--ftgate-concurrency={AT_ONCE}")


def start(folder: Path, command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start one run."""
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)


def killed(folder: Path, command: Sequence[str], server: Counting, drawn: random.Random) -> bool:
    """Start a run and kill it; return whether it was still running then."""
    before = len(server.asked)
    run = start(folder, command)
    # One in five is killed while it starts, the others while they send requests.
    if drawn.random() < 0.2:
        time.sleep(drawn.uniform(0.0, 0.5))
    else:
        while len(server.asked) == before and run.poll() is None:
            time.sleep(0.005)
        time.sleep(drawn.uniform(0.0, LONGEST))
    run.send_signal(signal.SIGKILL)
    return run.wait() == -signal.SIGKILL


def paths(folder: Path) -> dict[str, str]:
    """Return the path at the server of each request of the suite, by its fingerprint."""
    suite = load_suite(folder / "tickets.ftgate.yaml", folder, None)
    asks = [ask for one in suite.variants.values() for ask in task_requests(suite, one, {})]
    return {
        ask.request.fingerprint: f"{str(ask.request.function).partition(':')[2]}/{ask.case.id}"
        for ask in asks
    }


def kept(folder: Path, known: dict[str, str]) -> set[str]:
    """Return the paths of the requests whose replies the cache contains."""
    path = folder / ".ftgate" / "cache.sqlite"
    if not path.exists():
        return set()
    with closing(sqlite3.connect(path)) as cache:
        try:
            return {known[name] for (name,) in cache.execute("SELECT fingerprint FROM replies")}
        except sqlite3.OperationalError:  # killed before the table was made
            return set()


def main(kills: int, calls: int, command: Sequence[str] = COMMAND) -> int:
    """Kill, finish, and print the counts."""
    drawn, hit = random.Random(0), 0
    lost: list[set[str]] = []
    again: set[str] = set()
    with tempfile.TemporaryDirectory() as name, counting(ANSWER) as server:
        folder = Path(name).resolve()
        planned = write_suite(folder, calls // 2, server.port)
        known = paths(folder)
        for _ in range(kills):
            had, before = kept(folder, known), len(server.asked)
            hit += killed(folder, command, server, drawn)
            server.wait_until_idle()
            asked = set(server.asked[before:])
            again |= asked & had
            lost.append(asked - kept(folder, known))
        had, before = kept(folder, known), len(server.asked)
        ended = start(folder, command).wait()
        again |= set(server.asked[before:]) & had
    total, flying, most = len(server.asked), sum(map(len, lost)), max(map(len, lost))
    print(f"{hit} of {kills} runs were killed while they ran; the last one ended with {ended}")
    print(f"{total:,} requests, {planned:,} planned, {flying:,} in flight at a kill")
    print(f"most in flight at a kill: {most}; sent again though cached: {len(again)}")
    sound = total == planned + flying and most <= FLYING and not again
    return 0 if sound and ended == 0 else 1


if __name__ == "__main__":
    kills, calls = [*map(int, sys.argv[1:]), *(KILLS, CALLS)[len(sys.argv) - 1 :]]
    sys.exit(main(kills, calls))
