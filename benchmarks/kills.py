"""The cost of runs that are killed at random moments: only the requests in flight are sent again.

    python benchmarks/kills.py [--keep] [KILLS] [REQUESTS]

Runs pytest over one plan (50 kills of 3,000 requests without arguments) against a slow, counting
server on loopback, and kills its process group at a random moment. Then it runs pytest once more to
the end. It fails unless the server got each request once, and those in flight at a kill once more.
The moments are drawn by a fixed seed; their effect depends on the machine. ``--keep`` writes the
counts to reliability.json.
"""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from ftgate_testing.counting import Counting, counting, write_suite

from pytest_ftgate.requests.request_groups import task_requests
from pytest_ftgate.suite.loader import load_suite

KEPT = Path(__file__).with_name("reliability.json")
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


def settle(server: Counting) -> None:
    """Wait until no request of a killed run comes any more; on a busy machine some come late."""
    seen = -1
    while seen != len(server.asked):
        seen = len(server.asked)
        server.wait_until_idle()
        time.sleep(0.15)


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


@dataclass(frozen=True, slots=True)
class Counts:
    """What the runs came to.

    Attributes:
        kills, hit: the kills, and how many of them met a run that was still running.
        planned, sent: the requests of the plan, and those that the server got.
        flying, most: the requests that were in flight at all kills, and at one at most.
        again: the requests that were sent though the cache had their replies.
        code: the exit code of the last run, which was not killed.
    """

    kills: int
    hit: int
    planned: int
    sent: int
    flying: int
    most: int
    again: int
    code: int

    @property
    def is_sound(self) -> bool:
        """Whether only what was in flight was sent again, and the last run passed."""
        paid = self.sent == self.planned + self.flying and not self.again
        return paid and self.most <= FLYING and self.code == 0


def count(kills: int, calls: int, command: Sequence[str]) -> Counts:
    """Kill, finish, and count."""
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
            settle(server)
            asked = set(server.asked[before:])
            again |= asked & had
            lost.append(asked - kept(folder, known))
        had, before = kept(folder, known), len(server.asked)
        ended = start(folder, command).wait()
        again |= set(server.asked[before:]) & had
    flying, most = sum(map(len, lost)), max(map(len, lost))
    return Counts(kills, hit, planned, len(server.asked), flying, most, len(again), ended)


def main(kills: int, calls: int, command: Sequence[str] = COMMAND, *, keep: bool = False) -> int:
    """Kill, finish, and print the counts."""
    told = count(kills, calls, command)
    print(
        f"{told.hit} of {kills} runs were killed while they ran; the last one ended with "
        f"{told.code}\n{told.sent:,} requests, {told.planned:,} planned, {told.flying:,} in flight "
        f"at a kill\nmost in flight at a kill: {told.most}; sent again though cached: {told.again}"
    )
    if keep:
        whole = json.loads(KEPT.read_text("utf-8"))
        whole["kill-9"] = {**asdict(told), "date": f"{datetime.now(UTC):%Y-%m-%d}"}
        KEPT.write_text(f"{json.dumps(whole, indent=1)}\n", "utf-8")
    return 0 if told.is_sound else 1


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--keep"]
    kills, calls = [*map(int, words), *(KILLS, CALLS)[len(words) :]]
    sys.exit(main(kills, calls, keep="--keep" in sys.argv))
