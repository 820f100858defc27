"""Is this checkout slower than an earlier commit? Judged in pairs, by the package's own statistics.

    python benchmarks/guard.py [--base COMMIT] [--rounds N] [--times N] [--plant SHARE] [NAME ...]

Each workload of `workloads.py` runs in turn with the package of COMMIT and with that of this
checkout, each time in a process of its own, and its CPU seconds are measured. COMMIT is the one of
the figures in ``figures.json`` if none is named. The ratio of the means has the interval of the
cost gate. A workload FAILED if it is slower (the interval lies above 1) and the ratio is beyond the
limit of 1.15; it passed if the interval ends below the limit; otherwise it is inconclusive. The
exit status is 1 if one failed.

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

from pytest_ftgate.reporting.tables import format_table
from pytest_ftgate.stats.means import ratio_interval

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "figures.json"
LIMIT, CONFIDENCE, ROUNDS = 1.15, 0.95, 10
NAMES = ("evaluation", *workloads.CASES)


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


def seconds(tree: Path, name: str, folder: Path, more: float) -> float:
    """Return the CPU seconds of one workload with the package in *tree*."""
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    script = str(Path(workloads.__file__))
    done = subprocess.run(
        [sys.executable, script, name, str(folder), "--more", str(more)],
        cwd=folder,
        env=environ | {"PYTHONPATH": str(tree)},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{name} with {tree}: {done.stdout}{done.stderr}")
    return float(done.stdout)


def compare(name: str, base: Path, folder: Path, rounds: int, plant: float) -> Compared:
    """Run *name* in turn with both packages; the first round only makes bytecode."""
    before, after = list[float](), list[float]()
    sides = [(before, base, 0.0), (after, ROOT, plant)]
    for number in range(rounds + 1):
        for took, tree, more in sides if number % 2 else sides[::-1]:
            took.append(seconds(tree, name, folder, more))
    before, after = before[1:], after[1:]
    low, high = ratio_interval(after, before, CONFIDENCE)
    return Compared(sum(before) / rounds, sum(after) / rounds, low, high)


def row(name: str, found: Compared) -> list[str]:
    """Return one line of the table."""
    interval = f"{found.low:.3f} to {found.high:.3f}"
    took = (f"{found.before:.2f}", f"{found.after:.2f}", f"{found.ratio:.3f}")
    return [name, *took, interval, found.outcome]


def main() -> int:
    """Compare each workload; return 1 if one failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--base")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--plant", type=float, default=0.0)
    args = parser.parse_args()
    names = args.names or NAMES
    base = args.base or json.loads(FIGURES.read_text("utf-8"))["commit"]
    outcomes = Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        extract(base, folder / "base")
        workloads.prepare(folder, args.plant)
        stub = growth.started(folder) if "asking" in names and which("cc") else None
        rows = []
        for each in (each for _ in range(args.times) for each in names):
            if each == "asking" and stub is None:
                print("asking is left out: the stub server needs a C compiler")
                continue
            found = compare(each, folder / "base", folder, args.rounds, args.plant)
            outcomes[found.outcome] += 1
            rows.append(row(each, found))
        if stub is not None:
            stub.terminate()
            stub.wait()
    headers = ["workload", f"{base[:9]}: CPU s", "here: CPU s", "ratio", "95 % interval", "outcome"]
    print(format_table(rows, headers, right_columns=range(1, 4), max_width=None))
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())))
    return int(outcomes["FAILED"] > 0)


if __name__ == "__main__":
    sys.exit(main())
