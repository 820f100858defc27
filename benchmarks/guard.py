"""Is this checkout slower than an earlier commit? Judged in pairs, by the package's own statistics.

    python benchmarks/guard.py [--base COMMIT] [--rounds N] [--times N] [--plant SHARE] [NAME ...]

Two processes stay for each workload of `workloads.py`: one has the package of COMMIT, one that of
this checkout. They work in turn, one after the other, and their CPU seconds make pairs: what else
the machine does slows both. COMMIT is the one of the figures in ``figures.json`` if none is named.
The ratio of the means has the interval of the cost gate. A workload FAILED if it is slower (the
interval lies above 1) and the ratio is beyond the limit of 1.15; it passed if the interval ends
below the limit; otherwise it is inconclusive. A workload that the package of COMMIT cannot run is
named and left out. The exit status is 1 if one failed, and 2 if none could be compared.

``--plant 0.2`` makes this checkout do a fifth more work, to see that the guard notices; ``--times``
repeats the whole and counts the outcomes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from shutil import which

import growth
import workloads

from pytest_ftgate.stats.resampling import ratio_interval

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "figures.json"
LIMIT, CONFIDENCE = 1.15, 0.95
#: Pairs of runs: of short work, and of a whole run of pytest.
PAIRS, RUN_PAIRS, LEAST_PAIRS = 100, 10, 3


@dataclass(frozen=True, slots=True)
class Compared:
    """One workload before and after: mean CPU seconds, and the ratio with its interval."""

    before: float
    after: float
    low: float
    high: float

    @property
    def ratio(self) -> float:
        """The seconds after, in units of those before."""
        return self.after / self.before

    @property
    def outcome(self) -> str:
        """Return the outcome by the rule of a drop: shown, and beyond the limit."""
        if self.low > 1.0 and self.ratio > LIMIT:
            return "FAILED"
        return "passed" if self.high < LIMIT else "inconclusive"


def extract(commit: str, folder: Path) -> None:
    """Write the package of *commit* to *folder*."""
    command = ["git", "archive", commit, "pytest_ftgate"]
    packed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")


class Worker:
    """A process that does one workload with the package in *tree* whenever it is asked to."""

    def __init__(self, tree: Path, name: str, folder: Path, more: float) -> None:
        kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        script = str(Path(workloads.__file__))
        self._process = subprocess.Popen(
            [sys.executable, script, name, str(folder), "--more", str(more)],
            cwd=folder,
            env=kept | {"PYTHONPATH": str(tree)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        #: Why the workload cannot run; "" if it can.
        self.error = "" if self._line() == "ready" else self._last_error()

    def work(self) -> float:
        """Return the CPU seconds of doing the workload once."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        took = self._line()
        if not took:
            raise SystemExit(self._last_error())
        return float(took)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def _last_error(self) -> str:
        assert self._process.stderr
        lines = [line for line in self._process.stderr.read().splitlines() if line]
        return (lines or ["it ended"])[-1]


def compare(name: str, base: Path, folder: Path, rounds: int, plant: float) -> Compared | str:
    """Do *name* in turn with both packages; return why the base cannot, if so."""
    workers = [Worker(base, name, folder, 0.0), Worker(ROOT, name, folder, plant)]
    try:
        if workers[1].error:
            raise SystemExit(f"{name}: {workers[1].error}")
        if workers[0].error:
            return workers[0].error
        took = list[tuple[float, ...]]()
        for number in range(rounds):
            pair = [worker.work() for worker in (workers if number % 2 else workers[::-1])]
            took.append(tuple(pair if number % 2 else pair[::-1]))
    finally:
        for worker in workers:
            worker.close()
    before, after = zip(*took, strict=True)
    low, high = ratio_interval(after, before, CONFIDENCE)
    return Compared(sum(before) / rounds, sum(after) / rounds, low, high)


def row(name: str, found: Compared) -> str:
    """Return one line of the table."""
    took = f"{found.before:16.3f}  {found.after:11.3f}  {found.ratio:6.3f}"
    return f"{name:10}  {took}  {found.low:.3f} to {found.high:.3f}  {found.outcome}"


def main() -> int:
    """Compare each workload; return 1 if one failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(workloads.NAMES))
    parser.add_argument("--base")
    parser.add_argument("--rounds", type=int, help=f"default: {PAIRS}, {RUN_PAIRS} of whole runs")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--plant", type=float, default=0.0)
    args = parser.parse_args()
    names = args.names or workloads.NAMES
    if args.rounds is not None and args.rounds < LEAST_PAIRS:
        parser.error(f"--rounds: an interval needs at least {LEAST_PAIRS}")
    base = args.base or json.loads(FIGURES.read_text("utf-8"))["commit"]
    outcomes = Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        extract(base, folder / "base")
        workloads.prepare(folder, names, args.plant)
        stub = growth.started(folder) if "asking" in names and which("cc") else None
        print(f"{'':10}  {base[:9]}: CPU s  here: CPU s   ratio  95 % interval", flush=True)
        for each in (each for _ in range(args.times) for each in names):
            if each == "asking" and stub is None:
                print("asking is left out: the stub server needs a C compiler")
                continue
            rounds = args.rounds or (PAIRS if each in workloads.SHORT else RUN_PAIRS)
            found = compare(each, folder / "base", folder, rounds, args.plant)
            if isinstance(found, str):
                print(f"{each} is left out: the package of {base[:9]} cannot run it: {found}")
                continue
            outcomes[found.outcome] += 1
            print(row(each, found), flush=True)
        if stub is not None:
            stub.terminate()
            stub.wait()
    if not outcomes:
        print(f"nothing could be compared with {base[:9]}")
        return 2
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())))
    return int(outcomes["FAILED"] > 0)


if __name__ == "__main__":
    sys.exit(main())
