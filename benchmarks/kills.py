"""What runs that are killed at random moments cost: no more than what was in flight.

    python benchmarks/kills.py [KILLS] [CALLS]

Runs pytest over one plan (50 kills of 3,000 calls without arguments) against a slow server on
loopback that counts, and kills it, process group and all, at a random moment; then once more to
the end. It fails unless the server was asked each call once, and those in flight at a kill once
more. The moments are drawn by a fixed seed, but what they hit is up to the machine.
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

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))

from counting import Counting, counting, write_suite

from pytest_ftgate.requests.workload import task
from pytest_ftgate.suite.loader import load

KILLS, CALLS = 50, 3000
#: Calls in flight at once for each of the suite's variants, and in all.
AT_ONCE, FLYING = 4, 8
#: Seconds that the server takes, and that a run may ask before it is killed.
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
    # One in five is killed while it starts, the others while they ask.
    if drawn.random() < 0.2:
        time.sleep(drawn.uniform(0.0, 0.5))
    else:
        while len(server.asked) == before and run.poll() is None:
            time.sleep(0.005)
        time.sleep(drawn.uniform(0.0, LONGEST))
    run.send_signal(signal.SIGKILL)
    return run.wait() == -signal.SIGKILL


def paths(folder: Path) -> dict[str, str]:
    """Return what each call of the suite asks of the server, by the call's fingerprint."""
    suite = load(folder / "tickets.ftgate.yaml", folder, None)
    asks = [ask for one in suite.variants.values() for ask in task(suite, one, {})]
    return {
        ask.call.fingerprint: f"{str(ask.call.function).partition(':')[2]}/{ask.case.id}"
        for ask in asks
    }


def kept(folder: Path, known: dict[str, str]) -> set[str]:
    """Return what the server was asked for the replies that the ledger holds."""
    path = folder / ".ftgate" / "ledger.sqlite"
    if not path.exists():
        return set()
    with closing(sqlite3.connect(path)) as ledger:
        try:
            return {known[name] for (name,) in ledger.execute("SELECT fingerprint FROM replies")}
        except sqlite3.OperationalError:  # killed before the table was made
            return set()


def main(kills: int, calls: int, command: Sequence[str] = COMMAND) -> int:
    """Kill, finish, and print what it came to."""
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
    print(f"{total:,} requests, {planned:,} calls planned, {flying:,} in flight at a kill")
    print(f"most in flight at a kill: {most}; asked again though kept: {len(again)}")
    sound = total == planned + flying and most <= FLYING and not again
    return 0 if sound and ended == 0 else 1


if __name__ == "__main__":
    given = [int(one) for one in sys.argv[1:]]
    sys.exit(main(*given, *(KILLS, CALLS)[len(given) :]))
