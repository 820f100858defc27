"""The time that the plugin adds to the start of pytest if it is installed and not used.

Run it on an idle machine, with the number of pairs as an argument (15 without one):

    python benchmarks/startup.py [PAIRS]

Each pair runs ``python -m pytest -q`` on a project of one empty test, once with the plugin and
once with ``-p no:pytest_ftgate``. The pairs alternate which of the two goes first, so that a
machine that warms up or slows down does not favour either. It prints the median of the paired
differences.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

PAIRS = 15
WITHOUT = ("-p", "no:pytest_ftgate")


def seconds(folder: Path, *args: str) -> float:
    """Return the seconds of one run."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args]
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=_environment(), check=True, capture_output=True)
    return time.perf_counter() - start


def _environment() -> dict[str, str]:
    # Without bytecode every run would compile the plugin anew, which no user's does.
    return {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def pair(folder: Path, *, swapped: bool) -> tuple[float, float]:
    """Return the time with the plugin and the time without it, taken one after the other."""
    if swapped:
        without = seconds(folder, *WITHOUT)
        return seconds(folder), without
    return seconds(folder), seconds(folder, *WITHOUT)


def main(pairs: int) -> None:
    """Measure the pairs and print the results."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_empty.py").write_text("def test_it(): pass\n")
        pair(folder, swapped=False)  # the first runs write bytecode
        taken = [pair(folder, swapped=bool(number % 2)) for number in range(pairs)]
    added = median(active - without for active, without in taken)
    without = median(without for _, without in taken)
    print(f"pytest without the plugin: {without * 1000:.0f} ms, median of {pairs} runs")
    print(f"the plugin adds {added * 1000:+.1f} ms ({added / without:+.1%}), median of the pairs")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS)
